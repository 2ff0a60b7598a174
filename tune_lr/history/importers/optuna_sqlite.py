"""Optuna's storage in an SQLite file, of version 2.4 or later, as columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history import files
from tune_lr.history.importers.optuna_study import Storage, Study
from tune_lr.history.importers.sqlite_files import Database, database, has_tables
from tune_lr.history.log import Skipped

#: Infinities stand beside the value, in a column of their own, from 3.0 on.
_NUMBER = "CASE {kind} WHEN 'INF_POS' THEN 9e999 WHEN 'INF_NEG' THEN -9e999 ELSE {value} END"


def is_storage(path: Path) -> bool:
    """Whether a file is an SQLite database with Optuna's tables; raises nothing."""
    return has_tables(path, ("studies", "trials", "trial_params"))


def read_sqlite(path: Path, skipped: Skipped) -> Storage:
    """A storage (BadInput: it cannot be read, or is older)."""
    with database(path) as found:
        if not found.columns("study_directions"):
            raise files.bad(
                path, "an Optuna storage of version 2.4 or later: open it once with a newer Optuna"
            )
        return _Reader(found, skipped).storage()


class _Reader:
    def __init__(self, found: Database, skipped: Skipped) -> None:
        self._found, self._skipped, self._where = found, skipped, found.path.name
        self._studies = self._study_rows()
        ids = self._unique(
            self._read("trials", trial_id="whole", study_id="whole", state="code", number="whole?")
        )
        self._trials = ids

    def _read(self, table: str, **wanted: Any) -> dict[str, Any]:
        return self._found.read(table, wanted, self._skipped)

    def _study_rows(self) -> dict[int, Study]:
        rows = self._read("studies", study_id="whole", study_name="text")
        return {
            key: Study(name) for key, name in zip(rows["study_id"].tolist(), rows["study_name"], strict=True)
        }

    def _unique(self, rows: dict[str, Any]) -> dict[str, Any]:
        """The trials by their ids, which two never share unless someone meddled."""
        ids, first = np.unique(rows["trial_id"], return_index=True)
        self._skipped.add(self._where, "a trial whose id another has", len(rows["trial_id"]) - len(ids))
        codes, states = rows["state"]
        return {
            "ids": ids,
            "study": rows["study_id"][first],
            "number": rows["number"][first],
            "state": [states[code] for code in codes[first].tolist()],
        }

    def storage(self) -> Storage:
        self._describe()
        keys = np.array([*self._studies], "int64")
        order = np.argsort(keys)
        study, known = _places(keys[order], self._trials["study"])
        self._skipped.add(self._where, "a trial of no study", int((~known).sum()))
        self._trials["ids"] = self._trials["ids"][known]
        number = self._trials["number"][known]
        number = np.where(np.isnan(number), self._trials["ids"], number).astype("int64")
        params = self._of_trials(
            "trial_params", param_name="code", param_value="number", distribution_json="code"
        )
        value, intermediate = (
            self._numbers(*names)
            for names in (
                ("trial_values", "value", "value_type"),
                ("trial_intermediate_values", "intermediate_value", "intermediate_value_type"),
            )
        )
        values = self._of_trials("trial_values", objective="whole", value=value)
        reports = self._of_trials("trial_intermediate_values", step="whole", intermediate_value=intermediate)
        return Storage(
            [self._studies[key] for key in keys[order].tolist()],
            study,
            number,
            [state for state, one in zip(self._trials["state"], known.tolist(), strict=True) if one],
            (params[0], params[1], params[2], params[3]),
            (values[0], values[1], values[2]),
            self._attributes(),
            (reports[0], reports[1], reports[2]),
            self._versions(),
        )

    def _numbers(self, table: str, value: str, kind: str) -> Any:
        typed = kind in self._found.columns(table)
        return ("number", _NUMBER.format(kind=f'"{kind}"', value=f'"{value}"')) if typed else "number"

    def _of_trials(self, table: str, **wanted: Any) -> tuple[Any, ...]:
        """Rows of a table that belong to trials: the trial's place, and the columns asked for."""
        rows = self._read(table, trial_id="whole", **wanted)
        places, known = _places(self._trials["ids"], rows.pop("trial_id"))
        self._skipped.add(self._where, f"a row of table {table!r} that is no trial's", int((~known).sum()))
        every = bool(known.all())
        columns: list[Any] = [places]
        for column in rows.values():
            if isinstance(column, tuple):
                codes, texts = column
                columns.append([texts[code] for code in codes[known].tolist()])
            elif isinstance(column, list):
                columns.append([one for one, mine in zip(column, known.tolist(), strict=True) if mine])
            else:
                columns.append(column if every else column[known])
        return tuple(columns)

    def _attributes(self) -> tuple[Any, list[str], list[Any]]:
        owners, names, values = np.empty(0, "int64"), [], []
        for table in ("trial_system_attributes", "trial_user_attributes"):
            if self._found.columns(table):
                owner, name, texts = self._of_trials(table, key="code", value_json="text")
                owners = np.concatenate([owners, owner])
                names += name
                values += [_value(text) for text in texts]
        return owners, names, values

    def _describe(self) -> None:
        """Directions and attributes of the studies."""
        rows = self._read("study_directions", study_id="whole", objective="whole", direction="text")
        for row in np.lexsort((rows["objective"], rows["study_id"])).tolist():
            study = self._studies.get(int(rows["study_id"][row]))
            if study is not None:
                study.directions.append(rows["direction"][row])
        for table, name in (("study_user_attributes", "facts"), ("study_system_attributes", "system")):
            if not self._found.columns(table):
                continue
            rows = self._read(table, study_id="whole", key="text", value_json="text")
            for key, fact, text in zip(
                rows["study_id"].tolist(), rows["key"], rows["value_json"], strict=True
            ):
                if key in self._studies:
                    getattr(self._studies[key], name)[fact] = _value(text)

    def _versions(self) -> dict[str, str]:
        if "library_version" not in self._found.columns("version_info"):
            return {}
        texts = self._read("version_info", library_version="text")["library_version"]
        return {"optuna": texts[0][:100]} if texts else {}


def _places(ids: Any, wanted: Any) -> tuple[Any, Any]:
    """Where in sorted ids each of those wanted stands, for those that do; and which do."""
    at = np.minimum(np.searchsorted(ids, wanted), max(len(ids) - 1, 0))
    known = ids[at] == wanted if len(ids) else np.zeros(len(wanted), bool)
    return (at if known.all() else at[known]), known


def _value(text: str) -> Any:
    try:
        return files.parse_json(text, "a value")
    except BadInput:
        return None
