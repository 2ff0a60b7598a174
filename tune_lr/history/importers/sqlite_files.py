"""A stranger's SQLite file, read by the standard library: nothing is written, and nothing in it runs.

Only plain tables are read, each whole and in one pass: no view, trigger, index, generated column or function
of the file's own takes part. How much a file can make of itself is bounded by its size, since pages may lie
about what is below them.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history import files
from tune_lr.history.columns import LARGEST_WHOLE
from tune_lr.history.log import Skipped

#: What a column must hold: a whole number, the same or nothing, a number or nothing (NaN), text, or text that
#: many rows share, which comes out as numbers and the list that they point into.
Kind = Literal["whole", "whole?", "number", "text", "code"]

_MAGIC = b"SQLite format 3\0"
_LONGEST_TEXT = 64 * 1024
_ROWS_AT_ONCE = 5_000
#: No row of a table takes fewer bytes.
_LEAST_ROW = 5
#: Steps of SQLite's machine: reading a table takes about two for each of its bytes.
_STEPS_BETWEEN, _LEAST_STEPS, _STEPS_A_BYTE = 100_000, 20_000_000, 20
_FIRST_PAGES = 1024**2
_HALF_WRITTEN = "a process that ended left it half-written: open it once with the tool that wrote it"
_WHOLE = f"(typeof({{0}}) = 'integer' AND {{0}} BETWEEN -{LARGEST_WHOLE} AND {LARGEST_WHOLE})"
_HOLDS = {
    "whole": _WHOLE,
    "whole?": f"({{0}} IS NULL OR {_WHOLE})",
    "number": "(typeof({0}) IN ('real', 'integer', 'null'))",
    "text": f"(typeof({{0}}) = 'text' AND length({{0}}) <= {_LONGEST_TEXT})",
}
_HOLDS["code"] = _HOLDS["text"]


def is_sqlite(path: Path) -> bool:
    """Whether a file begins as an SQLite database does; raises nothing."""
    return files.head(path, len(_MAGIC)) == _MAGIC


def has_tables(path: Path, wanted: Collection[str]) -> bool:
    """Whether a file has these tables, or seems to where it cannot be read; raises nothing."""
    if not is_sqlite(path):
        return False
    try:
        with database(path) as found:
            return all(found.columns(table) for table in wanted)
    except (BadInput, OSError):
        # Claimed by what its first pages say, so that a person is told why it cannot be read.
        start = files.head(path, _FIRST_PAGES)
        return all(re.search(rb'CREATE TABLE "?%s"?\W' % table.encode(), start) for table in wanted)


@contextmanager
def database(path: Path) -> Iterator[Database]:
    """A database, open to read (BadInput: it cannot be, now or while it is read)."""
    start = files.head(path, 100)
    if not start.startswith(_MAGIC):
        raise files.bad(path, "an SQLite database")
    real = path.resolve()  # beside which SQLite looks as well
    wal = real.with_name(real.name + "-wal")
    try:
        if _size(wal):
            # Reading it in place would write a file beside it, and read marks into that.
            with tempfile.TemporaryDirectory() as folder:
                copy = _copied(real, wal, Path(folder))
                with _connected(path, copy, _size(copy) + _size(copy.with_name("copy-wal")), "") as found:
                    yield found
        else:
            # No log of changes: what is in the file is all there is, and nothing needs to lie beside it.
            quiet = "&immutable=1" if 2 in start[18:20] or os.path.lexists(wal) else ""
            with _connected(path, real, _size(real), quiet) as found:
                yield found
    except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError) as error:
        reason = _HALF_WRITTEN if "readonly" in str(error) else error
        raise files.bad(path, f"an SQLite database that can be read ({reason})") from None


def _size(path: Path) -> int:
    return path.lstat().st_size if os.path.lexists(path) else 0


def _copied(path: Path, wal: Path, folder: Path) -> Path:
    """A copy of database and log of changes, taken while neither was written."""
    if wal.is_symlink():
        raise files.bad(wal, "an ordinary file beside the database, not a link")
    for _ in range(3):
        before = _stamps(path, wal)
        for source, name in ((path, "copy"), (wal, "copy-wal")):
            with files.open_plain(source) as read, (folder / name).open("wb") as written:
                shutil.copyfileobj(read, written, 1024**2)
        if _stamps(path, wal) == before:
            return folder / "copy"
    raise files.bad(path, "a database that nobody is writing to just now")


def _stamps(*paths: Path) -> list[tuple[int, int]]:
    found = [os.stat(path) for path in paths]
    return [(one.st_mtime_ns, one.st_size) for one in found]


@contextmanager
def _connected(path: Path, at: Path, size: int, quiet: str) -> Iterator[Database]:
    uri = f"{at.absolute().as_uri()}?mode=ro{quiet}"
    with closing(sqlite3.connect(uri, uri=True, timeout=1.0)) as connection:
        yield Database(path, connection, size)


class Database:
    """The plain tables of an SQLite file."""

    def __init__(self, path: Path, connection: sqlite3.Connection, size: int) -> None:
        self.path, self._connection, self._size = path, connection, size
        self._steps = 0
        connection.set_progress_handler(self._too_long, _STEPS_BETWEEN)
        connection.text_factory = _forgiving
        for setting in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {setting}")
        master = self._connection.execute(
            "SELECT name, type, rootpage FROM sqlite_master WHERE type IN ('table', 'view') LIMIT 10000"
        )
        # A virtual table, which code stands behind, has no page of its own.
        self._tables = {name for name, kind, page in master if kind == "table" and page}
        connection.text_factory = str

    def _too_long(self) -> bool:
        self._steps += _STEPS_BETWEEN
        return self._steps > _LEAST_STEPS + _STEPS_A_BYTE * self._size

    def columns(self, table: str) -> set[str]:
        """The columns of a table; none where there is no such table, or one that computes any of them."""
        if table not in self._tables:
            return set()
        self._steps = 0
        found = self._connection.execute(f'PRAGMA table_xinfo("{table}")').fetchall()
        return set() if any(row[6] for row in found) else {row[1] for row in found}

    def read(
        self, table: str, wanted: Mapping[str, Kind | tuple[Kind, str]], skipped: Skipped
    ) -> dict[str, Any]:
        """Columns of a table, all in the order of its rows: numbers as arrays of floats, text as lists.

        Rows that hold something else than they should are counted as skipped.

        Args:
            table: its name.
            wanted: column -> kind; with the expression to read in the column's place, where one is given.
            skipped: what was passed over.

        Raises:
            BadInput: the table is not there, is none, or lacks a column.
        """
        there = self.columns(table)
        missing = [name for name in wanted if name not in there]
        if missing:
            raise files.bad(self.path, f"a database with column {missing[0]!r} in its table {table!r}")
        try:
            return self._read(table, wanted, skipped)
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
        skipped.add(self.path.name, f"text that is no UTF-8, in table {table!r}: read as far as it is")
        self._connection.text_factory = _forgiving
        try:
            return self._read(table, wanted, skipped)
        finally:
            self._connection.text_factory = str

    def _read(
        self, table: str, wanted: Mapping[str, Kind | tuple[Kind, str]], skipped: Skipped
    ) -> dict[str, Any]:
        kinds = {name: kind if isinstance(kind, str) else kind[0] for name, kind in wanted.items()}
        selected = ", ".join(
            f'"{name}"' if isinstance(kind, str) else kind[1] for name, kind in wanted.items()
        )
        sound = " AND ".join(_HOLDS[kind].format(f'"{name}"') for name, kind in kinds.items())
        self._steps = 0
        (rows,) = self._connection.execute(f'SELECT count(*) FROM "{table}" NOT INDEXED').fetchone()
        cursor = self._connection.execute(f'SELECT {selected} FROM "{table}" NOT INDEXED WHERE {sound}')
        columns = [_Column(kind) for kind in kinds.values()]
        read, texts = 0, 0
        while chunk := cursor.fetchmany(_ROWS_AT_ONCE):
            read += len(chunk)
            for column, values in zip(columns, zip(*chunk, strict=True), strict=True):
                texts += column.add(values)
            if read * _LEAST_ROW > self._size or texts > 4 * self._size:
                raise files.bad(self.path, "a database that holds no more than its size allows")
        skipped.add(self.path.name, f"a row of table {table!r} that holds what it should not", rows - read)
        return {name: column.all() for name, column in zip(kinds, columns, strict=True)}


class _Column:
    """One column as it is read."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._parts: list[Any] = []
        self._texts: list[str] = []
        self._codes: dict[str, int] = {}

    def add(self, values: tuple[Any, ...]) -> int:
        """Take values in; returns how long their texts are."""
        if self._kind == "text":
            self._texts.extend(values)
        elif self._kind == "code":
            codes = self._codes
            self._parts.append(np.array([codes.setdefault(text, len(codes)) for text in values], "int64"))
        else:
            self._parts.append(np.array(values, "float64"))
            return 0
        return sum(map(len, values))

    def all(self) -> Any:
        if self._kind == "text":
            return self._texts
        if self._kind == "code":
            return np.concatenate([np.empty(0, "int64"), *self._parts]), [*self._codes]
        found = np.concatenate([np.empty(0, "float64"), *self._parts])
        return found.astype("int64") if self._kind == "whole" else found


def _forgiving(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
