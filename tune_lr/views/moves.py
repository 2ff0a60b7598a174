"""What a schedule decided in one trial, as plain lists for whoever tells or draws it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tune_lr.experiment import Experiment
from tune_lr.views.words import short

if TYPE_CHECKING:
    import pandas as pd

#: Colours that people tell apart whatever their eyes (Okabe and Ito), by what was decided, in the order of
#: being told.
COLOURS = {
    "raise": "#009E73",
    "cut": "#D55E00",
    "reset": "#CC79A7",
    "set": "#000000",
    "warmup": "#56B4E9",
    "cooldown": "#E69F00",
}
#: In whose rows nothing changes: they last.
RESTS = ("warmup", "cooldown")
_CHANGES = frozenset(COLOURS) - frozenset(RESTS)


@dataclass(frozen=True)
class Row:
    """One decision, as in ``Experiment.decisions``; NaN for a loss that is none."""

    first: int
    last: int
    decision: str
    loss: float
    lrs: tuple[float, ...]
    #: Whether the decision is one that changes LRs, or one is another than before.
    moved: bool
    #: Whether it is one that changes LRs, and none is another than before: they are at a bound.
    idle: bool = False

    @property
    def lr(self) -> float:
        """The LR of the first parameter group."""
        return self.lrs[0]

    @property
    def steps(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class Story:
    """The decisions of one schedule."""

    schedule: str
    rows: list[Row]

    @property
    def groups(self) -> int:
        """How many parameter groups there are in the end."""
        return max(len(row.lrs) for row in self.rows)

    @property
    def suits_logarithm(self) -> bool:
        """Whether a logarithmic axis suits the LRs: all above 0, as far as they are finite."""
        rates = [lr for row in self.rows for lr in row.lrs if math.isfinite(lr)]
        return bool(rates) and min(rates) > 0 and max(rates) / min(rates) < 1e100

    def changes(self) -> list[Row]:
        """The rows in which an LR was changed, or found changed."""
        return [row for row in self.rows if row.moved]

    def rests(self, decision: str) -> list[Row]:
        """The rows of rest after a change, of one kind."""
        return [row for row in self.rows if row.decision == decision and not row.moved]

    def trace(self, group: int) -> tuple[list[int], list[float]]:
        """Steps and the LRs that a parameter group has from each on; the last LR ends at the last step."""
        steps = [row.first for row in self.rows]
        lrs = [row.lrs[group] if group < len(row.lrs) else math.nan for row in self.rows]
        return [*steps, self.rows[-1].last], [*lrs, lrs[-1]]

    def by_decision(self) -> Iterator[tuple[str, list[Row]]]:
        """The changes of each kind, kinds without any left out."""
        changes = self.changes()
        for kind in [*COLOURS, *sorted({row.decision for row in changes} - set(COLOURS))]:
            if found := [row for row in changes if row.decision == kind]:
                yield kind, found


def stories(experiment: Experiment, trial_id: str) -> list[Story]:
    """What each schedule of a trial decided.

    Raises:
        BadInput: as ``Experiment.decisions``.
    """
    table = experiment.decisions(trial_id)
    return [Story(str(name), _rows(part)) for name, part in table.groupby("schedule", sort=False)]


def heading(experiment: Experiment, trial_id: str) -> tuple[str, str]:
    """Name and status of a trial, and the knobs of its schedule, as a title and what stands below it."""
    trial = experiment.record().named(trial_id)
    knobs = ("factor", "patience", "warmup", "cooldown", "threshold", "smooth", "window_size", "reset_start")
    told = [f"{knob} {short(trial.config[knob])}" for knob in knobs if knob in trial.config]
    schedule = short(trial.config.get("schedule", "greedy"))
    return f"trial {trial.trial_id} ({trial.status})", ", ".join([schedule, *told])


def loss_label(experiment: Experiment, trial_id: str) -> str:
    """What the losses of the decisions are."""
    smooth = experiment.record().named(trial_id).config.get("smooth")
    return "smoothed loss" if smooth is True else "loss"


def _rows(table: pd.DataFrame) -> list[Row]:
    rows: list[Row] = []
    columns: list[Any] = [table[name].tolist() for name in ("first", "last", "decision", "loss", "lrs")]
    for first, last, decision, loss, lrs in zip(*columns, strict=True):
        before = rows[-1].lrs if rows else tuple(lrs)
        same = repr(tuple(lrs)) == repr(before)  # NaN is like NaN here
        moves = decision in _CHANGES
        rows.append(
            Row(first, last, decision, loss, tuple(lrs), moves or not same, moves and same and bool(rows))
        )
    return rows
