"""``confirm``: train the best of an experiment again, to the end, with fresh seeds."""

from __future__ import annotations

import math
import os
from typing import Any

from tune_lr.comparing.confirmation import Confirmation, confirmation_of
from tune_lr.comparing.ranks import require_statistics
from tune_lr.driver import Listener
from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.jobs.tuning import reopen, run, trainer_of
from tune_lr.record import Record, TrialRecord
from tune_lr.trials.trainer import Train

#: What the experiment of the trainings is called, in the folder of the search.
FOLDER = "confirm"
#: What the seed of the search becomes, so that no trial has one that it had there.
_FRESH = 1_000_003


def confirm(
    folder: str | os.PathLike[str],
    *,
    top: int = 3,
    seeds: int = 5,
    train: Train | str | None = None,
    listeners: tuple[Listener, ...] = (),
    **changes: Any,
) -> Confirmation:
    """Train the best few of an experiment again, on its engine, and say which is really best.

    The trainings are an experiment of their own in ``FOLDER/confirm``; the same call goes on where it was cut
    off.

    Args:
        folder: of the experiment, or its URI.
        top: how many of its best.
        seeds: trainings of each.
        train: needed only where the experiment was started with a function that has no file.
        listeners: as for ``tune``.
        changes: another ``engine``, ``workers``, ``device``, ``cpus_per_trial`` or ``gpus_per_trial``.

    Raises:
        BadInput: there is no experiment, no trial of it has a value, or other trainings are there already.
        JobFailed: the trials fail alike.
    """
    experiment, trainer = prepared(folder, top=top, seeds=seeds, train=train, **changes)
    if experiment.record().status != "finished":
        run(experiment, trainer, listeners)
    return confirmed(folder)


def prepared(
    folder: str | os.PathLike[str],
    *,
    top: int,
    seeds: int,
    train: Train | str | None = None,
    **changes: Any,
) -> tuple[Experiment, Any]:
    """The experiment of the trainings and its trainer, ready to ``run``.

    Args:
        folder: as for ``confirm``, like the others.
        top: how many of the best.
        seeds: trainings of each.
        train: the training function.
        changes: what is asked anew.
    """
    require_statistics()
    for name, value in (("top", top), ("seeds", seeds)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1000:
            raise BadInput(name, value, "a whole number from 1 to 1000")
    search = Experiment.open(folder)
    best = search.record().ranked(search.objective)[:top]
    if not best:
        raise BadInput("experiment", str(folder), f"one with trials that have a {search.job.metric}")
    asked = _asked(search.job, best, seeds) | changes
    if train is not None or not search.job.trainer.startswith("<"):  # before anything is made
        asked["trainer"] = str(trainer_of(search.job.trainer if train is None else train))
    where = _place(folder)
    experiment = Experiment.open(where, Job.make(asked))
    experiment.take_prior(None, "none")
    return reopen(where, train)


def _asked(job: Job, best: list[TrialRecord], seeds: int) -> dict[str, Any]:
    """The job of the trainings: that of the search, but for what tries, what stops, and how long."""
    points = {trial.trial_id: trial.values for trial in best}
    return {
        **job.model_dump(mode="json"),
        "searcher": "again",
        "searcher_options": {"points": points, "times": seeds},
        "trial_scheduler": "none",
        "trial_scheduler_options": {},
        "prior": "none",
        "trials": len(best) * seeds,
        "budget": None,
        "stop_when": None,
        "seed": (job.seed + _FRESH) % 2**31,
    }


def confirmed(folder: str | os.PathLike[str]) -> Confirmation:
    """What the trainings in an experiment's ``confirm`` folder have shown.

    Raises:
        BadInput: there are none, or none has come to its end.
    """
    search, again = Experiment.open(folder), Experiment.open(_place(folder))
    found: dict[str, list[float]] = {}
    record = again.record()
    for trial in record.trials.values():
        if trial.ended:
            found.setdefault(str(trial.why.get("of")), []).append(_loss(trial, again))
    if not found:
        raise BadInput(
            "experiment", str(folder), f"one whose best were trained again: tune-lr confirm {folder}"
        )
    searched = [
        (trial.trial_id, trial.config, search.objective.score(trial.losses(search.objective)), trial.epochs)
        for trial in _in_order(search.record(), again, search)
    ]
    return confirmation_of(searched, found, search.objective)


def _in_order(record: Record, again: Experiment, search: Experiment) -> list[TrialRecord]:
    """The trials of the search that were trained again, its best first."""
    names = again.job.searcher_options["points"]
    return [trial for trial in record.ranked(search.objective) if trial.trial_id in names]


def _loss(trial: TrialRecord, experiment: Experiment) -> float:
    losses = trial.losses(experiment.objective)
    if trial.status in ("failed", "diverged") or not losses:
        return math.nan
    return experiment.objective.score(losses)


def _place(folder: str | os.PathLike[str]) -> str:
    return f"{os.fspath(folder).rstrip('/')}/{FOLDER}"
