"""Optuna's storages, an SQLite database or a journal file, read without Optuna and without pickles.

A study is an experiment. Its intermediate values are reports, its final values belong to the trials.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from tune_lr.history import files
from tune_lr.history.importers.optuna_journal import is_journal, read_journal
from tune_lr.history.importers.optuna_sqlite import is_storage, read_sqlite
from tune_lr.history.importers.sqlite_files import is_sqlite
from tune_lr.history.log import Asked, Log, Skipped


class Optuna:
    """A storage file; every study with a trial in it."""

    name: ClassVar[str] = "optuna"

    def claims(self, path: Path) -> bool:
        return path.is_file() and (is_storage(path) if is_sqlite(path) else is_journal(path))

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        storage = read_sqlite(path, skipped) if is_sqlite(path) else read_journal(path, skipped)
        found = False
        for log in storage.logs(self.name, skipped):
            found = True
            yield log
        if not found:
            raise files.bad(path, "a storage that has a study with a trial")
