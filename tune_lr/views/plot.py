"""An experiment as a picture: loss curves, LR curves, and the best so far against epochs spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tune_lr.experiment import Experiment
from tune_lr.views.canvas import INK, dress, literal, logarithmic, sheet
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figure(experiment: Experiment) -> Figure:
    """A matplotlib figure, made without a display; notebooks show it by themselves.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    found = curves(experiment)
    with_lr = any(curve.lrs for curve in found.trials)
    picture = sheet(13.5 if with_lr else 9.5, 4.2)
    axes = picture.subplots(1, 3 if with_lr else 2, squeeze=False)[0]
    losses(axes[0], found)
    if with_lr:
        rates(axes[1], found)
    _best(axes[-1], found)
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        picture.legend(
            handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9
        )
    return picture


def losses(axes: Axes, found: Curves) -> None:
    """Every trial's values of the metric; what failed or diverged ends in a cross."""
    dress(axes, f"{found.metric} of each trial", found.unit, found.metric)
    view = view_of(found)
    _lines(axes, found, lambda curve: (curve.epochs, curve.values))
    for curve in found.trials:
        if curve.status in ("failed", "diverged") and curve.epochs:
            end = curve.values[-1]
            if view is not None:
                end = min(max(end, view[0]), view[1])
            axes.plot(curve.epochs[-1], end, "x", color=COLOURS[curve.status], markersize=6, clip_on=False)
    if view is not None:
        axes.set_ylim(*view)
    if suits_logarithm(found, view):
        logarithmic(axes)


def rates(axes: Axes, found: Curves) -> None:
    """Every trial's learning rate."""
    dress(axes, "learning rate of each trial", found.unit, "lr")
    _lines(axes, found, lambda curve: (curve.lr_epochs, curve.lrs))
    if all(lr > 0 for curve in found.trials for lr in curve.lrs):
        logarithmic(axes)


def _best(axes: Axes, found: Curves) -> None:
    dress(axes, f"best {found.metric} so far", "epochs spent, all trials", found.metric)
    if not found.spent:
        return
    axes.step(found.spent, found.best_so_far, where="post", color=BEST_COLOUR, linewidth=2.4)
    axes.plot(found.spent[-1], found.best_so_far[-1], "o", color=BEST_COLOUR, markersize=6)
    axes.annotate(
        short(found.best_so_far[-1]),
        (found.spent[-1], found.best_so_far[-1]),
        xytext=(0, -16 if found.mode == "min" else 9),
        textcoords="offset points",
        ha="right",
        color=INK,
        fontweight="bold",
    )
    if is_wide(found.best_so_far):
        logarithmic(axes)
    axes.margins(y=0.18)


def _lines(axes: Axes, found: Curves, points: Any) -> None:
    """Every trial's line, the many faint, the best on top."""
    faint = max(0.25, min(0.8, 25 / max(1, len(found.trials))))
    for status in reversed(STATUSES):
        group = [curve for curve in found.of_status(status) if points(curve)[0]]
        for i, curve in enumerate(group):
            _line(axes, points(curve), COLOURS[status], faint, 1.2, status if i == 0 else None)
    best: Curve | None = found.best_curve
    if best is not None and points(best)[0]:
        _line(axes, points(best), BEST_COLOUR, 1.0, 2.8, literal(best_label(best)))


def _line(axes: Axes, points: Any, colour: str, alpha: float, width: float, label: str | None) -> None:
    marker = "o" if len(points[0]) == 1 else None
    axes.plot(*points, color=colour, alpha=alpha, linewidth=width, marker=marker, markersize=3, label=label)
