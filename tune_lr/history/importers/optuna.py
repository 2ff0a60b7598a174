"""Optuna's storages, an SQLite database or a journal file, read without Optuna and without pickles.

A study is an experiment. Its intermediate values are reports, its final values belong to the trials.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.files import head
from tune_lr.history.importers.optuna_journal import read_journal
from tune_lr.history.importers.optuna_sqlite import is_storage, read_sqlite
from tune_lr.history.importers.optuna_study import Study
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.history.matching import CONFIG

if TYPE_CHECKING:
    import pandas as pd

_SQLITE = b"SQLite format 3\0"


class Optuna:
    """A storage file; every study with a trial in it."""

    name: ClassVar[str] = "optuna"

    def claims(self, path: Path) -> bool:
        if not path.is_file():
            return False
        begin = head(path, 4096)
        if begin.startswith(_SQLITE):
            return is_storage(path)
        return begin.lstrip().startswith(b'{"op_code"') and b'"worker_id"' in begin

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        sqlite = head(path, 64).startswith(_SQLITE)
        studies = read_sqlite(path, skipped) if sqlite else read_journal(path, skipped)
        found = False
        for study in studies:
            if study.trials:
                found = True
                yield _log(self.name, study, skipped)
            else:
                skipped.add(study.name, "a study without a trial")
        if not found:
            raise BadInput("storage", path.name, "one that has a study with a trial")


def _log(source: str, study: Study, skipped: Skipped) -> Log:
    import pandas as pd

    names = study.objectives()
    if len(names) > 1:
        skipped.add(
            study.name, f"as what is optimized: all objectives but the first ({', '.join(names[1:])})"
        )
    rows = []
    for trial in study.trials.values():
        rows.append(
            {
                "trial_id": str(trial.number),
                "status": trial.status,
                "error": None,
                **dict(zip(names, trial.values, strict=False)),
                **{CONFIG + name: value for name, value in trial.params.items()},
            }
        )
    return Log(
        source=source,
        name=study.name,
        part=study.name,
        trials=pd.DataFrame(rows),
        reports=_reports(study, names[0]),
        metric=names[0],
        mode=study.mode,
        descriptors=study.facts,
        versions=study.versions,
    )


def _reports(study: Study, metric: str) -> pd.DataFrame:
    import pandas as pd

    at = {trial: position for position, trial in enumerate(study.trials)}
    owner, steps = np.asarray(study.owners, np.int64), np.asarray(study.steps, np.int64)
    keys = np.asarray(list(at), np.int64)
    order = np.argsort(keys)
    places = np.searchsorted(keys[order], owner) if len(owner) else np.array([], np.int64)
    places = np.minimum(places, len(keys) - 1)
    known = keys[order][places] == owner
    columns: dict[str, Any] = {"trial": order[places][known], "epoch": steps[known]}
    columns[metric] = np.asarray(study.values, np.float64)[known]
    reports: pd.DataFrame = pd.DataFrame(columns)
    return reports
