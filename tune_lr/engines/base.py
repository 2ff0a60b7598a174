"""What an engine is: a way to run the legs that a driver hands out."""

from __future__ import annotations

from abc import ABC, abstractmethod

from tune_lr.driver import Driver
from tune_lr.trials.trainer import Trainer


class Engine(ABC):
    """Runs trials. It decides nothing: the driver says what to run and what becomes of it.

    The contract, the same for every engine: ``driver.next()`` whenever one of ``job.workers`` workers is
    free; each report through ``driver.report`` and its decision back to the trial before its next epoch;
    ``driver.finish`` once a leg's worker is free again. All driver calls come from one thread.
    """

    @abstractmethod
    def run(self, driver: Driver, trainer: Trainer) -> None:
        """Run until ``driver.next()`` returns None and nothing is running.

        Raises:
            BadInput: the trainer cannot be loaded, or the job asks what this engine cannot do.
            KeyboardInterrupt: passed on, once workers are gone.
        """
