"""Tables: CSV, JSON lines and Parquet, one row a report or one row a trial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from tune_lr.errors import BadInput
from tune_lr.history import files
from tune_lr.history.importers.table_columns import Roles, roles_of
from tune_lr.history.importers.table_csv import CsvFile, header
from tune_lr.history.importers.table_files import (
    LINE_SUFFIXES,
    TEXT_SUFFIXES,
    Kind,
    ParquetFile,
    Retype,
    TableFile,
    TooLarge,
    suffix_of,
)
from tune_lr.history.importers.table_lines import LinesFile, keys
from tune_lr.history.importers.table_rows import LongRows, Rows, WideRows
from tune_lr.history.importers.table_sense import WrongGuess
from tune_lr.history.log import Asked, Fidelity, Log, Skipped

if TYPE_CHECKING:
    import pandas as pd

_REPORTS, _TRIALS = "reports.parquet", "trials.parquet"
#: Of trials.parquet what is no fact of its own: both follow from the reports.
_DERIVED = ("epochs", "best")


@dataclass(frozen=True)
class _Read:
    """One table, read."""

    roles: Roles
    rows: Rows


class Table:
    """A table whose columns bear the schema's names, or whose columns a mapping explains."""

    name: ClassVar[str] = "table"

    def claims(self, path: Path) -> bool:
        if path.is_dir():
            return (path / _REPORTS).is_file() and not (path / "journal.jsonl").exists()
        suffix = suffix_of(path)
        if suffix is None:
            return False
        if suffix in TEXT_SUFFIXES:
            return header(path) is not None
        if suffix in LINE_SUFFIXES:
            return keys(path) is not None
        return files.head(path, 4) == b"PAR1"

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        if path.is_dir():
            yield from self._folder(path, asked, skipped)
            return
        read = read_table(path, asked, skipped, sensible=True)
        stem = path.name[: -len(suffix_of(path) or "")] or path.name
        for task, trials, reports in read.rows.logs():
            yield _log(read.roles, task or stem, trials, reports, part=task)

    def _folder(self, folder: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        """The tables of an experiment of tune-lr's whose journal is gone."""
        read = read_table(folder / _REPORTS, asked, skipped)
        told: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {}
        try:
            if (folder / _TRIALS).is_file():
                more = read_table(folder / _TRIALS, asked, skipped)
                told = {task: (trials, _) for task, trials, _ in more.rows.logs()}
        except BadInput as error:
            skipped.add(_TRIALS, str(error))
        for task, trials, reports in read.rows.logs():
            if task in told:
                trials, reports = _together(told[task][0], trials, reports)
            log = _log(read.roles, task or folder.name, trials, reports, part=task)
            if not asked.columns:
                log.counts_from = 1
            yield log


def open_table(path: Path, skipped: Skipped) -> TableFile:
    """The table in a file, by its suffix.

    Raises:
        BadInput: it is none.
    """
    suffix = suffix_of(path)
    if suffix in TEXT_SUFFIXES:
        return CsvFile(path, skipped)
    if suffix in LINE_SUFFIXES:
        return LinesFile(path, skipped)
    return ParquetFile(path, skipped)


def read_table(path: Path, asked: Asked, skipped: Skipped, sensible: bool = False) -> _Read:
    """The rows of one file, read to its end or to where it is damaged.

    ``sensible``: the rows must bear out what their columns are taken for, and be told apart.

    Raises:
        BadInput: it is no table, what its columns mean cannot be told, or no row can be read.
    """
    file = open_table(path, skipped)
    meant: dict[str, Kind] = {**file.kinds, **dict.fromkeys(file.mostly, "number")}
    usable = {name: kind for name, kind in meant.items() if kind != "other"}
    usable |= dict.fromkeys(file.empty & {"error"}, "text")  # which stays empty where nothing went wrong
    roles, wrong = roles_of(usable, asked, path.name), set[str]()
    before = skipped.counts.copy()
    for _ in range(2 * len(file.kinds)):  # each column may turn out as text, and as something else
        for name in [*(name for name in meant if name not in usable), *roles.left]:
            skipped.add(path.name, f"column {name[:100]!r}, which is neither metric nor knob")
        try:
            rows = _rows(file, roles, path, skipped)
            if sensible:
                rows.check()
            return _Read(roles, rows)
        except (Retype, WrongGuess) as error:
            kept = {where: times for where, times in skipped.counts.items() if "read as" in where[1]}
            skipped.counts = before | type(before)(kept)
            if isinstance(error, WrongGuess):
                wrong.add(error.column)
                roles = roles_of(usable, asked, path.name, wrong)
    raise files.bad(path, "columns of one kind each")


def _rows(file: TableFile, roles: Roles, path: Path, skipped: Skipped) -> Rows:
    kind = LongRows if roles.layout == "long" else WideRows
    rows: LongRows | WideRows = kind(roles, file.kinds, path.name, skipped)
    rows.mixed, rows.percents = file.mixed, file.percents
    taken = 0
    try:
        with closing(file.batches(roles.wanted, roles.texts)) as batches:
            for batch in batches:
                if batch and len(next(iter(batch.values()))):
                    rows.take(batch)
                    taken += 1
    except TooLarge:
        raise
    except BadInput as error:
        if not taken:
            raise
        skipped.add(path.name, f"what stands after the damage: {error}")
    if not taken:
        raise files.bad(path, "a table with rows")
    return rows


def _log(roles: Roles, name: str, trials: pd.DataFrame, reports: pd.DataFrame, part: str) -> Log:
    metric, mode = roles.metric, roles.mode
    fidelity: Fidelity | None = roles.fidelity
    counts_from: Literal[0, 1] | None = roles.counts_from
    return Log(
        Table.name, name, trials, reports, part, metric, mode, fidelity=fidelity, counts_from=counts_from
    )


def _together(
    told: pd.DataFrame, seen: pd.DataFrame, reports: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials as their own table tells them, those that only the reports know of after them."""
    import pandas as pd

    told = told.drop(columns=[name for name in _DERIVED if name in told])
    place = dict(zip(told["trial_id"], range(len(told)), strict=True))
    new = seen[~seen["trial_id"].isin(place)]
    place.update(zip(new["trial_id"], range(len(told), len(told) + len(new)), strict=True))
    moved = seen["trial_id"].map(place).to_numpy(dtype="int64")
    trials = pd.concat([told, new], ignore_index=True) if len(new) else told
    return trials, reports.assign(trial=moved[reports["trial"].to_numpy()])
