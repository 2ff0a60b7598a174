"""Past tasks, each seen at its own configurations, as one table over the configurations that matter now.

What all tasks share is learned from all of their trials together; what is a task's own, from what is left of
its trials. Where a task has seen a configuration itself, what it saw stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

from tune_lr.prior.kernels import LEVEL, Kernel

Array = NDArray[np.float64]

#: The most trials of all tasks together, and of one task, that a process is conditioned on.
_SHARED, _OWN = 800, 400


@dataclass(frozen=True)
class Scored:
    """What a past task says.

    Args:
        rows: features of its trials, shape ``(trials, columns)``.
        scores: high is good, about unit variance.
        noise: the variance of each score beside what repeats do not share.
    """

    rows: Array
    scores: Array
    noise: Array


def fill(tasks: Sequence[Scored], pool: Array, kernel: Kernel, share: float = 0.5) -> tuple[Array, Array]:
    """``Filler(tasks, kernel, share).at(pool)``, for one pool."""
    return Filler(tasks, kernel, share).at(pool)


class Filler:
    """What past tasks tell of any configuration; the work that all pools share is done once.

    Args:
        tasks: what was seen.
        kernel: of the scores of one task.
        share: the part of the signal that tasks have in common.
    """

    def __init__(self, tasks: Sequence[Scored], kernel: Kernel, share: float = 0.5) -> None:
        self._kernel = kernel
        self._common = Common(tasks, kernel, share)
        self._own = [_Own(task, self._common, kernel, 1.0 - share) for task in tasks]

    def at(self, pool: Array) -> tuple[Array, Array]:
        """Every task's score of each configuration, and the variance of what is not known of it.

        Args:
            pool: features, shape ``(configurations, columns)``.

        Returns:
            Both of shape ``(tasks, configurations)``.
        """
        common = self._common.mean(pool)
        found = [own.at(pool, common) for own in self._own]
        return np.array([mean for mean, _ in found]), np.array([variance for _, variance in found])


class Common:
    """What all tasks share: a process over the trials of all of them, each task with a level of its own."""

    def __init__(self, tasks: Sequence[Scored], kernel: Kernel, share: float = 0.5) -> None:
        self._kernel, self._share = kernel, share
        rows, scores, noise, of = _gathered(tasks)
        own = kernel.signal * (1.0 - share)
        between = share * kernel.between(rows, rows) + np.diag(noise + own)
        between += LEVEL * (of[:, np.newaxis] == of)
        self._rows = rows
        self._weights = cho_solve((cholesky(between, lower=True), True), scores)

    def mean(self, rows: Array) -> Array:
        found: Array = self._share * self._kernel.between(rows, self._rows) @ self._weights
        return found


def _gathered(tasks: Sequence[Scored]) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """Trials of all tasks, evenly taken where there are too many; the last is whose they are.

    A configuration that several tasks have tried counts once, with the mean of its scores.
    """
    of = np.concatenate([np.full(len(task.scores), i) for i, task in enumerate(tasks)])
    rows = np.concatenate([task.rows for task in tasks])
    scores = np.concatenate([task.scores for task in tasks])
    noise = np.concatenate([task.noise for task in tasks])
    unique, place, count = np.unique(rows.round(9), axis=0, return_inverse=True, return_counts=True)
    place = place.reshape(-1)
    if len(unique) < 0.7 * len(rows):
        sums = [np.bincount(place, weights=column) / count for column in (scores, noise)]
        rows, scores, noise, of = unique, sums[0], sums[1] / count, np.zeros(len(unique), dtype=np.int64)
    keep = np.linspace(0, len(rows) - 1, min(len(rows), _SHARED)).astype(np.int64)
    return rows[keep], scores[keep], noise[keep], of[keep]


class _Own:
    """What is a task's own: a process over what the common one leaves of its scores."""

    def __init__(self, task: Scored, common: Common, kernel: Kernel, share: float) -> None:
        self._task, self._kernel, self._share = task, kernel, share
        keep = np.linspace(0, len(task.scores) - 1, min(len(task.scores), _OWN)).astype(np.int64)
        self._rows = task.rows[keep]
        left = task.scores[keep] - common.mean(self._rows)
        between = share * kernel.between(self._rows, self._rows) + LEVEL
        self._factor = cholesky(between + np.diag(task.noise[keep] + kernel.noise), lower=True)
        self._weights = cho_solve((self._factor, True), left)

    def at(self, pool: Array, common: Array) -> tuple[Array, Array]:
        across = self._share * self._kernel.between(self._rows, pool) + LEVEL
        mean = common + across.T @ self._weights
        known = (solve_triangular(self._factor, across, lower=True) ** 2).sum(axis=0)
        variance = np.maximum(self._share * self._kernel.signal + LEVEL - known, 0.0)
        _put_seen(self._task, pool, mean, variance, self._kernel)
        return mean, variance


def _put_seen(task: Scored, pool: Array, scores: Array, variances: Array, kernel: Kernel) -> None:
    """What the task itself saw of a configuration of the pool, weighed with what was inferred."""
    seen = {row.tobytes(): i for i, row in enumerate(task.rows.round(9))}
    for j, row in enumerate(pool.round(9)):
        i = seen.get(row.tobytes())
        if i is not None:
            noise = task.noise[i] + 0.3 * kernel.noise
            weight = variances[j] / (variances[j] + noise)
            scores[j] += weight * (task.scores[i] - scores[j])
            variances[j] *= 1.0 - weight
