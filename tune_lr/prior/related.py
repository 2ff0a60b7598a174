"""How alike past tasks are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tune_lr.prior.tasks import PastTask

Array = NDArray[np.float64]


def by_results(scores: Array) -> Array:
    """The correlation of the scores of each two tasks, shape ``(tasks, tasks)``; NaN where one's are equal.

    Args:
        scores: shape ``(tasks, configurations)``.
    """
    apart = scores - scores.mean(axis=1, keepdims=True)
    lengths = np.sqrt((apart**2).sum(axis=1))
    lengths[lengths < 1e-9] = np.nan
    units = apart / lengths[:, np.newaxis]
    found: Array = np.clip(units @ units.T, -1.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return found


def by_descriptors(tasks: Sequence[PastTask]) -> Array:
    """The share of the descriptors of each two tasks that are equal; NaN where neither has any."""
    found = np.full((len(tasks), len(tasks)), np.nan)
    for i, one in enumerate(tasks):
        for j, other in enumerate(tasks):
            names = set(one.descriptors) | set(other.descriptors)
            equal = sum(one.descriptors.get(name) == other.descriptors.get(name) for name in names)
            found[i, j] = equal / len(names) if names else np.nan
    np.fill_diagonal(found, 1.0)
    return found


def labels(tasks: Sequence[PastTask]) -> list[str]:
    """A name for each task: its own, with the metric and then the id where several are called alike."""
    found = [task.name for task in tasks]
    for told in ("metric", "id"):
        twice = {label for label in found if found.count(label) > 1}
        found = [
            f"{label} ({getattr(task, told)})" if label in twice else label
            for label, task in zip(found, tasks, strict=True)
        ]
    return found
