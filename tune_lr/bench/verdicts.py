"""Is GreedyLR better, equal or worse? Pure statistics over the final comparison.

A *case* is one rival under one optimizer on one task, against GreedyLR under the same optimizer (or, for a
rival that is an optimizer itself, under the one that it is compared beside). The two are paired by seed: the
same initial weights, the same batches.

Every p here is over training seeds, for the two configurations that the tuning of each found. How else the
tuning could have turned out is not in it; ``over_tunings`` takes each tuning as one draw instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from tune_lr.bench.contenders import CONTENDERS, GREEDY
from tune_lr.bench.paired import compare, diverged
from tune_lr.comparing.ranks import holm, signed_rank

Verdict = Literal["better", "equal", "worse"]

#: Differences whose corrected p is below this are taken for real.
LEVEL = 0.05
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
        p: two-sided, as ``compare`` has it.
        corrected: the same after Holm's correction over all cases that were judged together.
        only_ours: of the pairs of trainings, in how many only GreedyLR's diverged.
        only_theirs: in how many only the rival's did.
    """

    task: str
    optimizer: str
    rival: str
    ratio: float
    p: float
    corrected: float
    only_ours: int = 0
    only_theirs: int = 0

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
        pairs = ours[both].tolist(), theirs[both].tolist()
        lost = [diverged(losses, chance[task]) for losses in pairs]
        only = int((lost[0] & ~lost[1]).sum()), int((lost[1] & ~lost[0]).sum())
        found.append(((task, beside, rival), compare(*pairs, chance[task]), only))
    corrected = holm([p for _, (_, p), _ in found])
    return [
        Case(*names, *compared, p, *only) for (names, compared, only), p in zip(found, corrected, strict=True)
    ]


@dataclass(frozen=True)
class Standing:
    """GreedyLR against one rival over all tasks and optimizers.

    Args:
        rival: the other contender.
        cases: how many.
        lower: in how many of them GreedyLR's mean loss is the lower.
        ratio: geometric mean of the cases' ratios.
        p: of a signed-rank test over the cases, Holm-corrected over the rivals.
        only_ours: pairs of trainings of which only GreedyLR's diverged.
        only_theirs: those of which only the rival's did.
        p_diverged: of an exact sign test (McNemar's) on these two, Holm-corrected over the rivals.
    """

    rival: str
    cases: int
    lower: int
    ratio: float
    p: float
    only_ours: int
    only_theirs: int
    p_diverged: float


def over_tunings(cases: Sequence[Case]) -> list[Standing]:
    """Each rival over all its cases, each of which counts once: a draw of task, optimizer and both tunings.

    So what the tuning found by luck counts as noise, as it should, which the p of a single case leaves out.
    The draws are not independent: Adam and AdamW, and the same data under two nets, come out alike.
    """
    from scipy.stats import binomtest

    found = []
    for rival in dict.fromkeys(case.rival for case in cases):
        mine = [case for case in cases if case.rival == rival]
        logs = np.log([case.ratio for case in mine])
        ours, theirs = (sum(getattr(case, name) for case in mine) for name in ("only_ours", "only_theirs"))
        sign = float(binomtest(ours, ours + theirs).pvalue) if ours + theirs else 1.0
        lower, ratio = int((logs < 0).sum()), float(np.exp(logs.mean()))
        found.append(Standing(rival, len(mine), lower, ratio, signed_rank(logs)[1], ours, theirs, sign))
    p, signs = holm([one.p for one in found]), holm([one.p_diverged for one in found])
    return [replace(one, p=a, p_diverged=b) for one, a, b in zip(found, p, signs, strict=True)]


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
