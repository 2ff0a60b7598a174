"""Optuna's journal file, replayed: JSON lines, each an operation on studies and trials numbered by turns.

What Optuna's own replay rejects is rejected here: above all whatever comes to a trial that has ended. Its
snapshots are pickles and are never opened.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tune_lr.history import files
from tune_lr.history.importers.optuna_study import Storage, Study
from tune_lr.history.log import Skipped

_STATES = ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING")
_ENDED = (1, 2, 3)
_DIRECTIONS = ("NOT_SET", "MINIMIZE", "MAXIMIZE")
_REPORT, _LAST = 7, 10
_STRANGE = "a line that says what Optuna never writes"
_WRONG = (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError)


def is_journal(path: Path) -> bool:
    """Whether a file begins like a journal of Optuna's; raises nothing."""
    first = files.head(path, 4096).lstrip().split(b"\n", 1)[0]
    return first.startswith(b"{") and b'"op_code"' in first and b'"worker_id"' in first


def read_journal(path: Path, skipped: Skipped) -> Storage:
    """A journal's storage (BadInput: the file cannot be read, or no study is made in it)."""
    replay, where = _Replay(), path.name
    states, owners, steps, values = replay.states, replay.owners, replay.steps, replay.values
    for line in files.json_lines(path, skipped):
        try:
            operation = line["op_code"]
            if operation == _REPORT:  # most lines are
                trial, step, value = line["trial_id"], line["step"], line["intermediate_value"]
                if type(trial) is not int or type(step) is not int or trial < 0:
                    raise TypeError
                if type(value) is not float:
                    value = _number(value)
                if states[trial] not in _ENDED:
                    steps.append(step)
                    owners.append(trial)
                    values.append(value)
            elif _whole(operation) > _LAST:
                raise IndexError
            elif operation in replay.apply:
                replay.apply[operation](line)
        except _WRONG:
            skipped.add(where, _STRANGE)
    if not replay.studies:
        raise files.bad(path, "a journal of Optuna's in which a study is made")
    return replay.storage()


