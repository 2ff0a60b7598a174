"""Trials that were trained for different lengths, brought onto one scale: normal scores, high is good."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

#: Tables of more trials than this are scored against so many of them, evenly chosen.
_OPPONENTS = 1500


def filled_forward(curves: Sequence[ArrayLike], epochs: int) -> tuple[Array, Whole]:
    """Curves of different lengths as one matrix, shape ``(curves, epochs)``, and the last epoch of each.

    An epoch that was not reported has the value of the one before, those before the first the first's.
    """
    made, last = np.full((len(curves), epochs), np.nan), np.zeros(len(curves), dtype=np.int64)
    for i, one in enumerate(curves):
        curve = np.asarray(one, dtype=np.float64)[:epochs]
        known = np.flatnonzero(~np.isnan(curve))
        if len(known):
            last[i] = known[-1] + 1
            at = np.clip(np.searchsorted(known, np.arange(epochs), side="right") - 1, 0, None)
            made[i] = curve[known[at]]
    return made, last


def win_scores(curves: Array, last: Whole) -> Array:
    """Normal scores of the pairwise wins, each pair judged at the last epoch that both reached.

    Args:
        curves: shape ``(trials, epochs)``, lower is better, whole as ``filled_forward`` makes them.
        last: the last epoch of each trial, at least 1.

    Returns:
        Shape ``(trials,)``; high is good, unit variance where there are many trials.
    """
    return ndtri((wins(curves, last) + 0.5) / len(last))  # type: ignore[no-any-return]


def wins(curves: Array, last: Whole) -> Array:
    """How many of the others each beats, a tie for half; as if there were one opponent a trial."""
    count = len(last)
    others = np.arange(count) if count <= _OPPONENTS else np.linspace(0, count - 1, _OPPONENTS).astype(int)
    common = np.minimum(last[:, np.newaxis], last[others]) - 1
    mine = np.take_along_axis(curves, common, axis=1)
    theirs = curves[others[np.newaxis, :], common]
    won: Array = (mine < theirs).sum(axis=1) + 0.5 * (mine == theirs).sum(axis=1)
    if count <= _OPPONENTS:
        return won - 0.5  # the tie with itself
    return won * (count - 1) / _OPPONENTS


def running_best(curves: Array) -> Array:
    """The lowest value so far, by epoch."""
    return np.fmin.accumulate(curves, axis=1)
