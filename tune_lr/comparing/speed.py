"""How much sooner one method is where another ends, by their median curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tune_lr.comparing.figures import Numbers, Unit, best_on, first_at, grid_of
from tune_lr.comparing.run import Run

_RESAMPLES = 1000


@dataclass(frozen=True)
class Speed:
    """How many times sooner a method's median curve is as good as the baseline's at the budget.

    Args:
        method: whose.
        unit: what is counted.
        ratio: what the baseline needs for it by what the method needs; 0 where the method never is, as far
            as it was run, so that nothing is known but that the ratio is below ``least``.
        low: the lower end of its 95 % interval, over resampled seeds; 0 likewise.
        high: the upper end.
        least: the smallest ratio that could have been seen: beyond that the runs were not followed.
        reached: epochs or seconds that the method needs; inf: never.
        wanted: what the baseline needs.
    """

    method: str
    unit: Unit
    ratio: float
    low: float
    high: float
    least: float
    reached: float
    wanted: float

    @property
    def clear(self) -> bool:
        """Whether its interval leaves out 1."""
        return self.low > 1.0 or self.high < 1.0


def speed(
    baseline: Sequence[Run],
    others: Sequence[Run],
    unit: Unit,
    budget: float,
    target: float | None = None,
    seed: int = 0,
) -> Speed | None:
    """Compare two methods by what they need.

    A method that does not get there within the budget is followed beyond it as far as all of its runs went;
    no number is put in the place of one that never does.

    Args:
        baseline: runs whose median curve says what is to be reached.
        others: runs of the method; where there are as many, with the same seeds in the same order.
        unit: of the budget.
        budget: where the baseline's curve is looked at.
        target: a loss to be reached instead.
        seed: of the resampling.

    Returns:
        None where the baseline has no finite loss by then.
    """
    mine, theirs = grid_of(others, unit), grid_of(baseline, unit)
    if not len(mine) or not len(theirs):
        return None
    theirs = theirs[theirs <= budget]
    ours, bests = best_on(others, mine, unit), best_on(baseline, theirs, unit)
    if not len(theirs) or not np.isfinite(np.median(bests[:, -1])):
        return None
    draws = np.random.default_rng(seed)
    paired = len(bests) == len(ours)
    ratios = []
    for _ in range(_RESAMPLES):
        first = draws.integers(len(bests), size=len(bests))
        second = first if paired else draws.integers(len(ours), size=len(ours))
        ratios.append(_ratio(bests[first], theirs, ours[second], mine, target)[0])
    ratio, wanted, reached = _ratio(bests, theirs, ours, mine, target)
    low, high = np.quantile(ratios, [0.025, 0.975], method="inverted_cdf")
    least = wanted / float(mine[-1])
    return Speed(others[0].method, unit, ratio, float(low), float(high), least, reached, wanted)


def _ratio(
    bests: Numbers, theirs: Numbers, ours: Numbers, mine: Numbers, target: float | None
) -> tuple[float, float, float]:
    """The ratio, what the baseline needs, and what the method needs."""
    with np.errstate(invalid="ignore"):
        curve, other = np.median(bests, axis=0), np.median(ours, axis=0)
    goal = float(curve[-1]) if target is None else target
    wanted, reached = first_at(curve, theirs, goal), first_at(other, mine, goal)
    if math.isinf(wanted):
        return (math.inf, wanted, reached) if math.isfinite(reached) else (0.0, wanted, reached)
    return wanted / reached, wanted, reached
