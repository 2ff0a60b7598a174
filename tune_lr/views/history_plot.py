"""An experiment of the history as a picture: its curves, and what its trials cover of each knob."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tune_lr.views.canvas import FURTHEST, dress, literal, logarithmic, sheet
from tune_lr.views.curves import BEST_COLOUR, COLOURS, Curves
from tune_lr.views.history_coverage import Covered, coverage
from tune_lr.views.history_curves import PastCurves, curves_of
from tune_lr.views.plot import losses, rates
from tune_lr.views.words import brief, counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tune_lr.history.entry import TaskInfo

#: So many knobs have a panel, the space's own first.
KNOBS, _ACROSS = 16, 4
_LABEL = 14
ALL, GOOD = COLOURS["paused"], BEST_COLOUR


def figure(info: TaskInfo, trials: pd.DataFrame, reports: pd.DataFrame) -> Figure:
    """A matplotlib figure, made without a display.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    found, knobs = curves_of(info, trials, reports), shown(coverage(info, trials))
    rows = math.ceil(len(knobs) / _ACROSS)
    picture = sheet(13.5, 4.4 + 2.5 * rows)
    picture.suptitle(literal(title(info, found)), x=0.01, ha="left", fontsize=12)
    above, *below = picture.subfigures(1 + bool(rows), 1, height_ratios=[4.2, 2.5 * rows][: 1 + bool(rows)],
                                       squeeze=False)[:, 0]  # fmt: skip
    _draw_curves(above, found)
    if rows:
        panels = below[0].subplots(rows, _ACROSS, squeeze=False).ravel()
        for axes, knob in zip(panels, knobs, strict=False):
            _draw_knob(axes, knob)
        for axes in panels[len(knobs) :]:
            axes.set_axis_off()
    return picture


def shown(covered: Sequence[Covered]) -> list[Covered]:
    """The knobs that have a panel: those that vary over a range that can be drawn, the space's own first."""
    drawable = (knob for knob in covered if max(map(abs, knob.edges), default=0.0) <= FURTHEST)
    return [knob for knob in drawable if knob.varies][:KNOBS]


def title(info: TaskInfo, found: PastCurves) -> str:
    """The task in a line, how many of its trials are drawn, and how many values are not."""
    some = f", {len(found.trials)} of them drawn" if len(found.trials) < info.trials else ""
    some += f", {counted(found.beyond, 'value')} beyond {FURTHEST:g} left out" if found.beyond else ""
    space = f" over the ranges of space {brief(info.space)}" if info.space else ""
    told = f"; below: trials along each knob{space}, the best tenth in orange"
    return f"{brief(info.task)}: {info.trials} trials{some}{told}"


def panel_title(knob: Covered) -> str:
    """A knob's name, and how many of its values lie beyond the panel."""
    beyond = f" ({knob.outside} outside)" if knob.outside else ""
    return f"{brief(knob.name)}{beyond}"


def _draw_curves(part: Figure, found: Curves) -> None:
    with_lr = any(curve.lrs for curve in found.trials)
    panels = part.subplots(1, 1 + with_lr, squeeze=False)[0]
    losses(panels[0], found)
    if with_lr:
        rates(panels[1], found)
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        part.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)


def _draw_knob(axes: Axes, knob: Covered) -> None:
    """Trials along one knob."""
    dress(axes, panel_title(knob), "", "")
    draw_bars(axes, knob, 4)


def draw_bars(axes: Axes, knob: Covered, ticks: int) -> None:
    """Trials along one knob as bars, the best tenth in another colour; at most so many ticks beside."""
    from matplotlib.ticker import AutoLocator, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=ticks, integer=True))
    if knob.edges:
        lefts, widths = knob.edges[:-1], [b - a for a, b in zip(knob.edges, knob.edges[1:], strict=False)]
        axes.set_xlim(knob.edges[0], knob.edges[-1])
        if knob.log:
            logarithmic(axes, across=True)
        else:
            axes.xaxis.set_major_locator(AutoLocator())
    else:
        lefts, widths = tuple(range(len(knob.labels))), [0.8] * len(knob.labels)
        labels = [literal(brief(label, _LABEL)) for label in knob.labels]
        axes.set_xticks([left + 0.4 for left in lefts], labels, rotation=30 if len(labels) > 3 else 0)
    for counts, colour in ((knob.counts, ALL), (knob.good, GOOD)):
        axes.bar(lefts, counts, widths, align="edge", color=colour, edgecolor="white", linewidth=0.6)
