"""The mean of the last few losses, kept in constant time a step, without drift."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from tune_lr.errors import BadInput
from tune_lr.schedules.base import read_number, read_whole

#: The published scheduler's plain running sum is trusted while the largest total that went into it is at
#: most this many times the present one (plus 1): its errors then stay below 2e-11 of that for LONG_RUN steps.
FAR = 8.0
#: In longer runs, where errors would add up, the total is kept to four units in its last place.
LONG_RUN = 10_000
TIGHT = 2.0**-51
#: How far a suspected total may be from the true one, as a part of 1 plus the sum of the window's sizes.
LOOSE = 2.0**-40


class RunningMean:
    """Mean over a sliding window, in constant time a step, without drift.

    The total is updated by one addition and one subtraction a step, in the order in which
    ``transformers.optimization.GreedyLR`` does it, since even the last bit of a mean can decide a tie. That
    alone would drift: at once where values of very different size pass through the window, and slowly in
    very long runs. So as soon as the total has become much smaller than it was, it is compared with the
    correctly rounded sum of the window, and replaced where it is off; and after ``LONG_RUN`` steps the exact
    rounding error of every operation is carried along (Knuth's two-sum), and the total summed afresh
    whenever that is more than a rounding.

    Values must be finite; what to do with others is the caller's decision.

    Args:
        window_size: how many values the window holds at most, 1 or more.
    """

    __slots__ = ("_carries", "_doubt", "_drift", "_floor", "_peak", "sum", "values", "window_size")

    def __init__(self, window_size: int) -> None:
        self.window_size = window_size
        self.values: deque[float] = deque()
        self.sum = 0.0
        self._floor = 0.0  # the sizes between which the total is trusted
        self._peak = 0.0
        self._drift = 0.0  # how far the total is from the true one, in long runs
        self._doubt = 0.0  # how far the drift itself may be off, since it is a rounded sum too
        self._carries = False  # whether the drift is being carried along

    def add(self, value: float, age: int = 0) -> float:
        """Take one finite value in and return the mean of the window.

        Args:
            value: what was observed.
            age: how many steps the run has had.
        """
        if age > LONG_RUN:
            return self._add_carefully(value)
        values = self.values
        values.append(value)
        total = self.sum + value
        if len(values) > self.window_size:
            total -= values.popleft()
        self.sum = total
        if self._floor <= abs(total) <= self._peak:
            return total / len(values)
        return self._look_again(abs(total))

    def _look_again(self, size: float) -> float:
        """The mean where the total has left the sizes in which it is trusted."""
        if self._peak < size < math.inf:
            self._trust(size)
            return self.sum / len(self.values)
        true = _exact_sum(self.values)
        if not abs(self.sum - true) <= LOOSE * (1.0 + sum(map(abs, self.values))):
            self.sum = true
        self._trust(abs(self.sum))
        return self._mean()

    def _trust(self, size: float) -> None:
        """Trust totals of about this size; up to twice as much, so that not every rise is looked into."""
        self._peak = min(2.0 * size, sys.float_info.max)
        self._floor = self._peak / FAR - 1.0

    def _add_carefully(self, value: float) -> float:
        """Take a value in, and carry every rounding error along."""
        if not self._carries:
            self._sum_afresh()
            self._carries = True
            self._peak = -1.0  # for a caller that goes back to add: look again
        self.values.append(value)
        self._accumulate(value)
        if len(self.values) > self.window_size:
            self._accumulate(-self.values.popleft())
        drift = abs(self._drift) + self._doubt
        if not drift <= TIGHT * abs(self.sum) and not drift <= TIGHT * sum(map(abs, self.values)):
            self._sum_afresh()
        return self._mean()

    def state_dict(self) -> dict[str, Any]:
        """``window_size``, ``values`` and their ``sum``, as copies (the published scheduler's format)."""
        return {"window_size": self.window_size, "values": list(self.values), "sum": self.sum}

    def load_state_dict(self, state: Mapping[str, Any], window_size: int | None = None) -> None:
        """Take over a state, also one of the published scheduler; non-finite values in it are dropped.

        Args:
            state: ``window_size``, ``values`` and their ``sum``.
            window_size: in place of the state's; of more values the newest are kept.

        Raises:
            BadInput: it is none; nothing changed.
        """
        if not isinstance(state, Mapping) or not isinstance(state.get("values"), (list, tuple, deque)):
            raise BadInput("_streaming_avg", state, "a window's state: window_size, values and sum")
        size = state.get("window_size", self.window_size) if window_size is None else window_size
        window_size = read_whole("window_size", size, 1)
        values = list(state["values"])
        given = [read_number("a window's values", value) for value in values][-window_size:]
        total = read_number("a window's sum", state.get("sum", 0.0))
        self.window_size = window_size
        self.values = deque(value for value in given if math.isfinite(value))
        self.sum = total
        self._carries = False
        # What it was summed from is not known, so the next value has it checked.
        self._floor = self._peak = math.inf
        if len(self.values) < len(values) or not math.isfinite(self.sum):
            self.sum = _exact_sum(self.values)

    def _accumulate(self, value: float) -> None:
        before, after = self.sum, self.sum + value
        rounded = after - before
        self._drift += (before - (after - rounded)) + (value - rounded)
        self._doubt += 2.0**-53 * abs(self._drift)
        self.sum = after

    def _sum_afresh(self) -> None:
        self.sum = _exact_sum(self.values)
        self._measure_drift()

    def _measure_drift(self) -> None:
        self._drift = _exact_sum([-self.sum, *self.values])
        self._doubt = 2.0**-53 * abs(self._drift)

    def _mean(self) -> float:
        count = len(self.values)
        if math.isfinite(self.sum):
            return self.sum / count
        return _exact_sum(value / count for value in self.values)


def _exact_sum(values: Iterable[float]) -> float:
    """The correctly rounded sum, or infinity where the way there overflows."""
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf
