"""The reports of an import as whole curves of losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tune_lr.history.entry import Entry
from tune_lr.objective import WORST_LOSS
from tune_lr.prior.scores import Whole, running_best

Array = NDArray[np.float64]

#: Trainings that count more epochs (as logs do that count steps) are looked at this often.
MOST_COLUMNS = 512
#: How a trial ends that is worth nothing from there on.
_BAD_ENDS = ("diverged", "failed")


def extent(entries: Sequence[Entry]) -> tuple[int, int]:
    """How many columns the curves of several imports have together, and how many epochs each stands for."""
    longest = 1
    for entry in entries:
        if entry.info.metric in entry.reports:
            known = np.isfinite(entry.reports[entry.info.metric].to_numpy(np.float64))
            longest = max(longest, int(entry.reports["epoch"].to_numpy()[known].max(initial=1)))
    stride = -(-longest // MOST_COLUMNS)
    return -(-longest // stride), stride


def curves_of(entry: Entry, columns: int, stride: int) -> tuple[Array, Whole]:
    """The best loss so far of every trial, shape ``(trials, columns)``, and the last column that it reached.

    A trial that diverged or failed has the worst loss from there to the end, so it has reached the end. One
    that only says what it came to was trained to the end. The last column is 0 where nothing is known.
    """
    sign = 1.0 if entry.info.mode == "min" else -1.0
    table, last = _reported(entry, columns, stride, sign)
    finals = _clipped(sign * entry.trials["best"].to_numpy(np.float64, na_value=np.nan))
    silent = (last == 0) & ~np.isnan(finals)
    table[silent], last[silent] = finals[silent, np.newaxis], columns
    if entry.info.by_final:  # its reports only led there
        rows = np.flatnonzero((last > 0) & ~np.isnan(finals))
        after = np.arange(columns) >= last[rows, np.newaxis] - 1
        table[rows] = np.where(after, finals[rows, np.newaxis], table[rows])
    bad = np.isin(entry.trials["status"].to_numpy(dtype=object).astype(str), _BAD_ENDS)
    after = np.arange(columns) >= np.minimum(last, columns - 1)[:, np.newaxis]
    table[bad[:, np.newaxis] & after] = WORST_LOSS
    last[bad] = columns
    return table, last


def _reported(entry: Entry, columns: int, stride: int, sign: float) -> tuple[Array, Whole]:
    count, reports, metric = len(entry.trials), entry.reports, entry.info.metric
    lowest, last = np.full(count * columns, np.inf), np.zeros(count, dtype=np.int64)
    if metric in reports:
        losses = _clipped(sign * reports[metric].to_numpy(np.float64))
        known = ~np.isnan(losses)
        trial = reports["trial"].to_numpy(np.int64)[known]
        column = (reports["epoch"].to_numpy(np.int64)[known] - 1) // stride
        np.minimum.at(lowest, trial * columns + column, losses[known])
        np.maximum.at(last, trial, column + 1)
    table = np.where(np.isinf(lowest), np.nan, lowest).reshape(count, columns)
    first = table[np.arange(count), (~np.isnan(table)).argmax(axis=1)]
    table = running_best(table)
    return np.where(np.isnan(table), first[:, np.newaxis], table), last


def _clipped(losses: Array) -> Array:
    """As ``Objective.loss`` has them; NaN for what is no finite number."""
    return np.where(np.isfinite(losses), np.clip(losses, -WORST_LOSS, WORST_LOSS), np.nan)
