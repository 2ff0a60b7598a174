"""An experiment of MLflow's, from whichever of its stores, as a log."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tune_lr.history.columns import most_columns
from tune_lr.history.log import Log, Skipped

STATUSES = {"RUNNING": "running", "FINISHED": "completed", "FAILED": "failed", "KILLED": "stopped"}
#: What MLflow measures of the machine by itself, at steps of its own.
_MACHINE = "system/"
_OWN = "mlflow."
#: Columns that a log's tables have of their own. A metric of such a name gets "_" at its end.
_OF_TRIALS = frozenset({"trial_id", "status", "seed", "error"})
_OF_REPORTS = frozenset({"trial", "epoch", "seconds"})
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})", re.ASCII)
_NUMBER = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]{1,4})?", re.ASCII)
_TRUTHS = {"True": True, "true": True, "False": False, "false": False}
_NOTHING = frozenset({"None", "null", "nan", "NaN", "inf", "-inf", ""})


@dataclass
class Run:
    """What a store says of one run besides its parameters and metrics; ``began`` in milliseconds."""

    id: str
    status: str | None = None
    began: float = math.nan
    parent: str = ""


@dataclass
class Experiment:
    """Runs in any order; parameters and metrics point at them by position.

    Args:
        name: what a person called it.
        id: what the store calls it.
        runs: those that count.
        params: run, name, text.
        metrics: metric -> the place it has in ``points``.
        points: run, metric, step, value and time (ms) of each value logged, in the order of logging.
        facts: the tags of the experiment.
    """

    name: str
    id: str
    runs: list[Run] = field(default_factory=list)
    params: list[tuple[int, str, str]] = field(default_factory=list)
    metrics: dict[str, int] = field(default_factory=dict)
    points: tuple[Any, Any, Any, Any, Any] = field(
        default_factory=lambda: (array("q"), array("q"), array("q"), array("d"), array("d"))
    )
    facts: dict[str, str] = field(default_factory=dict)

    def log(self, source: str, skipped: Skipped) -> Log | None:
        """The log; None where no run is a trial."""
        import pandas as pd

        where = self.name[:100]
        runs, metrics, steps, values, times = (np.asarray(column) for column in self.points)
        sound = steps >= 0
        skipped.add(where, "a value at a step below 0", int((~sound).sum()))
        names = self._names(len(self.runs), len(runs), where, skipped)
        sound &= np.isin(metrics, [*names])
        place = self._order(runs[sound & (steps > 0)], where, skipped)
        sound &= place[runs] >= 0
        trial, metrics, steps, values, times = (
            column[sound] for column in (place[runs], metrics, steps, values, times)
        )
        order = np.argsort(place, kind="stable")
        kept = [self.runs[one] for one in order[np.count_nonzero(place < 0) :].tolist()]
        if not kept:
            return None
        final = _finals(metrics, steps)
        finals = np.unique(metrics[final]).tolist()
        names = _apart(names, finals)
        trials: dict[str, Any] = {
            "trial_id": [run.id for run in kept],
            "status": pd.Series([run.status for run in kept], dtype=object),
        }
        for metric in finals:
            here = final & (metrics == metric)
            column = trials[names[metric]] = np.full(len(kept), np.nan)
            column[trial[here]] = values[here]  # the last one logged stays
        trials |= self._knobs(place, len(kept), where, skipped)
        began = np.array([run.began for run in kept])
        rows = ~final
        reports = _reports(trial[rows], metrics[rows], steps[rows], values[rows], times[rows], names, began)
        facts = {name: text for name, text in self.facts.items() if name and not name.startswith(_OWN)}
        return Log(
            source, self.name, pd.DataFrame(trials), pd.DataFrame(reports), part=self.id, descriptors=facts
        )

    def _order(self, stepped: Any, where: str, skipped: Skipped) -> Any:
        """The row of each run, in the order in which they began; -1 for one that only holds others.

        A run that holds others trains nothing unless it has a metric with steps (``stepped``, the runs that
        do): what it logs besides, ``best_val_loss`` and the like, sums the others up.
        """
        measures = np.zeros(len(self.runs), bool)
        measures[stepped] = True
        parents = {run.parent for run in self.runs if run.parent != run.id}
        holds = [run.id in parents and not measures[at] for at, run in enumerate(self.runs)]
        skipped.add(where, "a run that holds other runs and has no metric with steps of its own", sum(holds))
        keys = [
            (math.inf if math.isnan(run.began) else run.began, run.id, at)
            for at, run in enumerate(self.runs)
            if not holds[at]
        ]
        place = np.full(len(self.runs), -1)
        for row, (_, _, at) in enumerate(sorted(keys)):
            place[at] = row
        return place

    def _names(self, runs: int, points: int, where: str, skipped: Skipped) -> dict[int, str]:
        """The metrics that are taken, by their places."""
        most = most_columns(max(runs, points))
        names: dict[int, str] = {}
        for name, metric in self.metrics.items():
            if name.startswith(_MACHINE):
                skipped.add(where, "a measurement of the machine")
            elif name.startswith("config/"):
                skipped.add(where, f"a metric called {name[:100]!r}, which has another meaning here")
            elif len(names) >= most:
                skipped.add(where, "a metric beside very many others")
            else:
                names[metric] = name
        return names

    def _knobs(self, place: Any, rows: int, where: str, skipped: Skipped) -> dict[str, Any]:
        import pandas as pd

        columns: dict[str, list[Any]] = {}
        most = most_columns(rows)
        for run, name, text in self.params:
            row, value = place[run], value_of(text)
            if row < 0:
                continue
            if value is None or (name not in columns and len(columns) >= most):
                skipped.add(where, "a parameter that is no text, finite number or truth")
                continue
            columns.setdefault(name, [None] * rows)[row] = value
        return {
            f"config/{name}": pd.Series(_of_one_kind(column), dtype=object).infer_objects()
            for name, column in columns.items()
        }


def value_of(text: str) -> Any:
    """A parameter's text as the number or truth that it clearly is; None where it says nothing."""
    text = text.strip()
    if text in _TRUTHS:
        return _TRUTHS[text]
    if text in _NOTHING:
        return None
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else None
    return text


