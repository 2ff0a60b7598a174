"""Tables in text: comma, semicolon or tab between values, plain or gzip."""

from __future__ import annotations

import codecs
import csv
import re
import zlib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from tune_lr.errors import BadInput
from tune_lr.history import files
from tune_lr.history.importers.table_files import (
    ARROW,
    LONGEST_HEADER,
    MOST_COLUMNS,
    MOST_ROWS,
    Batches,
    Kind,
    Retype,
    first_line,
    is_number,
    kind_of,
    once,
)
from tune_lr.history.importers.table_spelling import decimal_commas, numbers_among, with_points
from tune_lr.history.importers.table_stream import Stream, beginning, keep, open_text
from tune_lr.history.log import Skipped

BLOCK = 4 * 1024**2
#: Of what is only looked at to see the columns' kinds.
_LOOK = 1024**2
#: What an empty cell looks like. NaN is none of these: it is a value, and says that a trial diverged.
EMPTY = ["", "NULL", "null", "None", "NA", "N/A", "#N/A", "<NA>"]
_TRUE, _FALSE = ["true", "True", "TRUE"], ["false", "False", "FALSE"]
_OF_COLUMN = re.compile(r"In CSV column #(\d+)")
_RAGGED = re.compile(r"CSV parse error: (Row #\d+: )?Expected")
_UNREADABLE = (pa.ArrowException, OSError, zlib.error, EOFError, UnicodeError)


def header(path: Path) -> list[str] | None:
    """The names in the first line of a CSV file; None where there is no such line."""
    try:
        return _dialect(path)[0]
    except (BadInput, OSError):
        return None


