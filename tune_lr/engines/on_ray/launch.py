"""Engine ``ray``: legs as trials of Ray's own Tuner, on a local Ray or on a cluster, with actors reused."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

from ray import tune
from ray.tune.error import TuneError

from tune_lr.driver import Driver
from tune_lr.engines.base import Engine
from tune_lr.engines.on_ray import cluster
from tune_lr.engines.on_ray.scheduler import Conductor, LegScheduler, LegSearcher, LegStopper
from tune_lr.engines.on_ray.worker import Plan, bound
from tune_lr.errors import JobFailed
from tune_lr.trials.trainer import Trainer


class RayEngine(Engine):
    """Runs trials on Ray: ``job.workers`` at a time, each with its share of CPUs and GPUs."""

    def run(self, driver: Driver, trainer: Trainer) -> None:
        trainer.load()  # here, so that what cannot be imported is said before anything starts
        conductor = Conductor(driver)
        with ExitStack() as stack:
            stack.enter_context(cluster.interruptible(conductor.interrupt))
            folder = stack.enter_context(cluster.scratch())
            stack.enter_context(cluster.joined(driver.job, folder))
            stack.enter_context(cluster.quiet(driver.job.workers))
            try:
                _tuner(driver, trainer, conductor, os.path.join(folder, "tune")).fit()
            except TuneError as error:
                raise conductor.error or _failed(error) from error
        if conductor.error:
            raise conductor.error


def _tuner(driver: Driver, trainer: Trainer, conductor: Conductor, storage: str) -> Any:
    job = driver.job
    folder = str(driver.folder.resolve()) if driver.folder else None
    trainable = bound(Plan(trainer, folder, os.getcwd()))
    resources = {"cpu": job.cpus_per_trial, "gpu": job.gpus_per_trial}
    return tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            search_alg=LegSearcher(conductor),
            scheduler=LegScheduler(conductor),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name="legs",
            storage_path=storage,
            stop=LegStopper(conductor),
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=1 if cluster.chatty() else 0,
        ),
    )


def _name(trial: Any) -> str:
    return str(trial.trial_id)


def _failed(error: Exception) -> JobFailed:
    """What Ray raised, in one message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return JobFailed(f"Ray Tune ended the job: {lines[-1] if lines else type(error).__name__}", str(error))
