"""The figures *speed* and *safe*, and what they come to over tasks: pure functions of arrays.

A run is a row: the best loss so far after each epoch that was paid for. ``baseline`` are some hundred runs
of random search under ASHA that go on to several budgets.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: Epochs of a run that never came to the target, in budgets.
MISS = 4
#: Parts of the budget at which *safe* looks.
LOOKS = (0.125, 0.25, 0.5, 1.0)
QUANTILES = {"median": 0.5, "lower quartile": 0.25, "10th percentile": 0.1, "worst": 0.0}


def best_so_far(values: ArrayLike, length: int) -> Array:
    """The best of the values so far, cut or carried on to a length; infinite before there is any."""
    found = np.asarray(values, dtype=np.float64)[:length]
    best = np.minimum.accumulate(np.where(np.isfinite(found), found, np.inf))
    return np.pad(best, (0, length - len(best)), constant_values=best[-1] if len(best) else np.inf)


def epochs_to(runs: Array, target: float, miss: float) -> Array:
    """Of each run the first epoch (from 1) at which it is as good as the target; ``miss`` if it never is."""
    there = runs <= target
    return np.where(there.any(axis=1), there.argmax(axis=1) + 1.0, miss)


def speed(runs: Array, baseline: Array, budget: int) -> float:
    """How many times fewer epochs the runs need for what random search has at the budget, in the median."""
    target = float(np.median(baseline[:, budget - 1]))
    own = np.median(epochs_to(baseline, target, np.inf))
    return float(own / np.median(epochs_to(runs[:, :budget], target, MISS * budget)))


def safe(runs: Array, baseline: Array, budget: int) -> float:
    """How many epochs of random search an epoch of the method is worth, over the looks (a geometric mean).

    The epochs of random search that are worth the method's median at a look, by those worth its own median;
    what it does not come to at all counts as all that it was run for.
    """
    typical = np.median(baseline, axis=0)
    logs = []
    for part in LOOKS:
        at = max(round(part * budget), 1) - 1
        worth = _worth(typical, float(np.median(runs[:, at])))
        logs.append(np.log(worth / _worth(typical, float(typical[at]))))
    return float(np.exp(np.mean(logs)))


def _worth(typical: Array, value: float) -> float:
    """The first epoch at which a falling curve is at a value."""
    there = typical <= value
    return float(there.argmax() + 1) if there.any() else float(len(typical))


def summary(values: ArrayLike) -> dict[str, float]:
    """What a figure comes to over tasks."""
    found = np.asarray(values, dtype=np.float64)
    return {name: float(np.quantile(found, at)) for name, at in QUANTILES.items()}


def interval(
    statistic: Callable[[NDArray[np.int64]], float], tasks: int, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The middle 95 % of a statistic over tasks drawn anew with replacement.

    Args:
        statistic: of the numbers of the tasks that were drawn.
        tasks: how many there are.
        draws: how often.
        seed: repeatable by it.
    """
    generator = np.random.default_rng(seed)
    found = [statistic(generator.integers(tasks, size=tasks)) for _ in range(draws)]
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def ratio(
    values: ArrayLike, reference: ArrayLike, at: float = 0.5, draws: int = 2000
) -> tuple[float, float, float]:
    """A quantile of a figure by the same of a reference on the same tasks, and the interval of that."""
    ours, theirs = np.asarray(values, dtype=np.float64), np.asarray(reference, dtype=np.float64)

    def of(tasks: NDArray[np.int64]) -> float:
        return float(np.quantile(ours[tasks], at) / np.quantile(theirs[tasks], at))

    return of(np.arange(len(ours))), *interval(of, len(ours), draws)
