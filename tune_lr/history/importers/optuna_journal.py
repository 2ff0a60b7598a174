"""Optuna's journal file: one JSON object an operation. Its snapshots are pickles and are left alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tune_lr.history.files import json_lines
from tune_lr.history.importers.optuna_study import STATUSES, Distributions, Study, StudyTrial
from tune_lr.history.log import Skipped

_DIRECTIONS = {0: "NOT_SET", 1: "MINIMIZE", 2: "MAXIMIZE"}
_STATES = {0: "RUNNING", 1: "COMPLETE", 2: "PRUNED", 3: "FAIL", 4: "WAITING"}
_SPELLED = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def read_journal(path: Path, skipped: Skipped) -> Iterable[Study]:
    """Every study of a journal, as its operations leave it (BadInput: the file cannot be read)."""
    replay = _Replay(path.name, skipped)
    for operation in json_lines(path, skipped):
        try:
            replay.apply(operation)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError):
            skipped.add(path.name, "an operation that lacks something, or holds something else")
    for study in replay.studies.values():
        waiting = [key for key, trial in study.trials.items() if trial.status is None]
        skipped.add(study.name, "a trial that was never begun", len(waiting))
        for key in waiting:
            del study.trials[key]
        yield study


class _Replay:
    """Studies and trials are numbered in the order in which they are made."""

    def __init__(self, where: str, skipped: Skipped) -> None:
        self.studies: dict[int, Study] = {}
        self._owner: list[Study] = []
        self._made, self._where, self._skipped = 0, where, skipped
        self._distributions = Distributions()

    def apply(self, operation: Mapping[str, Any]) -> None:
        code = operation["op_code"]
        if code == 7:
            self._report(operation)
        elif code == 5:
            self._parameter(operation)
        elif code == 4:
            self._begin(operation)
        elif code == 6:
            self._end(operation)
        elif code == 0:
            directions = [_DIRECTIONS.get(int(one), "NOT_SET") for one in operation["directions"]]
            self.studies[self._made] = Study(str(operation["study_name"]), directions)
            self._made += 1
        elif code == 1:
            self.studies.pop(int(operation["study_id"]), None)
        elif code in (2, 3):
            self._describe(operation)

    def _describe(self, operation: Mapping[str, Any]) -> None:
        study = self.studies[int(operation["study_id"])]
        for name, value in operation.get("user_attr", operation.get("system_attr", {})).items():
            if name == "study:metric_names" and isinstance(value, list):
                study.metric_names = value
            elif operation["op_code"] == 2 and isinstance(value, (str, int, float, bool)):
                study.facts[str(name)] = str(value)

    def _begin(self, operation: Mapping[str, Any]) -> None:
        study = self.studies.get(int(operation["study_id"]), Study("deleted"))
        key = len(self._owner)
        self._owner.append(study)
        trial = study.trials[key] = StudyTrial(len(study.trials))
        if "state" in operation:
            self._settle(trial, operation)
        for name, number in operation.get("params", {}).items():
            self._set(trial, name, number, operation.get("distributions", {}).get(name))
        for step, value in operation.get("intermediate_values", {}).items():
            self._add(study, key, int(step), value)

    def _parameter(self, operation: Mapping[str, Any]) -> None:
        trial = self._trial(operation)
        self._set(
            trial, operation["param_name"], operation["param_value_internal"], operation["distribution"]
        )

    def _set(self, trial: StudyTrial, name: object, number: object, distribution: object) -> None:
        value = self._distributions.value(number, distribution, self._where, self._skipped)
        if value is not None:
            trial.params[str(name)] = value

    def _end(self, operation: Mapping[str, Any]) -> None:
        self._settle(self._trial(operation), operation)

    def _settle(self, trial: StudyTrial, operation: Mapping[str, Any]) -> None:
        trial.status = STATUSES.get(_STATES[int(operation["state"])])
        values = operation.get("values")
        if values is None and operation.get("value") is not None:
            values = [operation["value"]]
        if values is not None:
            trial.values = [_number(value) for value in values]

    def _report(self, operation: Mapping[str, Any]) -> None:
        key = operation["trial_id"]
        self._add(self._owner[key], key, operation["step"], operation["intermediate_value"])

    def _add(self, study: Study, key: int, step: int, value: object) -> None:
        number = value if type(value) is float else _number(value)
        study.owners.append(key)
        try:
            study.steps.append(step)
        except (TypeError, OverflowError):
            study.owners.pop()
            raise
        study.values.append(number)

    def _trial(self, operation: Mapping[str, Any]) -> StudyTrial:
        key: int = operation["trial_id"]
        return self._owner[key].trials[key]


def _number(value: object) -> float:
    if isinstance(value, str):
        return _SPELLED.get(value.lower(), math.nan)
    if type(value) not in (int, float):
        return math.nan
    try:
        return float(json.loads(json.dumps(value)))
    except OverflowError:
        return math.inf
