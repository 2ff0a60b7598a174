"""A short list of configurations that together do well on the past tasks, and what it is chosen from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tune_lr.prior.tasks import PastTask

Array = NDArray[np.float64]

#: The most configurations that a portfolio is chosen from.
MOST_CONFIGURATIONS = 2000
#: How sharply the best of a set is told from the others: infinite would be the best alone.
_SHARPNESS = 4.0


def pool_of(tasks: Sequence[PastTask], most: int = MOST_CONFIGURATIONS) -> Array:
    """The coordinates of the configurations of past tasks, each once, shape ``(configurations, dimension)``.

    Those that most tasks have tried come first; of those that equally many have, the best of each task.
    """
    seen: dict[bytes, list[float]] = {}
    rows: dict[bytes, Array] = {}
    for task in tasks:
        place = np.empty(len(task.scores))
        place[np.argsort(-task.scores, kind="stable")] = np.arange(len(task.scores))
        for row, key, at in zip(task.cube, task.cube.round(9) + 0.0, place, strict=True):
            name = key.tobytes()
            rows.setdefault(name, row)
            count, best = seen.setdefault(name, [0.0, np.inf])
            seen[name] = [count + 1.0, min(best, at)]
    order = sorted(seen, key=lambda name: (-seen[name][0], seen[name][1]))
    return np.array([rows[name] for name in order[:most]])


def portfolio(scores: Array, k: int) -> list[int]:
    """Places of up to ``k`` configurations, the one to try first at the front.

    Each next is the one with which the best of those chosen so far is best, in the mean over tasks. A soft
    best, so that a second good configuration for a task still counts, but less; of equals the one that is
    better in the mean over tasks, and then the first.

    Args:
        scores: high is good, shape ``(tasks, configurations)``.
        k: how many are wanted.
    """
    sharp, means = _SHARPNESS * scores, scores.mean(axis=0)
    best, chosen = np.full(len(scores), -np.inf), list[int]()
    left = np.ones(scores.shape[1], dtype=bool)
    for _ in range(min(k, scores.shape[1])):
        value = np.where(left, np.logaddexp(best[:, np.newaxis], sharp).mean(axis=0), -np.inf)
        equal = np.flatnonzero(value >= value.max() - 1e-9)
        place = int(equal[means[equal].argmax()])
        chosen.append(place)
        left[place] = False
        best = np.logaddexp(best, sharp[:, place])
    return chosen
