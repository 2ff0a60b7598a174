"""``tune-lr range``: what range the knob ``lr`` should have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tune_lr.cli import options
from tune_lr.cli.errors import ending_like_an_interrupt, say
from tune_lr.errors import JobFailed

#: What help says of the defaults (a test compares them with ``lr_range``).
DEFAULTS: dict[str, Any] = {
    "space": "greedy_lr", "low": 1e-6, "high": 10.0, "epochs": 10, "seed": 0, "device": "auto", "cpus": 1,
}  # fmt: skip


def lr_range(
    trainer: Annotated[
        str,
        typer.Argument(
            metavar="TRAINER[:FUNCTION]",
            help="path/to/file.py or package.module, with :function (train if not given).",
        ),
    ],
    space: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The space whose defaults the other knobs have.")
    ] = DEFAULTS["space"],
    low: Annotated[float, typer.Option(help="The LR that the sweep begins with.")] = DEFAULTS["low"],
    high: Annotated[float, typer.Option(help="The LR that it ends with, at the latest.")] = DEFAULTS["high"],
    epochs: Annotated[int, typer.Option(help="How many epochs it takes.")] = DEFAULTS["epochs"],
    seed: Annotated[int, typer.Option(help="Repeatable by it.")] = DEFAULTS["seed"],
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, mps.")] = DEFAULTS["device"],
    cpus: Annotated[int, typer.Option(help="Threads that PyTorch may use.")] = DEFAULTS["cpus"],
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="Where range.png and range.csv go; a new one under runs/ if not given."
        ),
    ] = None,
    verbose: options.Verbose = False,
) -> None:
    """Propose the bounds of lr: train once while it grows from --low to --high, and watch the loss."""
    from tune_lr import jobs
    from tune_lr.place import absolute, writable
    from tune_lr.views import lr_range as view
    from tune_lr.views.show import console_for_results, quoted

    where = jobs.trainer_of(trainer)
    folder = Path(out) if out is not None else jobs.new_folder(where, "range-")
    with writable(absolute(folder), str(folder), (view.TABLE, view.PICTURE)):
        typer.echo(f"{where}: lr from {low:g} to {high:g} over {epochs} epochs, and {space}'s defaults")
        with ending_like_an_interrupt():
            found = jobs.lr_range(
                trainer, space, low=low, high=high, epochs=epochs, seed=seed, device=device, cpus=cpus
            )
        title = Path(where.file).name if where.file else str(where)
        sweep = view.Sweep(title, found.lrs, found.losses, found.smoothed, found.bounds)
        written, missing = view.write(sweep, absolute(folder))  # first, since whoever reads may be gone
        typer.echo(f"{len(found.lrs)} of {found.total_steps} steps, until {found.ended}")
        view.show(sweep, console_for_results())
        for name in written:
            typer.echo(quoted(str(folder / name)))
        if missing:
            say(str(missing))
    if found.bounds is None:
        raise JobFailed(f"no bounds of lr to propose: {found.why_not}")
