"""What importers gather row by row, held as columns of numbers; and configurations as flat columns."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tune_lr.history.log import Skipped
from tune_lr.history.matching import CONFIG
from tune_lr.journal import in_utf8

if TYPE_CHECKING:
    import pandas as pd

#: More metrics than this in one log are no metrics.
MOST_COLUMNS = 2000
#: Rows times columns of a table that is made of a log, so that a row of many names and then many rows of
#: few do not fill the memory.
MOST_CELLS = 50_000_000
#: From here on floats skip whole numbers, so that no epoch can be as large.
LARGEST_WHOLE = 2**53
#: So many columns a table may have however many rows.
_FEWEST = 10
DEEPEST_CONFIG = 8


def most_columns(rows: int) -> int:
    """How many columns a table of so many rows may have."""
    return max(_FEWEST, MOST_CELLS // max(rows, 1))


def fitting(counts: Mapping[str, float], rows: int, skipped: Skipped | None = None) -> list[str]:
    """The metrics that a table of so many rows may have, in their order.

    Where they are too many, those stay that have most numbers (``counts``), and how many do not is told.
    """
    most = most_columns(rows)
    if len(counts) <= most:
        return [*counts]
    kept = set(sorted(counts, key=lambda name: -counts[name])[:most])
    if skipped is not None:
        skipped.add("metrics", "a metric beside very many others", len(counts) - most)
    return [name for name in counts if name in kept]


def trials_of(rows: Sequence[Mapping[str, Any]], skipped: Skipped) -> pd.DataFrame:
    """Trials, each with its own knobs, as one table; where the knobs are too many, those of most trials."""
    import pandas as pd

    most = most_columns(len(rows))
    if len(set[str]().union(*rows)) <= most:
        table: pd.DataFrame = pd.DataFrame(rows)
        return table
    counts = Counter(name for row in rows for name in row)
    kept = [name for name in counts if not name.startswith(CONFIG)]
    knobs = [name for name, _ in counts.most_common() if name.startswith(CONFIG)]
    kept += knobs[: most - len(kept)]
    skipped.add("trials", "a knob beside very many others", len(counts) - len(kept))
    wanted = set(kept)
    table = pd.DataFrame([{n: value for n, value in row.items() if n in wanted} for row in rows])
    return table


class _Column:
    """The numbers of one name, without room for the rows that lack it.

    Args:
        values: the numbers, in the order of their rows.
        shift: by how much the next value's row is ahead of its place in ``values``.
        jumps: where ``shift`` changed: a place in ``values``, and ``shift`` from there on.
    """

    __slots__ = ("jumps", "shift", "values")

    def __init__(self) -> None:
        self.values = array("d")
        self.shift = 0
        self.jumps = array("q")

    def go_to(self, row: int) -> None:
        """The next value is of this row."""
        if len(self.values) + self.shift != row:
            self.shift = row - len(self.values)
            self.jumps.extend((len(self.values), self.shift))

    def rows(self) -> np.ndarray[Any, Any]:
        """The row of every value."""
        places: np.ndarray[Any, Any] = np.arange(len(self.values))
        if not self.jumps:
            return places
        starts, shifts = np.array(self.jumps, np.int64).reshape(-1, 2).T
        # Up to the first jump rows are places; which jump is the last before a place?
        places += np.append(0, shifts)[np.searchsorted(starts, places, side="right")]
        return places


class Columns:
    """Numbers by name, a row at a time; NaN where a row lacks a name, or has no number there."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}
        self._rows = 0
        self._beyond = 0

    def add(self, row: Mapping[str, Any], spelled: Mapping[str, float] | None = None) -> None:
        """One more row. ``spelled`` says which texts stand for numbers (``NaN``)."""
        columns, at = self._columns, self._rows
        for name, value in row.items():
            kind = type(value)
            if kind is not float:
                if kind is int:
                    value = _number(value)
                elif spelled and kind is str and value in spelled:
                    value = spelled[value]
                else:
                    continue
            column = columns.get(name) or self._begun(name)
            if column is None:
                continue
            values = column.values
            if len(values) + column.shift != at:
                column.go_to(at)
            values.append(value)
        self._rows += 1

    def extend(self, rows: int, columns: Mapping[str, Sequence[Any]]) -> None:
        """``rows`` more at once, by columns; what is no number in them is NaN."""
        for name, values in columns.items():
            column = self._columns.get(name)
            if column is None and _has_a_number(values):
                column = self._begun(name)
            if column is not None:
                column.go_to(self._rows)
                column.values.extend(numbers(values))
        self._rows += rows

    def join(self, other: Columns) -> None:
        """The rows of another below one's own."""
        for name, theirs in other._columns.items():
            mine = self._columns.get(name) or self._begun(name)
            if mine is None:
                continue
            starts, shifts = [0, *theirs.jumps[::2]], [0, *theirs.jumps[1::2]]
            for start, end, shift in zip(starts, [*starts[1:], len(theirs.values)], shifts, strict=True):
                mine.go_to(self._rows + start + shift)
                mine.values.extend(theirs.values[start:end])
        self._rows += other._rows
        self._beyond += other._beyond

    def _begun(self, name: str) -> _Column | None:
        """A new column, if there is room for one."""
        if len(self._columns) >= MOST_COLUMNS:
            self._beyond += 1
            return None
        column = self._columns[name] = _Column()
        return column

    def arrays(
        self, besides: Container[str] = (), skipped: Skipped | None = None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Every column at full length, but for those of a name in ``besides``.

        Of more than ``MOST_CELLS`` cells the columns stay that have most numbers; ``skipped`` is told how
        many others there are.
        """
        columns = {str(name): one for name, one in self._columns.items() if name not in besides}
        counts = {name: len(one.values) for name, one in columns.items()}
        if len(counts) > most_columns(self._rows):
            counts = {name: _told(one.values) for name, one in columns.items()}
        if skipped is not None:
            skipped.add("metrics", f"a number of a metric beside {MOST_COLUMNS} others", self._beyond)
        found = {}
        for name in fitting(counts, self._rows, skipped):
            found[name] = np.full(self._rows, np.nan)
            found[name][columns[name].rows()] = columns[name].values
        return found


def _told(values: array[float]) -> int:
    """How many of the values are numbers, and not NaN."""
    return len(values) - int(np.isnan(np.array(values)).sum())


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
        elif type(value) is float and math.isfinite(value):  # most are
            found[key] = value
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
