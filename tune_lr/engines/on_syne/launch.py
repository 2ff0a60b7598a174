"""Engine ``syne-tune``: the real ``Tuner``; trials run on warm workers, and decisions are the driver's."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import syne_tune.tuner
from syne_tune import Tuner
from syne_tune.constants import SYNE_TUNE_ENV_FOLDER

from tune_lr.driver import Driver
from tune_lr.engines.base import Engine
from tune_lr.engines.on_syne.scheduler import DriverScheduler, LegBackend
from tune_lr.trials.trainer import Trainer

#: Where the ``Tuner`` writes what it must, in the experiment's folder.
_NAME = "syne-tune"
_NEVER = sys.maxsize


class SyneTuneEngine(Engine):
    """Trials on this machine, in as many processes as there are workers."""

    def run(self, driver: Driver, trainer: Trainer) -> None:
        scheduler = DriverScheduler(driver)
        backend = LegBackend(trainer, scheduler, driver)
        try:
            backend.start()
            with _quiet() as logger, _folder_for(driver) as folder:
                _tuner(driver, scheduler, backend, folder, logger).run()
        finally:
            backend.close()


def _tuner(driver: Driver, scheduler: DriverScheduler, backend: LegBackend, folder: Path, logger: Any) -> Any:
    before = os.environ.get(SYNE_TUNE_ENV_FOLDER)
    os.environ[SYNE_TUNE_ENV_FOLDER] = str(folder)  # or it writes to the user's home
    try:
        return Tuner(
            trial_backend=backend,
            scheduler=scheduler,
            stop_criterion=lambda status: driver.failure is not None,
            n_workers=driver.job.workers,
            sleep_time=0,  # the backend waits
            max_failures=_NEVER,
            print_update_interval=_NEVER,
            callbacks=[backend.callback()],
            tuner_name=_NAME,
            suffix_tuner_name=False,
            trial_backend_path=str(folder),
            save_tuner=False,
            start_jobs_without_delay=False,  # the backend knows who is busy
            output_logger=logger,
        )
    finally:
        if before is None:
            del os.environ[SYNE_TUNE_ENV_FOLDER]
        else:
            os.environ[SYNE_TUNE_ENV_FOLDER] = before


@contextmanager
def _folder_for(driver: Driver) -> Iterator[Path]:
    """The experiment's folder, or one for as long as it runs."""
    if driver.folder is not None:
        yield driver.folder.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


class _Silent:
    """In place of a ``TunerLogger``, whose methods all print."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: None


@contextmanager
def _quiet() -> Iterator[Any]:
    """What the ``Tuner`` prints with; None, its own, where ``TUNE_LR_VERBOSE`` is set."""
    if os.environ.get("TUNE_LR_VERBOSE"):
        yield None
        return
    logger, summary = logging.getLogger("syne_tune"), syne_tune.tuner.print_best_metric_found
    level = logger.level
    logger.setLevel(logging.ERROR)
    syne_tune.tuner.print_best_metric_found = lambda *args, **kwargs: None
    try:
        yield _Silent()
    finally:
        syne_tune.tuner.print_best_metric_found = summary
        logger.setLevel(level)
