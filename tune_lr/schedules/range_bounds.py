"""From the losses of a learning-rate sweep to the bounds of the knob ``lr``.

The range test is Smith's (arXiv 1506.01186): train while the LR grows, and look where the loss begins to fall
and where it blows up. What follows is our own rule for reading the two off a noisy curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tune_lr.errors import BadInput, JobFailed

#: Fewer losses than this say nothing.
FEWEST = 10
#: A fall by less than this share of the first loss is none, however little noise there is.
LEAST_FALL = 0.01
#: How many standard errors a fall must come to, or a rank test's statistic.
CLEARLY, CLEARLY_RANKED = 5.0, 4.0


class Bounds(NamedTuple):
    """What a sweep proposes for the knob ``lr``: its range, and a rate to begin with."""

    low: float
    high: float
    suggestion: float


class NoBounds(JobFailed):
    """The sweep shows no range of useful LRs; the message says what it shows, and what to change."""


@np.errstate(over="ignore", invalid="ignore")
def propose_bounds(lrs: Sequence[float], losses: Sequence[float]) -> Bounds:
    """Bounds of the knob ``lr``, from a sweep of growing LRs.

    The curve is cut at the first loss that is not finite and smoothed by ``smooth``. The fall is that from
    the first tenth (its median) to the lowest point of the smoothed curve, and must be clear: more than five
    standard errors, by the noise at either end, and a hundredth of the first loss. Then

    * ``low`` is the first LR from which the smoothed loss stays below the start by a fiftieth of the fall and
      two standard errors, up to the lowest point. So early, since a training is longer than a sweep;
    * ``high`` is the last LR before the smoothed loss has risen from its lowest point by half of the fall and
      two standard errors; where it rises there faster than the square of the LR, so that it blows up,
      the LR at which that began. It is the end of the sweep where the loss did not rise;
    * ``suggestion`` is a tenth of ``high``, and ``low`` at least: far enough from where it blows up.

    Args:
        lrs: the LRs, growing.
        losses: the loss after an update with each of them.

    Raises:
        BadInput: the lists differ in length, or the LRs do not grow from above 0.
        NoBounds: the loss blows up at once, never falls clearly, only rises, or there are too few.
    """
    rates, values = _read(lrs, losses)
    n = len(values)
    if n < FEWEST:
        if n < len(losses):
            raise NoBounds(
                f"the loss blew up within {n + 1} steps, at lr {lrs[n]:.2g}; sweep from a lower LR"
            )
        raise NoBounds(f"{n} losses are too few to tell anything; at least {FEWEST} are needed")
    smoothed, width = smooth(values), _width(n)
    head = max(3, n // 10)
    start, at = float(np.median(values[:head])), int(np.argmin(smoothed))
    error_at_start = _error(values[: max(FEWEST, n // 4)], min(head, width))
    error_at_lowest = _error(values[max(0, at - width) : at + width + 1], width)
    fall = start - float(smoothed[at])
    clearly = CLEARLY * math.hypot(error_at_start, error_at_lowest)
    least = LEAST_FALL * abs(start)
    ranked = _lower(values[: max(FEWEST, n // 4)], values[max(0, at - width) : at + width + 1])
    if not fall > least or not (fall > clearly or ranked > CLEARLY_RANKED):
        if fall > max(0.6 * clearly, least):
            raise NoBounds(
                f"the loss falls by {fall:.2g} up to lr {rates[at]:.2g}, which is not clear in its noise (by "
                f"{clearly:.2g} it would be); sweep over more epochs, or with larger batches"
            )
        raise NoBounds(_why_not(rates, smoothed, start, max(clearly, least)))
    fallen = start - smoothed
    first = at
    while first > 0 and fallen[first - 1] >= max(0.02 * fall, 2 * error_at_start):
        first -= 1
    last = at
    while last < n - 1 and smoothed[last + 1] <= smoothed[at] + max(0.5 * fall, 2 * error_at_lowest):
        last += 1
    last = _before_blow_up(rates, smoothed, at, last)
    if rates[last] < 1.5 * rates[first]:
        raise NoBounds(
            f"the loss falls at lr {rates[first]:.2g} only, within a step or two of the sweep; "
            "sweep more slowly, over more epochs"
        )
    low, high = float(rates[first]), float(rates[last])
    return Bounds(low, high, max(low, high / 10))


def _before_blow_up(rates: NDArray[np.float64], smoothed: NDArray[np.float64], at: int, last: int) -> int:
    """Where the rise before ``last`` began to be one of more than two powers of the LR; never before ``at``.

    Gradient noise makes losses that grow like the LR. Beyond 2 / L, the limit of gradient descent with
    curvature L, they grow by a factor a step, from however little is left.
    """
    while last > at and smoothed[last - 1] > 0:
        if smoothed[last] / smoothed[last - 1] <= (rates[last] / rates[last - 1]) ** 2:
            break
        last -= 1
    return last


def smooth(losses: Sequence[float] | NDArray[Any]) -> NDArray[np.float64]:
    """The running median of finite losses, over a fifteenth of them; narrower towards both ends.

    A median keeps the edge where the loss blows up in its place, and passes over single spikes.
    """
    values = np.asarray(losses, dtype=np.float64)
    n, reach = len(values), _width(len(values)) // 2
    spans = (min(reach, i, n - 1 - i) for i in range(n))
    return np.array([np.median(values[i - span : i + span + 1]) for i, span in enumerate(spans)])


def _width(n: int) -> int:
    """How many losses a smoothed one stands on: odd."""
    return max(3, n // 15 | 1)


def _error(values: NDArray[np.float64], width: int) -> float:
    """The standard error of a median of ``width`` losses, by the noise among neighbours.

    Second differences do not see a slope; their median absolute value does not see a spike.
    """
    noise = 1.4826 * float(np.median(np.abs(np.diff(values, 2)))) / math.sqrt(6)
    return 1.2533 * noise / math.sqrt(width)


def _lower(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """How clearly the second losses are below the first: Mann and Whitney's z, whatever the noise is like."""
    count = first.size * second.size
    wins = np.sum(first[:, None] > second) + 0.5 * np.sum(first[:, None] == second)
    return float(wins - count / 2) / math.sqrt(count * (first.size + second.size + 1) / 12)


def _read(lrs: Sequence[float], losses: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as arrays, up to the first loss that is not finite."""
    rates, values = np.asarray(lrs, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    if rates.ndim != 1 or rates.shape != values.shape:
        raise BadInput("losses", f"{values.size} for {rates.size} LRs", "one loss for each LR")
    if not (np.all(np.isfinite(rates)) and np.all(rates > 0) and np.all(np.diff(rates) > 0)):
        raise BadInput("lrs", list(lrs), "finite numbers above 0, each larger than the one before")
    finite = np.isfinite(values)
    n = len(values) if finite.all() else int(np.argmin(finite))
    return rates[:n], values[:n]


def _why_not(rates: NDArray[np.float64], smoothed: NDArray[np.float64], start: float, clearly: float) -> str:
    above = np.flatnonzero(smoothed > start + clearly)
    if len(above):
        return (
            f"the loss never falls clearly, and rises from lr {rates[above[0]]:.2g} on; sweep from a lower "
            "LR, over more epochs, or see whether the model learns at all"
        )
    return (
        f"the loss stays as it is from lr {rates[0]:.2g} to {rates[-1]:.2g} (within {clearly:.2g} of "
        f"{start:.4g}); sweep to a higher LR, over more epochs, or see whether the model learns at all"
    )
