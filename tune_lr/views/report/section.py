"""A part of the report: what it says, and the charts in it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from tune_lr.views.words import brief

#: What all charts have in common.
_LAYOUT: dict[str, Any] = {
    "template": "plotly_white",
    "hovermode": "closest",
    "margin": {"l": 56, "r": 16, "t": 36, "b": 48},
    "legend": {"orientation": "h", "y": -0.2},
    "font": {"size": 13},
}
#: Told apart by every reader (Okabe and Ito 2008).
BLUE, ORANGE, GREEN, GREY, YELLOW = "#0072B2", "#D55E00", "#009E73", "#999999", "#E69F00"


@dataclass(frozen=True)
class Section:
    """One part.

    Args:
        title: plain text.
        note: plain text below it.
        charts: plotly figures.
        body: more HTML, escaped already.
        wide: whether its charts keep a width of their own where the page is narrower.
    """

    title: str
    note: str = ""
    charts: tuple[Any, ...] = ()
    body: str = ""
    wide: bool = False


def safe(text: object, most: int = 60) -> str:
    """Text of a log as a chart may show it: cut, and nothing in it is markup or a formula."""
    return html.escape(brief(text, most)).replace("$", "&#36;") if text != "" else ""


def chart(title: str, across: str, up: str, height: int = 380) -> Any:
    """An empty figure."""
    from plotly.graph_objects import Figure

    made = Figure()
    made.update_layout(title={"text": safe(title, 90), "font": {"size": 15}}, height=height, **_LAYOUT)
    made.update_xaxes(title_text=safe(across))
    made.update_yaxes(title_text=safe(up))
    return made


def logarithmic(values: list[float]) -> str:
    """The type of an axis that suits values."""
    known = [value for value in values if value == value]
    wide = bool(known) and min(known) > 0 and max(known) > 10 * min(known) and max(known) / min(known) < 1e100
    return "log" if wide else "linear"
