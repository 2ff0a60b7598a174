"""Tables of JSON lines: one object a row, nested ones flattened, kept as columns of one kind each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from tune_lr.errors import BadInput
from tune_lr.history import files
from tune_lr.history.columns import MOST_CELLS
from tune_lr.history.importers.table_files import (
    LONGEST_HEADER,
    MOST_COLUMNS,
    MOST_ROWS,
    Batches,
    Kind,
    is_number,
)
from tune_lr.history.log import Skipped
from tune_lr.journal import in_utf8

_ROWS = 20_000
#: So that lines which each name other things do not fill the memory with what they lack.
_CELLS = 4_000_000
_DEEPEST = 8
_WIDER: dict[tuple[Kind, Kind], Kind] = {("whole", "number"): "number", ("number", "whole"): "number"}


class LinesFile:
    """Read once, when it is opened: which columns there are is known only at its end."""

    def __init__(self, path: Path, skipped: Skipped) -> None:
        self.path, self.skipped = path, skipped
        self.kinds: dict[str, Kind] = {}
        self.mixed: set[str] = set()
        self.percents: set[str] = set()
        self.empty: set[str] = set()
        self._more_numbers: Counter[str] = Counter()
        self._chunks: list[tuple[int, dict[str, pa.Array]]] = []
        self._gaps = 0
        gathered: dict[str, list[Any]] = {}
        count = rows = 0
        for line in files.json_lines(path, skipped):
            flat = line if not _nested(line) else dict(self._flat(line, "", 0))
            for name, value in flat.items():
                column = gathered.get(name)
                if column is None:
                    column = gathered[name] = []
                if len(column) < count:
                    column.extend([None] * (count - len(column)))
                column.append(value)
            count += 1
            if count == _ROWS or count * len(gathered) > _CELLS:
                self._keep(gathered, count)
                rows, count, gathered = rows + count, 0, {}
                if rows >= MOST_ROWS:
                    raise files.bad(path, f"a table of at most {MOST_ROWS} rows")
        self._keep(gathered, count)
        self.mostly = {name for name in self.mixed if self._more_numbers[name] > 0}
        if not self.kinds:
            raise files.bad(path, "lines with one JSON object each")

    def batches(self, wanted: Collection[str], texts: Collection[str]) -> Batches:
        names = [name for name in self.kinds if name in wanted and self.kinds[name] != "other"]
        for rows, chunk in self._chunks:
            yield {name: self._cast(chunk.get(name), rows, name, name in texts) for name in names}

    def _cast(self, column: pa.Array | None, rows: int, name: str, as_text: bool) -> pa.Array:
        kind = "text" if as_text else self.kinds[name]
        if column is None:
            return pa.nulls(rows, pa.float64() if kind in ("whole", "number") else _ARROW[kind])
        if kind in ("whole", "number"):
            return column.cast(pa.float64(), safe=False)
        return column.cast(_ARROW[kind])

    def _keep(self, gathered: dict[str, list[Any]], rows: int) -> None:
        chunk = {}
        if len(self.kinds) + len(gathered) > MOST_COLUMNS:
            raise files.bad(self.path, f"a table of at most {MOST_COLUMNS} columns")
        for name, values in gathered.items():
            values.extend([None] * (rows - len(values)))
            kind, array = self._column(name, values)
            before = self.kinds.get(name)
            if before is None or before == "other":
                self.kinds[name] = kind
            elif kind not in (before, "other"):
                self.kinds[name] = _WIDER.get((before, kind), "text")
                self.mixed |= {name} if self.kinds[name] == "text" else set()
            if array is not None:
                chunk[name] = array
                self._gaps += array.null_count
        if self._gaps > MOST_CELLS:  # what stands in the file is bounded by its size
            raise files.bad(self.path, f"lines that lack at most {MOST_CELLS} of one another's values")
        self._chunks.append((rows, chunk))

    def _column(self, name: str, values: list[Any]) -> tuple[Kind, pa.Array | None]:
        """Values as one array; what is neither number, truth nor text is left out and counted."""
        kinds = set(map(type, values))
        kinds.discard(type(None))
        if not kinds:
            return "other", None
        if not kinds <= {int, float, bool, str}:
            odd = sum(type(value) not in (int, float, bool, str) for value in values if value is not None)
            self.skipped.add(
                self.path.name, f"a value of {name[:100]!r} that is no number, truth or text", odd
            )
            values = [value if type(value) in (int, float, bool, str) else None for value in values]
            return self._column(name, values)
        if kinds <= {int, float}:
            self._more_numbers[name] += len(values)
            kind: Kind = "whole" if kinds == {int} else "number"
            try:
                if kind == "whole":
                    return kind, pa.array(values, pa.int64())
                return kind, pa.array(values, pa.float64(), from_pandas=False)
            except (pa.ArrowException, OverflowError, ValueError):
                return "number", pa.array(list(map(_float, values)), pa.float64())
        if kinds == {bool}:
            return "bool", pa.array(values, pa.bool_())
        of_numbers = sum(
            is_number(value) if type(value) is str else type(value) in (int, float) for value in values
        )
        self._more_numbers[name] += 2 * of_numbers - len(values)
        self.mixed |= {name} if kinds != {str} else set()
        return "text", pa.array(list(map(_text, values)), pa.string())

    def _flat(self, value: dict[str, Any], before: str, depth: int) -> Iterator[tuple[str, Any]]:
        if depth > _DEEPEST:
            raise files.bad(self.path, "JSON that is nested less deeply")
        for name, inner in value.items():
            if isinstance(inner, dict):
                # The knobs of a configuration are named as the schema names them.
                dot = "/" if depth == 0 and name == "config" else "."
                yield from self._flat(inner, f"{before}{name}{dot}", depth + 1)
            else:
                yield before + name, inner


def keys(path: Path) -> list[str] | None:
    """The names in the first object of a file of JSON lines; None where there is none."""
    try:
        start = files.head(path).lstrip()
        if b"\n" not in start:
            start = files.head(path, LONGEST_HEADER).lstrip()
        found = files.parse_json(start.split(b"\n", 1)[0], path)
    except BadInput:
        return None
    return [*found] if isinstance(found, dict) and found else None


_ARROW = {"text": pa.string(), "bool": pa.bool_()}


def _nested(line: dict[str, Any]) -> bool:
    return dict in map(type, line.values())


def _float(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:
        return math.inf


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return in_utf8(str(value))
