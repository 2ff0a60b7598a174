"""A comparison as a picture: the best so far against epochs and seconds, and where the time went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tune_lr.comparing.comparison import Comparison
from tune_lr.comparing.figures import Unit, busy_over_time
from tune_lr.views.canvas import INK, dress, literal, logarithmic, sheet

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Told apart by every reader (Okabe and Ito 2008), and by their dashes in black and white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (7, 2)))
_NEUTRAL = "#999999"


def figure(comparison: Comparison) -> Figure:
    """A matplotlib figure, made without a display; notebooks show it by themselves.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    table = comparison.to_pandas()
    timed = bool(table["trained"].notna().any())
    picture = sheet(13.0, 8.0 if timed else 4.2)
    axes = picture.subplots(2 if timed else 1, 2, squeeze=False)
    _best(axes[0][0], comparison, "epochs")
    _best(axes[0][1], comparison, "seconds")
    if timed:
        _time(axes[1][0], comparison, table)
        _busy(axes[1][1], comparison)
    handles, labels = axes[0][0].get_legend_handles_labels()
    columns = min(4, len(labels))
    picture.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return picture


def _best(axes: Axes, comparison: Comparison, unit: Unit) -> None:
    metric = comparison.objective.metric
    dress(axes, f"Best {metric} so far: median and quartiles over seeds", unit, metric)
    curves = comparison.curves(unit)
    for number, method in enumerate(dict.fromkeys(curves["method"])):
        one = curves[curves["method"] == method]
        colour, dashes = _look(comparison, method, number)
        axes.plot(one[unit], one["median"], color=colour, linestyle=dashes, label=literal(method))
        if method != comparison.neutral:
            axes.fill_between(one[unit], one["lower"], one["upper"], color=colour, alpha=0.15, linewidth=0)
    known = curves["median"].to_numpy(np.float64)
    if len(known) and known.min() > 0 and known.max() > 10 * known.min():
        logarithmic(axes)
    if unit == comparison.unit:
        axes.axvline(comparison.budget, color=INK, linewidth=0.8, linestyle=":")


def _look(comparison: Comparison, method: str, number: int) -> tuple[str, object]:
    if method == comparison.neutral:
        return _NEUTRAL, _DASHES[0]
    return _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]


def _time(axes: Axes, comparison: Comparison, table: pd.DataFrame) -> None:
    """Worker seconds: trained, and not."""
    names = comparison.methods
    dress(axes, "Where the workers' time went (median run)", "seconds of all workers", "")
    rows = [table[table["method"] == name] for name in names]
    trained = np.array([float(one["trained"].median()) for one in rows])
    rest = np.array(
        [float((one["trained"] / (1 - one["overhead"]) * one["overhead"]).median()) for one in rows]
    )
    axes.barh(names, trained, color=_COLOURS[0], label="training")
    axes.barh(
        names, rest, left=trained, color="#dddddd", edgecolor=INK, linewidth=0.6, hatch="//", label="not"
    )
    axes.set_yticks(range(len(names)), [literal(name) for name in names])
    axes.invert_yaxis()
    axes.legend(frameon=False, fontsize=9)


def _busy(axes: Axes, comparison: Comparison) -> None:
    dress(axes, "Workers that had a trial (first seed)", "seconds", "workers")
    for number, method in enumerate(comparison.methods):
        found = busy_over_time(comparison.of(method)[0])
        colour, dashes = _look(comparison, method, number)
        axes.plot(found["seconds"], found["workers"], color=colour, linestyle=dashes)
    axes.set_ylim(bottom=0)
