"""The files of tables: what columns one has and of what kind, and their values in batches.

A number is a float here whatever its file says, so that a column whose first rows are whole goes on; which
columns were whole is remembered.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tune_lr.errors import BadInput
from tune_lr.history import files
from tune_lr.history.columns import MOST_CELLS
from tune_lr.history.log import Skipped

Kind = Literal["whole", "number", "bool", "text", "other"]
Batches = Generator[dict[str, pa.Array], None, None]

TEXT_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
LINE_SUFFIXES = (".jsonl", ".ndjson")
SUFFIXES = (*TEXT_SUFFIXES, *LINE_SUFFIXES, ".parquet")
#: A log of a million reports is large; what has far more rows is no log, or a trap.
MOST_ROWS = 50_000_000
MOST_COLUMNS = 20_000
#: A first line of more is none.
LONGEST_HEADER = 4 * 1024**2
_BATCH, _BATCH_CELLS = 64 * 1024, 4_000_000
#: What the footer of a file of a history's store has (``history.store``).
FOOTER = b"tune_lr"


class TableFile(Protocol):
    """One table.

    ``kinds`` has its columns in their order, by name. Of those that come as text, ``mixed`` hold numbers as
    well, and ``mostly`` hold more numbers than text, so that they are meant as numbers; ``percents`` hold
    nothing but percentages. ``empty`` have no value as far as they were looked at.
    """

    kinds: dict[str, Kind]
    mixed: set[str]
    mostly: set[str]
    percents: set[str]
    empty: set[str]

    def batches(self, wanted: Collection[str], texts: Collection[str]) -> Batches:
        """The wanted columns, some rows at a time; ``texts`` come as text whatever they hold.

        Raises:
            Retype: a column is not of the kind it began as; ask again.
            BadInput: the rest cannot be read.
        """
        ...


class TooLarge(BadInput):
    """A table has more rows times columns than can be kept, so that none of it is."""

    def __init__(self, where: str, columns: int) -> None:
        super().__init__("table", where, f"at most {MOST_CELLS} cells")
        self.args = (
            f"{where[:60]}: expected a table of at most {MOST_CELLS} cells, that is, rows times the columns "
            f"that are kept (here {columns}). Leave out columns or rows, or import it in parts",
        )


class Retype(Exception):
    """A column has turned out as text: its kind is changed, and the file is to be read again."""


def suffix_of(path: Path) -> str | None:
    """Which of the suffixes of tables a file has."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


class ParquetFile:
    """A Parquet file; columns that are neither numbers, truth nor text are passed over."""

    def __init__(self, path: Path, skipped: Skipped) -> None:
        self.path, self._letters = path, 0
        self.mixed: set[str] = set()
        self.mostly: set[str] = set()
        self.percents: set[str] = set()
        self.empty: set[str] = set()
        with files.open_plain(path) as file:
            try:
                read = pyarrow.parquet.ParquetFile(file)
                schema, rows = read.schema_arrow, read.metadata.num_rows
                names = once([*schema.names], path, skipped)
            except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
                raise files.bad(path, f"a Parquet file that can be read ({first_line(error)})") from None
        if FOOTER in (schema.metadata or {}) and "kind" in schema.names:
            raise _of_a_store(path)
        if rows > MOST_ROWS:
            raise files.bad(path, f"a table of at most {MOST_ROWS} rows")
        self.kinds = {
            name: kind_of(kind) for name, kind in zip(names, schema.types, strict=True) if name is not None
        }
        self.empty |= {
            name for name, kind in zip(names, schema.types, strict=True) if name and pa.types.is_null(kind)
        }

    def batches(self, wanted: Collection[str], texts: Collection[str]) -> Batches:
        names = [name for name in self.kinds if name in wanted and self.kinds[name] != "other"]
        self._letters = 0
        with files.open_plain(self.path) as file:
            try:
                # A text that many rows share stands there once, and here too until it is known how many.
                texts_here = [name for name in names if self.kinds[name] == "text"]
                # Nor may threads of Arrow's read ahead in a file that is done with (see table_stream).
                read = pyarrow.parquet.ParquetFile(file, read_dictionary=texts_here, pre_buffer=False)
                # Nothing but the number of its rows may stand in a file, and a batch of them is made in full.
                size = max(1, min(_BATCH, _BATCH_CELLS // max(1, len(names))))
                for batch in read.iter_batches(batch_size=size, columns=names, use_threads=False):
                    yield {name: self._plain(batch.column(name), name in texts) for name in names}
            except BadInput:
                raise
            except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
                raise files.bad(self.path, f"rows that can be read ({first_line(error)})") from None

    def _plain(self, column: pa.Array, as_text: bool) -> pa.Array:
        kind = kind_of(column.type)
        if pa.types.is_dictionary(column.type):
            if kind == "text":
                sizes = pc.binary_length(column.dictionary.cast(pa.large_string())).take(column.indices)
                self._letters += pc.sum(sizes).as_py() or 0
                if self._letters > files.LARGEST_VALUE:
                    raise files.bad(self.path, f"a table of at most {files.LARGEST_VALUE} bytes of text")
            column = column.dictionary_decode()
        plain = column.cast(pa.string() if as_text else ARROW[kind], safe=False)
        plain.validate(full=kind == "text")  # that it is UTF-8 is only said in the file
        return plain


def is_number(text: str) -> bool:
    """Whether a text is read as a number, NaN and infinities among them."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def once(names: list[str], path: Path, skipped: Skipped) -> list[str | None]:
    """Each name once: of columns of one name the first is taken."""
    seen: set[str] = set()
    kept: list[str | None] = []
    for name in names:
        if name in seen:
            skipped.add(path.name, f"column {name[:100]!r}, which stands there twice")
        kept.append(None if name in seen or not name else name)
        seen.add(name)
    return kept


ARROW: dict[Kind, Any] = {
    "whole": pa.float64(),
    "number": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
}


def kind_of(found: Any) -> Kind:
    """What a column holds; one that is empty as far as it was looked at may hold numbers."""
    types = pa.types
    if types.is_dictionary(found):
        return kind_of(found.value_type)
    if types.is_integer(found):
        return "whole"
    if types.is_floating(found) or types.is_null(found) or types.is_decimal(found):
        return "number"
    if types.is_boolean(found):
        return "bool"
    if types.is_string(found) or types.is_large_string(found):
        return "text"
    return "text" if types.is_date(found) or types.is_timestamp(found) or types.is_time(found) else "other"


def _of_a_store(path: Path) -> BadInput:
    error = files.bad(path, "a log")
    error.args = (
        f"{path.name[:60]}: this is an experiment of a history's store, not a log. Copy the file into the "
        "folder of your own store, or name the store that it lies in by --store",
    )
    return error


def first_line(error: BaseException) -> str:
    """What an error says, for a message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
