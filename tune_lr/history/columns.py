"""What importers gather row by row, held as columns of numbers; and configurations as flat columns."""

from __future__ import annotations

import math
from array import array
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from tune_lr.history.log import Skipped
from tune_lr.history.matching import CONFIG
from tune_lr.journal import in_utf8

#: More metrics than this in one log are no metrics.
MOST_COLUMNS = 2000
DEEPEST_CONFIG = 8


class Columns:
    """Numbers by name, a row at a time; NaN where a row lacks a name, or has no number there."""

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {}
        self._rows = 0

    def add(self, row: Mapping[str, Any], spelled: Mapping[str, float] | None = None) -> None:
        """One more row. ``spelled`` says which texts stand for numbers (``NaN``)."""
        columns = self._columns
        for name, value in row.items():
            kind = type(value)
            if kind is not float:
                if kind is int:
                    value = _number(value)
                elif spelled and kind is str and value in spelled:
                    value = spelled[value]
                else:
                    continue
            column = columns.get(name)
            if column is None:
                if len(columns) >= MOST_COLUMNS:
                    continue
                column = columns[name] = array("d")
            if len(column) < self._rows:
                column.extend([np.nan] * (self._rows - len(column)))
            column.append(value)
        self._rows += 1

    def extend(self, rows: int, columns: Mapping[str, Sequence[Any]]) -> None:
        """``rows`` more at once, by columns; what is no number in them is NaN."""
        for name, values in columns.items():
            floats = numbers(values)
            column = self._columns.get(name)
            if column is None:
                if len(self._columns) >= MOST_COLUMNS or not _has_a_number(values):
                    continue
                column = self._columns[name] = array("d")
            if len(column) < self._rows:
                column.extend([np.nan] * (self._rows - len(column)))
            column.extend(floats)
        self._rows += rows

    def arrays(self, besides: Container[str] = ()) -> dict[str, np.ndarray[Any, Any]]:
        """Every column at full length, but for those of a name in ``besides``."""
        found = {}
        for name, column in self._columns.items():
            if name in besides:
                continue
            values = np.full(self._rows, np.nan)
            values[: len(column)] = np.frombuffer(column, np.float64) if len(column) else []
            found[str(name)] = values
        return found


def numbers(values: Sequence[Any]) -> array[float]:
    """A column's values as floats; NaN for whatever is none."""
    if isinstance(values, array):
        return values
    if set(map(type, values)) <= {float, int}:  # all at once, which is most often so
        try:
            return array("d", values)
        except OverflowError:
            pass
    return array("d", [_number(value) for value in values])


def _number(value: Any) -> float:
    if type(value) not in (float, int):
        return np.nan
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def _has_a_number(values: Sequence[Any]) -> bool:
    """Whether one of the values is a number, be it NaN."""
    return isinstance(values, array) or any(type(value) in (float, int) for value in values)


def flat_config(config: object, where: object, skipped: Skipped) -> dict[str, Any]:
    """A configuration as ``config/<knob>`` -> text, number or boolean; nested names are joined with dots."""
    found: dict[str, Any] = {}
    if isinstance(config, Mapping):
        _flatten(config, CONFIG, found, where, skipped, 0)
    elif config is not None:
        skipped.add(where, "a configuration that is no mapping")
    return found


def _flatten(
    config: Mapping[Any, Any], prefix: str, found: dict[str, Any], where: object, skipped: Skipped, depth: int
) -> None:
    for name, value in config.items():
        key = in_utf8(f"{prefix}{name}")
        if key in found:  # "a.b" beside a "b" in "a"
            skipped.add(where, f"a second value of {key.removeprefix(CONFIG)!r}")
        elif isinstance(value, Mapping) and depth < DEEPEST_CONFIG:
            _flatten(value, f"{key}.", found, where, skipped, depth + 1)
        elif isinstance(value, str):
            found[key] = in_utf8(value)
        elif math.isfinite(value) if isinstance(value, float) else _fits(value):
            found[key] = value
        elif value is not None and value == value:  # NaN is a value that is missing
            skipped.add(where, f"a value of {key.removeprefix(CONFIG)!r} that is no text, number or boolean")


def _fits(value: object) -> bool:
    """Whether it is true, false, or a whole number that a column can hold."""
    return isinstance(value, int) and abs(value) < 2**63
