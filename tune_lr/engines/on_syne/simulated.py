"""A replay through Syne Tune's simulator: its ``Tuner``, its backend and its clock, over recorded curves.

The backend's events are the reports of a table's rows. Neither a start, nor a stop, nor deciding takes any
simulated time, so that what comes out can be compared with tune-lr's own replay.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from syne_tune.backend.simulator_backend.simulator_backend import SimulatorBackend, SimulatorConfig
from syne_tune.backend.trial_status import Status
from syne_tune.constants import ST_WORKER_TIME, ST_WORKER_TIMESTAMP
from syne_tune.tuner_callback import TunerCallback

from tune_lr.driver import Driver
from tune_lr.engines.on_syne.scheduler import LEG, REPORT, TRIAL, DriverScheduler
from tune_lr.engines.on_syne.tuner import quiet, tuner_of
from tune_lr.engines.on_syne.words import result_of
from tune_lr.engines.replay import OverTable, Simulated, Table
from tune_lr.journal import Report
from tune_lr.objective import Objective
from tune_lr.trials.run import Leg, Outcome


class SyneSimulation(Simulated):
    """Syne Tune's simulator in place of workers; see ``Simulated``."""

    def __init__(self, table: Table, searcher: OverTable, objective: Objective) -> None:
        self._backend = TableBackend(table, searcher, objective)

    def clock(self) -> float:
        return self._backend.now()

    def run(self, driver: Driver) -> None:
        scheduler = _Finishing(driver)
        self._backend.serve(scheduler, driver.job.workers)
        with quiet() as logger, tempfile.TemporaryDirectory() as folder:
            tuner_of(driver, scheduler, self._backend, Path(folder), logger).run()


class _Finishing(DriverScheduler):
    """The ``Tuner`` says when a worker is free: there is none to say it itself."""

    def on_trial_remove(self, trial: Any) -> None:
        self._end(trial)

    def on_trial_complete(self, trial: Any, result: dict[str, Any]) -> None:
        self._end(trial)

    def _end(self, trial: Any) -> None:
        self.finish(trial.config[TRIAL], Outcome("ended"))


class TableBackend(SimulatorBackend):
    """Legs of a driver, each with what is left of its row of the table."""

    def __init__(self, table: Table, searcher: OverTable, objective: Objective) -> None:
        super().__init__(
            entry_point=__file__,  # it must be some file; none is run
            elapsed_time_attr=ST_WORKER_TIME,
            simulator_config=SimulatorConfig(0.0, 0.0, 0.0, 0.0, 0.0),
            tuner_sleep_time=0.0,
        )
        self._table, self._searcher, self._objective = table, searcher, objective
        self.time_keeper.start_of_time()

    def serve(self, scheduler: DriverScheduler, workers: int) -> None:
        """Whose legs are to come, and how many at a time."""
        self._scheduler, self._workers = scheduler, workers

    def now(self) -> float:
        """Simulated seconds since the beginning."""
        return float(self.time_keeper.time())

    def callback(self) -> TunerCallback:
        """To be among the ``Tuner``'s callbacks: where it would sleep, the next event comes."""
        return _Jumping(self)

    def jump(self) -> None:
        """Let the time pass until something happens."""
        events = self._simulator_state.event_heap
        if events:
            self.time_keeper.advance_to(events[0][0])

    # What the simulator asks ---------------------------------------------------------------------------

    def _advance_by_outside_time(self) -> None:
        """What deciding takes is no part of the simulation, or no run could be repeated."""

    def _run_job_and_collect_results(
        self, trial_id: int, config: dict[str, Any] | None = None
    ) -> tuple[str, list[dict[str, Any]]]:
        leg = Leg.from_json(json.loads(self._trial_dict[trial_id].config[LEG]))
        row, heard = self._searcher.row_of[leg.trial_id], leg.heard or 0
        seconds = np.cumsum(self._table.cost[row])
        before = seconds[heard - 1] if heard else 0.0
        results = []
        for epoch in range(heard + 1, leg.max_epochs + 1):
            value = float(self._table.curves[row, epoch - 1])
            report = Report(epoch, float(seconds[epoch - 1]), {self._objective.metric: value})
            elapsed = report.seconds - before
            timed = {ST_WORKER_TIME: elapsed, ST_WORKER_TIMESTAMP: self.now() + elapsed}
            results.append(result_of(report, self._objective, "epoch") | timed | {REPORT: report})
        return Status.completed, results

    def _stop_or_pause_trial(self, trial_id: int, status: str) -> None:
        """At once; the simulator's own takes two thousandths of a second."""
        self._simulator_state.remove_events(trial_id)
        self._process_complete_event(trial_id, self.now(), status)

    def busy_trial_ids(self) -> list[tuple[int, str]]:
        """With stand-ins for workers without anything to do."""
        return self._scheduler.with_idle(super().busy_trial_ids(), self._workers)


class _Jumping(TunerCallback):
    def __init__(self, backend: TableBackend) -> None:
        self._backend = backend

    def on_tuning_sleep(self, sleep_time: float) -> None:
        self._backend.jump()
