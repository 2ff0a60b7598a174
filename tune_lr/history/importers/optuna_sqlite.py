"""Optuna's SQLite database, read only and within bounds: a stranger's may hold views that never end."""

from __future__ import annotations

import json
import math
import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.files import bad
from tune_lr.history.importers.optuna_study import STATUSES, Distributions, Study, StudyTrial
from tune_lr.history.log import Skipped

_NEEDED = frozenset({"studies", "trials", "trial_params"})
#: A query is ended after so many thousand steps of SQLite's machine; ten million rows take a tenth of it.
_MOST_STEPS = 10_000_000
_MOST_BYTES_A_VALUE = 16 * 1024**2
#: SQLITE_LIMIT_LENGTH, which sqlite3 names from Python 3.11 on.
_LIMIT_LENGTH = 0


def is_storage(path: Path) -> bool:
    """Whether an SQLite file has Optuna's tables."""
    with suppress(BadInput), reading(path) as database:
        return tables(database) >= _NEEDED
    return False


def read_sqlite(path: Path, skipped: Skipped) -> Iterable[Study]:
    """Every study of a database (BadInput: it cannot be read, or lacks what a storage has)."""
    with reading(path) as database:
        try:
            return _studies(database, skipped)
        except (sqlite3.Error, ValueError, OverflowError, TypeError) as error:
            raise bad(path, f"an Optuna storage that can be read ({error})") from None


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A database open to read: nothing is written, no query runs for ever, no value is huge.

    Raises:
        BadInput: it cannot be opened or read.
    """
    # A log of changes beside the file is read with it; alone, the file is read as it is, without any lock.
    alone = not path.with_name(f"{path.name}-wal").exists()
    uri = f"file:{quote(str(path.resolve()))}?mode=ro{'&immutable=1' if alone else ''}"
    database = None
    try:
        database = sqlite3.connect(uri, uri=True)
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return int(steps > _MOST_STEPS)

        database.set_progress_handler(count, 1000)
        database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        if hasattr(database, "setlimit"):  # from Python 3.11 on
            database.setlimit(_LIMIT_LENGTH, _MOST_BYTES_A_VALUE)
        database.execute("PRAGMA query_only = 1")
        database.execute("PRAGMA trusted_schema = 0")
        yield database
    except sqlite3.Error as error:
        raise bad(path, f"an SQLite database that can be read ({error})") from None
    finally:
        if database is not None:
            database.close()


def tables(database: sqlite3.Connection) -> set[str]:
    """The names of real tables: not views, and not what an extension computes."""
    listed = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    return {
        str(name)
        for name, sql in listed
        if isinstance(sql, str) and not sql.upper().startswith("CREATE VIRTUAL")
    }


def _studies(database: sqlite3.Connection, skipped: Skipped) -> list[Study]:
    there = tables(database)
    if lacking := _NEEDED - there:
        raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
    studies = {
        key: Study(str(name)) for key, name in database.execute("SELECT study_id, study_name FROM studies")
    }
    _directions(database, there, studies)
    owners = _trials(database, studies, skipped)
    _params(database, owners, skipped)
    if "trial_values" in there:
        _values(database, owners)
    if "trial_intermediate_values" in there:
        _reports(database, studies, owners)
    if "version_info" in there:
        for (version,) in database.execute("SELECT library_version FROM version_info"):
            for study in studies.values():
                study.versions["optuna"] = str(version)
    return list(studies.values())


def _directions(database: sqlite3.Connection, there: set[str], studies: dict[Any, Study]) -> None:
    if "study_directions" in there:
        query = "SELECT study_id, direction FROM study_directions ORDER BY study_id, objective"
        for key, direction in database.execute(query):
            if key in studies:
                studies[key].directions.append(str(direction))
    if "study_system_attributes" in there:
        query = "SELECT study_id, value_json FROM study_system_attributes WHERE key = 'study:metric_names'"
        for key, text in database.execute(query):
            with suppress(ValueError, TypeError, RecursionError):
                names = json.loads(text)
                if key in studies and isinstance(names, list):
                    studies[key].metric_names = names
    if "study_user_attributes" in there:
        for key, name, text in database.execute(
            "SELECT study_id, key, value_json FROM study_user_attributes"
        ):
            with suppress(ValueError, TypeError, RecursionError):
                value = json.loads(text)
                if key in studies and isinstance(value, (str, int, float, bool)):
                    studies[key].facts[str(name)] = str(value)


def _trials(
    database: sqlite3.Connection, studies: dict[Any, Study], skipped: Skipped
) -> dict[int, tuple[Study, StudyTrial]]:
    found = {}
    for key, study_key, state in database.execute(
        "SELECT trial_id, study_id, state FROM trials ORDER BY trial_id"
    ):
        study = studies.get(study_key)
        if study is None or type(key) is not int:
            skipped.add("trials", "a trial of no study")
        elif state == "WAITING":
            skipped.add(study.name, "a trial that was never begun")
        else:
            trial = study.trials[key] = StudyTrial(len(study.trials), STATUSES.get(str(state)))
            found[key] = (study, trial)
    return found


def _params(
    database: sqlite3.Connection, owners: dict[int, tuple[Study, StudyTrial]], skipped: Skipped
) -> None:
    distributions = Distributions()
    query = "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params"
    for key, name, number, distribution in database.execute(query):
        if key in owners:
            study, trial = owners[key]
            value = distributions.value(number, distribution, study.name, skipped)
            if value is not None:
                trial.params[str(name)] = value


def _values(database: sqlite3.Connection, owners: dict[int, tuple[Study, StudyTrial]]) -> None:
    columns = _columns(database, "trial_values")
    kind = "value_type" if "value_type" in columns else "'FINITE'"
    order = "trial_id, objective" if "objective" in columns else "trial_id"
    for key, value, of in database.execute(
        f"SELECT trial_id, value, {kind} FROM trial_values ORDER BY {order}"
    ):
        if key in owners:
            owners[key][1].values.append(_number(value, of))


def _reports(
    database: sqlite3.Connection, studies: dict[Any, Study], owners: dict[int, tuple[Study, StudyTrial]]
) -> None:
    """Intermediate values, in large pieces; each study keeps those of its own trials."""
    typed = "intermediate_value_type" in _columns(database, "trial_intermediate_values")
    kind = "intermediate_value_type" if typed else "'FINITE'"
    query = f"SELECT trial_id, step, intermediate_value, {kind} FROM trial_intermediate_values"
    cursor = database.execute(query)
    study_of = {key: position for position, study in enumerate(studies.values()) for key in study.trials}
    listed = list(studies.values())
    while rows := cursor.fetchmany(100_000):
        good = [r for r in rows if type(r[0]) is int and type(r[1]) is int and r[0] in study_of]
        if not good:
            continue
        keys, steps, values, kinds = zip(*good, strict=True)
        plain = set(kinds) == {"FINITE"} and set(map(type, values)) <= {float}
        numbers = values if plain else [_number(value, of) for value, of in zip(values, kinds, strict=True)]
        of_study = np.fromiter((study_of[key] for key in keys), np.int64, len(keys))
        for position in np.unique(of_study):
            kept = of_study == position
            study = listed[position]
            study.owners.extend(array("q", np.asarray(keys, np.int64)[kept].tobytes()))
            study.steps.extend(array("q", np.asarray(steps, np.int64)[kept].tobytes()))
            study.values.extend(array("d", np.asarray(numbers, np.float64)[kept].tobytes()))


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {str(row[1]) for row in database.execute(f"PRAGMA table_info({table})")}


def _number(value: object, kind: object) -> float:
    if kind in ("INF_POS", "INF_NEG"):
        return math.inf if kind == "INF_POS" else -math.inf
    if type(value) is int or type(value) is float:
        return float(value)
    return math.nan
