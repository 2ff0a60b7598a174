"""Two samples that are paired by seed: do they differ, by how much, and could so few have told?

All of it is of ranks, so that one run that went astray counts as one, however far it went.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tune_lr.errors import MissingExtra

Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]

#: The chance of one false finding in a whole comparison.
ALPHA = 0.05
#: Up to so many pairs the test is exact.
_EXACT = 16


@dataclass(frozen=True)
class Paired:
    """How two samples compare.

    Args:
        pairs: how many.
        p: of Wilcoxon's signed-rank test, two-sided.
        effect: the matched-pairs rank-biserial correlation (Kerby 2014): 1 where the first sample is larger
            in every pair, -1 where the second is, 0 where neither.
        difference: the Hodges-Lehmann estimate of the first less the second.
        low: the lower end of its 95 % interval, by inversion of the test; -inf where the pairs are too few.
        high: the upper end.
        all_alike: whether no pair differs.
    """

    pairs: int
    p: float
    effect: float
    difference: float
    low: float
    high: float
    all_alike: bool = False


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Paired:
    """Compare two samples by position; a value that is no number is larger than every other.

    Raises:
        ValueError: they are not of the same length.
    """
    first, second = _worst_last(ours), _worst_last(theirs)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values cannot be paired")
    with np.errstate(invalid="ignore"):
        difference = np.where(first == second, 0.0, first - second)
    if not len(difference):
        return Paired(0, 1.0, 0.0, math.nan, -math.inf, math.inf, True)
    estimate, low, high = _shift(difference)
    p, alike = signed_rank(difference)[1], not difference.any()
    return Paired(len(difference), p, _effect(difference), estimate, low, high, alike)


def signed_rank(difference: Numbers) -> tuple[float, float]:
    """Wilcoxon's signed-rank test, exact up to 16 numbers, with ties and zeros as they come.

    Returns:
        Where the ranks point (-1, 0 or 1), and p, two-sided. Zeros are ranked and then left out (Pratt).
    """
    signs, ranks = _ranked(difference)
    seen, some = float((ranks * signs).sum()), ranks[ranks > 0]
    if not len(some):
        return 0.0, 1.0
    if len(some) > _EXACT:
        spread = float(np.sqrt((some**2).sum()))
        return float(np.sign(seen)), math.erfc(abs(seen) / spread / math.sqrt(2))
    sums = np.zeros(1)
    for rank in some:
        sums = np.concatenate([sums + rank, sums - rank])
    return float(np.sign(seen)), float((np.abs(sums) >= abs(seen) - 1e-9).mean())


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction: p values with which the chance of one false verdict among all is as it says.

    Raises:
        MissingExtra: statsmodels is not installed.
    """
    if not p:
        return []
    try:
        from statsmodels.stats.multitest import multipletests
    except ModuleNotFoundError as error:
        raise MissingExtra("the correction for several comparisons", "compare") from error
    return [float(one) for one in multipletests(list(p), method="holm")[1]]


def require_statistics() -> None:
    """To be asked before hours of training whose results could not be told.

    Raises:
        MissingExtra: statsmodels is not installed.
    """
    holm([1.0])


def pairs_needed(tests: int, alpha: float = ALPHA) -> int:
    """The fewest pairs with which ``signed_rank`` could find anything at all, were it one of so many tests.

    Of n pairs the smallest p is 2 / 2^n, where all of them point the same way; Holm's correction asks of the
    surest test alpha / tests.
    """
    return math.ceil(math.log2(2 * max(1, tests) / alpha))


def _ranked(difference: Numbers) -> tuple[Numbers, Numbers]:
    """Signs, and the ranks of the sizes, 0 where there is no difference."""
    from scipy.stats import rankdata

    signs = np.sign(difference)
    return signs, rankdata(np.abs(difference)) * (signs != 0)


def _effect(difference: Numbers) -> float:
    signs, ranks = _ranked(difference)
    total = float(ranks.sum())
    return float((ranks * signs).sum()) / total if total else 0.0


def _shift(difference: Numbers) -> tuple[float, float, float]:
    """The median of all means of two differences, one and itself included, and its 95 % interval."""
    pairs = len(difference)
    with np.errstate(invalid="ignore"):
        means = (difference[:, np.newaxis] + difference) / 2
    walsh = np.sort(np.nan_to_num(means[np.triu_indices(pairs)], nan=0.0, posinf=np.inf, neginf=-np.inf))
    cut = _left_out(pairs)
    low, high = (float(walsh[cut]), float(walsh[-1 - cut])) if cut >= 0 else (-math.inf, math.inf)
    with np.errstate(invalid="ignore"):
        middle = float(np.median(walsh))
    return (0.0 if math.isnan(middle) else middle), low, high


def _left_out(pairs: int) -> int:
    """How many of the sorted means lie outside the interval on either side; -1: no interval is that sure."""
    ways = np.ones(1)  # by the sum of positive ranks: how many of the 2^n choices of signs have it
    for rank in range(1, pairs + 1):
        longer = np.zeros(len(ways) + rank)
        longer[: len(ways)] += ways
        longer[rank:] += ways
        ways = longer / 2
    below = np.cumsum(ways)
    return int((below <= 0.025).sum()) - 1


def _worst_last(values: Sequence[float]) -> Numbers:
    found = np.asarray(values, dtype=np.float64)
    return np.where(np.isnan(found), np.inf, found)
