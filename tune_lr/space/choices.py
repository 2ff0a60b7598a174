"""Knobs that are values from a list: categorical, and constant, whose list has one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tune_lr.errors import BadInput, UnknownName
from tune_lr.space.knobs import Knob
from tune_lr.space.values import LARGEST_INT, Value, listed, nearest, same, scalar


def _float_where_asked(value: object, like: Value) -> object:
    """A whole number as a float where the knob's values are floats."""
    asked = type(value) is int and type(like) is float and abs(value) <= LARGEST_INT
    return float(value) if asked else value  # type: ignore[arg-type]


def _is_number(value: Value) -> bool:
    return type(value) in (int, float)


@dataclass(frozen=True, eq=False)
class CategoricalKnob(Knob):
    """One of ``values``, each equally likely; in the unit interval they are bins of one width, in order.

    Values are all text, all numbers or all true/false, since neither Syne Tune nor a column of a table
    takes a mixture. Whole numbers beside other numbers become floats.
    """

    kind: ClassVar[str] = "categorical"
    values: tuple[Value, ...]

    def _settle(self) -> None:
        values = listed(self.values, "values")
        if {type(value) for value in values} == {int, float}:
            values = tuple(float(value) for value in values)
        if len({type(value) for value in values}) > 1:
            raise BadInput("values", list(values), "one kind: all text, all numbers, or all true/false")
        seen: set[Value] = set()
        for value in values:
            if value in seen:
                raise BadInput("values", value, "values that differ from each other")
            seen.add(value)
        object.__setattr__(self, "values", values)

    def every(self) -> tuple[Value, ...]:
        return self.values

    def _own(self) -> dict[str, Any]:
        return {"values": list(self.values)}

    def _check(self, value: object) -> Value:
        asked = _float_where_asked(value, self.values[0])
        for one in self.values:
            if same(one, asked):
                return one
        if isinstance(value, str) and isinstance(self.values[0], str):
            raise UnknownName("value", value, [str(one) for one in self.values])
        raise BadInput("value", value, f"one of {list(self.values)}")

    def _read(self, value: object) -> object:
        return nearest(self.values, value)

    def _to_unit(self, value: Any) -> float:
        index = next(i for i, one in enumerate(self.values) if same(one, value))
        return (index + 0.5) / len(self.values)

    def _from_unit(self, u: float) -> Value:
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    def _middle(self) -> Value:
        return self.values[0]

    def _extent(self) -> tuple[float, float] | None:
        numbers = [float(value) for value in self.values if _is_number(value)]
        return (min(numbers), max(numbers)) if numbers else None


@dataclass(frozen=True, eq=False)
class ConstantKnob(Knob):
    """A value that does not vary: part of every configuration, no dimension of the unit cube."""

    kind: ClassVar[str] = "constant"
    value: Value

    def _settle(self) -> None:
        object.__setattr__(self, "value", scalar(self.value, "value"))
        if self.default is not None:
            raise BadInput("default", self.default, "no default beside the value of a constant")

    def every(self) -> tuple[Value, ...]:
        return (self.value,)

    def _own(self) -> dict[str, Any]:
        return {"value": self.value}

    def _check(self, value: object) -> Value:
        if not same(_float_where_asked(value, self.value), self.value):
            raise BadInput("value", value, f"{self.value!r}, which is constant")
        return self.value

    def _read(self, value: object) -> object:
        return nearest((self.value,), value)

    def _to_unit(self, value: Any) -> float:
        return 0.5

    def _from_unit(self, u: float) -> Value:
        return self.value

    def _extent(self) -> tuple[float, float] | None:
        return (float(self.value), float(self.value)) if _is_number(self.value) else None
