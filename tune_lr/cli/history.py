"""``tune-lr history``: past experiments, of whatever tool, as data to learn from."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_lr.cli import options
from tune_lr.cli.errors import say
from tune_lr.errors import BadInput, Missing, MissingExtra

if TYPE_CHECKING:
    from tune_lr.history.entry import TaskInfo
    from tune_lr.history.history import History

app = typer.Typer(
    help="Past experiments, of whatever tool, as data to learn from.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Name = Annotated[
    str, typer.Argument(metavar="TASK|ID", help="A task, or an experiment's id or the beginning of it.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Remove without asking.")]


@app.command("add")
def add(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files or folders of logs.")],
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name of the task, if not the source's own.")
    ] = None,
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="The value that was optimized.")] = None,
    mode: Annotated[
        str | None, typer.Option(metavar="min|max", help="Whether lower or higher of it is better.")
    ] = None,
    describe: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A fact of the task; repeatable.")
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help="The log's name of a knob or metric, and ours; repeatable."),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="The search space of the knobs; found out if not given."),
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What the columns of a table mean (docs/history.md).")
    ] = None,
    store: options.Store = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be taken and what skipped.")
    ] = False,
    verbose: options.Verbose = False,
) -> None:
    """Import logs of any tool: what they are is found out.

    Of tune-lr, Syne Tune, Ray Tune, Optuna, MLflow, Hugging Face, TensorBoard, W&B, and tables.

    Nothing of a log is executed, and the same log twice changes nothing.
    """
    from tune_lr.views.history_added import tell
    from tune_lr.views.show import console_for_results

    asked = _asked(paths, task, metric, mode, describe, rename, space, mapping)
    history, console = _open(store), console_for_results()
    without = []
    for path in paths:
        try:
            with _progress(path) as progress:
                added = history.add(path, **asked, dry_run=dry_run, progress=progress)
        except (BadInput, MissingExtra) as error:
            say(f"error: {error}")
            without.append(path)
            continue
        tell(path, added, console, everything=verbose)
        if not added.imported:
            without.append(path)
    if without:
        raise typer.Exit(1)


@app.command("list")
def list_(
    store: options.Store = None,
    json: Annotated[bool, typer.Option("--json", help="All that is known of each, for machines.")] = False,
    verbose: options.Verbose = False,
) -> None:
    """List the experiments of the history."""
    from tune_lr.views import history as view
    from tune_lr.views.show import console_for_results

    tasks = _open(store).tasks()
    if json:
        from json import dumps

        typer.echo(dumps([view.as_json(info) for info in tasks], indent=1, allow_nan=False))
    else:
        view.list_tasks(tasks, console_for_results())


@app.command("show")
def show(
    name: Name,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw it as well: .png, .svg, .pdf, or .html.")
    ] = None,
    store: options.Store = None,
    verbose: options.Verbose = False,
) -> None:
    """Show what is known of a task: where it comes from, how it ended, what it covers of each knob."""
    from tune_lr.views import history as view
    from tune_lr.views.history_coverage import coverage
    from tune_lr.views.show import console_for_results

    history, console = _open(store), console_for_results()
    found = _named(history, name)
    if plot is not None and len(found) > 1:
        raise BadInput("TASK|ID", name, f"one experiment to draw, by its id: {_ids(found)}")
    for info in found:
        view.show_task(info, coverage(info, history.filter(task=info.id).trials()), console)
    if plot is not None:
        _draw(history, found[0], plot)


@app.command("remove")
def remove(
    name: Name, store: options.Store = None, yes: Yes = False, verbose: options.Verbose = False
) -> None:
    """Remove one experiment from the history; its log stays where it is."""
    from tune_lr.views.history import extent
    from tune_lr.views.words import brief

    history = _open(store)
    found = _named(history, name)
    if len(found) > 1:
        raise BadInput("TASK|ID", name, f"one experiment, by its id: {_ids(found)}")
    info = found[0]
    if not yes:
        if not sys.stdin.isatty():
            raise Missing("--yes", "it, where nobody can be asked")
        typer.confirm(f"Remove {brief(info.task)} ({info.id}; {extent(info)})?", abort=True)
    for gone in history.remove(info.id):
        typer.echo(f"removed {brief(gone.task)} ({gone.id})")


def _open(store: str | None) -> History:
    from tune_lr.history.history import History

    return History(store)


def _asked(
    paths: list[str],
    task: str | None,
    metric: str | None,
    mode: str | None,
    describe: list[str] | None,
    rename: list[str] | None,
    space: str | None,
    mapping: Path | None,
) -> dict[str, Any]:
    """What was asked of every path, checked before anything is imported (BadInput)."""
    for path in paths:
        if "://" not in path and not os.path.exists(os.path.expanduser(path)):
            raise BadInput("PATH", path, "a file or folder that is there")
    for option, text in (("--task", task), ("--metric", metric)):
        if text is not None and not text.strip():
            raise BadInput(option, text, "a name")
    if mode not in (None, "min", "max"):
        raise BadInput("--mode", mode, "min or max")
    if space is not None:
        from tune_lr.spacefile import load_space

        load_space(space)
    if mapping is not None:
        from tune_lr.history.importers.mapping import load_mapping

        load_mapping(mapping)
    return {
        "task": task, "metric": metric, "mode": mode, "space": space, "mapping": mapping,
        "describe": dict(options.pairs_of("describe", describe or ())),
        "rename": _names(rename or []),
    }  # fmt: skip


def _names(pairs: list[str]) -> dict[str, str]:
    found = dict(options.pairs_of("rename", pairs))
    for old, new in found.items():
        if not new.strip():
            raise BadInput("--rename", f"{old}={new}", "old=new")
    return {old: new.strip() for old, new in found.items()}


def _named(history: History, name: str) -> list[TaskInfo]:
    """The experiments that a person means: by id, by task, or by the beginning of an id.

    Raises:
        UnknownName: there is none.
    """
    from tune_lr.errors import UnknownName

    tasks = history.tasks()
    for fits in (
        [info for info in tasks if info.id == name],
        [info for info in tasks if info.task == name],
        [info for info in tasks if len(name) >= 4 and info.id.startswith(name)],
    ):
        if fits:
            return fits
    raise UnknownName("TASK|ID", name, {info.task for info in tasks})


def _ids(found: list[TaskInfo]) -> str:
    from tune_lr.views.words import brief

    return ", ".join(f"{info.id} (from {brief(info.source)})" for info in found)


def _draw(history: History, info: TaskInfo, file: Path) -> None:
    from tune_lr.history.frames import reports_frame, trials_frame
    from tune_lr.views import draw

    entries = history.filter(task=info.id).entries()
    trials, reports = trials_frame(entries), reports_frame(entries)

    def figure() -> Any:
        from tune_lr.views.history_plot import figure

        return figure(info, trials, reports)

    def page() -> str:
        from tune_lr.views.history_page import page

        return page(info, trials, reports)

    draw.save(file, "--plot", figure, page)
    typer.echo(str(file))


@contextmanager
def _progress(path: str) -> Iterator[Callable[[str, int, int], None] | None]:
    """What shows how far an import is: a bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from tune_lr.views.words import brief

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        reading = bar.add_task(brief(path), total=None)

        def told(what: str, done: int, total: int) -> None:
            bar.update(reading, completed=done, total=total, description=brief(what))

        yield told
