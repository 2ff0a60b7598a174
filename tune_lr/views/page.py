"""An experiment as a page: the same curves to point at and zoom into, in one file that needs no network."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from tune_lr.errors import MissingExtra
from tune_lr.experiment import Experiment
from tune_lr.views.curves import (
    BEST_COLOUR,
    COLOURS,
    Curve,
    Curves,
    best_label,
    curves,
    is_wide,
    suits_logarithm,
    view_of,
)
from tune_lr.views.words import STATUSES, short


def page(experiment: Experiment) -> str:
    """The page as HTML.

    Raises:
        MissingExtra: plotly is not installed.
    """
    try:
        from plotly.io import to_html
    except ModuleNotFoundError as error:
        raise MissingExtra("a page of an experiment", "plot") from error

    name = Path(experiment.path).name if experiment.path else "experiment"
    drawn: str = to_html(_figure(curves(experiment), name), include_plotlyjs=True, full_html=True)
    return drawn


def _figure(found: Curves, name: str) -> Any:
    from plotly.subplots import make_subplots

    titles = [f"{found.metric} of each trial", "learning rate of each trial", f"best {found.metric} so far"]
    chart = make_subplots(rows=1, cols=3, subplot_titles=[html.escape(title) for title in titles])
    for status in reversed(STATUSES):
        add_lines(chart, found.of_status(status), status, COLOURS[status], 1.3)
    if found.best_curve is not None:
        label = best_label(found.best_curve)
        add_lines(chart, [found.best_curve], label, BEST_COLOUR, 3.5)
    chart.add_scatter(
        x=found.spent, y=found.best_so_far, row=1, col=3, mode="lines", line_shape="hv",
        line={"color": BEST_COLOUR, "width": 3}, showlegend=False,
        hovertemplate="%{x} epochs spent<br>best %{y:.4g}<extra></extra>",
    )  # fmt: skip
    scale(chart, found)
    chart.update_yaxes(type="log" if is_wide(found.best_so_far) else "linear", row=1, col=3)
    chart.update_xaxes(title_text="epochs spent, all trials", row=1, col=3)
    chart.update_layout(
        title=html.escape(name), template="plotly_white", hovermode="closest", height=560,
        legend={"orientation": "h", "y": -0.15},
    )  # fmt: skip
    return chart


def scale(chart: Any, found: Curves, columns: tuple[int, int] = (1, 2)) -> None:
    """The axes of the panels that :func:`add_lines` draws in."""
    import math

    view = view_of(found)
    log = suits_logarithm(found, view)
    limits = None
    if view is not None:
        limits = [math.log10(view[0]), math.log10(view[1])] if log else list(view)
    chart.update_yaxes(type="log" if log else "linear", range=limits, row=1, col=columns[0])
    positive = all(lr > 0 for curve in found.trials for lr in curve.lrs)
    chart.update_yaxes(type="log" if positive else "linear", row=1, col=columns[1])
    for column in columns:
        chart.update_xaxes(title_text=found.unit, row=1, col=column)


def add_lines(
    chart: Any,
    group: list[Curve],
    label: str,
    colour: str,
    width: float,
    unit: str = "epoch",
    columns: tuple[int, int] = (1, 2),
) -> None:
    """The lines of a group as one trace a panel, with gaps between them: hundreds of trials stay quick."""
    panels = [[(curve, curve.epochs, curve.values) for curve in group]]
    panels.append([(curve, curve.lr_epochs, curve.lrs) for curve in group])
    for column, lines in zip(columns, panels, strict=True):
        across: list[int | None] = []
        up: list[float | None] = []
        said: list[str] = []
        # Of a line of one point nothing is seen without its marker.
        points = len(group) < 2 or any(len(epochs) == 1 for _, epochs, _ in lines)
        for curve, epochs, values in lines:
            across += [*epochs, None]
            up += [*values, None]
            said += [_told(curve)] * (len(epochs) + 1)
        chart.add_scatter(
            x=across, y=up, text=said, row=1, col=column, name=html.escape(label), legendgroup=label,
            showlegend=column == 1 and bool(group), mode="lines+markers" if points else "lines",
            line={"color": colour, "width": width}, opacity=1.0 if width > 2 else 0.6,
            hovertemplate=f"%{{text}}<br>{unit} %{{x}}: %{{y:.4g}}<extra></extra>",
        )  # fmt: skip


def _told(curve: Curve) -> str:
    knobs = (f"{html.escape(name)} {html.escape(short(value))}" for name, value in curve.config.items())
    return "<br>".join([f"<b>trial {html.escape(curve.trial_id)}</b> ({curve.status})", *knobs])
