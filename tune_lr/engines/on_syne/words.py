"""Reports and decisions in Syne Tune's words."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from syne_tune.constants import ST_WORKER_ITER, ST_WORKER_TIME, ST_WORKER_TIMESTAMP
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.tuner_callback import TunerCallback

from tune_lr.journal import CONTINUE, Decision, Report
from tune_lr.objective import WORST_LOSS, Objective

#: The key that a result has where the metric was no finite number.
DIVERGED = "diverged"


def result_of(report: Report, objective: Objective, resource_attr: str) -> dict[str, Any]:
    """A report as the ``Tuner`` wants it, with a finite value of the metric whatever was reported."""
    loss = objective.loss(report.metrics.get(objective.metric))
    result: dict[str, Any] = {
        **report.metrics,
        objective.metric: objective.value(WORST_LOSS if loss is None else loss),
        resource_attr: report.epoch,
        ST_WORKER_TIMESTAMP: time.time(),
        ST_WORKER_TIME: report.seconds,
        ST_WORKER_ITER: report.epoch - 1,
    }
    return result if loss is not None else {**result, DIVERGED: True}


class Answering(TunerCallback):
    """Tells trials that they may go on as soon as that is decided. The backend tells the others."""

    def __init__(self, answer: Callable[[int, Decision], None]) -> None:
        self._answer = answer

    def on_tuning_start(self, tuner: Any) -> None:
        """The backend waits for news itself."""
        tuner.sleep_time = 0

    def on_trial_result(self, trial: Any, status: str, result: dict[str, Any], decision: str) -> None:
        """Runs before the ``Tuner`` stops or pauses."""
        if decision == SchedulerDecision.CONTINUE:
            self._answer(trial.trial_id, CONTINUE)
