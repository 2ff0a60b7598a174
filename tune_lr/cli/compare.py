"""``tune-lr compare``: the same work by several methods, or experiments that are there."""

from __future__ import annotations

import json as to_json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_lr.cli import options
from tune_lr.cli.errors import INTERRUPTED, ending_like_an_interrupt, say
from tune_lr.errors import BadInput, Missing

if TYPE_CHECKING:
    from tune_lr.comparing.comparison import Comparison

_WHAT, _HOW, _SEE = "What is compared", "How much", "What comes out"
#: The options of several values, and the field of a job that each is.
_SEVERAL = {
    "engines": "engine",
    "searchers": "searcher",
    "trial_schedulers": "trial_scheduler",
    "priors": "prior",
}


def _several(flag: str, text: str) -> Any:
    return typer.Option(flag, metavar="NAME,...", help=text, show_default=False, rich_help_panel=_WHAT)


def _option(flag: str, text: str, metavar: str, panel: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=text, show_default=False, rich_help_panel=panel)


def compare(
    context: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(metavar="TRAINER[:FUNCTION]|FOLDER...", help="What to train, or what has run."),
    ],
    spaces: Annotated[
        str | None, _several("--space", "A shipped space or a file; several compare their schedules.")
    ] = None,
    engines: Annotated[
        str | None, _several("--engines", "Default: syne-tune,ray, if nothing else is compared.")
    ] = None,
    searchers: Annotated[str | None, _several("--searchers", "What tries.")] = None,
    trial_schedulers: Annotated[str | None, _several("--trial-schedulers", "What stops.")] = None,
    priors: Annotated[str | None, _several("--priors", "auto, starter, none, or paths.")] = None,
    baseline: Annotated[
        str | None,
        _option("--baseline", "What the others are held against; else the first.", "METHOD", _WHAT),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs a method.", rich_help_panel=_HOW)] = 10,
    budget: Annotated[
        str | None,
        _option(
            "--budget", "Where they are compared: 270epochs, 600s. Default: 10 trainings.", "AMOUNT", _HOW
        ),
    ] = None,
    beyond: Annotated[
        float,
        typer.Option("--beyond", help="Every run goes on to so many budgets.", rich_help_panel=_HOW),
    ] = 1.5,
    neutral: Annotated[
        bool,
        typer.Option(
            "--neutral/--no-neutral",
            help="Run the baseline with other seeds too; without that no speed-up is claimed.",
            rich_help_panel=_HOW,
        ),
    ] = True,
    max_epochs: options.MaxEpochs = None,
    metric: options.Metric = None,
    mode: options.Mode = None,
    scope: options.Scope = None,
    workers: options.Workers = None,
    device: options.Device = None,
    cpus_per_trial: options.CpusPerTrial = None,
    gpus_per_trial: options.GpusPerTrial = None,
    out: Annotated[
        str | None,
        _option("--out", "A folder for all the runs; one under runs/ if not given.", "FOLDER", _SEE),
    ] = None,
    target: Annotated[
        float | None,
        _option("--target", "A value of the metric to be reached, for the speeds.", "VALUE", _SEE),
    ] = None,
    plot: Annotated[
        Path | None, _option("--plot", "A picture as well: .png, .svg or .pdf.", "FILE", _SEE)
    ] = None,
    csv: Annotated[Path | None, _option("--csv", "A row a run as well.", "FILE", _SEE)] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print all figures as JSON instead.", rich_help_panel=_SEE)
    ] = False,
    verbose: options.Verbose = False,
) -> None:
    """Which engine, searcher, trial scheduler, prior or schedule: run the same work with each, by turns.

    The same command again goes on where it was cut off. With folders of finished experiments, or that of a
    comparison, nothing is run.
    """
    given = context.params
    if all(Path(one).is_dir() for one in targets):
        found = _of_folders(targets, given)
    elif len(targets) > 1:
        raise BadInput("TRAINER", " ".join(targets), "one trainer, or folders of experiments that are there")
    else:
        found = _run(targets[0], given)
    _write(found, json, plot, csv)