def _of_one_kind(column: list[Any]) -> list[Any]:
    """Numbers all as floats where one of them is: ``1`` beside ``0.5`` is no whole number."""
    kinds = {type(value) for value in column} - {type(None)}
    return [None if one is None else float(one) for one in column] if kinds == {int, float} else column


def _finals(metrics: Any, steps: Any) -> Any:
    """Which values are the run's own: those of metrics that no run logs at a step.

    MLflow writes step 0 where none is given.
    """
    if not len(metrics):
        return np.zeros(0, bool)
    stepped = np.zeros(int(metrics.max()) + 1, bool)
    stepped[metrics[steps != 0]] = True
    return ~stepped[metrics]


def _apart(names: dict[int, str], finals: Container[int]) -> dict[int, str]:
    """The metrics' names, changed where the table that a metric goes to has a column of that name."""
    taken = {*names.values()}
    found = {}
    for metric, name in names.items():
        own, called = _OF_TRIALS if metric in finals else _OF_REPORTS, name
        while called in own or (called != name and called in taken):
            called += "_"
        taken.add(called)
        found[metric] = called
    return found


def _reports(
    trial: Any, metrics: Any, steps: Any, values: Any, times: Any, names: dict[int, str], began: Any
) -> dict[str, Any]:
    """Metrics side by side, a row a trial and step; seconds count from the begin of the run."""
    every, step = np.unique(steps, return_inverse=True)
    keys, first, at = np.unique(trial * max(len(every), 1) + step, return_index=True, return_inverse=True)
    times = np.where(np.isfinite(times), times, np.nan)
    np.fmin.at(began, trial, times)
    seconds = np.full(len(keys), np.nan)
    columns = {"trial": trial[first], "epoch": steps[first], "seconds": seconds}
    since = (times - began[trial]) / 1000
    for metric in np.unique(metrics).tolist():
        here = np.flatnonzero(metrics == metric)
        column = columns[names[metric]] = np.full(len(keys), np.nan)
        column[at[here]] = values[here]
        seconds[at[here]] = np.fmax(seconds[at[here]], since[here])
    return columns
