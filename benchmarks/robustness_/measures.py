"""What a run comes to: its final clean loss, and how it recovered from each spike. Pure functions of a trace.

A trace holds the clean loss before each step, and at last that after the final step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

#: By what part above its level before a spike the loss must rise to count as harmed, and within which it must
#: come again to count as recovered (the published code has the same tenth).
MARGIN = 0.1
#: Losses below are all the same: float32 has no more to tell.
FLOOR = 1e-7
#: What a run that left the finite numbers counts as.
DIVERGED = 1e30


@dataclass(frozen=True)
class Episode:
    """One spike that did harm.

    Args:
        share: how much of the rise was made good before the next spike or the end, 0 to 1: (peak - lowest
            loss after the peak) / (peak - loss before the spike).
        steps: from the first step of the spike to the first after the peak whose loss is within ``MARGIN`` of
            that before the spike; None if none is before the next spike or the end.
    """

    share: float
    steps: int | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def episodes(trace: Sequence[float], starts: Sequence[int]) -> list[Episode | None]:
    """For each spike what became of it; None where it did no harm, or where the run had already diverged."""
    found: list[Episode | None] = []
    for start, end in pairwise([*starts, len(trace) - 1]):
        before, after = trace[start], [finite(value) for value in trace[start + 1 : end + 1]]
        if not math.isfinite(before):
            found.append(None)
            continue
        level = before + MARGIN * abs(before)
        peak = max(range(len(after)), key=after.__getitem__)
        if after[peak] <= max(level, FLOOR):
            found.append(None)
            continue
        rest = after[peak:]
        share = (after[peak] - min(rest)) / (after[peak] - before)
        steps = next((i for i, value in enumerate(rest, start=peak + 1) if value <= max(level, FLOOR)), None)
        found.append(Episode(min(1.0, share), steps))
    return found


def finite(value: float) -> float:
    """A loss that can be ranked: ``DIVERGED`` for NaN, infinities and what lies beyond."""
    return min(value, DIVERGED) if math.isfinite(value) else DIVERGED


def spread(losses: Sequence[float]) -> tuple[float, float, float]:
    """10th percentile, median, 90th percentile; each a loss that occurred, so that no mean of a loss and
    ``DIVERGED`` comes out."""
    low, middle, high = np.quantile([finite(loss) for loss in losses], [0.1, 0.5, 0.9], method="nearest")
    return float(low), float(middle), float(high)
