"""``tune-lr show``, ``plot`` and ``spaces``: looking at what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tune_lr.cli import options
from tune_lr.errors import BadInput, Missing

Folder = Annotated[str, typer.Argument(metavar="FOLDER", help="The experiment's folder or URI.")]


def show(
    folder: Folder,
    top: Annotated[int, typer.Option(metavar="N", help="How many trials the table has.")] = 10,
    trial: Annotated[str | None, typer.Option(metavar="ID", help="All that is known of one trial.")] = None,
    verbose: options.Verbose = False,
) -> None:
    """Show an experiment: its best trials, the best configuration, and the line of Python that uses it."""
    from tune_lr.experiment import Experiment
    from tune_lr.views import show as view

    if top < 1:
        raise BadInput("--top", top, "a number of at least 1")
    experiment, console = Experiment.open(folder), view.console_for_results()
    if trial is not None:
        view.show_trial(experiment, trial, console)
    else:
        view.show(experiment, console, top)


def plot(
    folder: Folder,
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="One file instead: .png, .svg, .pdf, or .html."),
    ] = None,
    trial: Annotated[
        str | None,
        typer.Option(metavar="ID", help="One trial: its learning rate step by step, and what moved it."),
    ] = None,
    verbose: options.Verbose = False,
) -> None:
    """Draw an experiment into curves.png and curves.html: losses, learning rates, the best so far.

    With --trial, into trial-ID.png and trial-ID.html.
    """
    from tune_lr.experiment import Experiment
    from tune_lr.views import draw

    experiment = Experiment.open(folder)
    inside = experiment.path if experiment.uri and experiment.path else Path(experiment.where)
    if trial is not None:
        trial = experiment.record().named(trial).trial_id
    name = "curves" if trial is None else f"trial-{trial}"
    files = [Path(out)] if out else [inside / f"{name}.png", inside / f"{name}.html"]
    for file in files:
        draw.write(experiment, file, trial)
        typer.echo(str(file))


def spaces(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME|FILE]", help="One space; all of them if not given.")
    ] = None,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print the space as a file to edit.")] = False,
    verbose: options.Verbose = False,
) -> None:
    """List the search spaces that come along, or the knobs of one."""
    from tune_lr.spacefile import dump_space, load_space
    from tune_lr.views.show import console_for_results
    from tune_lr.views.spaces import list_spaces, show_space

    if name is None:
        if yaml:
            raise Missing("NAME", "a space: tune-lr spaces NAME --yaml")
        list_spaces(console_for_results())
    elif yaml:
        typer.echo(dump_space(load_space(name)), nl=False)
    else:
        show_space(load_space(name), console_for_results())
