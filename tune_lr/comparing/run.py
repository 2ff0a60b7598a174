"""One experiment as a comparison sees it: what was paid for, when, and what it had found by then."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tune_lr.journal import CONTINUE
from tune_lr.objective import Objective
from tune_lr.record import Record, TrialRecord

if TYPE_CHECKING:
    import pandas as pd

_REPORTS = ("time", "trial_id", "epoch", "spent", "loss", "best", "trained")
_LEGS = ("trial_id", "begun", "heard", "ended", "start_up", "trained")


@dataclass(frozen=True)
class Run:
    """One experiment.

    Args:
        method: what made it, as the comparison calls it.
        seed: whose pair it is among the runs of another method.
        max_epochs: of a trial.
        reports: a row a paid report in the order of time: ``time`` (seconds since the run began, the time
            between two sessions left out), ``trial_id``, ``epoch``, ``spent`` (epochs so far in all),
            ``loss`` (NaN where the trial diverged), ``best`` (so far, inf before there is one), ``trained``
            (seconds that the trial has trained so far).
        legs: a row for each stretch of a trial on a worker: ``trial_id``, when it was handed out (``begun``),
            first and last heard of (``heard``, ``ended``), the seconds before its first epoch began
            (``start_up``), and the seconds it trained.
        statuses: how many trials have which.
        memory: the most that driver and workers took, in bytes; None where nobody looked.
        status: of the experiment.
    """

    method: str
    seed: int
    workers: int
    max_epochs: int
    reports: pd.DataFrame
    legs: pd.DataFrame
    statuses: Mapping[str, int]
    memory: int | None = None
    status: str = "finished"


@dataclass
class _Leg:
    trial_id: str
    begun: float
    #: Seconds that the trial had trained before.
    before: float
    heard: float = math.nan
    ended: float = math.nan
    start_up: float = math.nan
    trained: float = 0.0


@dataclass
class _Reading:
    """What has been read of a journal so far."""

    objective: Objective
    record: Record = field(default_factory=Record)
    #: What is taken off the time of an event to get the seconds of the run.
    shift: float = math.nan
    now: float = 0.0
    best: float = math.inf
    reports: list[tuple[Any, ...]] = field(default_factory=list)
    legs: list[_Leg] = field(default_factory=list)
    open: dict[str, _Leg] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any]) -> None:
        """One event; those of a session that was killed end where they were last heard of."""
        kind, time = event["event"], float(event["time"])
        if kind == "session" or math.isnan(self.shift):
            self.shift = time - self.now
            self._end(*list(self.open))
        self.now = max(self.now, time - self.shift)
        self.record.apply(event)
        trial = self.record.trials.get(event.get("trial_id", ""))
        if trial is None:
            return
        if kind in ("ask", "resume"):
            before = trial.reports[-1].seconds if trial.reports else 0.0
            self.open[trial.trial_id] = leg = _Leg(trial.trial_id, self.now, before, ended=self.now)
            self.legs.append(leg)
        elif kind == "report":
            self._report(trial, event)
        elif kind in ("end", "pause"):
            self._end(trial.trial_id, at=self.now)

    def _report(self, trial: TrialRecord, event: Mapping[str, Any]) -> None:
        report = trial.reports[-1]
        loss = self.objective.loss(report.metrics.get(self.objective.metric))
        if loss is not None and trial.status != "diverged":
            self.best = min(self.best, self.objective.score(trial.losses(self.objective)))
        spent = self.record.epochs
        shown = math.nan if loss is None else loss
        row = (self.now, trial.trial_id, report.epoch, spent, shown, self.best, report.seconds)
        self.reports.append(row)
        leg = self.open.get(trial.trial_id)
        if leg is None:  # taken in from the trial's folder after a kill
            return
        leg.trained, leg.ended = report.seconds - leg.before, self.now
        if math.isnan(leg.heard):
            leg.heard, leg.start_up = self.now, max(0.0, self.now - leg.begun - leg.trained)
        if event.get("decision", CONTINUE) != CONTINUE:
            self._end(trial.trial_id)

    def _end(self, *trials: str, at: float | None = None) -> None:
        for trial_id in trials:
            leg = self.open.pop(trial_id, None)
            if leg is not None and at is not None:
                leg.ended = at


def read_run(
    method: str,
    seed: int,
    asked: Any,
    events: Iterable[Mapping[str, Any]],
    memory: int | None = None,
) -> Run:
    """A run as an experiment's journal tells it.

    Args:
        method: what made it.
        seed: whose pair it is.
        asked: its ``Job``.
        events: of its journal.
        memory: the most bytes that it took.

    Raises:
        BadInput: an event is not as tune-lr writes it.
    """
    import pandas as pd

    reading = _Reading(asked.objective)
    for event in events:
        reading.take(event)
    record = reading.record
    return Run(
        method,
        seed,
        asked.workers,
        asked.max_epochs,
        pd.DataFrame(reading.reports, columns=list(_REPORTS)),
        pd.DataFrame([vars(leg) for leg in reading.legs], columns=list(_LEGS)),
        Counter(trial.status for trial in record.trials.values()),
        memory,
        record.status,
    )


def replayed_run(method: str, seed: int, paid: pd.DataFrame, *, max_epochs: int, workers: int = 1) -> Run:
    """A run as ``tune_lr.replay`` tells it, its values being losses: lower is better.

    Args:
        method: what made it.
        seed: whose pair it is.
        paid: a row a paid report, ``trial_id epoch value time``.
        max_epochs: of a trial.
        workers: that it had.
    """
    import numpy as np
    import pandas as pd

    losses = paid["value"].to_numpy(np.float64)
    best = np.fmin.accumulate(losses) if len(losses) else losses
    columns = {
        "time": paid["time"],
        "trial_id": paid["trial_id"],
        "epoch": paid["epoch"],
        "spent": np.arange(1, len(paid) + 1),
        "loss": losses,
        "best": np.where(np.isnan(best), np.inf, best),
        "trained": np.nan,
    }
    last = paid.groupby("trial_id")["epoch"].max()
    completed = int((last == max_epochs).sum())
    statuses = {"completed": completed, "stopped": len(last) - completed}
    return Run(
        method, seed, workers, max_epochs, pd.DataFrame(columns), pd.DataFrame(columns=list(_LEGS)), statuses
    )