class CsvFile:
    """Comma, semicolon or tab between values, plain or gzip.

    Args:
        path: the file.
        skipped: told of what is passed over.
        kind: of what kind all columns are, which then need not be looked at; one that is not becomes text.
    """

    def __init__(self, path: Path, skipped: Skipped, kind: Kind | None = None) -> None:
        self.path, self.skipped = path, skipped
        names, self._delimiter, self._encoding = _dialect(path)
        self._names = once(names, path, skipped)
        if self._encoding == "latin-1":
            self._as_latin()
        self.kinds: dict[str, Kind] = {name: kind for name in self._names if name and kind}
        self.mixed: set[str] = set()
        self.mostly: set[str] = set()
        self.percents: set[str] = set()
        self.empty: set[str] = set()
        self._ragged, self._decimal = 0, "."
        if kind is None:
            self._see_kinds()

    def _see_kinds(self) -> None:
        try:
            first = self._first_rows()
        except Retype:
            first = self._first_rows()
        if pa.binary() in first.schema.types:
            self._as_latin()
            first = self._first_rows()
        if self._delimiter == ";" and decimal_commas(first.columns):
            self._decimal = ","
            first = self._first_rows()
        for name, column in zip(self._names, first.columns, strict=True):
            if name is not None:
                self.kinds[name] = kind_of(column.type)
                self.empty |= {name} if pa.types.is_null(column.type) else set()
                if self.kinds[name] == "text":
                    self._see_numbers(name, column)

    def _see_numbers(self, name: str, column: Any) -> None:
        """What numbers there are among the texts of a column."""
        column = column.cast(pa.string())
        good, percents = numbers_among(with_points(column)[0] if self._decimal == "," else column)
        self.mixed |= {name} if good else set()
        self.mostly |= {name} if good > 0.5 else set()
        self.percents |= {name} if percents else set()

    def _first_rows(self) -> Any:
        """Some rows, to see of what kinds the columns are."""
        with suppress(BadInput):  # a row may be longer than that
            return self._rows_of(_LOOK)
        return self._rows_of(BLOCK)

    def _rows_of(self, block: int) -> Any:
        try:
            # A reader that is left before its end reads on, so it gets no more than is looked at.
            start = beginning(self.path, 2 * block, self._encoding)
            return self._reader(start, None, block).read_next_batch()
        except StopIteration:
            raise files.bad(self.path, "a table with rows") from None
        except _UNREADABLE as error:
            self._turned(error)
            raise files.bad(self.path, f"rows that can be read ({first_line(error)})") from None

    def _as_latin(self) -> None:
        self._encoding = "latin-1"
        self.skipped.add(self.path.name, "text that is not UTF-8, read as Latin-1")

    def batches(self, wanted: Collection[str], texts: Collection[str]) -> Batches:
        types = {
            str(place): pa.string() if name in texts else ARROW[self.kinds[name]]
            for place, name in enumerate(self._names)
            if name is not None and name in wanted
        }
        names = [self._names[int(place)] for place in types]
        respelled = self.mixed - {*texts} if self._decimal == "," else set()
        rows = self._ragged = 0
        with Stream(self.path, self._encoding) as stream:
            try:
                for batch in stream.reader(lambda file: self._reader(file, types)):
                    rows += batch.num_rows
                    if rows > MOST_ROWS:
                        raise files.bad(self.path, f"a table of at most {MOST_ROWS} rows")
                    columns: dict[str, Any] = dict(zip(names, batch.columns, strict=True))  # type: ignore[arg-type]
                    yield columns | {
                        name: self._respelled(name, columns[name]) for name in respelled & {*columns}
                    }
            except pa.ArrowInvalid as error:
                self._turned(error)
                raise files.bad(self.path, f"rows that can be read ({first_line(error)})") from None
            except _UNREADABLE as error:
                raise files.bad(self.path, f"rows that can be read ({first_line(error)})") from None
            self.skipped.add(self.path.name, "the torn end of a gzip file", stream.torn)
        self.skipped.add(self.path.name, "a row with more or fewer values than columns", self._ragged)

    def _respelled(self, name: str, column: Any) -> Any:
        column, lost = with_points(column)
        self.skipped.add(self.path.name, f"a value of {name[:100]!r} with a point among decimal commas", lost)
        return column

    def _turned(self, error: Exception) -> None:
        """Makes text of the column that an error is about, and asks to read again."""
        text = str(error)
        # That a ragged row is passed over fails only where its text cannot be decoded.
        undecoded = "UTF8" in text or _RAGGED.match(text)
        if self._encoding == "utf8" and undecoded:
            self._as_latin()
            raise Retype from None
        found = _OF_COLUMN.search(text)
        name = self._names[int(found[1])] if found and int(found[1]) < len(self._names) else None
        if "conversion error" in text and name is not None and self.kinds[name] != "text":
            self.kinds[name] = "text"
            self.mixed.add(name)
            raise Retype from None

    def _reader(self, file: Any, types: dict[str, Any] | None, block: int = BLOCK) -> Any:
        places = [str(place) for place in range(len(self._names))]
        parsing = pyarrow.csv.ParseOptions(
            delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=self._pass_over
        )
        keep(parsing)
        try:
            return pyarrow.csv.open_csv(
                file,
                pyarrow.csv.ReadOptions(
                    column_names=places,
                    skip_rows_after_names=1,
                    block_size=block,
                    use_threads=False,
                ),
                parsing,
                pyarrow.csv.ConvertOptions(
                    column_types=types or {},
                    include_columns=list(types or []),
                    null_values=EMPTY,
                    true_values=_TRUE,
                    false_values=_FALSE,
                    strings_can_be_null=True,
                    timestamp_parsers=["%"],  # none: a date is text
                    decimal_point=self._decimal,
                ),
            )
        except (*_UNREADABLE, ValueError) as error:
            self._turned(error)
            raise files.bad(self.path, f"a table with rows ({first_line(error)})") from None

    def _pass_over(self, row: Any) -> str:
        self._ragged += 1
        return "skip"


def _dialect(path: Path) -> tuple[list[str], str, str]:
    """The names in the first line, what stands between them, and the encoding."""
    with open_text(path) as file:
        try:
            start = file.read(files.HEAD)
            if b"\n" not in start and b"\r" not in start and b"\0" not in start:
                start += file.read(LONGEST_HEADER)  # as of a chart of a thousand runs
        except zlib.error as error:
            raise files.bad(path, f"a gzip file ({error})") from None
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf8"
    if encoding == "utf8" and b"\0" in start:
        raise files.bad(path, "a table in text, without zero bytes")
    try:
        codecs.getincrementaldecoder(encoding)().decode(start)
    except UnicodeDecodeError:
        encoding = "latin-1" if encoding == "utf8" else encoding
    text = start.decode("utf-8-sig" if encoding == "utf8" else encoding, "replace")
    line = text.lstrip("\r\n").splitlines()[0] if text.strip() else ""
    tabs = ".tsv" in path.name.lower()
    delimiter = "\t" if tabs else max(",;\t", key=line.count)
    try:
        names = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise files.bad(path, f"a table with a header ({error})") from None
    if not names or len(names) > MOST_COLUMNS or all(is_number(name) or not name.strip() for name in names):
        raise files.bad(path, "a table whose first line names its columns")
    return [name.strip() for name in names], delimiter, encoding
