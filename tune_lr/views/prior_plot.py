"""A prior as a picture: what it tells along each knob, what was tried there, and how its tasks relate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tune_lr.views.canvas import FURTHEST, INK, dress, literal, logarithmic, sheet
from tune_lr.views.curves import BEST_COLOUR, COLOURS
from tune_lr.views.history_plot import draw_bars
from tune_lr.views.prior import agreement, headline
from tune_lr.views.prior_kin import Kin
from tune_lr.views.prior_summary import Marginal, Summary, in_order
from tune_lr.views.words import brief, counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: So many knobs have panels, and so many tasks a row of the heat map; of more, they are evenly chosen.
KNOBS, TASKS, _ACROSS = 16, 60, 4
#: Up to so many tasks the numbers are written into the map.
_WRITTEN = 14
_NAME = 24
LINE, ALL, GOOD = COLOURS["completed"], COLOURS["paused"], BEST_COLOUR
#: What is alike is blue and what is opposed orange, which people tell apart whatever their eyes.
OPPOSED, NEITHER, ALIKE = COLOURS["diverged"], "#f7f7f7", COLOURS["completed"]


def figure(told: Summary) -> Figure:
    """A matplotlib figure, made without a display.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    knobs, chosen = shown(told), rows_of(told)
    rows = math.ceil(len(knobs) / _ACROSS)
    heights = [3.1 * rows, 2.2 + 0.22 * len(chosen)]
    picture = sheet(13.5, sum(heights) + 0.5)
    picture.suptitle(literal(title(told)), x=0.01, ha="left", fontsize=12)
    above, below = picture.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    cells = above.subfigures(rows, _ACROSS, squeeze=False).ravel()
    for cell, knob in zip(cells, knobs, strict=False):
        density, tried = cell.subplots(2, 1, height_ratios=[2.2, 1.0])
        _draw_density(density, knob)
        _draw_tried(tried, knob)
        tried.set_xlim(density.get_xlim())
    _draw_relations(below, told, chosen)
    return picture


def figure_of_kin(kin: Kin) -> Figure:
    """Which past tasks an experiment resembles, as bars.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    tasks = known_kin(kin)[:TASKS]
    picture = sheet(9.0, 1.6 + 0.26 * len(tasks))
    axes = picture.subplots()
    dress(axes, kin_title(kin), "rank correlation of its configurations with the past task's", "")
    places, numbers = list(range(len(tasks))), [number for _, number in tasks]
    axes.axvspan(-kin.chance, kin.chance, color="#eeeeee", zorder=0, label="as much as chance alone gives")
    axes.barh(places, numbers, color=[ALIKE if number >= 0 else OPPOSED for number in numbers], height=0.7)
    axes.set_yticks(places, [literal(brief(name, _NAME)) for name, _ in tasks])
    axes.invert_yaxis()
    axes.set_xlim(min(-kin.chance, *numbers, -0.05) if numbers else -1.0, 1.0)
    _even_ticks(axes)
    axes.axvline(0.0, color=INK, linewidth=0.8)
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    return picture


def shown(told: Summary) -> list[Marginal]:
    """The knobs that have panels, those that matter most where there are too many, in the space's order."""
    drawable = [k for k in told.knobs if max(map(abs, k.spread.edges), default=0.0) <= FURTHEST]
    most = sorted(drawable, key=lambda knob: -knob.matters)[:KNOBS]
    return [knob for knob in drawable if any(knob is one for one in most)]


def rows_of(told: Summary) -> list[int]:
    """The tasks of the heat map, those that are alike side by side."""
    order = in_order(told.related)
    kept = np.linspace(0, len(order) - 1, min(len(order), TASKS)).astype(int)
    return [order[i] for i in kept]


def known_kin(kin: Kin) -> list[tuple[str, float]]:
    """The tasks of which it can be told how alike they are."""
    return [(name, number) for name, number in kin.tasks if not math.isnan(number)]


def title(told: Summary) -> str:
    """The prior in a line, and what the panels are."""
    return f"{headline(told.prior)}; line: how much likelier among the good, below: what was tried"


def kin_title(kin: Kin) -> str:
    """What the bars are."""
    return f"resemblance to past tasks, by {counted(kin.configurations, 'configuration')}"


def relations_title(told: Summary) -> str:
    """What the heat map is."""
    return f"how the tasks relate by results ({agreement(told)})"


def knob_title(knob: Marginal) -> str:
    """A knob and how much it matters."""
    return f"{brief(knob.name)} (matters {knob.matters:.2f})"


def _draw_density(axes: Axes, knob: Marginal) -> None:
    """The good against all, along one knob; 1 is as likely among the ones as among the others."""
    dress(axes, knob_title(knob), "", "")
    axes.axhline(1.0, color=INK, linewidth=0.8, linestyle=":")
    if knob.places:
        axes.plot(knob.places, knob.density, color=LINE, linewidth=2.0)
        axes.fill_between(knob.places, 1.0, knob.density, color=LINE, alpha=0.15)
        axes.set_xlim(knob.spread.edges[0], knob.spread.edges[-1])
        if knob.spread.log:
            logarithmic(axes, across=True)
    else:
        above = [one - 1.0 for one in knob.density]
        axes.bar(range(len(above)), above, 0.8, bottom=1.0, align="edge", color=LINE)
        axes.set_xlim(-0.2, max(len(knob.density), 1))
    axes.set_ylim(0.0, max(1.25, 1.08 * max(knob.density, default=1.0)))
    axes.set_xticklabels([])
    axes.tick_params(axis="x", which="both", length=0)


def _draw_tried(axes: Axes, knob: Marginal) -> None:
    """What was tried along one knob."""
    dress(axes, "", "", "")
    axes.tick_params(labelsize=8)
    draw_bars(axes, knob.spread, 2)


def _draw_relations(part: Figure, told: Summary, chosen: list[int]) -> None:
    """The heat map, blue where two tasks agree."""
    from matplotlib.colors import LinearSegmentedColormap

    axes = part.subplots()
    dress(axes, relations_title(told), "", "")
    axes.grid(False)
    colours = LinearSegmentedColormap.from_list("relations", [OPPOSED, NEITHER, ALIKE]).with_extremes(
        bad="#bbbbbb"
    )
    matrix = told.related[np.ix_(chosen, chosen)]
    image = axes.imshow(matrix, cmap=colours, vmin=-1.0, vmax=1.0)
    names = [literal(brief(told.tasks[i].label, _NAME)) for i in chosen]
    size = 8 if len(chosen) <= 30 else 6
    axes.set_xticks(range(len(chosen)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(chosen)), names, fontsize=size)
    part.colorbar(image, ax=axes, shrink=0.8, label="correlation of scores")
    if len(chosen) <= _WRITTEN:
        for (i, j), number in np.ndenumerate(matrix):
            said = "" if math.isnan(number) else f"{number:.2f}"
            axes.text(j, i, said, ha="center", va="center", fontsize=7,
                      color="white" if abs(number) > 0.7 else INK)  # fmt: skip


def _even_ticks(axes: Axes) -> None:
    from matplotlib.ticker import AutoLocator

    axes.xaxis.set_major_locator(AutoLocator())
