"""A trial as a picture: the LR step by step, and the losses that moved it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tune_lr.experiment import Experiment
from tune_lr.views.canvas import INK, dress, logarithmic, sheet
from tune_lr.views.curves import is_wide
from tune_lr.views.moves import COLOURS, RESTS, Row, Story, heading, loss_label, stories
from tune_lr.views.words import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = {"raise": "^", "cut": "v", "reset": "D", "set": "s", "warmup": "^", "cooldown": "v"}
_LINE, _FAINT, _OTHER = "#0072B2", "#bbbbbb", "#999999"
#: More parameter groups than these have no line of their own.
_GROUPS_DRAWN = 8


def figure(experiment: Experiment, trial: str) -> Figure:
    """The LR that a trial's schedule had at every step, and below it the loss behind each change.

    Args:
        experiment: whose trial it is.
        trial: the trial's name.

    Raises:
        BadInput: there is no such trial, or it has no decisions (``Experiment.decisions`` says why).
        MissingExtra: matplotlib is not installed.
    """
    found = stories(experiment, trial)
    picture = sheet(1 + 9.5 * len(found), 6.4)
    columns = picture.subplots(2, len(found), squeeze=False, sharex="col", height_ratios=(3, 2)).T
    title, knobs = heading(experiment, trial)
    picture.suptitle(f"{title}: {_plain(knobs)}", fontsize=10, color=INK, x=0.01, ha="left", wrap=True)
    for story, (upper, lower) in zip(found, columns, strict=True):
        of = "" if len(found) == 1 else f" of {_plain(story.schedule)}"
        dress(upper, f"learning rate{of}, step by step", "", "lr")
        _rates(upper, story)
        what = loss_label(experiment, trial)
        dress(lower, f"the {what} behind each change", "step", what)
        _losses(lower, story)
        _key(upper)
        _key(lower)
    return picture


def _rates(axes: Axes, story: Story) -> None:
    for group in reversed(range(min(story.groups, _GROUPS_DRAWN))):
        steps, lrs = story.trace(group)
        colour, width = (_LINE, 1.4) if group == 0 else (_FAINT, 1.0)
        label = "other groups" if group == 1 else None
        axes.step(steps, lrs, where="post", color=colour, linewidth=width, zorder=2, label=label)
    for kind in RESTS:
        rests = story.rests(kind)
        ends = [row.last + 1 if row is not story.rows[-1] else row.last for row in rests]
        if rests:
            label = f"{kind} ({sum(row.steps for row in rests)} steps)"
            axes.hlines(
                [row.lr for row in rests], [row.first for row in rests], ends,
                colors=COLOURS[kind], linewidth=3.4, zorder=3, label=label,
            )  # fmt: skip
    for kind, rows in story.by_decision():
        _marks(axes, kind, rows, [row.lr for row in rows], f"{_plain(short(kind))} ({len(rows)})")
    if story.suits_logarithm:
        logarithmic(axes)


def _losses(axes: Axes, story: Story) -> None:
    told = [row for row in story.changes() if row.decision != "set"]
    usable = [row for row in told if math.isfinite(row.loss)]
    axes.plot([r.first for r in usable], [r.loss for r in usable], color=_FAINT, linewidth=0.9, zorder=2)
    for kind, rows in story.by_decision():
        if finite := [row for row in rows if math.isfinite(row.loss)]:
            _marks(axes, kind, finite, [row.loss for row in finite])
    beyond = [row.first for row in told if not math.isfinite(row.loss)]
    if beyond:
        top = axes.get_xaxis_transform()
        label = f"not finite ({len(beyond)})"
        axes.plot(beyond, [0.96] * len(beyond), "x", color=COLOURS["cut"], transform=top, label=label)
    if is_wide([row.loss for row in usable]):
        logarithmic(axes)
    if not told:
        nothing = "the learning rate was never changed"
        axes.text(0.5, 0.5, nothing, transform=axes.transAxes, ha="center", va="center", color=_OTHER)


def _marks(axes: Axes, kind: str, rows: list[Row], heights: list[float], label: str | None = None) -> None:
    """A mark for each of the rows: small ones where there are many."""
    size = max(2.0, min(7.0, 60 / math.sqrt(len(rows) + 1)))
    axes.plot(
        [row.first for row in rows], heights, _MARKERS.get(kind, "o"), color=COLOURS.get(kind, _OTHER),
        markersize=size, markeredgewidth=0, linestyle="none", zorder=4, label=label,
    )  # fmt: skip


def _key(axes: Axes) -> None:
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    if handles:
        key = axes.legend(
            handles, labels, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(labels), frameon=False,
            fontsize=9, handletextpad=0.4, columnspacing=1.2, borderaxespad=0.2,
        )  # fmt: skip
        for handle in key.legend_handles:
            if isinstance(handle, Line2D) and handle.get_marker() != "None":
                handle.set_markersize(7)  # whatever it is among thousands


def _plain(text: str) -> str:
    """Text that matplotlib shall not take for mathematics."""
    return text.replace("$", r"\$")
