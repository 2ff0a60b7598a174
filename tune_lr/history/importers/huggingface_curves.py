"""The curves in a Trainer's ``log_history``: rows of evaluations, of training losses, and one at the end."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from tune_lr.history.columns import Columns, numbers
from tune_lr.history.log import Fidelity, Skipped

Kind = Literal["evaluation", "loss", "end", "other"]
#: Of a row, what is no metric.
_COUNTED = {"epoch", "step", "total_flos", "num_input_tokens_seen"}
_TIMES = ("_runtime", "_per_second", "_preparation_time", "_compilation_time")
#: What an evaluation takes over from the training before it.
_LATEST = ("loss", "learning_rate", "grad_norm")
_OWN = ("trial", "epoch", "seconds")
_LARGEST = 2**53


class _Reports:
    """Reports of one kind, as columns; by which number they count is not known yet."""

    def __init__(self) -> None:
        self.trial, self.epoch, self.step = array("q"), array("d"), array("d")
        self.metrics = Columns()

    def extend(self, trial: int, columns: dict[str, Sequence[Any]], rows: int) -> None:
        self.trial.extend([trial] * rows)
        for counted, name in ((self.epoch, "epoch"), (self.step, "step")):
            counted.extend(numbers(columns.pop(name, [None] * rows)))
        self.metrics.extend(rows, columns)

    def counted(self, by: Literal["epoch", "step"], skipped: Skipped) -> dict[str, Any]:
        """The reports by epoch or by step."""
        counts = np.array(self.epoch if by == "epoch" else self.step, np.float64)
        with np.errstate(invalid="ignore"):
            good = (counts >= 1) & (counts < _LARGEST) & (counts % 1 == 0)
        before = int((counts == 0).sum())
        skipped.add("log_history", "an evaluation before the training", before)
        skipped.add("log_history", f"a row whose {by} is no whole number", int((~good).sum()) - before)
        found = {"trial": np.array(self.trial, np.int64), "epoch": counts, **self.metrics.arrays(_OWN)}
        found = {name: column[good] for name, column in found.items()}
        return {**found, "epoch": found["epoch"].astype(np.int64)}


class Curves:
    """The curves of all runs."""

    def __init__(self) -> None:
        self._evaluations, self._losses = _Reports(), _Reports()
        self._kinds: dict[tuple[Any, ...], Kind] = {}

    def add(self, trial: int, history: Sequence[Any], where: str, skipped: Skipped) -> dict[str, float]:
        """Take in a run's rows; what its last row says of the whole run comes back."""
        evaluations: list[dict[str, Any]] = []
        latest: list[dict[str, Any]] = []
        losses: list[dict[str, Any]] = []
        ended: dict[str, Any] | None = None
        kinds, newest, at = self._kinds, dict[str, Any](), object()
        for row in history:
            if type(row) is not dict:
                skipped.add(where, "a row of log_history that is no JSON object")
                continue
            shape = tuple(row)
            kind = kinds.get(shape) or self._kind(shape)
            if kind == "loss":
                losses.append(newest := row)
            elif kind == "evaluation":
                step = row.get("step")
                if step != at:
                    at = step
                    evaluations.append(row)
                    latest.append(newest)
                elif ended is None:  # one row for each of several sets of data
                    evaluations[-1] = {**evaluations[-1], **row}
                else:  # trained to the end, the Trainer may have gone back to its best checkpoint
                    skipped.add(where, "an evaluation after the training")
            elif kind == "end":
                ended = row
        if evaluations:
            columns, before = _columns(evaluations), _columns(latest)
            columns.update({n: before[n] for n in _LATEST if n in before and n not in columns})
            self._evaluations.extend(trial, columns, len(evaluations))
        elif losses:
            self._losses.extend(trial, _columns(losses), len(losses))
        (value,) = numbers([(ended or {}).get("train_loss")])
        return {} if math.isnan(value) else {"train_loss": value}

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
        return _joined(
            self._evaluations.counted("step", skipped), self._losses.counted("step", skipped)
        ), "steps"

    def _kind(self, shape: tuple[Any, ...]) -> Kind:
        kind: Kind = "other"
        if any(name.startswith("eval_") for name in shape):
            kind = "evaluation"
        elif "train_runtime" in shape:
            kind = "end"
        elif "loss" in shape:
            kind = "loss"
        if len(self._kinds) < 10_000:  # rows that each name other things would fill the memory
            self._kinds[shape] = kind
        return kind


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    """Rows as columns, but for what says how long something took."""
    shapes = dict.fromkeys(map(tuple, rows))
    names = dict.fromkeys(name for shape in shapes for name in shape)
    kept = [n for n in names if n in ("epoch", "step") or not (n in _COUNTED or n.endswith(_TIMES))]
    if len(shapes) == 1:  # most often so, and then quick
        every = dict(zip(names, zip(*map(dict.values, rows), strict=True), strict=True))
        return {name: every[name] for name in kept}
    return {name: [row.get(name) for row in rows] for name in kept}


def _joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two tables, one below the other."""
    rows = {id(table): len(table["trial"]) for table in (one, other)}
    return {
        name: np.concatenate([table.get(name, np.full(rows[id(table)], np.nan)) for table in (one, other)])
        for name in {**one, **other}
    }
