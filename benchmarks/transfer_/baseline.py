"""Random search under ASHA, on one worker, without the driver around it: some hundred runs a task, run on.

The searcher and the rule are the package's own, and reports come in the order in which ``tune_lr.replay``
has them for the same seed (a test compares the two); a run takes some tens of milliseconds. Where ASHA has
used up the table, the trials that it stopped are trained on in random order, so that a baseline can be run
on for as long as the table has epochs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from transfer_.figures import best_so_far
from transfer_.tables import Array, Tables

from tune_lr.journal import STOP
from tune_lr.searchers.base import Suggestion
from tune_lr.searchers.random import RandomSearcher
from tune_lr.stopping.asha import Asha

#: Of each report, the row of its configuration and the epoch.
Walk = NDArray[np.int64]


def walk(tables: Tables, task: str, seed: int, epochs: int) -> Walk:
    """What random search under ASHA trains, shape ``(reports, 2)``; shorter where the table is used up."""
    curves, searcher = tables.curves[task], RandomSearcher(tables.space, seed=seed)
    rule, free = Asha(max_epochs=tables.epochs, seed=seed), np.ones(len(tables.values), dtype=bool)
    reports: list[tuple[int, int]] = []
    stopped: list[tuple[int, int]] = []
    while free.any() and len(reports) < epochs and isinstance(found := searcher.ask(), Suggestion):
        row = _nearest(tables, found, free)
        rule.started(found.trial_id, {})
        best = np.inf
        for epoch in range(1, tables.epochs + 1):
            value = float(curves[row, epoch - 1])
            reports.append((row, epoch))
            if not np.isfinite(value):
                break
            best = min(best, value)
            if rule.decide(found.trial_id, epoch, best) == STOP:
                stopped.append((row, epoch))
                break
    for at in np.random.default_rng([seed, 1]).permutation(len(stopped)) if len(reports) < epochs else ():
        row, reached = stopped[at]
        reports += [(row, epoch) for epoch in range(reached + 1, _last(curves[row]) + 1)]
    return np.array(reports[:epochs], dtype=np.int64)


def _nearest(tables: Tables, found: Suggestion, free: NDArray[np.bool_]) -> int:
    """The row that a replay takes for a proposal; it is taken."""
    point = np.nan_to_num(tables.space.encode(found.values), nan=0.5)
    row = int(np.where(free, ((tables.cube - point) ** 2).sum(axis=1), np.inf).argmin())
    free[row] = False
    return row


def _last(curve: Array) -> int:
    """The last epoch that can be paid for: the one in which it diverges, if it does."""
    diverged = np.flatnonzero(~np.isfinite(curve))
    return int(diverged[0]) + 1 if len(diverged) else len(curve)


def values_of(tables: Tables, task: str, reports: Walk) -> Array:
    """The losses that were reported."""
    found: Array = tables.curves[task][reports[:, 0], reports[:, 1] - 1]
    return found


def runs(tables: Tables, task: str, seeds: list[int], epochs: int) -> Array:
    """The best loss so far by epoch, a row a seed."""
    return np.stack(
        [best_so_far(values_of(tables, task, walk(tables, task, seed, epochs)), epochs) for seed in seeds]
    )
