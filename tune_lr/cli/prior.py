"""``tune-lr prior``: what past experiments tell of a search space, to keep, to look at and to begin with."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_lr.cli import options
from tune_lr.errors import BadInput, Missing

if TYPE_CHECKING:
    from tune_lr.experiment import Experiment
    from tune_lr.history.history import History
    from tune_lr.prior.prior import Prior

app = typer.Typer(
    help="What past experiments tell of a search space: to keep, to look at, and to begin with.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Folder = Annotated[str, typer.Argument(metavar="FOLDER", help="A saved prior: its folder or URI.")]


@app.command("fit")
def fit(
    space: Annotated[str, typer.Option(metavar="NAME|FILE", help="The search space that it is to tell of.")],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where it is kept: a folder or fsspec URI.")],
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH...]",
            help="Experiments or logs to learn from, as `history add` takes them; the history if not given.",
            show_default=False,
        ),
    ] = None,
    store: options.Store = None,
    task: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this task of them; repeatable.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the logs at PATH optimized, if they do not say.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option(metavar="min|max", help="Whether lower or higher of it is better.")
    ] = None,
    verbose: options.Verbose = False,
) -> None:
    """Learn from past experiments, and keep what was learned in a folder that travels."""
    from tune_lr.prior.prior import Prior
    from tune_lr.spacefile import load_space
    from tune_lr.views import prior as view
    from tune_lr.views.prior_summary import summary
    from tune_lr.views.show import console_for_results, quoted

    console, known = console_for_results(), load_space(space)
    with _history(paths or [], store, metric, mode, console, everything=verbose) as history:
        prior = Prior.fit(_of_tasks(history, task or []), known)
    prior.save(out)
    told = summary(prior)
    view.show_fitted(told, console)
    console.print(f"\nkept in {out}", markup=False)
    where = quoted(out)
    console.print(f"More:  tune-lr prior show {where}   tune-lr prior points {where}", markup=False)


@app.command("show")
def show(
    folder: Annotated[
        str,
        typer.Argument(metavar="FOLDER", help="A saved prior, or an experiment, also one that runs."),
    ],
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw it as well: .png, .svg, .pdf, or .html.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="All that is known, for machines.")] = False,
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Of an experiment: the prior to compare it with; its own if not given, else the history.",
        ),
    ] = None,
    store: options.Store = None,
    verbose: options.Verbose = False,
) -> None:
    """Show what a prior was learned from and tells; of an experiment, which past tasks it resembles."""
    if _is_experiment(folder):
        _show_kin(folder, prior, store, plot, json)
        return
    for option, given in (("--prior", prior), ("--store", store)):
        if given is not None:
            raise BadInput(option, given, f"an experiment to compare with it; {folder} is none")
    _show_prior(folder, plot, json)


@app.command("points")
def points(
    folder: Folder,
    n: Annotated[int, typer.Option("-n", metavar="N", help="How many, at most.")] = 10,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="A table with commas.")] = False,
    configs: Annotated[
        bool, typer.Option("--configs", help="As a trial gets them: absolute bounds of the LR.")
    ] = False,
    verbose: options.Verbose = False,
) -> None:
    """Tell which configurations to begin with, the first to try at the front.

    As points_to_evaluate of any searcher of Ray Tune and Syne Tune takes them.
    """
    from tune_lr.prior.prior import Prior
    from tune_lr.views import prior as view
    from tune_lr.views.show import console_for_results

    if n < 1:
        raise BadInput("-n", n, "a number of at least 1")
    if json and csv:
        raise BadInput("--csv", True, "either --json or --csv")
    prior = Prior.load(folder)
    found = prior.configs(n) if configs else prior.points(n)
    if json:
        from json import dumps

        for point in found:
            typer.echo(dumps(point, allow_nan=False))
    elif csv:
        typer.echo(view.as_csv(found), nl=False)
    else:
        console_for_results().print(view.points_table(found))


def _show_prior(folder: str, plot: Path | None, json: bool) -> None:
    from tune_lr.prior.prior import Prior
    from tune_lr.views import prior as view
    from tune_lr.views.prior_summary import summary
    from tune_lr.views.show import console_for_results

    told = summary(Prior.load(folder))
    _print(view.as_json(told)) if json else view.show(told, console_for_results())

    def figure() -> Any:
        from tune_lr.views.prior_plot import figure

        return figure(told)

    def page() -> str:
        from tune_lr.views.prior_page import page

        return page(told)

    _draw(plot, figure, page, json)


def _show_kin(folder: str, prior: str | None, store: str | None, plot: Path | None, json: bool) -> None:
    from tune_lr.experiment import Experiment
    from tune_lr.views import prior_kin as view
    from tune_lr.views.show import console_for_results

    experiment = Experiment.open(folder)
    kin = view.kin_of(experiment, _prior_of(experiment, prior, store))
    _print(view.as_json(kin)) if json else view.show_kin(kin, console_for_results())

    def figure() -> Any:
        from tune_lr.views.prior_plot import figure_of_kin

        return figure_of_kin(kin)

    def page() -> str:
        from tune_lr.views.prior_page import page_of_kin

        return page_of_kin(kin)

    _draw(plot, figure, page, json)


def _prior_of(experiment: Experiment, prior: str | None, store: str | None) -> Prior:
    """What to compare an experiment with: the prior asked for, its own, or what the history tells."""
    from tune_lr.history.history import History
    from tune_lr.prior.prior import Prior
    from tune_lr.prior.saved import is_prior

    if prior is not None:
        if store is not None:
            raise BadInput("--store", store, "either --prior or --store")
        return Prior.load(prior)
    if store is None and experiment.path is not None and is_prior(experiment.path / "prior"):
        return Prior.load(experiment.path / "prior")
    history = History(store)
    if store is None and not history.tasks():
        raise Missing(
            "--prior", "a prior to compare it with: it has none of its own, and the history is empty"
        )
    return Prior.fit(history, experiment.space)


def _is_experiment(folder: str) -> bool:
    """Whether an experiment lies there; what is neither that nor a prior is told as no prior."""
    name = "experiment.json"
    if "://" not in folder:
        return (Path(folder).expanduser() / name).is_file()
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(folder)
        return bool(files.exists(f"{str(root).rstrip('/')}/{name}"))
    except (OSError, ValueError, ImportError):
        return False


@contextmanager
def _history(
    paths: list[str], store: str | None, metric: str | None, mode: str | None, console: Any, everything: bool
) -> Iterator[History]:
    """The history to learn from: the store, or what lies at the paths, imported for the moment."""
    from tune_lr.history.history import History

    for option, given in (("--metric", metric), ("--mode", mode)):
        if given is not None and not paths:
            raise BadInput(option, given, "a PATH of a log that it is said of")
    if not paths:
        yield History(store)
        return
    if store is not None:
        raise BadInput("--store", store, "either PATHs or --store")
    for path in paths:
        if "://" not in path and not os.path.exists(os.path.expanduser(path)):
            raise BadInput("PATH", path, "a file or folder that is there")
    if mode not in (None, "min", "max"):
        raise BadInput("--mode", mode, "min or max")
    from tune_lr.views.history_added import tell

    with tempfile.TemporaryDirectory(prefix="tune-lr-") as folder:
        history = History(folder)
        for path in paths:
            added = history.add(path, metric=metric, mode=mode)  # type: ignore[arg-type]
            tell(path, added, console, everything)
            if not added.imported:
                raise BadInput("PATH", path, "a log with a trial in it, as `tune-lr history add` takes it")
        yield history


def _of_tasks(history: History, tasks: list[str]) -> History:
    """The part of the history that has these tasks; all of it where none is named (UnknownName)."""
    from tune_lr.errors import UnknownName

    if not tasks:
        return history
    known = {info.task for info in history.tasks()}
    for name in tasks:
        if name not in known:
            raise UnknownName("--task", name, known)
    return history.filter(task=tasks)


def _print(content: Any) -> None:
    from json import dumps

    typer.echo(dumps(content, indent=1, allow_nan=False))


def _draw(plot: Path | None, figure: Any, page: Any, json: bool) -> None:
    """Draw into the file that was asked for; its name is told on standard error where JSON is printed."""
    from tune_lr.views import draw

    if plot is not None:
        draw.save(plot, "--plot", figure, page)
        typer.echo(str(plot), err=json)
