"""MLflow's stores, a folder ``mlruns`` or a database ``mlflow.db``, read without MLflow.

Its own reader does not suit a stranger's log: of version 3.17 it refuses file stores unless an environment
variable allows them, makes a folder in the store that it opens, follows links wherever they lead, drops the
step of a value that was measured on a named data set, and makes an object of every value.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from tune_lr.errors import BadInput
from tune_lr.history import files
from tune_lr.history.importers.mlflow_folder import is_experiment, read_folder
from tune_lr.history.importers.mlflow_log import Experiment
from tune_lr.history.importers.mlflow_sqlite import is_store, read_sqlite
from tune_lr.history.log import Asked, Log, Skipped

#: The experiment that every store has, used or not.
_DEFAULT = "0"


class MLflow:
    """A store, or one experiment of a file store; every experiment with a run in it."""

    name: ClassVar[str] = "mlflow"

    def claims(self, path: Path) -> bool:
        if path.is_file():
            return is_store(path)
        if not path.is_dir():
            return False
        return is_experiment(path) or any(is_experiment(one) for one in files.entries(path, path))

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        found = False
        for experiment in read_sqlite(path, skipped) if path.is_file() else _folders(path, skipped):
            if not experiment.runs and experiment.id != _DEFAULT:
                skipped.add(experiment.name[:100], "an experiment without a run")
            log = experiment.log(self.name, skipped)
            if log is not None:
                found = True
                yield log
        if not found:
            raise files.bad(path, "a store that has an experiment with a run")


def _folders(path: Path, skipped: Skipped) -> Iterator[Experiment]:
    if is_experiment(path):
        yield from _experiment(path, path, skipped)
        return
    for folder in files.entries(path, path, skipped):
        if folder.is_dir() and is_experiment(folder):
            yield from _experiment(folder, path, skipped)


def _experiment(folder: Path, root: Path, skipped: Skipped) -> Iterator[Experiment]:
    try:
        experiment = read_folder(folder, root, skipped)
    except BadInput as error:
        skipped.add(folder.name, str(error))
        return
    if experiment is not None:
        yield experiment
