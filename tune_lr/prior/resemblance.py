"""Whether a training goes as those of the past did that turned out to be among the best.

What is looked at is how far the loss has fallen by an epoch, as a share of what it was after the first: the
logarithm of one over the other. How often the good of the past fell so far, against how often the others
did, is evidence for or against a configuration that the past recommends, long before others were tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_lr.objective import WORST_LOSS
from tune_lr.prior.tasks import PastTask

Array = NDArray[np.float64]

#: Of a task's configurations, the part that counts as good; and the bins that falls are counted in.
_GOOD, _BINS = 0.1, 8
#: So many tasks say that nothing tells good from bad.
_PSEUDO_TASKS = 5.0
#: The fall of what has diverged.
_RUINED = 1e3


@dataclass(frozen=True)
class Resemblance:
    """What past falls tell.

    Args:
        epochs: after which epochs a training is looked at.
        edges: between the bins, shape ``(epochs, bins - 1)``.
        odds: the logarithm of the frequency among the good over that among the rest, ``(epochs, bins)``.
    """

    epochs: tuple[int, ...]
    edges: Array
    odds: Array

    def evidence(self, curve: Sequence[float], epoch: int) -> float:
        """The logarithm of the odds that a curve (losses from epoch 1, best so far) is one of the good, by
        what is known after an epoch; 0 where nothing can be told.
        """
        if epoch not in self.epochs or not curve[0] > 0.0 or len(curve) < epoch:
            return 0.0
        at, last = self.epochs.index(epoch), min(curve[:epoch])
        if last <= 0.0:
            return 0.0
        fall = _RUINED if curve[epoch - 1] >= WORST_LOSS else float(np.log(last / curve[0]))
        return float(self.odds[at][np.searchsorted(self.edges[at], fall)])


def resemblance(tasks: Sequence[PastTask], epochs: Sequence[int]) -> Resemblance | None:
    """What the tasks tell whose losses are positive throughout; None where none has curves to tell it by."""
    found: list[tuple[int, Array, Array]] = []
    for epoch in epochs:
        good, rest, told = list[float](), list[float](), 0
        for task in tasks:
            falls = _falls(task, epoch)
            if falls is not None:
                best = np.zeros(len(falls), dtype=bool)
                best[np.argsort(-task.scores, kind="stable")[: max(round(_GOOD * len(falls)), 1)]] = True
                known = ~np.isnan(falls)
                good += list(falls[best & known])
                rest += list(falls[~best & known])
                told += 1
        if good and rest:
            edges = np.quantile(np.array(good + rest), np.linspace(0.0, 1.0, _BINS + 1)[1:-1])
            odds = np.log(_frequencies(good, edges, told) / _frequencies(rest, edges, told))
            found.append((epoch, edges, odds))
    if not found:
        return None
    at = tuple(epoch for epoch, _, _ in found)
    return Resemblance(at, np.array([edges for _, edges, _ in found]), np.array([odds for *_, odds in found]))


def _falls(task: PastTask, epoch: int) -> Array | None:
    """How far each loss fell; NaN where a trial did not get there, None where falls have no meaning."""
    if task.stride != 1 or task.curves.shape[1] < epoch or task.curves.shape[1] < 2:
        return None
    first, then = task.curves[:, 0], task.curves[:, epoch - 1]
    if (first <= 0.0).any() or (then <= 0.0).any():
        return None
    ruined = (then >= WORST_LOSS) | (first >= WORST_LOSS)
    falls = np.where(ruined, _RUINED, np.log(then / first))
    return np.where((task.last >= epoch) | ruined, falls, np.nan)


def _frequencies(falls: Sequence[float], edges: Array, tasks: int) -> Array:
    counts = np.bincount(np.searchsorted(edges, falls), minlength=_BINS)
    found: Array = (tasks * counts / len(falls) + _PSEUDO_TASKS / _BINS) / (tasks + _PSEUDO_TASKS)
    return found