def _of_folders(folders: list[str], given: dict[str, Any]) -> Comparison:
    from tune_lr.comparing.plan import PLAN
    from tune_lr.jobs.compared import compare_folders, compared

    asked = [name for name in (*_SEVERAL, "spaces", "workers", "max_epochs", "metric") if given.get(name)]
    if asked:
        raise BadInput(
            _flag(asked[0]), given[asked[0]], "a trainer to run: experiments that are there have theirs"
        )
    if len(folders) == 1 and (Path(folders[0]) / PLAN).is_file():
        for name in ("baseline", "budget"):
            if given[name] is not None:
                raise BadInput(f"--{name}", given[name], "what the comparison was begun with")
        return compared(folders[0], given["target"])
    return compare_folders(
        folders, budget=given["budget"], baseline=given["baseline"], target=given["target"]
    )


def _run(trainer: str, given: dict[str, Any]) -> Comparison:
    from tune_lr import jobs
    from tune_lr.jobs.compared import compared
    from tune_lr.jobs.comparing import compare as run
    from tune_lr.views.compare import Going
    from tune_lr.views.show import console_for_results, quoted

    if not given["spaces"]:
        raise Missing("--space", "a name (tune-lr spaces lists them) or a file")
    axes: dict[str, Any] = {
        field: _listed(_flag(name), given[name]) for name, field in _SEVERAL.items() if given[name]
    }
    spaces = _listed("--space", given["spaces"])
    if not any(len(values) > 1 for values in (*axes.values(), spaces)):
        if "engine" in axes:
            raise BadInput("--engines", given["engines"], "two or more, or two or more of something else")
        axes["engine"] = ["syne-tune", "ray"]
    fields = (
        "max_epochs",
        "metric",
        "mode",
        "scope",
        "workers",
        "device",
        "cpus_per_trial",
        "gpus_per_trial",
    )
    asked = {name: given[name] for name in fields if given[name] is not None}
    out = Path(given["out"] or jobs.new_folder(jobs.trainer_of(trainer), "compare-"))
    how = {name: given[name] for name in ("seeds", "budget", "beyond", "neutral", "baseline")}
    console = console_for_results()
    going = Going(_on_standard_error() if given["json"] else console)
    try:
        with ending_like_an_interrupt():
            run(trainer, spaces, out=out, watcher=going, **how, **axes, **asked)
    except KeyboardInterrupt:
        where = quoted(str(out))
        say(f"interrupted; everything is kept. To go on: the same command with --out {where}")
        raise typer.Exit(INTERRUPTED) from None
    return compared(out, given["target"])


def _on_standard_error() -> Any:
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def _flag(name: str) -> str:
    return "--space" if name == "spaces" else f"--{name.replace('_', '-')}"


def _listed(flag: str, text: str) -> list[str]:
    found = [one.strip() for one in text.split(",")]
    if not all(found):
        raise BadInput(flag, text, "names with commas between them")
    return found


def _write(comparison: Comparison, json: bool, plot: Path | None, csv: Path | None) -> None:
    from tune_lr.comparing.document import document
    from tune_lr.views.compare import show
    from tune_lr.views.show import console_for_results

    if json:
        typer.echo(to_json.dumps(document(comparison), indent=1))
    else:
        show(comparison, console_for_results())
    for path, write in ((plot, _plot), (csv, _csv)):
        if path is None:
            continue
        try:
            write(comparison, path)
        except (OSError, ValueError) as error:
            raise BadInput("file", str(path), f"one that can be written ({error})") from error
        if not json:
            typer.echo(str(path))


def _plot(comparison: Comparison, path: Path) -> None:
    from tune_lr.views.compare_plot import figure

    figure(comparison).savefig(path, dpi=130)


def _csv(comparison: Comparison, path: Path) -> None:
    comparison.to_pandas().to_csv(path, index=False)
