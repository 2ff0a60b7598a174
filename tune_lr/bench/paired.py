"""Two samples of losses that are paired by seed: do they differ? Pure statistics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tune_lr.comparing.ranks import signed_rank

Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]

#: A loss above so many times that of a constant answer, or none at all, counts as this much.
WORST = 100.0


def compare(ours: Sequence[float], theirs: Sequence[float], chance: float) -> tuple[float, float]:
    """How losses that are paired by position compare.

    Args:
        ours: losses, above 0; NaN where the training diverged.
        theirs: as many.
        chance: the loss of a constant answer.

    Returns:
        The geometric mean of ours over theirs, and p, two-sided: of a paired t-test on the logarithms where
        in every pair both came to their end or both diverged; else that of ``_with_divergence``, since losses
        in two heaps make a t-test blind or too sure. Differences that are all zero have p 1; without a second
        pair there is no test, and p is 1.
    """
    from scipy.stats import ttest_1samp

    difference = np.log(clipped(ours, chance)) - np.log(clipped(theirs, chance))
    if not len(difference):
        return 1.0, 1.0
    ratio = float(np.exp(difference.mean()))
    if len(difference) < 2 or not difference.any():
        return ratio, 1.0
    lost, gone = diverged(ours, chance), diverged(theirs, chance)
    if (lost != gone).any():
        return ratio, _with_divergence(difference, int(lost.sum()), int(gone.sum()))
    if np.ptp(difference) < 1e-12 * abs(difference[0]):  # the test would divide by a spread of zero
        return ratio, 0.0
    return ratio, float(ttest_1samp(difference, 0.0).pvalue)


def _with_divergence(difference: Numbers, ours: int, theirs: int) -> float:
    """The p where some trainings diverged: the smaller of two, doubled since there are two.

    Wilcoxon's signed-rank test on the logarithms, to which a training that diverged is worse than any other,
    by however much. And Fisher's exact test of how many diverged on either side: of ten pairs the first is
    never surer than 0.002, which no correction over hundreds of cases leaves. Fisher's takes the trainings as
    unpaired; those with the same seed rather diverge together, so that it errs on the careful side. A test
    counts only if it points where the geometric mean does.

    Args:
        difference: logarithms of our losses less those of theirs.
        ours: how many of ours diverged.
        theirs: how many of theirs did.
    """
    from scipy.stats import fisher_exact

    toward, pairs = np.sign(difference.mean()), len(difference)
    found = [1.0]
    if np.sign(ours - theirs) == toward:
        found.append(float(fisher_exact([[ours, pairs - ours], [theirs, pairs - theirs]])[1]))
    signed, p = signed_rank(difference)
    if signed == toward:
        found.append(p)
    return min(1.0, 2 * min(found))


def diverged(losses: Iterable[float], chance: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which trainings diverged, or ended so high that it makes no difference."""
    return clipped(losses, chance) >= WORST * chance


def clipped(losses: Iterable[float], chance: float) -> Numbers:
    """Losses with everything beyond ``WORST`` times chance, NaN included, at that; and none below 1e-9."""
    array = np.array(list(losses), dtype=np.float64)
    worst = WORST * chance
    return np.clip(np.where(np.isfinite(array), array, worst), 1e-9, worst)