class _Replay:
    """Studies and trials as the lines so far left them."""

    def __init__(self) -> None:
        self.studies: list[Study] = []
        self.names: set[str] = set()
        self.gone: set[int] = set()
        self.counts: list[int] = []
        self.states: list[int] = []
        self.study, self.number = array("q"), array("q")
        self.owners, self.steps, self.values = array("q"), array("q"), array("d")
        #: Trial and name -> inner number and distribution; trial -> final values; trial and name -> value.
        self.params: dict[tuple[int, str], tuple[float, str]] = {}
        self.finals: dict[int, list[float]] = {}
        self.attributes: dict[tuple[int, str], Any] = {}
        #: One distribution's text for all trials that share it.
        self.texts: dict[str, str] = {}
        self.apply: dict[int, Callable[[dict[str, Any]], None]] = {
            0: self.create_study,
            1: self.delete_study,
            2: self.describe,
            3: self.describe,
            4: self.create_trial,
            5: self.param,
            6: self.state,
            8: self.attribute,
            9: self.attribute,
        }

    def create_study(self, line: dict[str, Any]) -> None:
        name, directions = line["study_name"], [_DIRECTIONS[_whole(one)] for one in line["directions"]]
        if not isinstance(name, str):
            raise TypeError
        if name not in self.names:
            self.names.add(name)
            self.studies.append(Study(name, directions))
            self.counts.append(0)

    def delete_study(self, line: dict[str, Any]) -> None:
        place = self._study(line)
        self.gone.add(place)
        self.names.discard(self.studies[place].name)

    def describe(self, line: dict[str, Any]) -> None:
        study = self.studies[self._study(line)]
        facts, said = (study.facts, "user_attr") if line["op_code"] == 2 else (study.system, "system_attr")
        facts.update(_named(line[said]))

    def create_trial(self, line: dict[str, Any]) -> None:
        study, state = self._study(line), _state(line.get("state", 0))
        trial = len(self.states)
        self.states.append(state)
        self.study.append(study)
        self.number.append(self.counts[study])
        self.counts[study] += 1
        # A trial that was made elsewhere comes with all that it has.
        distributions = line.get("distributions") or {}
        for name, number in _named(line.get("params") or {}).items():
            self._set(trial, name, number, distributions[name])
        self._end(trial, line)
        for said in ("system_attrs", "user_attrs"):
            for name, value in _named(line.get(said) or {}).items():
                self.attributes[trial, name] = value
        for step, value in _named(line.get("intermediate_values") or {}).items():
            number = _number(value)
            self.steps.append(int(step))
            self.owners.append(trial)
            self.values.append(number)

    def param(self, line: dict[str, Any]) -> None:
        trial = self._trial(line)
        if trial is not None:
            self._set(trial, line["param_name"], line["param_value_internal"], line["distribution"])

    def _set(self, trial: int, name: object, number: object, distribution: object) -> None:
        if not isinstance(name, str) or not isinstance(distribution, str):
            raise TypeError
        self.params[trial, name] = _number(number), self.texts.setdefault(distribution, distribution)

    def state(self, line: dict[str, Any]) -> None:
        trial = self._trial(line)
        if trial is not None:
            self.states[trial] = _state(line["state"])
            self._end(trial, line)

    def _end(self, trial: int, line: dict[str, Any]) -> None:
        values = line.get("values")
        values = [line["value"]] if values is None and line.get("value") is not None else values
        if values is not None:
            self.finals[trial] = [_number(value) for value in values]

    def attribute(self, line: dict[str, Any]) -> None:
        trial = self._trial(line)
        if trial is not None:
            for name, value in _named(line["user_attr" if line["op_code"] == 8 else "system_attr"]).items():
                self.attributes[trial, name] = value

    def _study(self, line: dict[str, Any]) -> int:
        place = _whole(line["study_id"])
        if place in self.gone or place >= len(self.studies):
            raise IndexError
        return place

    def _trial(self, line: dict[str, Any]) -> int | None:
        """The trial that a line is about, if it runs or waits still."""
        trial = _whole(line["trial_id"])
        return None if self.states[trial] in _ENDED else trial

    def storage(self) -> Storage:
        """What it all came to, without the studies that were deleted."""
        kept = [study for study in range(len(self.studies)) if study not in self.gone]
        place = np.full(len(self.studies), -1)
        place[kept] = np.arange(len(kept))
        study = place[np.array(self.study, "int64")]
        mine = study >= 0
        ours = np.where(mine, np.cumsum(mine) - 1, -1)
        pairs = [*self.params.values()]
        finals = [(at, one) for values in self.finals.values() for at, one in enumerate(values)]
        ended = [trial for trial, values in self.finals.items() for _ in values]
        places, numbers = np.array([at for at, _ in finals], "int64"), np.array([one for _, one in finals])
        return Storage(
            [self.studies[one] for one in kept],
            study[mine],
            np.array(self.number, "int64")[mine],
            [_STATES[state] for state, one in zip(self.states, mine.tolist(), strict=True) if one],
            _named_rows(ours, self.params, np.array([one for one, _ in pairs]), [text for _, text in pairs]),
            _rows(ours, ended, places, numbers),
            _named_rows(ours, self.attributes, [*self.attributes.values()]),
            _rows(ours, self.owners, np.array(self.steps, "int64"), np.array(self.values)),
        )


def _named_rows(ours: Any, keys: Mapping[tuple[int, str], object], *columns: Any) -> Any:
    """Rows by trial and name, as :func:`_rows`."""
    return _rows(ours, [trial for trial, _ in keys], [name for _, name in keys], *columns)


def _rows(ours: Any, owners: Any, *columns: Any) -> Any:
    """Rows of the trials that are kept, by the trials' new places."""
    places = ours[np.array(owners, "int64")]
    rows = np.flatnonzero(places >= 0)
    picked = (one[rows] if isinstance(one, np.ndarray) else [one[row] for row in rows] for one in columns)
    return (places[rows], *picked)


def _whole(value: object) -> int:
    """A whole number from 0."""
    if type(value) is not int or value < 0:
        raise TypeError
    return value


def _state(value: object) -> int:
    state = _whole(value)
    if state >= len(_STATES):
        raise IndexError
    return state


def _number(value: object) -> float:
    if type(value) is not int and type(value) is not float:
        raise TypeError
    return float(value)


def _named(values: object) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise TypeError
    return values
