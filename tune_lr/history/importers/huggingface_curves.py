"""The curves in a Trainer's ``log_history``: rows of evaluations, of training losses, and one at the end."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Literal

import numpy as np

from tune_lr.history.columns import LARGEST_WHOLE, Columns, numbers
from tune_lr.history.log import Fidelity, Skipped

Mode = Literal["min", "max"]
Kind = Literal["evaluation", "loss", "end", "other"]
#: Of a row, what is no metric.
_COUNTED = {"epoch", "step", "total_flos", "num_input_tokens_seen"}
_TIMES = ("_runtime", "_per_second", "_preparation_time", "_compilation_time")
#: What an evaluation takes over from the training before it.
_LATEST = ("loss", "learning_rate", "grad_norm")
_OWN = ("trial", "epoch", "seconds")
#: Rows that each name other things would fill the memory.
_MOST_SHAPES = 10_000


class Best:
    """The best value of each run, and the step at which it came, where the state has them."""

    def __init__(self) -> None:
        self.value, self.step = array("d"), array("d")

    def add(self, state: Mapping[str, Any]) -> None:
        self.value.extend(numbers([state.get("best_metric")]))
        self.step.extend(numbers([state.get("best_global_step")]))


class _Reports:
    """Reports of one kind, as columns; by which number they count is not known yet."""

    def __init__(self) -> None:
        self.trial, self.epoch, self.step = array("q"), array("d"), array("d")
        self.metrics = Columns()

    def extend(self, trial: int, rows: _Rows, before: _Rows) -> None:
        """A run's rows, each with what of ``_LATEST`` stood ``before`` it, if anything did."""
        self.trial.extend([trial] * len(rows.rows))
        if rows.alike() and before.alike():  # most often so
            columns = {**before.columns(_LATEST), **rows.columns()}
            for counted, name in ((self.epoch, "epoch"), (self.step, "step")):
                counted.extend(numbers(columns.pop(name, [None] * len(rows.rows))))
            self.metrics.extend(len(rows.rows), columns)
            return
        for latest, row in zip_longest(before.each(_LATEST), rows.each(), fillvalue=dict[str, Any]()):
            found = {**latest, **row}
            for counted, name in ((self.epoch, "epoch"), (self.step, "step")):
                counted.extend(numbers([found.pop(name, None)]))
            self.metrics.add(found)

    def join(self, other: _Reports) -> None:
        """The reports of another below one's own."""
        self.trial.extend(other.trial)
        self.epoch.extend(other.epoch)
        self.step.extend(other.step)
        self.metrics.join(other.metrics)

    def counted(self, by: Literal["epoch", "step"], skipped: Skipped) -> dict[str, Any]:
        """The reports by epoch or by step."""
        counts = np.array(self.epoch if by == "epoch" else self.step, np.float64)
        with np.errstate(invalid="ignore"):
            good = (counts >= 1) & (counts < LARGEST_WHOLE) & (counts % 1 == 0)
        before = int((counts == 0).sum())
        skipped.add("log_history", "an evaluation before the training", before)
        skipped.add("log_history", f"a row whose {by} is no whole number", int((~good).sum()) - before)
        found = {
            "trial": np.array(self.trial, np.int64),
            "epoch": counts,
            **self.metrics.arrays(_OWN, skipped),
        }
        found = {name: column[good] for name, column in found.items()}
        return {**found, "epoch": found["epoch"].astype(np.int64)}

    def optimized(self, best: Best) -> tuple[str | None, Mode | None]:
        """The one metric that the best value of every run can be of, and its direction.

        The Trainer keeps the value and not the name. Several metrics may have that value, and one that was
        evaluated once is as small as it is large: then None, and nothing is said.
        """
        trial, step = np.array(self.trial, np.int64), np.array(self.step, np.float64)
        value, at = np.array(best.value, np.float64), np.array(best.step, np.float64)
        told = np.isfinite(value)
        # What the untrained model comes to is compared with nothing.
        here = told[trial] & (step != 0) & (np.isnan(at[trial]) | (step == at[trial]))
        found = dict[str, Mode | None]()
        for name, column in self.metrics.arrays(_OWN).items():
            if not told.any() or not name.startswith("eval_"):
                continue
            least, most = np.full(len(value), np.inf), np.full(len(value), -np.inf)
            there = ~np.isnan(column) & (step != 0)
            np.minimum.at(least, trial[there], column[there])
            np.maximum.at(most, trial[there], column[there])
            has = np.zeros(len(value), bool)
            has[trial[here & (column == value[trial])]] = True
            small, large = value == least, value == most
            if (has & (~np.isnan(at) | small | large))[told].all():
                modes: set[Mode] = {"min"} if (small & ~large)[told].any() else set()
                modes |= {"max"} if (large & ~small)[told].any() else set()
                found[name] = modes.pop() if len(modes) == 1 else None
        return next(iter(found.items())) if len(found) == 1 else (None, None)


