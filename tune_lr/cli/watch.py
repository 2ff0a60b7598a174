"""``tune-lr watch``: follow an experiment from another terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from tune_lr.cli import options
from tune_lr.errors import BadInput


def watch(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="The experiment's folder.")],
    every: Annotated[
        float, typer.Option(metavar="SECONDS", help="Between two looks, from 0.1 to 3600.")
    ] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Show it as it is now, and leave.")] = False,
    verbose: options.Verbose = False,
) -> None:
    """Follow a running or finished experiment: trials, curves, the best so far. Ctrl-C leaves it alone."""
    from rich.console import Console

    from tune_lr.experiment import Experiment
    from tune_lr.views.watch import watch as follow

    if not 0.1 <= every <= 3600:
        raise BadInput("--every", every, "seconds from 0.1 to 3600")
    experiment = Experiment.open(folder)
    if experiment.uri is not None:
        raise BadInput("FOLDER", folder, f"the folder that its driver writes ({experiment.path}), no URI")
    try:
        follow(experiment, Console(highlight=False), every, once)
    except KeyboardInterrupt:
        return
