"""Studies as both of Optuna's storages tell them, and the logs that they are."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_lr.errors import BadInput
from tune_lr.history.columns import LARGEST_WHOLE, most_columns
from tune_lr.history.importers.optuna_params import Distribution, columns_of, parsed
from tune_lr.history.log import Log, Mode, Skipped
from tune_lr.space import SearchSpace

Ints = NDArray[np.int64]

_STATUSES = {"COMPLETE": "completed", "PRUNED": "stopped", "FAIL": "failed", "RUNNING": "running"}
_WAITING = "WAITING"
_MODES: dict[object, Mode] = {"MINIMIZE": "min", "MAXIMIZE": "max"}
#: Where Optuna keeps the names that a person gave to the objectives.
METRIC_NAMES = "study:metric_names"
_FAILED = "fail_reason"
#: What a frame's own columns are called.
_RESERVED = frozenset({"trial", "epoch", "seconds", "trial_id", "status", "seed", "error"})


@dataclass
class Study:
    """What a storage says of a study besides its trials."""

    name: str
    directions: list[str] = field(default_factory=list)
    system: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Storage:
    """A storage as columns: a trial is a row's number in ``study``, ``number`` and ``state``.

    Args:
        studies: in order.
        study: of each trial the position of its study.
        number: what it is within it.
        state: in Optuna's words.
        params: trial, name, Optuna's inner value, distribution (JSON); the later of two counts.
        values: trial, objective, final value.
        attributes: trial, name, value (JSON).
        reports: trial, step, intermediate value, in the order in which they were written.
        versions: what wrote it.
    """

    studies: list[Study]
    study: Ints
    number: Ints
    state: list[str]
    params: tuple[Ints, list[str], Any, list[str]]
    values: tuple[Ints, Ints, Any]
    attributes: tuple[Ints, list[str], list[Any]]
    reports: tuple[Ints, Ints, Any]
    versions: dict[str, str] = field(default_factory=dict)

    def logs(self, source: str, skipped: Skipped) -> Iterator[Log]:
        """A log for each study that has a trial."""
        order = np.lexsort((np.arange(len(self.study)), self.number, self.study))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        ends = np.searchsorted(self.study[order], np.arange(len(self.studies) + 1))
        parts = [_Part(place[rows[0]], rows[1:]) for rows in (self.params, self.values, self.attributes)]
        reports = _Part(place[self.reports[0]], self.reports[1:])
        for position, study in enumerate(self.studies):
            start, end = int(ends[position]), int(ends[position + 1])
            if start == end:
                skipped.add(study.name[:100], "a study without a trial")
                continue
            states = [self.state[row] for row in order[start:end]]
            numbers = self.number[order[start:end]]
            made = _OneStudy(study, states, numbers, [part.cut(start, end) for part in parts], skipped)
            if made.kept.any():
                yield made.log(source, reports.cut(start, end), self.versions)


class _Part:
    """Rows that belong to trials, to be cut out study by study."""

    def __init__(self, owners: Ints, columns: tuple[Any, ...]) -> None:
        self._order = np.argsort(owners, kind="stable")
        self._owners, self._columns = owners[self._order], columns

    def cut(self, start: int, end: int) -> tuple[Any, ...]:
        """The rows of the trials from ``start`` to before ``end``, which are counted from 0 then."""
        first, last = np.searchsorted(self._owners, (start, end))
        rows = self._order[first:last]
        picked = [
            one[rows] if isinstance(one, np.ndarray) else [one[row] for row in rows.tolist()]
            for one in self._columns
        ]
        return (self._owners[first:last] - start, *picked)


class _OneStudy:
    """A study's trials becoming a frame."""

    def __init__(
        self, study: Study, states: list[str], numbers: Ints, parts: list[tuple[Any, ...]], skipped: Skipped
    ) -> None:
        self.study, self.states, self.numbers, self.skipped = study, states, numbers, skipped
        self.where = study.name[:100]
        self.kept = np.array([state != _WAITING for state in states])
        skipped.add(self.where, "a trial that was never begun", int((~self.kept).sum()))
        self.params, self.values, self.attributes = parts
        self.most = most_columns(len(states))
        self.metrics = self._metrics()

    def _metrics(self) -> list[str]:
        count = max(len(self.study.directions), 1)
        names = self.study.system.get(METRIC_NAMES)
        if isinstance(names, list) and len(names) == count == len({str(name) for name in names}):
            usable = [isinstance(name, str) and name not in _RESERVED and name != "" for name in names]
            if all(usable) and not any(name.startswith("config/") for name in names):
                return names
        return ["value"] if count == 1 else [f"value_{place}" for place in range(count)]

    def log(self, source: str, reports: tuple[Any, ...], versions: dict[str, str]) -> Log:
        import pandas as pd

        if len(self.metrics) > 1:
            why = f"an objective beside {self.metrics[0]!r}, the metric: only its final values are kept"
            self.skipped.add(self.where, why, len(self.metrics) - 1)
        texts = dict.fromkeys(self.params[3])
        distributions = {text: parsed(text) for text in texts}
        columns: dict[str, Any] = {
            "trial_id": self._ids(),
            "status": [_STATUSES.get(state) for state in self.states],
            **self._finals(),
            **self._attributes(),
            **columns_of(len(self.states), self.params, distributions, self.most, self.where, self.skipped),
        }
        trials = pd.DataFrame(columns)[self.kept].reset_index(drop=True)
        mode = _MODES.get(self.study.directions[0]) if self.study.directions else None
        return Log(
            source,
            self.study.name,
            trials,
            self._reports(reports),
            part=self.study.name,
            metric=self.metrics[0],
            mode=mode,
            modes={
                name: said
                for name, number in zip(self.metrics, self.study.directions, strict=False)
                if (said := _MODES.get(number)) is not None
            },
            by_final=True,
            space=self._space(distributions),
            descriptors=_facts(self.study.facts),
            versions=versions,
        )

    def _ids(self) -> list[str]:
        """The trials' numbers; where two share one (no storage of Optuna's does), places in its stead."""
        numbers = self.numbers.tolist()
        return [str(one) for one in (numbers if len({*numbers}) == len(numbers) else range(len(numbers)))]

    def _finals(self) -> dict[str, Any]:
        owners, objectives, values = self.values
        columns = {}
        for place, metric in enumerate(self.metrics):
            column = columns[metric] = np.full(len(self.states), np.nan)
            here = objectives == place
            column[owners[here]] = values[here]
        return columns

    def _attributes(self) -> dict[str, Any]:
        """Numbers that a person attached to trials are final values; a seed is the trial's."""
        columns: dict[str, Any] = {}
        for owner, name, value in zip(*self.attributes, strict=True):
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if name == _FAILED and isinstance(value, str):
                name, usable = "error", True
            elif name == "seed":
                usable = type(value) is int and abs(value) < LARGEST_WHOLE
            else:
                usable = number and name not in {*_RESERVED, *self.metrics, ""}
                usable = usable and not name.startswith("config/") and abs(value) < 2**63
            if name not in columns and len(columns) >= self.most:
                usable = False
            if not usable:
                # What the samplers and pruners keep for themselves is nobody's loss.
                told = "an attribute of a trial that is no number"
                self.skipped.add(self.where, told, ":" not in name and name != "fixed_params")
                continue
            if name not in columns:
                objects = name in ("seed", "error")
                columns[name] = [None] * len(self.states) if objects else np.full(len(self.states), np.nan)
            columns[name][owner] = value
        return columns

    def _reports(self, reports: tuple[Any, ...]) -> Any:
        import pandas as pd

        owners, steps, values = reports
        sound = self.kept[owners] & (steps >= 0)
        self.skipped.add(self.where, "a report of a step below 0", int((steps < 0).sum()))
        place = np.cumsum(self.kept) - 1
        if not sound.all():
            owners, steps, values = owners[sound], steps[sound], values[sound]
        return pd.DataFrame({"trial": place[owners], "epoch": steps, self.metrics[0]: values})

    def _space(self, distributions: dict[str, Distribution | None]) -> dict[str, Any] | None:
        """The space that was searched, if it is one: the same for every trial that came to an end."""
        ended = np.array([state in ("COMPLETE", "PRUNED") for state in self.states])
        owners, names, _, texts = self.params
        found: dict[str, str] = {}
        counts: dict[str, int] = {}
        for owner, name, text in zip(owners.tolist(), names, texts, strict=True):
            if found.setdefault(name, text) != text:
                return None
            counts[name] = counts.get(name, 0) + bool(ended[owner])
        if any(count != ended.sum() for count in counts.values()):
            return None
        name = re.sub(r"[^\w.-]", "_", self.study.name)[:90]
        name = name if re.match(r"[^\W\d]", name) else f"study_{name}"
        knobs = {}
        for knob, text in found.items():
            distribution = distributions[text]
            if distribution is None:
                return None
            knobs[knob] = distribution.knob()
        try:
            return SearchSpace.from_dict({"name": name, "knobs": knobs}).to_dict()
        except (BadInput, TypeError, ValueError, OverflowError):
            return None


def _facts(facts: dict[str, Any]) -> dict[str, str]:
    """What a person said of a study, as text."""
    plain = {name: value for name, value in facts.items() if isinstance(value, (str, int, float)) and name}
    finite = {name: one for name, one in plain.items() if not isinstance(one, float) or math.isfinite(one)}
    return {name: one if isinstance(one, str) else json.dumps(one) for name, one in finite.items()}
