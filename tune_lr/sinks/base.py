"""What a sink is: a listener that sends what happens to another tool, by that tool's own client."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tune_lr.journal import Report
from tune_lr.objective import Objective
from tune_lr.record import Record, TrialRecord


class Sink(ABC):
    """A listener of a driver (``tune(..., listeners=(sink,))``, or ``log=`` by name): a run for each trial.

    A sink that fails costs the job nothing: the driver lets it go with a warning. What earlier sessions of an
    experiment reported was sent by them; a trial that goes on is the same run, or another part of it where
    the tool has no way to continue one.

    Args:
        folder: the experiment's.
        objective: what is optimized.
        name: of the experiment, under which the tool groups its trials.
    """

    def __init__(self, folder: Path, objective: Objective, name: str) -> None:
        self.folder, self.objective, self.name = folder, objective, name
        self._begun: set[str] = set()

    def __call__(self, event: Mapping[str, Any], record: Record) -> None:
        """Hear of an event."""
        trial = record.trials.get(event.get("trial_id", ""))
        if trial is None:
            return
        if trial.trial_id not in self._begun:
            self._begun.add(trial.trial_id)
            self.begin(trial)
        if event["event"] == "report":
            self.report(trial, trial.reports[-1])
        if trial.status not in ("running",) and (event["event"] in ("end", "pause") or "status" in event):
            self._begun.discard(trial.trial_id)
            self.end(trial)

    @abstractmethod
    def begin(self, trial: TrialRecord) -> None:
        """A trial begins, or goes on."""

    @abstractmethod
    def report(self, trial: TrialRecord, report: Report) -> None:
        """An epoch of it has ended."""

    @abstractmethod
    def end(self, trial: TrialRecord) -> None:
        """It is over, or paused."""

    def close(self) -> None:
        """The session is over."""

    def best(self, trial: TrialRecord) -> float | None:
        """The trial's value so far, in the metric's own direction."""
        losses = trial.losses(self.objective)
        return self.objective.value(self.objective.score(losses)) if losses else None


def numbers(report: Report) -> dict[str, float]:
    """The metrics of a report that are numbers, those that are not finite as they are."""
    found = {}
    for name, value in report.metrics.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found[name] = float(value)
        elif value is None:
            found[name] = math.nan
    return found


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of values that every tool takes."""
    return {
        name: value if isinstance(value, (bool, int, float, str)) else str(value)
        for name, value in config.items()
    }
