"""``tune-lr run`` and ``tune-lr resume``."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_lr.cli import options
from tune_lr.cli.errors import INTERRUPTED, ending_like_an_interrupt, say
from tune_lr.errors import BadInput, JobFailed, Missing

if TYPE_CHECKING:
    from tune_lr.experiment import Experiment

_TRAINER = (
    "path/to/file.py or package.module, with :function (train if not given); or an experiment file (.yaml)."
)


def run(
    context: typer.Context,
    trainer: Annotated[str, typer.Argument(metavar="TRAINER[:FUNCTION]|FILE.yaml", help=_TRAINER)],
    space: options.Space = None,
    searcher: options.Searcher = None,
    searcher_option: options.SearcherOption = None,
    prior: options.Prior = None,
    trial_scheduler: options.TrialScheduler = None,
    trial_scheduler_option: options.TrialSchedulerOption = None,
    metric: options.Metric = None,
    mode: options.Mode = None,
    scope: options.Scope = None,
    seed: options.Seed = None,
    trials: options.Trials = None,
    max_epochs: options.MaxEpochs = None,
    budget: options.Budget = None,
    stop_when: options.StopWhen = None,
    engine: options.Engine = None,
    workers: options.Workers = None,
    out: options.Out = None,
    device: options.Device = None,
    cpus_per_trial: options.CpusPerTrial = None,
    gpus_per_trial: options.GpusPerTrial = None,
    keep_checkpoints: options.KeepCheckpoints = None,
    address: options.Address = None,
    log: options.Log = None,
    describe: options.Describe = None,
    verbose: options.Verbose = False,
) -> None:
    """Tune: run trials of TRAINER until the trials or the budget are used up.

    All of it can stand in an experiment file instead, under the options' names; options win over the file.
    """
    from tune_lr import jobs
    from tune_lr.cli.jobfile import read_jobfile
    from tune_lr.jobs.logs import kinds_of

    asked = options.asked_for(context.params)
    if trainer.endswith((".yaml", ".yml")):
        del asked["trainer"]
        asked = {**read_jobfile(Path(trainer)), **asked}
    if "trainer" not in asked:
        raise Missing(f"{trainer}, trainer", "path/to/file.py[:function]")
    if "space" not in asked:
        raise Missing("--space", "a name (tune-lr spaces lists them) or a file")
    _require_new(asked.get("out"))
    kinds_of(log)
    train, where = asked.pop("trainer"), asked.pop("space")
    with _warnings_said():
        made = jobs.prepare(train, where, out=asked.pop("out", None), **asked)
    _drive(*made, verbose, log)


def resume(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="The experiment's folder or URI.")],
    trials: options.TotalTrials = None,
    budget: options.TotalBudget = None,
    stop_when: options.SameStopWhen = None,
    engine: options.SameEngine = None,
    workers: options.SameWorkers = None,
    device: options.SameDevice = None,
    cpus_per_trial: options.SameCpusPerTrial = None,
    gpus_per_trial: options.SameGpusPerTrial = None,
    keep_checkpoints: options.SameKeepCheckpoints = None,
    address: options.SameAddress = None,
    log: options.Log = None,
    trainer: Annotated[
        str | None,
        typer.Option(metavar="TRAINER[:FUNCTION]", help="Where the trainer is now, if it was moved."),
    ] = None,
    verbose: options.Verbose = False,
) -> None:
    """Go on with an experiment that was killed, interrupted or failed, or extend a finished one."""
    from tune_lr import jobs
    from tune_lr.experiment import Experiment

    changes = options.asked_for(context.params)
    del changes["folder"]
    before = Experiment.open(folder)
    before.repair()
    moved = changes.pop("trainer", None)
    record, job = before.record(), before.job.changed(changes)
    there = len(record.trials)
    if "trials" in changes and job.trials < there:
        raise BadInput("trials", job.trials, f"a total of at least {there}, the trials that are there")
    if record.status == "finished" and job == before.job:
        typer.echo(f"{folder} is finished. To extend it, ask for more: tune-lr resume {folder} --trials N")
        return
    with _warnings_said():
        made = jobs.reopen(folder, moved, **changes)
    _drive(*made, verbose, log)


def _drive(experiment: Experiment, trainer: Any, verbose: bool, log: str | None) -> None:
    """Run an experiment, show how it goes, and what came out."""
    from tune_lr import jobs
    from tune_lr.job import UNUSED
    from tune_lr.jobs.logs import logged
    from tune_lr.views import show
    from tune_lr.views.progress import Progress

    where = show.quoted(experiment.where)
    typer.echo(f"{trainer} over {experiment.space.name}, in {where}")
    if experiment.prior_told not in (None, UNUSED):
        typer.echo(f"prior: {experiment.prior_told}")
    try:
        with (
            _chatter(verbose),
            ending_like_an_interrupt(),
            logged(experiment, log) as sinks,
            Progress() as progress,
        ):
            jobs.run(experiment, trainer, (progress, *sinks))
    except KeyboardInterrupt:
        typer.echo(show.summary(experiment, experiment.record()))
        say(f"interrupted; everything is kept. To go on: tune-lr resume {where}")
        raise typer.Exit(INTERRUPTED) from None
    except JobFailed as error:
        raise JobFailed(f"{error}\nAll that is known of it: tune-lr show {where}", error.detail) from error
    show.finale(experiment, show.console_for_results())


def _require_new(out: str | None) -> None:
    from tune_lr.experiment import Experiment
    from tune_lr.views.show import quoted

    if out is None:
        return
    try:
        Experiment.open(out)
    except BadInput:
        return  # nothing is there, or nothing that can be read: making it says which
    raise BadInput(
        "--out", out, f"a new folder; to go on with the experiment in this one: tune-lr resume {quoted(out)}"
    )


@contextmanager
def _warnings_said() -> Iterator[None]:
    """Say warnings as messages to a person, without the place in the code that they come from."""
    with warnings.catch_warnings(record=True) as caught:
        try:
            yield
        finally:
            for one in caught:
                say(f"warning: {one.message}")


@contextmanager
def _chatter(verbose: bool) -> Iterator[None]:
    """Whether engines tell what they do: they look at ``TUNE_LR_VERBOSE``."""
    if not verbose:
        yield
        return
    before = os.environ.get("TUNE_LR_VERBOSE")
    os.environ["TUNE_LR_VERBOSE"] = "1"
    logging.basicConfig(level=logging.INFO)
    try:
        yield
    finally:
        os.environ["TUNE_LR_VERBOSE"] = before or ""
