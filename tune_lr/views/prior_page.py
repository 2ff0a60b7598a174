"""A prior as a page: the same to point at, in one file that needs no network."""

from __future__ import annotations

import html
import math
from typing import Any

import numpy as np

from tune_lr.errors import MissingExtra
from tune_lr.views.prior_kin import Kin
from tune_lr.views.prior_plot import (
    ALIKE,
    ALL,
    GOOD,
    LINE,
    NEITHER,
    OPPOSED,
    kin_title,
    knob_title,
    known_kin,
    relations_title,
    rows_of,
    shown,
    title,
)
from tune_lr.views.prior_summary import Marginal, Summary
from tune_lr.views.words import brief

_ACROSS = 3
_SCALE = [[0.0, OPPOSED], [0.5, NEITHER], [1.0, ALIKE]]


def page(told: Summary) -> str:
    """The page of a prior as HTML.

    Raises:
        MissingExtra: plotly is not installed.
    """
    return _written(_figure(told))


def page_of_kin(kin: Kin) -> str:
    """The page of which past tasks an experiment resembles.

    Raises:
        MissingExtra: plotly is not installed.
    """
    go, tasks = _plotly(), known_kin(kin)
    numbers = [number for _, number in tasks]
    chart = go.Figure()
    chart.add_vrect(x0=-kin.chance, x1=kin.chance, fillcolor="#eeeeee", line_width=0, layer="below",
                    annotation_text="as much as chance alone gives")  # fmt: skip
    chart.add_bar(
        x=numbers, y=list(range(len(tasks))), orientation="h", text=_names(name for name, _ in tasks),
        marker_color=[ALIKE if number >= 0 else OPPOSED for number in numbers], textposition="none",
        hovertemplate="%{text}<br>%{x:.2f}<extra></extra>",
    )  # fmt: skip
    chart.update_yaxes(
        tickvals=list(range(len(tasks))), ticktext=_names(name for name, _ in tasks), autorange="reversed"
    )
    chart.update_xaxes(title_text="rank correlation of its configurations with the past task's")
    chart.update_layout(
        title=html.escape(kin_title(kin)), template="plotly_white", height=200 + 22 * len(tasks)
    )
    return _written(chart)


def _figure(told: Summary) -> Any:
    _plotly()
    from plotly.subplots import make_subplots

    knobs = shown(told)
    rows = math.ceil(len(knobs) / _ACROSS)
    specs: list[list[Any]] = [[{"secondary_y": True}] * _ACROSS for _ in range(rows)]
    last = [{"colspan": _ACROSS, "secondary_y": False}, *([None] * (_ACROSS - 1))]
    titles = [*map(knob_title, knobs), *([""] * (rows * _ACROSS - len(knobs))), relations_title(told)]
    heights = [*([1.0] * rows), 1.2 + 0.09 * len(told.tasks)]
    chart = make_subplots(
        rows=rows + 1, cols=_ACROSS, specs=[*specs, last],
        subplot_titles=[html.escape(one) for one in titles], row_heights=heights,
        vertical_spacing=0.3 / (rows + 2),
    )  # fmt: skip
    for place, knob in enumerate(knobs):
        _draw_knob(chart, knob, 1 + place // _ACROSS, 1 + place % _ACROSS)
    _draw_relations(chart, told, rows + 1)
    chart.update_layout(
        title=html.escape(title(told)), template="plotly_white", barmode="overlay",
        height=round(240 * sum(heights)) + 120, showlegend=False,
    )  # fmt: skip
    return chart


def _draw_knob(chart: Any, knob: Marginal, row: int, column: int) -> None:
    """The density along the knob as a line, and behind it what was tried."""
    spread, at = knob.spread, {"row": row, "col": column}
    if spread.edges:
        pairs = list(zip(spread.edges, spread.edges[1:], strict=False))
        bars: dict[str, Any] = {"x": [a for a, _ in pairs], "width": [b - a for a, b in pairs], "offset": 0}
        said, places = [f"{brief(a)} to {brief(b)}" for a, b in pairs], list(knob.places)
        chart.update_xaxes(type="log" if spread.log else "linear", **at)
    else:
        said = _names(spread.labels)
        bars = {"x": list(range(len(said)))}
        places = bars["x"]
        chart.update_xaxes(tickvals=places, ticktext=said, **at)
    for counts, colour, what in ((spread.counts, ALL, "tried"), (spread.good, GOOD, "of the best tenths")):
        chart.add_bar(
            **bars, y=counts, text=said, textposition="none", marker_color=colour, opacity=0.45, **at,
            hovertemplate=f"%{{text}}<br>%{{y}} {what}<extra></extra>", secondary_y=False,
        )  # fmt: skip
    chart.add_scatter(
        x=places, y=knob.density, mode="lines+markers" if not knob.places else "lines",
        line={"color": LINE, "width": 3}, **at, secondary_y=True,
        hovertemplate="%{x:.4g}<br>%{y:.2f} times as likely among the good<extra></extra>",
    )  # fmt: skip
    # The second axis lies above the first, and the line is to lie above the bars.
    chart.update_yaxes(showgrid=False, showticklabels=False, secondary_y=False, **at)
    chart.update_yaxes(rangemode="tozero", side="left", secondary_y=True, **at)


def _draw_relations(chart: Any, told: Summary, row: int) -> None:
    chosen = rows_of(told)
    names = _names(told.tasks[i].label for i in chosen)
    matrix = told.related[np.ix_(chosen, chosen)]
    chart.add_heatmap(
        z=[[None if math.isnan(x) else float(x) for x in one] for one in matrix],
        zmin=-1, zmax=1, colorscale=_SCALE, showscale=False, row=row, col=1,
        customdata=[[f"{a}<br>{b}" for b in names] for a in names],
        hovertemplate="%{customdata}<br>%{z:.2f}<extra></extra>",
    )  # fmt: skip
    ticks = {"tickvals": list(range(len(names))), "ticktext": names, "row": row, "col": 1}
    chart.update_xaxes(**ticks)
    chart.update_yaxes(autorange="reversed", **ticks)


def _names(labels: Any) -> list[str]:
    return [html.escape(brief(label)) for label in labels]


def _plotly() -> Any:
    try:
        from plotly import graph_objects
    except ModuleNotFoundError as error:
        raise MissingExtra("a page of a prior", "plot") from error
    return graph_objects


def _written(chart: Any) -> str:
    from plotly.io import to_html

    drawn: str = to_html(chart, include_plotlyjs=True, full_html=True)
    return drawn
