"""Where a history is kept: a folder or fsspec URI of Parquet files, one an import, named by content hash.

The footer of each file says what it is (``TaskInfo``), so that no index can disagree with the files. Files
are put in place whole and never changed, so many importers and readers may work at once without a lock.

A file has the trials' rows first (``kind`` is ``trial``) and the reports' after them (``report``); reports
name their trial by ``trial_id`` and leave its configuration to the trial's row.
"""

from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.entry import Entry, TaskInfo

if TYPE_CHECKING:
    import pyarrow as pa

_FOOTER = b"tune_lr"
_ROWS_A_GROUP = 250_000
#: Columns that only a report has.
_OF_REPORTS = ("epoch", "seconds")


class Store:
    """The files of one store.

    Raises:
        BadInput: the path is of no filesystem that is known, or a file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import fsspec

        self.where = os.path.expanduser(os.fspath(path))
        try:
            self._files, root = fsspec.core.url_to_fs(self.where)
        except (ValueError, ImportError) as error:
            raise BadInput("--store", self.where, f"a folder or an fsspec URI ({error})") from error
        self._root = str(root).rstrip("/")
        if self._files.isfile(self._root):
            raise BadInput("--store", self.where, "a folder (a file of that name is there)")

    def infos(self) -> list[TaskInfo]:
        """What the store holds, by task, without what was replaced; of a file of another kind it warns."""
        found = [info for name in self._names() if (info := self._info(name)) is not None]
        replaced = {old for info in found for old in info.replaces}
        return sorted((i for i in found if i.id not in replaced), key=lambda i: (i.task, i.source, i.id))

    def read(self, info: TaskInfo) -> Entry:
        """One import (BadInput: its file is gone or damaged)."""
        import pyarrow.parquet as pq

        try:
            with self._files.open(self._path(info.id), "rb") as file:
                table = pq.read_table(file)
        except (OSError, ValueError) as error:
            raise BadInput("history", info.id, f"a file that can be read ({error})") from error
        return _unpacked(info, table)

    def has(self, info: TaskInfo) -> bool:
        """Whether a sound file of an import is there, be it one that was replaced."""
        return self._info(f"{info.id}.parquet") is not None

    def write(self, entry: Entry) -> None:
        """Put an import in place; a reader sees all of it or nothing.

        Raises:
            BadInput: the store cannot be written to.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = pa.BufferOutputStream()
        schema, groups = _packed(entry)
        # Numbers of a metric hardly repeat: to look for those that do costs more than it saves.
        repeat = [one.name for one in schema if not pa.types.is_floating(one.type)]
        with pq.ParquetWriter(buffer, schema, compression="lz4", use_dictionary=repeat) as writer:
            for group in groups:
                writer.write_table(group)
        try:
            self._files.makedirs(self._root, exist_ok=True)
            self._put(self._path(entry.info.id), memoryview(buffer.getvalue()))
        except OSError as error:
            raise BadInput(
                "--store", self.where, f"a folder to write to ({error.strerror or error})"
            ) from error

    def remove(self, info: TaskInfo) -> None:
        """Remove an import and what it replaced, the oldest first, so that nothing old comes back."""
        self._drop(*info.replaces, info.id)

    def restore(self, info: TaskInfo, newer: TaskInfo) -> None:
        """Bring back what a newer import replaced, in place of that and of all else that it replaced."""
        self._drop(*(name for name in newer.replaces if name != info.id), newer.id)

    def _drop(self, *names: str) -> None:
        for name in names:
            with suppress(FileNotFoundError):
                self._files.rm_file(self._path(name))

    def _put(self, path: str, content: memoryview) -> None:
        import fsspec

        # An object store that only has copy and delete puts an object whole or not at all anyway.
        if type(self._files).mv is fsspec.AbstractFileSystem.mv:
            self._files.pipe_file(path, bytes(content))
            return
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/.{name}.{os.getpid()}.{secrets.token_hex(4)}"
        try:
            with self._files.open(temporary, "wb") as file:
                file.write(content)
            self._files.mv(temporary, path)
        finally:
            with suppress(OSError):
                self._files.rm_file(temporary)

    def _names(self) -> list[str]:
        self._files.invalidate_cache()
        try:
            listed = self._files.ls(self._root, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        names = [str(path).rpartition("/")[2] for path in listed]
        return [name for name in sorted(names) if name.endswith(".parquet") and not name.startswith(".")]

    def _info(self, name: str) -> TaskInfo | None:
        import pyarrow.parquet as pq

        try:
            with self._files.open(f"{self._root}/{name}", "rb") as file:
                footer = (pq.read_metadata(file).metadata or {}).get(_FOOTER)
            info = TaskInfo.from_json(footer or b"")
            if name != f"{info.id}.parquet":
                raise BadInput("history", name, f"the name {info.id}.parquet, by which its footer calls it")
            return info
        except FileNotFoundError:  # removed in the meantime
            return None
        except (OSError, ValueError) as error:
            warnings.warn(f"{name!a} in {self.where} is no import of tune-lr: {error}", stacklevel=2)
            return None

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}.parquet"


