"""What a searcher and a trial scheduler hear of what happens: once while it does, and again after a kill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tune_lr.ending import Ending
from tune_lr.journal import CONTINUE, Report
from tune_lr.objective import WORST_LOSS, Objective
from tune_lr.record import LIMITS, Record, TrialRecord
from tune_lr.searchers.base import Searcher, Suggestion
from tune_lr.stopping.base import TrialScheduler


def tell(
    searcher: Searcher, objective: Objective, trial: TrialRecord, epoch: int, loss: float | None
) -> float | None:
    """Tell the searcher of a loss; what the rule is to judge by, None where the trial has diverged."""
    score = None if loss is None else objective.score([*trial.losses(objective), loss])
    searcher.tell(trial.trial_id, epoch, WORST_LOSS if score is None else score)
    return score


def retell(
    event: Mapping[str, Any],
    record: Record,
    searcher: Searcher,
    scheduler: TrialScheduler,
    objective: Objective,
    ending: Ending,
) -> None:
    """Bring them to where they stood after an event of the journal; what is written there wins.

    Args:
        event: what happened.
        record: what had happened before.
        searcher: told of it.
        scheduler: likewise.
        objective: what a report means.
        ending: told of reports as well.
    """
    trial_id, kind = event.get("trial_id", ""), event["event"]
    trial = record.trials.get(trial_id)
    if kind == "ask":
        searcher.replay(Suggestion(trial_id, event["values"], event["config"], event["why"]))
        scheduler.started(trial_id, event["config"])
    elif kind == "resume" and event.get("by") == "rule":
        scheduler.resumed(trial_id)
    elif kind == "report" and trial is not None:
        report = Report.from_json(event)
        score = tell(searcher, objective, trial, report.epoch, objective.read(report.metrics))
        ending.hear(not trial.reports, score)
        if score is not None:  # what a limit cut off, the rule had let go on
            decision = CONTINUE if event.get("why") in LIMITS else event["decision"]
            scheduler.repeat(trial_id, report.epoch, score, decision)
