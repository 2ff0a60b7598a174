"""``tune-lr confirm``: the best of a search, trained again."""

from __future__ import annotations

import json as to_json
from typing import Annotated

import typer

from tune_lr.cli import options
from tune_lr.cli.errors import INTERRUPTED, ending_like_an_interrupt, say


def confirm(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="The experiment's folder or URI.")],
    top: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many of its best.")] = 3,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="Trainings of each.")] = 5,
    engine: options.SameEngine = None,
    workers: options.SameWorkers = None,
    device: options.SameDevice = None,
    cpus_per_trial: options.SameCpusPerTrial = None,
    gpus_per_trial: options.SameGpusPerTrial = None,
    trainer: Annotated[
        str | None,
        typer.Option(metavar="TRAINER[:FUNCTION]", help="Where the trainer is now, if it was moved."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what came out as JSON instead.")] = False,
    verbose: options.Verbose = False,
) -> None:
    """Train the best few of an experiment again, to the end, with fresh seeds: which is really best?

    The trainings stay in FOLDER/confirm; the same command goes on where it was cut off.
    """
    from tune_lr import jobs
    from tune_lr.experiment import Experiment
    from tune_lr.jobs.confirming import confirmed, prepared
    from tune_lr.views.confirmed import show
    from tune_lr.views.progress import Progress
    from tune_lr.views.show import console_for_results, quoted

    names = ("engine", "workers", "device", "cpus_per_trial", "gpus_per_trial")
    changes = {name: context.params[name] for name in names if context.params[name] is not None}
    experiment, train = prepared(folder, top=top, seeds=seeds, train=trainer, **changes)
    if experiment.record().status != "finished":
        try:
            if json:
                with ending_like_an_interrupt():
                    jobs.run(experiment, train)
            else:
                with ending_like_an_interrupt(), Progress() as progress:
                    jobs.run(experiment, train, (progress,))
        except KeyboardInterrupt:
            again = f"tune-lr confirm {quoted(folder)} --top {top} --seeds {seeds}"
            say(f"interrupted; everything is kept. To go on: {again}")
            raise typer.Exit(INTERRUPTED) from None
    found = confirmed(folder)
    if json:
        typer.echo(to_json.dumps(found.to_dict(), indent=1))
    else:
        show(found, Experiment.open(folder).job.max_epochs, console_for_results())
