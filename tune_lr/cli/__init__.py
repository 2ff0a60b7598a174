"""The command ``tune-lr``. What a command needs is imported inside of it, so that help costs nothing."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from tune_lr.cli import bench, compare, confirm, history, look, prior, report, run, watch
from tune_lr.cli.errors import Commands
from tune_lr.cli.range import lr_range

app = typer.Typer(
    name="tune-lr",
    cls=Commands,
    help="Tune learning-rate schedules and their knobs: one definition, any engine, a record to go on from.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("resume")(run.resume)
app.command("compare")(compare.compare)
app.command("confirm")(confirm.confirm)
app.command("show")(look.show)
app.command("report")(report.report)
app.command("watch")(watch.watch)
app.command("plot")(look.plot)
app.command("spaces")(look.spaces)
app.command("range")(lr_range)
app.add_typer(bench.app, name="bench")
app.add_typer(history.app, name="history")
app.add_typer(prior.app, name="prior")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tune-lr {version('tune-lr')}")
        raise typer.Exit


@app.callback()
def _options(
    said: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and exit.")
    ] = False,
) -> None:
    """Tune learning-rate schedules and their knobs: one definition, any engine, a record to go on from."""


def main() -> None:
    """The entry point."""
    app(prog_name="tune-lr")
