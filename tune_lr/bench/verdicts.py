"""Is GreedyLR better, equal or worse? Pure statistics over the final comparison.

A *case* is one rival under one optimizer on one task, against GreedyLR under the same optimizer (or, for a
rival that is an optimizer itself, under the one that it is compared beside). The two are paired by seed: the
same initial weights, the same batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from tune_lr.bench.contenders import CONTENDERS, GREEDY

Verdict = Literal["better", "equal", "worse"]

#: Differences whose corrected p is below this are taken for real.
LEVEL = 0.05
#: A loss above so many times that of a constant answer, or none at all, counts as this much.
WORST = 100.0
#: Counting without a test: means that are this close count as equally good.
CLOSE = 0.05


@dataclass(frozen=True)
class Case:
    """One comparison of GreedyLR with a rival.

    Args:
        task: on which.
        optimizer: GreedyLR's.
        rival: the other contender.
        ratio: geometric mean over the seeds of GreedyLR's loss over the rival's; below 1 GreedyLR is better.
        p: of a paired t-test on the logarithms of the losses, two-sided.
        corrected: the same after Holm's correction over all cases that were judged together.
    """

    task: str
    optimizer: str
    rival: str
    ratio: float
    p: float
    corrected: float

    @property
    def verdict(self) -> Verdict:
        """Of GreedyLR, by the corrected p."""
        return self._by(self.corrected)

    @property
    def uncorrected(self) -> Verdict:
        """Of GreedyLR, by the p as it is."""
        return self._by(self.p)

    def _by(self, p: float) -> Verdict:
        if p >= LEVEL or self.ratio == 1:
            return "equal"
        return "better" if self.ratio < 1 else "worse"


def judge(
    runs: pd.DataFrame, setting: str, chance: Mapping[str, float], column: str = "val_loss"
) -> list[Case]:
    """Every case that the runs hold both sides of, corrected together.

    Args:
        runs: one row a training, as ``store.table`` makes it.
        setting: ``tuned`` or ``default``.
        chance: the loss of a constant answer, by task.
        column: the loss to compare.
    """
    losses = {
        name: group.set_index("seed")[column].astype(float)
        for name, group in runs[runs["setting"] == setting].groupby(["task", "optimizer", "contender"])
    }
    found = []
    for (task, optimizer, rival), theirs in losses.items():
        if rival == GREEDY:
            continue
        beside = CONTENDERS[rival].opponent(optimizer) if rival in CONTENDERS else optimizer
        ours = losses.get((task, beside, GREEDY))
        if ours is None:
            continue
        both = ours.index.intersection(theirs.index)
        ratio, p = compare(ours[both].tolist(), theirs[both].tolist(), chance[task])
        found.append((task, beside, rival, ratio, p))
    corrected = holm([p for *_, p in found])
    return [Case(*known, corrected=p) for known, p in zip(found, corrected, strict=True)]


def compare(ours: Sequence[float], theirs: Sequence[float], chance: float) -> tuple[float, float]:
    """How losses that are paired by position compare.

    Args:
        ours: losses, above 0; NaN where the training diverged.
        theirs: as many.
        chance: the loss of a constant answer.

    Returns:
        The geometric mean of ours over theirs, and p of a paired t-test on their logarithms (two-sided).
        Differences that are all zero have p 1; without a second pair there is no test, and p is 1.
    """
    from scipy.stats import ttest_1samp

    difference = np.log(clipped(ours, chance)) - np.log(clipped(theirs, chance))
    if not len(difference):
        return 1.0, 1.0
    ratio = float(np.exp(difference.mean()))
    if len(difference) < 2 or not difference.any():
        return ratio, 1.0
    if np.ptp(difference) < 1e-12 * abs(difference[0]):  # the test would divide by a spread of zero
        return ratio, 0.0
    return ratio, float(ttest_1samp(difference, 0.0).pvalue)


def clipped(losses: Iterable[float], chance: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Losses with everything beyond ``WORST`` times chance, NaN included, at that; and none below 1e-9."""
    array = np.array(list(losses), dtype=np.float64)
    worst = WORST * chance
    return np.clip(np.where(np.isfinite(array), array, worst), 1e-9, worst)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction: p values with which the chance of one false verdict among all is as it says."""
    if not p:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(one) for one in multipletests(list(p), method="holm")[1]]


def shares(verdicts: Iterable[Verdict]) -> dict[Verdict, int]:
    """How many are better, equal and worse."""
    listed = list(verdicts)
    return {name: listed.count(name) for name in ("better", "equal", "worse")}


def as_in_paper(cases: Sequence[Case]) -> tuple[float, float]:
    """Counting without a test, after the paper: the share of cases in which GreedyLR is as good or better,
    and in which it is clearly better.

    The thresholds are ours: as good means a mean loss of at most ``CLOSE`` above the rival's, clearly better
    one of more than ``CLOSE`` below it. No cases: NaN.
    """
    if not cases:
        return float("nan"), float("nan")
    ratios = np.array([case.ratio for case in cases])
    return float((ratios <= 1 + CLOSE).mean()), float((ratios < 1 / (1 + CLOSE)).mean())
