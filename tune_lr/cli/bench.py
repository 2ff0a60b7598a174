"""``tune-lr bench schedules``: the study of GreedyLR against every other schedule."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_lr.cli import options
from tune_lr.cli.errors import INTERRUPTED, ending_like_an_interrupt, say
from tune_lr.errors import BadInput, Missing

if TYPE_CHECKING:
    from tune_lr.bench.plan import Cell, Settings
    from tune_lr.bench.store import Study

app = typer.Typer(
    help="Studies whose results can be made again.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_NAMES = "Names, with commas between them; all if not given."
#: The defaults, as ``tune_lr.bench.plan.Settings`` has them (a test compares).
DEFAULTS = {"trials": 50, "epochs": 30, "seeds": 15, "seed": 0}


@app.callback()
def _studies() -> None:
    """Studies whose results can be made again."""


@app.command("schedules")
def schedules(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where results are kept; the same folder goes on.")
    ] = Path("runs/bench"),
    tasks: Annotated[str | None, typer.Option(metavar="NAMES", help=_NAMES)] = None,
    contenders: Annotated[
        str | None, typer.Option(metavar="NAMES", help=f"{_NAMES} GreedyLR always is.")
    ] = None,
    optimizers: Annotated[str | None, typer.Option(metavar="NAMES", help=_NAMES)] = None,
    trials: Annotated[int, typer.Option(help="Budget of tuning, in trainings a cell.")] = DEFAULTS["trials"],
    epochs: Annotated[int, typer.Option(help="Length of every training.")] = DEFAULTS["epochs"],
    seeds: Annotated[int, typer.Option(help="Fresh seeds of the final comparison.")] = DEFAULTS["seeds"],
    seed: Annotated[int, typer.Option(help="Repeatable by it.")] = DEFAULTS["seed"],
    workers: Annotated[int, typer.Option(help="Cells at a time, each in a process of one thread.")] = 2,
    yes: Annotated[bool, typer.Option("--yes", help="Begin without asking.")] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Run nothing; make the report anew.")
    ] = False,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE.md", help="Put the report there, between its markers."),
    ] = None,
    verbose: options.Verbose = False,
) -> None:
    """Tune every schedule with the same budget under every optimizer, and compare on fresh seeds.

    What it will cost is told before it begins. After Ctrl-C the same command goes on with what is left.

    With --write docs/evidence.md the report goes there.
    """
    from tune_lr.bench.document import check_document
    from tune_lr.bench.plan import Settings
    from tune_lr.bench.store import Study, require_extra

    require_extra()
    if write is not None:
        check_document(write)
    if workers < 1:
        raise BadInput("--workers", workers, "a whole number of 1 or more")
    cells = _plan(tasks, contenders, optimizers)
    if report_only:
        study = Study.open(out)
    else:
        study = Study.create(out, Settings(trials, epochs, seeds, seed))
        _run(study, cells, workers, yes)
    _report(study, write)


def _plan(tasks: str | None, contenders: str | None, optimizers: str | None) -> list[Cell]:
    from tune_lr.bench.contenders import CONTENDERS, registered
    from tune_lr.bench.plan import make_plan

    cells = make_plan(
        _names("--tasks", tasks), _names("--contenders", contenders), _names("--optimizers", optimizers)
    )
    absent = [name for name in CONTENDERS if name not in registered()]
    if absent and not contenders:
        typer.echo(f"Not registered, so left out: {', '.join(absent)}")
    return cells


def _run(study: Study, cells: list[Cell], workers: int, yes: bool) -> None:
    """Run what is left of the cells, once whoever asked agrees to the cost."""
    from tune_lr.views.words import counted

    left = study.left(cells)
    if not left:
        typer.echo(f"All {counted(len(cells), 'cell')} are finished.")
        return
    _tell_cost(study.settings, cells, left, workers)
    if not yes:
        if not sys.stdin.isatty():
            raise Missing("--yes", "it, where nobody can be asked")
        typer.confirm("Begin?", abort=True)
    try:
        with ending_like_an_interrupt(), study.begun():
            _run_left(study, cells, workers)
    except KeyboardInterrupt:
        say("interrupted; finished cells are kept, and the same command goes on")
        raise typer.Exit(INTERRUPTED) from None


def _run_left(study: Study, cells: list[Cell], workers: int) -> None:
    from tune_lr.bench.pool import run_cells

    left = study.left(cells)  # again: another process may have finished some while the cost was told
    with _progress(len(cells), len(cells) - len(left)) as told:

        def finished(result: dict[str, Any]) -> None:
            study.write(result)
            told(result)

        run_cells(left, study.settings, workers, finished)


def _tell_cost(settings: Settings, cells: list[Cell], left: list[Cell], workers: int) -> None:
    from tune_lr.bench.cell import seconds_an_epoch
    from tune_lr.bench.plan import estimate
    from tune_lr.views.words import about, counted

    done = len(cells) - len(left)
    typer.echo(
        f"{counted(len(cells), 'cell')}{f', {done} of them finished' if done else ''}. Each: "
        f"{counted(settings.budget, 'epoch')} of tuning ({settings.trials} trainings of {settings.epochs}), "
        f"and {settings.seeds} seeds of two configurations. In all {len(left) * settings.epochs_of_a_cell:,} "
        "epochs. Looking how long they take ..."
    )
    seconds: dict[tuple[str, str], float] = {}
    for cell in left:
        if (cell.task, cell.contender) not in seconds:
            seconds[cell.task, cell.contender] = seconds_an_epoch(cell)
    time = about(estimate(left, settings, seconds, workers))
    typer.echo(f"It will take {time} with {counted(workers, 'worker')}, if there is a core for each.")


def _report(study: Study, document: Path | None) -> None:
    from tune_lr.bench.document import publish
    from tune_lr.bench.report import write_results

    typer.echo("Making the report ...")
    files, verdicts = write_results(study)
    for file in files:
        typer.echo(f"wrote {file}")
    if document is not None:
        trainings, _, text = files
        raw = publish(text.read_text("utf-8"), trainings, document)
        typer.echo(f"wrote {document} and {raw}")
    for line in verdicts:
        typer.echo(line)


@contextmanager
def _progress(total: int, done: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """What shows how far it is: a bar on a terminal, a line for each cell elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from tune_lr.views.words import short

    console = Console()
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        all_cells = bar.add_task("", total=total, completed=done)
        count = done

        def told(result: dict[str, Any]) -> None:
            nonlocal count
            count += 1
            cell = result["cell"]
            losses = [loss for loss in result["tuned"]["losses"] if loss is not None]
            text = f"{cell['contender']} with {cell['optimizer']} on {cell['task']}"
            text += f": val_loss {short(sum(losses) / len(losses))}" if losses else ": every trial diverged"
            bar.update(all_cells, completed=count, description=text)
            if not console.is_terminal:
                print(f"{count} of {total}  {text}", flush=True)

        yield told


def _names(option: str, text: str | None) -> list[str]:
    """The names that an option gives; none of them if it is not given."""
    names = [] if text is None else [name.strip() for name in text.split(",")]
    if not all(names):
        raise BadInput(option, text, "names with one comma between them")
    return names
