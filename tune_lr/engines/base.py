"""What an engine is: a way to run the legs that a driver hands out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from tune_lr.driver import Driver
from tune_lr.errors import BadInput
from tune_lr.trials.trainer import Trainer

if TYPE_CHECKING:
    from tune_lr.engines.replay import OverTable, Simulated, Table
    from tune_lr.objective import Objective


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

    def simulation(self, table: Table, searcher: OverTable, objective: Objective) -> Simulated:
        """Recorded curves in place of trainings, through the engine's own simulator.

        Raises:
            BadInput: it has none.
        """
        raise BadInput("engine", type(self).__name__, "an engine with a simulator of its own (syne-tune)")