def _packed(entry: Entry) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """One schema for both kinds of rows, and the groups of rows in it: the trials', then the reports'."""
    import pyarrow as pa

    trials = pa.Table.from_pandas(entry.trials, preserve_index=False)
    reports = pa.Table.from_pandas(entry.reports.drop(columns="trial"), preserve_index=False)
    kinds = pa.dictionary(pa.int8(), pa.string())
    named = pa.dictionary(pa.int32(), pa.string())
    fields = [pa.field("kind", kinds), pa.field("trial_id", named)]
    fields += [pa.field(name, reports.schema.field(name).type) for name in reports.column_names]
    known = {one.name for one in fields}
    fields += [one.remove_metadata() for one in trials.schema if one.name not in known]
    schema = pa.schema(fields, metadata={_FOOTER: entry.info.to_json().encode()})
    ids = trials.column("trial_id").combine_chunks().cast(pa.string())
    # What one of the two lacks is the same nothing in each of its groups.
    nothing = {
        one.name: pa.nulls(min(_ROWS_A_GROUP, max(len(trials), len(reports))), one.type) for one in schema
    }

    def rows(table: pa.Table, kind: int, codes: np.ndarray[Any, Any]) -> Iterator[pa.Table]:
        for start in range(0, len(codes), _ROWS_A_GROUP):
            group, own = table.slice(start, _ROWS_A_GROUP), codes[start : start + _ROWS_A_GROUP]
            marks = pa.array(np.full(len(own), kind, np.int8))
            made = {
                "kind": pa.DictionaryArray.from_arrays(marks, pa.array(["trial", "report"])),
                "trial_id": pa.DictionaryArray.from_arrays(pa.array(own, pa.int32()), ids),
            }
            made |= {
                n: group.column(n).cast(schema.field(n).type) for n in group.column_names if n not in made
            }
            columns = [made[n] if n in made else nothing[n].slice(0, len(own)) for n in schema.names]
            yield pa.Table.from_arrays(columns, schema=schema)

    of_trials = rows(trials, 0, np.arange(len(trials), dtype=np.int32))
    return schema, chain(of_trials, rows(reports, 1, entry.reports["trial"].to_numpy(np.int32)))


def _unpacked(info: TaskInfo, table: pa.Table) -> Entry:
    """The two tables that :func:`_packed` made one of (BadInput: they are not)."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        of_trials = pc.equal(table.column("kind").cast(pa.string()), "trial")
        trials, reports = table.filter(of_trials), table.filter(pc.invert(of_trials))
        ids = trials.column("trial_id").cast(pa.string())
        codes = pc.index_in(reports.column("trial_id").cast(pa.string()), value_set=ids)
        numbers = {"epoch", "seconds", *info.metrics}
        kept = [name for name in table.column_names if name in numbers]
        found = {name: reports.column(name).to_numpy() for name in kept if _used(reports, name)}
        frame = pd.DataFrame({"trial": codes.to_numpy(), **found})
        dropped = ["kind", "trial_id", *_OF_REPORTS]
        dropped += [name for name in info.metrics if name in table.column_names and not _used(trials, name)]
        rest = trials.drop_columns([name for name in dropped if name in table.column_names])
        table_of_trials = rest.to_pandas(types_mapper=_nullable)
        table_of_trials.insert(0, "trial_id", pd.Series(ids.to_pylist(), dtype="string"))
        return Entry(info, table_of_trials, frame)
    except (KeyError, ValueError, TypeError) as error:
        raise BadInput("history", info.id, f"a file as tune-lr writes it ({error})") from error


def _used(table: pa.Table, name: str) -> bool:
    return name in _OF_REPORTS or table.column(name).null_count < len(table)


def _nullable(kind: Any) -> Any:
    import pandas as pd
    import pyarrow as pa

    return {pa.bool_(): pd.BooleanDtype(), pa.int64(): pd.Int64Dtype(), pa.string(): pd.StringDtype()}.get(
        kind
    )
