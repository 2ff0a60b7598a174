"""One cell of the study: a contender tuned on a task, and its best and default configuration compared."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import numpy as np

from tune_lr import jobs
from tune_lr.bench.code import cores, digest, versions
from tune_lr.bench.contenders import contender_named, space_of
from tune_lr.bench.paired import clipped
from tune_lr.bench.plan import FINALISTS, Cell, Settings
from tune_lr.bench.tasks import task_named, train
from tune_lr.errors import JobFailed
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.journal import CONTINUE, Decision, Report
from tune_lr.objective import WORST_LOSS, Objective
from tune_lr.record import Record, headline
from tune_lr.space import SearchSpace
from tune_lr.trials.run import Leg, run_leg
from tune_lr.trials.trainer import Trainer

#: The training loss is compared after these parts of the training, as in the paper.
PARTS = (0.1, 0.5, 1.0)
#: A trial is judged by what it ends with: the question is how a whole schedule ends.
OBJECTIVE = Objective("val_loss", "min", "last")
#: Taken at import, as near as can be to when the modules were: what is changed later on this process does not
#: run.
_CODE = digest()


@dataclass(frozen=True)
class Tuned:
    """What the tuning of a cell came to.

    Args:
        config: the best configuration.
        losses: its validation losses in tuning, one a seed; NaN where it diverged.
        trials: how many configurations were tried, the default one included.
        epochs: how many epochs were trained, those of trials that diverged or were cut off included.
        diverged: how many configurations diverged or failed.
        source: whether the best is a ``random`` configuration or the ``default``.
    """

    config: dict[str, Any]
    losses: list[float]
    trials: int
    epochs: int
    diverged: int
    source: str


@dataclass(frozen=True)
class Candidate:
    """A configuration and its validation losses so far, one a seed."""

    config: dict[str, Any]
    losses: list[float]
    source: str

    def score(self, chance: float) -> float:
        """The mean logarithm of the losses, where what diverged counts as in the verdicts."""
        return float(np.log(clipped(self.losses, chance)).mean())


@dataclass
class _Run:
    """The reports of one training, in order."""

    reports: list[Report] = field(default_factory=list)
    error: str | None = None

    def __call__(self, report: Report) -> Decision:
        self.reports.append(report)
        return CONTINUE

    def value(self, name: str, part: float, epochs: int) -> float:
        """A metric after a part of the training; NaN where it did not get there or is not finite."""
        at = math.ceil(part * epochs)
        if len(self.reports) < at:
            return math.nan
        loss = OBJECTIVE.loss(self.reports[at - 1].metrics.get(name))
        return math.nan if loss is None or loss >= WORST_LOSS else loss


def run_cell(cell: Cell, settings: Settings) -> dict[str, Any]:
    """Tune and compare; all that is known of the cell, ready to be written down.

    The same cell and settings give the same losses, in whatever process.
    """
    began = time.perf_counter()
    contender = contender_named(cell.contender)
    space = space_of(contender, cell.optimizer, cell.task)
    default = space.config(space.default())
    tuned = tune_cell(cell, settings)
    runs = [
        {"setting": setting, "seed": seed, **compare_run(config, seed, settings.epochs)}
        for setting, config in (("tuned", tuned.config), ("default", default))
        for seed in settings.fresh
    ]
    return {
        "cell": cell.to_json(),
        "code": _CODE,
        "versions": versions(),
        "cores": cores(),
        "ended": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "settings": settings.to_json(),
        "space": space.to_dict(),
        "knobs": space.dimension,
        "tuned": {**vars(tuned), "losses": [_plain(loss) for loss in tuned.losses]},
        "default": default,
        "runs": runs,
        "seconds": round(time.perf_counter() - began, 2),
    }


def tune_cell(cell: Cell, settings: Settings) -> Tuned:
    """Search the cell's space at random, after the default configuration, and try the best few again.

    All of it within the budget of the settings, which counts epochs: where configurations diverge early,
    more of them are tried, and what the budget cuts off is not considered. The few that did best on the one
    seed that each had are trained on further seeds, and the best on all of these wins. Seeds, of draws and
    trainings, are the same for every cell.
    """
    space = space_of(contender_named(cell.contender), cell.optimizer, cell.task)
    default = space.config(space.default())
    first = _run(default, settings.seed, settings.epochs)
    found = [Candidate(default, [first.value("val_loss", 1.0, settings.epochs)], "default")]
    diverged, trials, epochs = int(math.isnan(found[0].losses[0])), 1, len(first.reports)
    left = settings.search_budget - epochs
    if left >= settings.epochs:
        record = _search(space, settings, left)
        tried = [trial for trial in record.trials.values() if trial.status != "paused"]
        found += [
            Candidate(trial.config, trial.losses(OBJECTIVE)[-1:], "random")
            for trial in record.ranked(OBJECTIVE)
            if trial.status == "completed"
        ]
        diverged += sum(trial.status in ("diverged", "failed") for trial in tried)
        trials, epochs = trials + len(tried), epochs + record.epochs
    chance = task_named(cell.task).chance
    finalists = sorted(found, key=lambda one: one.score(chance))[:FINALISTS]
    for candidate in finalists:
        for seed in settings.again:
            run = _run(candidate.config, seed, settings.epochs)
            candidate.losses.append(run.value("val_loss", 1.0, settings.epochs))
            epochs += len(run.reports)
    best = min(finalists, key=lambda one: one.score(chance))
    return Tuned(best.config, best.losses, trials, epochs, diverged, best.source)


def _search(space: SearchSpace, settings: Settings, epochs: int) -> Record:
    """Trials of random configurations, until so many epochs are trained."""
    job = Job.make(
        {
            "trainer": "tune_lr.bench.tasks:train",
            "space": space.to_dict(),
            "searcher": "random",
            "trial_scheduler": "none",
            "trials": 20 * settings.trials,  # the budget decides
            "budget": f"{epochs}epochs",
            "max_epochs": settings.epochs,
            "scope": OBJECTIVE.scope,
            "seed": settings.seed,
            "device": "cpu",
            "keep_checkpoints": 0,
        }
    )
    experiment = Experiment.open(None, job)
    jobs.run(experiment, Trainer.from_callable(train))
    return experiment.record()


def compare_run(config: Mapping[str, Any], seed: int, epochs: int) -> dict[str, Any]:
    """One training of the final comparison.

    Returns:
        ``train_10``, ``train_50``, ``train_100`` (mean training loss of the epoch at that part, in %),
        ``val_loss`` and ``val_accuracy`` at the end (None where it diverged), ``passes`` (forward passes in
        training), ``seconds`` (of this process) and ``error``.
    """
    began = time.process_time()
    run = _run(config, seed, epochs)
    last = run.reports[-1].metrics if run.reports else {}
    return {
        **{f"train_{part:.0%}"[:-1]: _plain(run.value("train_loss", part, epochs)) for part in PARTS},
        "val_loss": _plain(run.value("val_loss", 1.0, epochs)),
        "val_accuracy": _plain(run.value("val_accuracy", 1.0, epochs)),
        "passes": last.get("passes"),
        "seconds": round(time.process_time() - began, 3),
        "error": run.error,
    }


def seconds_an_epoch(cell: Cell, epochs: int = 2) -> float:
    """Seconds of a core that an epoch of the cell's default configuration takes, roughly.

    Raises:
        JobFailed: the cell cannot run at all, which is better told before the study than in it.
    """
    space = space_of(contender_named(cell.contender), cell.optimizer, cell.task)
    config = space.config(space.default())
    train_alone = _run(config, 0, 1)
    if train_alone.error:
        raise JobFailed(f"{cell.name} does not train: {headline(train_alone.error)}", train_alone.error)
    began = time.process_time()
    _run(config, 0, epochs)
    return (time.process_time() - began) / epochs


def _run(config: Mapping[str, Any], seed: int, epochs: int) -> _Run:
    run = _Run()
    outcome = run_leg(Leg("bench", dict(config), seed, epochs, "val_loss", device="cpu"), train, run)
    run.error = outcome.error
    return run


def _plain(number: float) -> float | None:
    """Six digits; None for NaN, which JSON has no word for."""
    return None if math.isnan(number) else float(f"{number:.6g}")
