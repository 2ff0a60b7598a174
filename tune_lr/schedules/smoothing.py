"""The mean of the last few losses, kept in constant time a step, without drift."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

#: How far the running total may be from the true one. At first this is loose, as a part of 1 plus the
#: sum of the window's sizes, so that a run of ordinary length rounds exactly as the published scheduler's
#: plain running sum does ...
LOOSE = 2.0**-40
#: ... and in longer runs, where drift would add up, four units in the last place of that sum.
TIGHT = 2.0**-51
LONG_RUN = 10_000


class RunningMean:
    """Mean over a sliding window.

    The total is updated by one addition and one subtraction a step, in the order in which
    ``transformers.optimization.GreedyLR`` does it, since even the last bit of a mean can decide a tie.
    Beside it the exact rounding error of every operation is summed (Knuth's two-sum). As soon as that
    drift is more than the tolerance, which a loss spike that leaves the window causes at once and mere
    length only after very many steps, the total is summed afresh and correctly rounded from the window.

    Values must be finite; what to do with others is the caller's decision.

    Args:
        window_size: how many values the window holds at most, 1 or more.
    """

    def __init__(self, window_size: int) -> None:
        self.window_size = window_size
        self._values: deque[float] = deque()
        self._total = 0.0
        self._drift = 0.0
        self._doubt = 0.0  # how far the drift itself may be off, since it is a rounded sum too

    def add(self, value: float, age: int = 0) -> float:
        """Take one finite value in and return the mean of the window.

        Args:
            value: what was observed.
            age: how many steps the run has had; beyond ``LONG_RUN`` the tolerance is the tight one.
        """
        self._values.append(value)
        self._accumulate(value)
        if len(self._values) > self.window_size:
            self._accumulate(-self._values.popleft())
        if self._has_drifted(long_run=age > LONG_RUN):
            self._sum_afresh()
        return self._mean()

    def state_dict(self) -> dict[str, Any]:
        """``window_size``, ``values`` and their ``sum``, as copies (the published scheduler's format)."""
        return {"window_size": self.window_size, "values": list(self._values), "sum": self._total}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state, also one of the published scheduler; non-finite values in it are dropped."""
        self.window_size = int(state.get("window_size", self.window_size))
        given = [float(value) for value in state.get("values", ())]
        self._values = deque(value for value in given if math.isfinite(value))
        self._total = float(state.get("sum", 0.0))
        if len(self._values) < len(given) or not math.isfinite(self._total):
            self._sum_afresh()
        else:
            self._measure_drift()

    def _accumulate(self, value: float) -> None:
        before, after = self._total, self._total + value
        rounded = after - before
        self._drift += (before - (after - rounded)) + (value - rounded)
        self._doubt += 2.0**-53 * abs(self._drift)
        self._total = after

    def _has_drifted(self, long_run: bool) -> bool:
        drift, total = abs(self._drift) + self._doubt, abs(self._total)
        part, least = (TIGHT, 0.0) if long_run else (LOOSE, 1.0)
        if drift <= part * (least + total):  # NaN, from an overflow, fails both tests
            return False
        return not drift <= part * (least + sum(map(abs, self._values)))

    def _sum_afresh(self) -> None:
        self._total = _exact_sum(self._values)
        self._measure_drift()

    def _measure_drift(self) -> None:
        self._drift = _exact_sum([-self._total, *self._values])
        self._doubt = 2.0**-53 * abs(self._drift)

    def _mean(self) -> float:
        count = len(self._values)
        if math.isfinite(self._total):
            return self._total / count
        self._drift = math.nan  # the total overflowed; look again at the next value
        return _exact_sum(value / count for value in self._values)


def _exact_sum(values: Iterable[float]) -> float:
    """The correctly rounded sum, or infinity where the way there overflows."""
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf
