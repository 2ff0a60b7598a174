"""Optuna's parameters: a number each, and beside it the distribution that says what it stands for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.files import parse_json
from tune_lr.history.log import Skipped

#: Optuna's names of distributions, those before 3.0 among them -> kind, and whether they are logarithmic.
_KINDS: dict[str, tuple[Literal["float", "int", "categorical"], bool | None]] = {
    "FloatDistribution": ("float", None),
    "UniformDistribution": ("float", False),
    "LogUniformDistribution": ("float", True),
    "DiscreteUniformDistribution": ("float", False),
    "IntDistribution": ("int", None),
    "IntUniformDistribution": ("int", False),
    "IntLogUniformDistribution": ("int", True),
    "CategoricalDistribution": ("categorical", None),
}
_UNUSABLE = "a parameter that is no text, finite number or truth"


@dataclass(frozen=True)
class Distribution:
    """What a parameter is drawn from."""

    kind: Literal["float", "int", "categorical"]
    low: Any = None
    high: Any = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    def values(self, numbers: Any) -> list[Any]:
        """What Optuna's inner numbers stand for; None where that is no value of a knob."""
        if self.kind == "float":
            return [number if math.isfinite(number) else None for number in numbers.tolist()]
        whole = [int(n) if n.is_integer() and abs(n) < 2**63 else None for n in numbers.tolist()]
        if self.kind == "int":
            return whole
        usable = [choice if _usable(choice) else None for choice in self.choices]
        return [usable[n] if n is not None and 0 <= n < len(usable) else None for n in whole]

    def knob(self) -> dict[str, Any]:
        """The knob as a space file has it; a range with a step is the range."""
        if self.kind == "categorical":
            if len(self.choices) == 1:
                return {"type": "constant", "value": self.choices[0]}
            return {"type": "categorical", "values": [*self.choices]}
        if self.low == self.high:
            return {"type": "constant", "value": self.low}
        return {"type": self.kind, "low": self.low, "high": self.high, "log": self.log}


def parsed(text: str) -> Distribution | None:
    """A distribution as Optuna writes it; None where it is none."""
    try:
        content = parse_json(text, "a distribution")
        kind, log = _KINDS[content["name"]]
        said = content["attributes"]
        if kind == "categorical":
            choices = said["choices"]
            return Distribution(kind, choices=_spelled(choices)) if isinstance(choices, list) else None
        return Distribution(kind, said["low"], said["high"], bool(said.get("log")) if log is None else log)
    except (BadInput, ValueError, KeyError, TypeError, AttributeError):
        return None


def columns_of(
    trials: int,
    params: tuple[Any, ...],
    distributions: dict[str, Distribution | None],
    most: int,
    where: str,
    skipped: Skipped,
) -> dict[str, Any]:
    """The parameters as columns ``config/<knob>``, a value a trial.

    Args:
        trials: how many there are.
        params: of each parameter its trial, its name, Optuna's inner number and its distribution's text.
        distributions: those texts' meaning.
        most: how many knobs there may be.
        where: what is named where something is skipped.
        skipped: what was passed over.
    """
    import pandas as pd

    owners, names, numbers, texts = params
    groups: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(names, texts, strict=True)):
        groups.setdefault(key, []).append(row)
    columns: dict[str, list[Any]] = {}
    for (name, text), rows in groups.items():
        distribution = distributions[text]
        if distribution is None or (name not in columns and len(columns) >= most):
            skipped.add(where, "a parameter of an unknown distribution", len(rows))
            continue
        column = columns.setdefault(name, [None] * trials)
        values = distribution.values(np.asarray(numbers)[rows])
        skipped.add(where, _UNUSABLE, values.count(None))
        for owner, value in zip(owners[rows].tolist(), values, strict=True):
            column[owner] = value
    return {
        f"config/{name}": pd.Series(column, dtype=object).infer_objects() for name, column in columns.items()
    }


def _spelled(choices: list[Any]) -> tuple[Any, ...]:
    """The choices of a knob; where None is one, all are text, since a space has choices of one kind."""
    if None not in choices:
        return tuple(choices)
    return tuple(str(choice) if choice is None or _usable(choice) else choice for choice in choices)


def _usable(choice: Any) -> bool:
    if isinstance(choice, (str, bool)):
        return True
    if isinstance(choice, int):
        return abs(choice) < 2**63
    return isinstance(choice, float) and math.isfinite(choice)
