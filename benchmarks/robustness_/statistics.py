"""Paired comparisons of schedules over seeds, and what they come to. Pure functions of finished cells."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from robustness_.measures import FLOOR, spread
from scipy.stats import rankdata, wilcoxon
from statsmodels.stats.multitest import multipletests

Verdict = str  #: "better", "equal" or "worse"
Finished = Mapping[str, Any]


class Comparison(NamedTuple):
    """One schedule against another in one place."""

    problem: str
    perturbation: str
    rival: str
    verdict: Verdict


def paired(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, int]:
    """Wilcoxon's signed-rank test on the logarithms of two columns of losses paired by seed.

    Returns:
        The two-sided p, and -1 where ours are lower, 1 where higher, 0 for neither. Losses up to ``FLOOR``
        are the same.
    """
    gap = np.log(np.maximum(ours, FLOOR)) - np.log(np.maximum(theirs, FLOOR))
    gap = gap[gap != 0.0]
    if not len(gap):
        return 1.0, 0
    balance = float((np.sign(gap) * rankdata(np.abs(gap))).sum())
    return float(wilcoxon(gap).pvalue), int(np.sign(balance))


def compare(
    cells: Iterable[Finished], schedule: str, mode: str, rivals: Sequence[str], level: float = 0.05
) -> list[Comparison]:
    """A schedule against each rival on every problem under every perturbation, Holm-corrected over all.

    Args:
        cells: of one optimizer and suite.
        mode: ``tuned`` or ``default``.
    """
    finals = {(c["problem"], c["perturbation"], c["schedule"]): c[mode]["final"] for c in cells if c[mode]}
    places = [key[:2] for key in finals if key[2] == schedule]
    met = [(*place, rival) for place in places for rival in rivals if (*place, rival) in finals]
    tests = [paired(finals[(*where[:2], schedule)], finals[where]) for where in met]
    if not tests:
        return []
    certain = multipletests([p for p, _ in tests], alpha=level, method="holm")[0]
    words = {-1: "better", 0: "equal", 1: "worse"}
    return [
        Comparison(*where, words[sign] if sure else "equal")
        for where, (_, sign), sure in zip(met, tests, certain, strict=True)
    ]


def shares(comparisons: Iterable[Comparison]) -> tuple[int, int, int]:
    """How many are better, equal, worse."""
    count = Counter(comparison.verdict for comparison in comparisons)
    return count["better"], count["equal"], count["worse"]


def ranks(cells: Iterable[Finished], mode: str) -> dict[str, tuple[float, int]]:
    """For each schedule the mean rank of its median (1 is the lowest) over problems and perturbations, and in
    how many of them it is the lowest or shares that."""
    places: dict[tuple[str, str], dict[str, float]] = {}
    for cell in cells:
        if cell[mode]:
            place = places.setdefault((cell["problem"], cell["perturbation"]), {})
            place[cell["schedule"]] = max(FLOOR, spread(cell[mode]["final"])[1])
    ranked: dict[str, list[float]] = {}
    first: Counter[str] = Counter()
    for place in places.values():
        for name, rank in zip(place, rankdata(list(place.values())), strict=True):
            ranked.setdefault(name, []).append(float(rank))
        first.update(name for name, value in place.items() if value == min(place.values()))
    return {name: (sum(values) / len(values), first[name]) for name, values in ranked.items()}


class Recovery(NamedTuple):
    """All spikes of some cells together.

    Args:
        harmful: spikes that raised the clean loss by a tenth or more; ``spikes`` is all of them.
        share: median share of the rise that was made good; NaN if none did harm.
        steps: median steps to recover, infinite if half or more of the harmful ones never did.
    """

    spikes: int
    harmful: int
    share: float
    steps: float


def recovery(cells: Iterable[Finished], mode: str) -> Recovery:
    """What became of the spikes of some cells."""
    every = [e for cell in cells if cell[mode] for run in cell[mode]["episodes"] for e in run]
    harmful = [e for e in every if e]
    if not harmful:
        return Recovery(len(every), 0, math.nan, math.nan)
    steps = sorted(math.inf if e["steps"] is None else e["steps"] for e in harmful)
    return Recovery(
        len(every), len(harmful), float(np.median([e["share"] for e in harmful])), steps[len(steps) // 2]
    )


def weighted_median(losses: Sequence[float], weights: Sequence[float]) -> float:
    """The lowest loss at which half of the weight is reached."""
    order = np.argsort(losses, kind="stable")
    total = np.cumsum(np.asarray(weights, float)[order])
    return float(np.asarray(losses, float)[order][np.searchsorted(total, total[-1] / 2)])