@dataclass(eq=False)
class _Shape:
    """The names of a row, in order: what kind of row has them, and which of them count."""

    kind: Kind
    kept: list[str]


class Curves:
    """The curves of all runs."""

    def __init__(self) -> None:
        self._evaluations, self._losses = _Reports(), _Reports()
        self.best = Best()
        self._shapes: dict[tuple[str, ...], _Shape] = {}

    def add(self, trial: int, history: Sequence[Any], where: str, skipped: Skipped) -> dict[str, float]:
        """Take in a run's rows; what its last row says of the whole run comes back."""
        evaluations, latest, losses = _Rows(), _Rows(), _Rows()
        ended: dict[str, Any] | None = None
        shapes, at = self._shapes, object()
        newest, newest_shape = dict[str, Any](), _Shape("other", [])
        for row in history:
            if type(row) is not dict:
                skipped.add(where, "a row of log_history that is no JSON object")
                continue
            names = tuple(row)
            shape = shapes.get(names) or self._shape(names)
            kind = shape.kind
            if kind == "loss":
                newest, newest_shape = row, shape
                losses.add(row, shape)
            elif kind == "evaluation":
                step = row.get("step")
                if step != at:
                    at = step
                    evaluations.add(row, shape)
                    latest.add(newest, newest_shape)
                elif ended is None:  # one row for each of several sets of data
                    evaluations.merge(row, shape)
                else:  # trained to the end, the Trainer may have gone back to its best checkpoint
                    skipped.add(where, "an evaluation after the training")
            elif kind == "end":
                ended = row
        if evaluations.rows:
            self._evaluations.extend(trial, evaluations, latest)
        else:
            self._losses.extend(trial, losses, latest)
        (value,) = numbers([(ended or {}).get("train_loss")])
        return {} if math.isnan(value) else {"train_loss": value}

    def optimized(self) -> tuple[str | None, Mode | None]:
        """What the runs' best values show of what was optimized."""
        return self._evaluations.optimized(self.best)

    def reports(self, skipped: Skipped) -> tuple[dict[str, Any], Fidelity]:
        """All reports, and what they count: epochs where every evaluation stands at the end of one."""
        if not self._evaluations.trial:
            return self._losses.counted("step", skipped), "steps"
        with np.errstate(invalid="ignore"):
            whole = bool((np.array(self._evaluations.epoch) % 1 == 0).all())
        if whole:
            why = "a run without evaluations, beside others that have them at whole epochs"
            skipped.add("log_history", why, len(set(self._losses.trial)))
            return self._evaluations.counted("epoch", skipped), "epochs"
        both = _Reports()
        both.join(self._evaluations)
        both.join(self._losses)
        return both.counted("step", skipped), "steps"

    def _shape(self, names: tuple[str, ...]) -> _Shape:
        if (known := self._shapes.get(names)) is not None:
            return known
        kind: Kind = "other"
        if any(name.startswith("eval_") for name in names):
            kind = "evaluation"
        elif "train_runtime" in names:
            kind = "end"
        elif "loss" in names:
            kind = "loss"
        # What says how long something took is no metric.
        kept = [n for n in names if n in ("epoch", "step") or not (n in _COUNTED or n.endswith(_TIMES))]
        shape = _Shape(kind, sorted(kept))
        if len(self._shapes) < _MOST_SHAPES:
            self._shapes[names] = shape
        return shape


@dataclass
class _Rows:
    """Rows, each with its shape."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    shapes: list[_Shape] = field(default_factory=list)
    _merged: bool = False

    def add(self, row: dict[str, Any], shape: _Shape) -> None:
        self.rows.append(row)
        self.shapes.append(shape)
        self._merged = False

    def merge(self, row: dict[str, Any], shape: _Shape) -> None:
        """Put more into the last row, which gets a shape of its own."""
        if not self._merged:
            self.rows[-1] = dict(self.rows[-1])
            self.shapes[-1] = _Shape(self.shapes[-1].kind, [*self.shapes[-1].kept])
            self._merged = True
        self.rows[-1].update(row)
        self.shapes[-1].kept += shape.kept

    def alike(self) -> bool:
        """Whether all rows have the same names."""
        return len(set(self.shapes)) <= 1

    def columns(self, names: Sequence[str] | None = None) -> dict[str, Sequence[Any]]:
        """The rows as columns, where they are alike."""
        kept = self.shapes[0].kept if self.shapes else []
        wanted = kept if names is None else [name for name in names if name in kept]
        return {name: [row[name] for row in self.rows] for name in wanted}

    def each(self, names: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """One row after another; where every row has other names, columns would be very many."""
        for row, shape in zip(self.rows, self.shapes, strict=True):
            yield {name: row[name] for name in (shape.kept if names is None else names) if name in row}
