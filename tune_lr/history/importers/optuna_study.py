"""A study as both of Optuna's storages tell it."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass, field
from typing import Any, Literal

from tune_lr.history.log import Skipped

STATUSES = {"COMPLETE": "completed", "PRUNED": "stopped", "FAIL": "failed", "RUNNING": "running"}


@dataclass
class StudyTrial:
    """One trial; ``values`` are its final values, one an objective."""

    number: int
    status: str | None = "running"
    params: dict[str, Any] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)


@dataclass
class Study:
    """A study; its intermediate values lie in three columns of one length."""

    name: str
    directions: list[str] = field(default_factory=list)
    metric_names: list[str] = field(default_factory=list)
    trials: dict[int, StudyTrial] = field(default_factory=dict)
    owners: array[int] = field(default_factory=lambda: array("q"))
    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    facts: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def mode(self) -> Literal["min", "max"] | None:
        first = self.directions[0] if self.directions else ""
        return {"MINIMIZE": "min", "MAXIMIZE": "max"}.get(first)  # type: ignore[return-value]

    def objectives(self) -> list[str]:
        """The names of what is optimized."""
        count = max(1, len(self.directions))
        named = [name for name in self.metric_names if isinstance(name, str) and name]
        if len(named) == count:
            return named
        return ["value"] if count == 1 else [f"value_{i}" for i in range(count)]


class Distributions:
    """What a parameter's stored number stands for; each distribution is parsed once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, list[Any]]] = {}

    def value(self, number: object, distribution: object, where: object, skipped: Skipped) -> Any:
        """The parameter's value, or None where the two do not fit together."""
        if not isinstance(distribution, str) or type(number) not in (int, float):
            skipped.add(where, "a parameter that cannot be read")
            return None
        if distribution not in self._known:
            self._known[distribution] = _parsed(distribution)
        kind, choices = self._known[distribution]
        found = float(number)  # type: ignore[arg-type]
        if kind == "CategoricalDistribution":
            if found == int(found) and 0 <= found < len(choices):
                return _plain(choices[int(found)])
            skipped.add(where, "a parameter whose choice does not exist")
            return None
        whole = kind in ("IntDistribution", "IntUniformDistribution", "IntLogUniformDistribution")
        return int(found) if whole and abs(found) < 2**53 else found


def _parsed(text: str) -> tuple[str, list[Any]]:
    try:
        content = json.loads(text)
        choices = content["attributes"].get("choices", [])
        return str(content["name"]), choices if isinstance(choices, list) else []
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", []


def _plain(choice: Any) -> Any:
    """A choice as a knob's value; what is none by itself is told as text."""
    return choice if choice is None or isinstance(choice, (str, int, float, bool)) else json.dumps(choice)
