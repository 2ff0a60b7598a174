"""MLflow's store in an SQLite file, which recent versions keep by default (``mlflow.db``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tune_lr.history.importers.mlflow_log import STATUSES, Experiment, Run
from tune_lr.history.importers.sqlite_files import Database, database, has_tables
from tune_lr.history.log import Skipped

_PARENT = "mlflow.parentRunId"
#: MLflow stores what is no number as 0 with a mark, and infinities as the largest number there is.
_LARGEST = 1.7e308
_VALUE = (
    f"CASE WHEN is_nan THEN NULL WHEN value > {_LARGEST} THEN 9e999"
    f" WHEN value < -{_LARGEST} THEN -9e999 ELSE value END"
)


def is_store(path: Path) -> bool:
    """Whether a file is an SQLite database with MLflow's tables; raises nothing."""
    return has_tables(path, ("experiments", "runs", "params", "metrics"))


def read_sqlite(path: Path, skipped: Skipped) -> Iterator[Experiment]:
    """The experiments of a store (BadInput: it cannot be read)."""
    with database(path) as found:
        yield from _experiments(found, skipped)


def _experiments(found: Database, skipped: Skipped) -> list[Experiment]:
    where = found.path.name
    rows = found.read(
        "experiments", {"experiment_id": "whole", "name": "text", "lifecycle_stage": "text"}, skipped
    )
    experiments: dict[int, Experiment] = {}
    for key, name, stage in zip(*_lists(rows), strict=True):
        if stage == "deleted":
            skipped.add(name[:100], "an experiment that was deleted")
        else:
            experiments.setdefault(key, Experiment(name, str(key)))
    places, begun = _runs(found, experiments, where, skipped)
    for run, name, text in _of_runs(found, "params", places, where, skipped):
        begun[run][0].params.append((begun[run][1], name, text))
    for run, name, text in _of_runs(found, "tags", places, where, skipped):
        if name == _PARENT:
            begun[run][0].runs[begun[run][1]].parent = text
    if found.columns("experiment_tags"):
        rows = found.read(
            "experiment_tags", {"experiment_id": "whole", "key": "text", "value": "text"}, skipped
        )
        for key, name, text in zip(*_lists(rows), strict=True):
            if key in experiments:
                experiments[key].facts[name] = text
    _points(found, places, begun, where, skipped)
    return [*experiments.values()]


_Begun = list[tuple[Experiment, int]]


def _runs(
    found: Database, experiments: dict[int, Experiment], where: str, skipped: Skipped
) -> tuple[dict[str, int], _Begun]:
    """Id of a run -> its number; by that number its experiment, and its position there."""
    wanted: dict[str, Any] = {"run_uuid": "text", "experiment_id": "whole", "status": "text"}
    rows = found.read("runs", wanted | {"start_time": "whole?", "lifecycle_stage": "text"}, skipped)
    places: dict[str, int] = {}
    begun: _Begun = []
    for run, key, status, began, stage in zip(*_lists(rows), strict=True):
        experiment = experiments.get(key)
        if experiment is None:
            continue  # that it was deleted is said, and all its runs with it
        if stage == "deleted":
            skipped.add(experiment.name[:100], "a run that was deleted")
        elif status == "SCHEDULED":
            skipped.add(experiment.name[:100], "a run that was never begun")
        elif run in places:
            skipped.add(where, "a run whose id another has")
        else:
            places[run] = len(begun)
            begun.append((experiment, len(experiment.runs)))
            experiment.runs.append(Run(run, STATUSES.get(status), began))
    return places, begun


def _of_runs(
    found: Database, table: str, places: dict[str, int], where: str, skipped: Skipped
) -> Iterator[tuple[int, str, str]]:
    """Number of the run, name and text of each row of a table of texts."""
    rows = found.read(table, {"run_uuid": "code", "key": "code", "value": "text"}, skipped)
    (runs, ids), (keys, names) = rows["run_uuid"], rows["key"]
    numbers = [places.get(one) for one in ids]
    for run, key, text in zip(runs.tolist(), keys.tolist(), rows["value"], strict=True):
        number = numbers[run]
        if number is not None:
            yield number, names[key], text


def _points(found: Database, places: dict[str, int], begun: _Begun, where: str, skipped: Skipped) -> None:
    """Share the values of all metrics out among the experiments."""
    wanted: dict[str, Any] = {"run_uuid": "code", "key": "code", "step": "whole", "timestamp": "number"}
    rows = found.read("metrics", wanted | {"value": ("number", _VALUE)}, skipped)
    (runs, ids), (keys, names) = rows["run_uuid"], rows["key"]
    number = np.array([places.get(one, -1) for one in ids], "int64")[runs]
    experiments = {id(experiment): experiment for experiment, _ in begun}
    order = {key: at for at, key in enumerate(experiments)}
    owner = np.array([*(order[id(experiment)] for experiment, _ in begun), -1], "int64")[number]
    position = np.array([*(at for _, at in begun), -1], "int64")[number]
    # As they were logged: the table is kept in no order that says it.
    sorting = np.lexsort((rows["timestamp"], owner))
    ends = np.searchsorted(owner[sorting], np.arange(len(order) + 1))
    for at, experiment in enumerate(experiments.values()):
        mine = sorting[ends[at] : ends[at + 1]]
        experiment.metrics = {names[key]: key for key in np.unique(keys[mine]).tolist()}
        columns = (rows[name][mine] for name in ("step", "value", "timestamp"))
        experiment.points = (position[mine], keys[mine], *columns)


def _lists(rows: dict[str, Any]) -> list[list[Any]]:
    return [column if isinstance(column, list) else column.tolist() for column in rows.values()]
