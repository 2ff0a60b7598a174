"""Knobs that are numbers in a range: float and int, evenly spread or evenly in their logarithm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from tune_lr.errors import BadInput
from tune_lr.space.knobs import Knob
from tune_lr.space.values import LARGEST_INT, number, whole

#: Bounds are meant up to rounding: a float beyond by this part of the larger bound is taken as the bound.
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class RangeKnob(Knob):
    """What float and int have in common: ``low``, ``high`` (both included) and ``log``."""

    low: float
    high: float
    log: bool = False

    def _settle(self) -> None:
        for bound in ("low", "high"):
            object.__setattr__(self, bound, self._parse(getattr(self, bound), bound))
        if not isinstance(self.log, bool):
            raise BadInput("log", self.log, "true or false")
        if not self.low < self.high:
            raise BadInput("low", self.low, f"less than high ({self.high}); for one value use type: constant")
        if self.log and self.low <= 0:
            raise BadInput("low", self.low, "more than 0 where log is true")
        if not math.isfinite(self.high - self.low):
            raise BadInput("high", self.high, "a range whose width is a finite number")

    def _own(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, **({"log": True} if self.log else {})}

    def _extent(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True, eq=False)
class FloatKnob(RangeKnob):
    """A number between ``low`` and ``high``, both included; evenly in its logarithm where ``log``."""

    kind: ClassVar[str] = "float"

    def _parse(self, value: object, what: str) -> float:
        return number(value, what)

    def _check(self, value: object) -> float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            slack = ROUNDING * max(abs(self.low), abs(self.high))
            if self.low - slack <= value <= self.high + slack:
                return min(max(float(value), self.low), self.high)
        raise BadInput("value", value, f"a number between {self.low} and {self.high}")

    def _read(self, value: object) -> object:
        return float(value) if type(value) is int and abs(value) <= LARGEST_INT else value

    def _to_unit(self, value: Any) -> float:
        if not self.log:
            return float((value - self.low) / (self.high - self.low))
        low, high = math.log(self.low), math.log(self.high)
        return (math.log(value) - low) / (high - low) if high > low else 0.5

    def _from_unit(self, u: float) -> float:
        if u in (0.0, 1.0):
            return self.high if u else self.low
        if self.log:
            value = math.exp((1 - u) * math.log(self.low) + u * math.log(self.high))
        else:
            value = self.low + u * (self.high - self.low)
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, eq=False)
class IntKnob(RangeKnob):
    """A whole number between ``low`` and ``high``, both included; evenly in its logarithm where ``log``.

    In the unit interval every whole number is a bin one wide (before the logarithm), so that both ends are
    as likely as what lies between.
    """

    kind: ClassVar[str] = "int"
    low: int
    high: int

    def every(self) -> range:
        return range(self.low, self.high + 1)

    def _parse(self, value: object, what: str) -> int:
        return whole(value, what)

    def _check(self, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
            return int(value)
        raise BadInput("value", value, f"a whole number between {self.low} and {self.high}")

    def _read(self, value: object) -> object:
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def _edges(self) -> tuple[float, float]:
        low, high = self.low - 0.5, self.high + 0.5
        return (math.log(low), math.log(high)) if self.log else (low, high)

    def _to_unit(self, value: Any) -> float:
        low, high = self._edges()
        return ((math.log(value) if self.log else value) - low) / (high - low)

    def _from_unit(self, u: float) -> int:
        low, high = self._edges()
        found = low + u * (high - low)
        found = math.exp(found) if self.log else found
        return min(max(math.floor(found + 0.5), self.low), self.high)
