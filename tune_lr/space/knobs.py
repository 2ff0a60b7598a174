"""What every kind of knob is: a pure value that checks values and takes them to the unit interval and back.

A knob does not know its own name: errors raised here name the field of the knob, and the space around it adds
the knob's name.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tune_lr.errors import BadInput
from tune_lr.space.values import Value, listed, plain, within

When = Mapping[str, tuple[Value, ...]]


def conditions(when: object) -> dict[str, tuple[Value, ...]]:
    """``when`` with every knob's value or list of values as a tuple; raises BadInput."""
    if not isinstance(when, Mapping):
        raise BadInput("when", when, "a mapping such as {other_knob: value} or {other_knob: [value, ...]}")
    found = {}
    for name, allowed in when.items():
        if not isinstance(name, str):
            raise BadInput("when", name, "the name of another knob")
        many = isinstance(allowed, (list, tuple))
        found[name] = listed(allowed if many else [allowed], f"when {name}")
    return found


@dataclass(frozen=True, eq=False)
class Knob(ABC):
    """One choice of a space.

    Args:
        default: the value to begin with; None for the middle of the range, or the first category.
        when: other knobs and the values that they must have for this one to be active.
        description: for people; no part of a knob's identity.

    Raises:
        BadInput: a field cannot be used.
    """

    kind: ClassVar[str]
    default: Any = field(default=None, kw_only=True)
    when: When = field(default_factory=dict, kw_only=True)
    description: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.description, str):
            raise BadInput("description", self.description, "text")
        object.__setattr__(self, "when", conditions(self.when))
        self._settle()
        if self.default is not None:
            given = self._parse(self.default, "default")
            with within("default"):
                object.__setattr__(self, "default", self.check(given))

    def check(self, value: object) -> Value:
        """``value`` as this knob's plain type.

        Raises:
            BadInput: it is out of range or of another kind (True is no 1, and 1.0 is no whole number; but a
                whole number is a float where floats are asked for).
        """
        return self._check(plain(value))

    def read(self, value: object) -> object:
        """What a table or an old log wrote for a value, where it is clear; unchanged otherwise.

        Tables turn integers into floats, and ratios come back with rounding; nothing is clipped or refused.
        """
        return self._read(plain(value))

    def to_unit(self, value: Value) -> float:
        """A checked value as a coordinate in [0, 1]."""
        return min(max(self._to_unit(value), 0.0), 1.0)

    def from_unit(self, u: float) -> Value:
        """The value at a coordinate, which is clipped to [0, 1]; the inverse of :meth:`to_unit`."""
        return self._from_unit(min(max(float(u), 0.0), 1.0))

    def start(self) -> Value:
        """The default, or else the middle of the range or the first category."""
        return self._middle() if self.default is None else self.default

    def extent(self) -> tuple[float, float] | None:
        """The smallest and largest value, or None where values are not numbers."""
        return self._extent()

    def every(self) -> Sequence[Value] | None:
        """All values that there are, in order, or None where they are a continuum."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe content as in a space file; fields that say nothing are left out."""
        content: dict[str, Any] = {"type": self.kind, **self._own()}
        if self.default is not None:
            content["default"] = self.default
        if self.when:
            content["when"] = {name: list(v) if len(v) > 1 else v[0] for name, v in self.when.items()}
        if self.description:
            content["description"] = self.description
        return content

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Knob) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> str:
        content = self.to_dict()
        content.pop("description", None)
        # As JSON, since Python takes 1, 1.0 and True for equal.
        return json.dumps(content)

    # What a kind says about itself.

    @abstractmethod
    def _settle(self) -> None:
        """Check the fields of this kind, and bring them to plain types."""

    @abstractmethod
    def _own(self) -> dict[str, Any]:
        """The fields of this kind, JSON-safe."""

    @abstractmethod
    def _check(self, value: object) -> Value: ...

    @abstractmethod
    def _read(self, value: object) -> object: ...

    @abstractmethod
    def _to_unit(self, value: Any) -> float: ...

    @abstractmethod
    def _from_unit(self, u: float) -> Value: ...

    @abstractmethod
    def _extent(self) -> tuple[float, float] | None: ...

    def _parse(self, value: object, what: str) -> object:
        """A value as the author of a space wrote it."""
        return value

    def _middle(self) -> Value:
        return self._from_unit(0.5)
