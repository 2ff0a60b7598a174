"""What Syne Tune's ``Tuner`` sees in place of a driver. It only renames; every decision is the driver's.

To the ``Tuner`` each leg is a trial of its own, so a pause is a stop to it, and going on is a new trial.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from syne_tune.backend.trial_status import Status
from syne_tune.optimizer.scheduler import SchedulerDecision, TrialScheduler, TrialSuggestion

from tune_lr.driver import Driver
from tune_lr.engines.on_syne.backend import WarmBackend
from tune_lr.engines.on_syne.words import result_of
from tune_lr.journal import CONTINUE, STOP, Decision, Report
from tune_lr.trials.run import Leg, Outcome
from tune_lr.trials.trainer import Trainer

#: Keys of what the ``Tuner`` takes for a configuration.
TRIAL, LEG = "trial_id", "leg"
#: Keys of a result, besides what Syne Tune wants.
REPORT, DECISION = "report", "decision"


class DriverScheduler(TrialScheduler):
    """Asks a driver for legs, and passes on reports and decisions.

    The ``Tuner`` takes a suggestion of None for the end of everything, so it must only ask when there is a
    leg or will never be one. ``ready`` looks ahead, and the backend looks busy meanwhile.
    """

    def __init__(self, driver: Driver) -> None:
        super().__init__(random_seed=driver.job.seed)
        self._driver = driver
        self._ready: deque[Leg] = deque()

    def ready(self, free: int) -> int:
        """For how many of the free workers there is something to do; fetched from the driver now."""
        while len(self._ready) < free and isinstance(leg := self._driver.next(), Leg):
            self._ready.append(leg)
        return len(self._ready)

    def with_idle(self, busy: list[tuple[int, str]], workers: int) -> list[tuple[int, str]]:
        """The busy trials, and as many stand-ins as there are free workers without anything to do."""
        free = workers - len(busy)
        idle = free - self.ready(free)
        over = not busy and idle == free
        return busy + [(-1, "idle")] * (idle - over)

    def suggest(self) -> TrialSuggestion | None:
        if not self._ready:
            return None
        leg = self._ready.popleft()
        return TrialSuggestion.start_suggestion({TRIAL: leg.trial_id, LEG: json.dumps(leg.to_json())})

    def on_trial_result(self, trial: Any, result: dict[str, Any]) -> Any:
        decision = self._driver.report(trial.config[TRIAL], result[REPORT])
        result[DECISION] = decision
        return SchedulerDecision.CONTINUE if decision == CONTINUE else SchedulerDecision.STOP

    def finish(self, trial_id: str, outcome: Outcome) -> None:
        """A worker is free again."""
        self._driver.finish(trial_id, outcome)

    def metric_names(self) -> list[str]:
        return [self._driver.job.metric]

    def metric_mode(self) -> str:
        return self._driver.job.mode

    def metadata(self) -> dict[str, Any]:
        return {"metric_names": self.metric_names(), "metric_mode": self.metric_mode()}


class LegBackend(WarmBackend):
    """Warm workers for the legs of one driver.

    Args:
        trainer: what the workers train with.
        scheduler: where the legs come from, and who hears how they ended.
    """

    def __init__(self, trainer: Trainer, scheduler: DriverScheduler, driver: Driver) -> None:
        job = driver.job
        super().__init__(
            trainer,
            metric=job.metric,
            mode=job.mode,
            max_epochs=job.max_epochs,
            gpus_per_trial=job.gpus_per_trial,
        )
        self._scheduler, self._workers = scheduler, job.workers

    def _leg(self, trial_id: int, config: dict[str, Any]) -> Leg:
        return Leg.from_json(json.loads(config[LEG]))

    def _result(self, report: Report) -> dict[str, Any]:
        return {**result_of(report, self._objective, self._resource_attr), REPORT: report}

    def _end(self, number: int, trial_id: int, outcome: Outcome) -> None:
        super()._end(number, trial_id, outcome)
        self._scheduler.finish(self._trial_dict[trial_id].config[TRIAL], outcome)

    def _stop_trial(self, trial_id: int, result: Any) -> None:
        decision: Decision = STOP if result is None else result[DECISION]
        if decision == STOP:
            super()._stop_trial(trial_id, result)
        else:
            self._trial_dict[trial_id].status = Status.stopped
            self.answer(trial_id, decision)

    def busy_trial_ids(self) -> list[tuple[int, str]]:
        """With stand-ins for workers without anything to do."""
        return self._scheduler.with_idle(super().busy_trial_ids(), self._workers)

    def stop_all(self) -> None:
        """At the end nothing runs; before it, nobody waits."""
        self.close()
