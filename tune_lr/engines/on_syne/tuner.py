"""The real ``Tuner``, set up for a backend that waits for news itself, and made quiet."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import syne_tune.tuner
from syne_tune import Tuner
from syne_tune.constants import SYNE_TUNE_ENV_FOLDER

from tune_lr.driver import Driver
from tune_lr.engines.on_syne.scheduler import DriverScheduler

#: Where the ``Tuner`` writes what it must, in the experiment's folder.
_NAME = "syne-tune"
_NEVER = sys.maxsize


def tuner_of(driver: Driver, scheduler: DriverScheduler, backend: Any, folder: Path, logger: Any) -> Tuner:
    """The ``Tuner`` for the legs of a driver; what it must write it writes below ``folder``."""
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


class _Silent:
    """In place of a ``TunerLogger``, whose methods all print."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: None


@contextmanager
def quiet() -> Iterator[Any]:
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
