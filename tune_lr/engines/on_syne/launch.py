"""Engine ``syne-tune``: the real ``Tuner``; trials run on warm workers, and decisions are the driver's."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tune_lr.driver import Driver
from tune_lr.engines.base import Engine
from tune_lr.engines.on_syne.scheduler import DriverScheduler, LegBackend
from tune_lr.engines.on_syne.tuner import quiet, tuner_of
from tune_lr.engines.replay import OverTable, Simulated, Table
from tune_lr.objective import Objective
from tune_lr.trials.trainer import Trainer


class SyneTuneEngine(Engine):
    """Trials on this machine, in as many processes as there are workers."""

    def run(self, driver: Driver, trainer: Trainer) -> None:
        scheduler = DriverScheduler(driver)
        backend = LegBackend(trainer, scheduler, driver)
        try:
            backend.start()
            with quiet() as logger, _folder_for(driver) as folder:
                tuner_of(driver, scheduler, backend, folder, logger).run()
        finally:
            backend.close()

    def simulation(self, table: Table, searcher: OverTable, objective: Objective) -> Simulated:
        from tune_lr.engines.on_syne.simulated import SyneSimulation

        return SyneSimulation(table, searcher, objective)


@contextmanager
def _folder_for(driver: Driver) -> Iterator[Path]:
    """The experiment's folder, or one for as long as it runs."""
    if driver.folder is not None:
        yield driver.folder.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
