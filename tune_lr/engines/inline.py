"""Trials in this process, one at a time: any debugger works."""

from __future__ import annotations

import os

from tune_lr.driver import Driver
from tune_lr.engines.base import Engine
from tune_lr.errors import BadInput
from tune_lr.journal import STOP, Decision, Report
from tune_lr.trials import randomness
from tune_lr.trials.run import Leg, run_leg
from tune_lr.trials.trainer import Trainer


class InlineEngine(Engine):
    """No processes, no extras."""

    def run(self, driver: Driver, trainer: Trainer) -> None:
        if driver.job.workers != 1:
            raise BadInput("workers", driver.job.workers, "1 with engine inline (or engine syne-tune or ray)")
        train = trainer.load()
        before = randomness.capture(), os.getcwd()
        try:
            while isinstance(leg := driver.next(), Leg):
                channel = _Channel(driver, leg.trial_id)
                outcome = run_leg(leg, train, channel)
                os.chdir(before[1])
                if channel.error:
                    raise channel.error
                driver.finish(leg.trial_id, outcome)
        finally:
            randomness.restore(before[0])  # trials seed the global generators, which are the caller's here


class _Channel:
    """Reports straight to the driver; what goes wrong there is not the trial's fault, nor for it to catch."""

    def __init__(self, driver: Driver, trial_id: str) -> None:
        self._driver, self._trial_id = driver, trial_id
        self.error: Exception | None = None

    def __call__(self, report: Report) -> Decision:
        try:
            return self._driver.report(self._trial_id, report)
        except Exception as error:
            self.error = error
            return STOP
