"""A trial as a page: the LR step by step and the losses that moved it, to point at and zoom into."""

from __future__ import annotations

import html
import math
from typing import Any

from tune_lr.errors import MissingExtra
from tune_lr.experiment import Experiment
from tune_lr.views.curves import is_wide
from tune_lr.views.moves import COLOURS, RESTS, Story, heading, loss_label, stories
from tune_lr.views.words import short

_SYMBOLS = {"raise": "triangle-up", "cut": "triangle-down", "reset": "diamond", "set": "square"}
_LINE, _OTHER = "#0072B2", "#999999"


def page(experiment: Experiment, trial: str) -> str:
    """The page as HTML, in one file that needs no network.

    Raises:
        BadInput: there is no such trial, or it has no decisions.
        MissingExtra: plotly is not installed.
    """
    found = stories(experiment, trial)
    try:
        from plotly.io import to_html
        from plotly.subplots import make_subplots
    except ModuleNotFoundError as error:
        raise MissingExtra("a page of a trial", "plot") from error

    title, knobs = heading(experiment, trial)
    what = loss_label(experiment, trial)
    titles = ["learning rate, step by step", f"the {what} behind each change"]
    named = [f"{story.schedule}: {name}" for name in titles for story in found]
    chart = make_subplots(
        rows=2, cols=len(found), shared_xaxes="columns", row_heights=[0.6, 0.4], vertical_spacing=0.08,
        subplot_titles=titles if len(found) == 1 else [html.escape(name) for name in named],
    )  # fmt: skip
    for column, story in enumerate(found, start=1):
        draw_story(chart, story, column)
        chart.update_xaxes(title_text="step", row=2, col=column)
        chart.update_yaxes(title_text="lr", row=1, col=column)
        chart.update_yaxes(title_text=what, row=2, col=column)
    chart.update_layout(
        title=html.escape(f"{title}: {knobs}"), template="plotly_white", hovermode="closest", height=760,
        legend={"orientation": "h", "y": -0.1},
    )  # fmt: skip
    drawn: str = to_html(chart, include_plotlyjs=True, full_html=True)
    return drawn


def draw_story(chart: Any, story: Story, column: int) -> None:
    """The LR and the losses of one story, in the two panels of a column."""
    for group in range(story.groups):
        steps, lrs = story.trace(group)
        chart.add_scatter(
            x=steps, y=lrs, row=1, col=column, mode="lines", line_shape="hv", name=f"lr of group {group}",
            line={"color": _LINE, "width": 1.6 if group == 0 else 0.7}, showlegend=False,
            hovertemplate="step %{x}: lr %{y:.6g}<extra></extra>",
        )  # fmt: skip
    for kind in RESTS:
        across: list[int | None] = []
        up: list[float | None] = []
        for row in story.rests(kind):
            across += [row.first, row.last + 1, None]
            up += [row.lr, row.lr, None]
        if across:
            chart.add_scatter(
                x=across, y=up, row=1, col=column, mode="lines", name=kind, legendgroup=kind,
                line={"color": COLOURS[kind], "width": 5}, showlegend=column == 1, hoverinfo="skip",
            )  # fmt: skip
    for kind, rows in story.by_decision():
        mark = {"symbol": _SYMBOLS.get(kind, "circle"), "size": 9, "color": COLOURS.get(kind, _OTHER)}
        said = [f"{html.escape(short(kind))}<br>step {row.first}<br>loss {short(row.loss)}" for row in rows]
        losses = [row.loss if math.isfinite(row.loss) else None for row in rows]
        for panel, heights in ((1, [row.lr for row in rows]), (2, losses)):
            chart.add_scatter(
                x=[row.first for row in rows], y=heights, text=said, row=panel, col=column, mode="markers",
                marker=mark, name=f"{html.escape(short(kind))} ({len(rows)})", legendgroup=kind,
                showlegend=panel == 1, hovertemplate="%{text}<br>%{y:.6g}<extra></extra>",
            )  # fmt: skip
    chart.update_yaxes(type="log" if story.suits_logarithm else "linear", row=1, col=column)
    usable = [row.loss for row in story.changes() if math.isfinite(row.loss)]
    chart.update_yaxes(type="log" if is_wide(usable) else "linear", row=2, col=column)
