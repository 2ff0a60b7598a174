"""Trials in this process, one at a time: any debugger works."""

from __future__ import annotations

from functools import partial

from tune_lr.driver import Driver
from tune_lr.engines.base import Engine
from tune_lr.errors import BadInput
from tune_lr.trials import randomness
from tune_lr.trials.run import Leg, run_leg
from tune_lr.trials.trainer import Trainer


class InlineEngine(Engine):
    """No processes, no extras."""

    def run(self, driver: Driver, trainer: Trainer) -> None:
        if driver.job.workers != 1:
            raise BadInput("workers", driver.job.workers, "1 with engine inline (or engine syne-tune or ray)")
        train = trainer.load()
        before = randomness.capture()
        try:
            while isinstance(leg := driver.next(), Leg):
                outcome = run_leg(leg, train, partial(driver.report, leg.trial_id))
                driver.finish(leg.trial_id, outcome)
        finally:
            randomness.restore(before)  # trials seed the global generators, which are the caller's here
