"""An experiment of the history as a page: curves and coverage to point at, in one file without a network."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

from tune_lr.errors import MissingExtra
from tune_lr.views.curves import BEST_COLOUR, COLOURS, Curves, best_label
from tune_lr.views.history_coverage import Covered, coverage
from tune_lr.views.history_curves import PastCurves, curves_of
from tune_lr.views.history_plot import ALL, GOOD, panel_title, shown, title
from tune_lr.views.page import add_lines, scale
from tune_lr.views.words import STATUSES, brief

if TYPE_CHECKING:
    import pandas as pd

    from tune_lr.history.entry import TaskInfo

_ACROSS = 3


def page(info: TaskInfo, trials: pd.DataFrame, reports: pd.DataFrame) -> str:
    """The page as HTML.

    Raises:
        MissingExtra: plotly is not installed.
    """
    try:
        from plotly.io import to_html
    except ModuleNotFoundError as error:
        raise MissingExtra("a page of an experiment", "plot") from error

    found, knobs = curves_of(info, trials, reports), shown(coverage(info, trials))
    drawn: str = to_html(_figure(info, found, knobs), include_plotlyjs=True, full_html=True)
    return drawn


def _figure(info: TaskInfo, found: PastCurves, knobs: list[Covered]) -> Any:
    from plotly.subplots import make_subplots

    rows = 1 + math.ceil(len(knobs) / _ACROSS)
    titles = [f"{found.metric} of each trial", "learning rate of each trial", *map(panel_title, knobs)]
    chart = make_subplots(
        rows=rows, cols=_ACROSS, subplot_titles=list(map(html.escape, titles)),
        specs=[[{"colspan": 2}, None, {}], *([{}] * _ACROSS for _ in range(rows - 1))],
        row_heights=[2.0, *([1.0] * (rows - 1))], vertical_spacing=0.3 / (rows + 1),
    )  # fmt: skip
    _draw_curves(chart, found)
    for place, knob in enumerate(knobs):
        _draw_knob(chart, knob, 2 + place // _ACROSS, 1 + place % _ACROSS)
    chart.update_layout(
        title=html.escape(title(info, found)), template="plotly_white", barmode="overlay",
        hovermode="closest", height=460 + 260 * (rows - 1), legend={"orientation": "h", "y": -0.1},
    )  # fmt: skip
    return chart


def _draw_curves(chart: Any, found: Curves) -> None:
    for status in reversed(STATUSES):
        add_lines(chart, found.of_status(status), status, COLOURS[status], 1.3, found.unit, (1, 3))
    if found.best_curve is not None:
        label = best_label(found.best_curve)
        add_lines(chart, [found.best_curve], label, BEST_COLOUR, 3.5, found.unit, (1, 3))
    scale(chart, found, (1, 3))


def _draw_knob(chart: Any, knob: Covered, row: int, column: int) -> None:
    where: dict[str, Any]
    if knob.edges:
        # Plotly takes the width of a bar on a logarithmic axis in the axis' own numbers, too.
        pairs = list(zip(knob.edges, knob.edges[1:], strict=False))
        where = {"x": [low for low, _ in pairs], "width": [high - low for low, high in pairs], "offset": 0}
        said = [f"{brief(low)} to {brief(high)}" for low, high in pairs]
        chart.update_xaxes(type="log" if knob.log else "linear", row=row, col=column)
    else:
        where = {"x": list(range(len(knob.labels)))}
        said = [html.escape(label) for label in knob.labels]
        chart.update_xaxes(tickvals=where["x"], ticktext=said, row=row, col=column)
    for counts, colour, what in ((knob.counts, ALL, "trials"), (knob.good, GOOD, "of the best tenth")):
        chart.add_bar(
            **where, y=counts, text=said, textposition="none",
            marker_color=colour, row=row, col=column, showlegend=False,
            hovertemplate=f"%{{text}}<br>%{{y}} {what}<extra></extra>",
        )  # fmt: skip
