"""The options that commands share. Defaults are those of ``Job``; here they are only told.

All are text to Typer: ``Job`` reads them, so that a message is the same wherever a value came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from tune_lr.errors import BadInput
from tune_lr.registry import PARTS

#: What help says of the defaults, by field of the job (a test compares them with ``Job``).
DEFAULTS = {
    "engine": "inline", "searcher": "prior", "prior": "auto",
    "trial_scheduler": "freeze-thaw with searcher prior, asha with others", "trials": "20",
    "max_epochs": "27", "workers": "1", "seed": "0", "metric": "val_loss", "mode": "min", "scope": "best",
    "device": "auto", "cpus_per_trial": "1", "gpus_per_trial": "0", "keep_checkpoints": "best",
}  # fmt: skip

#: The same of ``resume``, where every option has the value that it had.
KEPT = "As it was, if not given."

_HOW, _LONG, _WHERE = "What is tried and judged", "How much", "Where it runs and what it leaves"


def _option(flag: str, text: str, metavar: str, panel: str) -> Any:
    default = DEFAULTS.get(flag.removeprefix("--").replace("-", "_"))
    told = f"{text} Default: {default}." if default else text
    return typer.Option(flag, help=told, metavar=metavar, show_default=False, rich_help_panel=panel)


def _kept(flag: str, text: str, metavar: str, panel: str) -> Any:
    return typer.Option(
        flag, help=f"{text} {KEPT}", metavar=metavar, show_default=False, rich_help_panel=panel
    )


def _native(engine: str) -> str:
    theirs = (name.split("/") for name in PARTS["native_schedulers"])
    return ", ".join(name for brings, name in theirs if brings == engine)


_SEARCHERS = ", ".join(PARTS["searchers"])
_SCHEDULERS = (
    f"Who may go on: {', '.join(PARTS['trial_schedulers'])}; of the engine's own, {_native('ray')} on ray "
    f"and {_native('syne-tune')} on syne-tune."
)
_PRIORS = (
    "What is known from the past: auto (the history of this space, else the starter), starter (what ships "
    "with tune-lr), none, or a saved prior, an experiment's folder or a log; paths are repeatable."
)

Space = Annotated[
    str | None, _option("--space", "A shipped space (tune-lr spaces), or a file.", "NAME|FILE", _HOW)
]
Searcher = Annotated[str | None, _option("--searcher", f"What to try next: {_SEARCHERS}.", "NAME", _HOW)]
Prior = Annotated[list[str] | None, _option("--prior", _PRIORS, "auto|starter|none|PATH", _HOW)]
TrialScheduler = Annotated[str | None, _option("--trial-scheduler", _SCHEDULERS, "NAME", _HOW)]
Metric = Annotated[str | None, _option("--metric", "The reported value that decides.", "NAME", _HOW)]
Mode = Annotated[str | None, _option("--mode", "Whether lower or higher is better.", "min|max", _HOW)]
Scope = Annotated[
    str | None,
    _option("--scope", "What decides about a trial: its best report, its last, or the mean of its last K.",
            "best|last|avg-K", _HOW),
]  # fmt: skip
Seed = Annotated[str | None, _option("--seed", "Repeatable by it.", "N", _HOW)]
SearcherOption = Annotated[
    list[str] | None,
    _option("--searcher-option", "An option of the searcher; repeatable.", "KEY=VALUE", _HOW),
]
TrialSchedulerOption = Annotated[
    list[str] | None,
    _option("--trial-scheduler-option", "An option of the trial scheduler; repeatable.", "KEY=VALUE", _HOW),
]

_BUDGET = "500epochs, 600s, 10m, 2h."
_STOP_WHEN = (
    "End the job early: gain<0.001/20 (the last 20 trials brought less; also 1%, and /200epochs), best<0.1 "
    "(best>0.9 where large is good), time>10m; several with commas."
)
_NO_BUDGET = "If not given: a third of trials x max-epochs with freeze-thaw, unlimited with others."
_ENGINE = ("--engine", f"What runs the trials: {', '.join(PARTS['engines'])}.", "NAME", _WHERE)
_WORKERS = ("--workers", "Trials at a time.", "N", _WHERE)
_DEVICE = ("--device", "auto, cpu, cuda, mps.", "NAME", _WHERE)
_CPUS = ("--cpus-per-trial", "CPU cores of one trial.", "N", _WHERE)
_GPUS = ("--gpus-per-trial", "GPUs of one trial; fractions on ray.", "N", _WHERE)
_KEEP = (
    "--keep-checkpoints",
    "Of how many finished trials: best (one), all, or a number.",
    "best|all|N",
    _WHERE,
)
_ADDRESS = ("--address", "An existing Ray cluster: auto, or host:port.", "ADDRESS", _WHERE)
_NEW_FOLDER = "The experiment's own folder, or an fsspec URI; a new one under runs/ if not given."

Trials = Annotated[str | None, _option("--trials", "How many configurations, at most.", "N", _LONG)]
MaxEpochs = Annotated[str | None, _option("--max-epochs", "The most epochs of one trial.", "N", _LONG)]
Budget = Annotated[
    str | None,
    _option("--budget", f"Epochs or time in all: {_BUDGET} {_NO_BUDGET}", "AMOUNT", _LONG),
]
StopWhen = Annotated[str | None, _option("--stop-when", _STOP_WHEN, "RULE", _LONG)]
Engine = Annotated[str | None, _option(*_ENGINE)]
Workers = Annotated[str | None, _option(*_WORKERS)]
Log = Annotated[
    str | None,
    _option(
        "--log", f"Other tools that get the reports as well: {', '.join(PARTS['sinks'])}.", "NAME,…", _WHERE
    ),
]
Out = Annotated[str | None, _option("--out", _NEW_FOLDER, "FOLDER", _WHERE)]
Device = Annotated[str | None, _option(*_DEVICE)]
CpusPerTrial = Annotated[str | None, _option(*_CPUS)]
GpusPerTrial = Annotated[str | None, _option(*_GPUS)]
KeepCheckpoints = Annotated[str | None, _option(*_KEEP)]
Address = Annotated[str | None, _option(*_ADDRESS)]
Describe = Annotated[
    list[str] | None,
    _option("--describe", "A word on the task, kept with the results; repeatable.", "KEY=VALUE", _WHERE),
]

#: Of what reads the history.
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="FOLDER",
        help="Where the history lies: a folder or fsspec URI; $TUNE_LR_HISTORY if not given, else your own.",
    ),
]

#: Of ``resume``.
TotalTrials = Annotated[
    str | None,
    _kept("--trials", "How many configurations in all: a total, with those that are there.", "N", _LONG),
]
TotalBudget = Annotated[
    str | None,
    _kept("--budget", f"Epochs or time in all, with what is spent already: {_BUDGET}", "AMOUNT", _LONG),
]
SameStopWhen = Annotated[str | None, _kept("--stop-when", f"{_STOP_WHEN} none: not any more.", "RULE", _LONG)]
SameEngine = Annotated[str | None, _kept(*_ENGINE)]
SameWorkers = Annotated[str | None, _kept(*_WORKERS)]
SameDevice = Annotated[str | None, _kept(*_DEVICE)]
SameCpusPerTrial = Annotated[str | None, _kept(*_CPUS)]
SameGpusPerTrial = Annotated[str | None, _kept(*_GPUS)]
SameKeepCheckpoints = Annotated[str | None, _kept(*_KEEP)]
SameAddress = Annotated[str | None, _kept(*_ADDRESS)]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", help="Tracebacks of errors, and what the engine says.", rich_help_panel=_WHERE),
]


def asked_for(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a job among the options that were given; what was not given is left out.

    Raises:
        BadInput: a ``key=value`` is none.
    """
    asked = {
        name: value for name, value in given.items() if value is not None and name not in ("verbose", "log")
    }
    for name, field in (
        ("searcher_option", "searcher_options"),
        ("trial_scheduler_option", "trial_scheduler_options"),
    ):
        if pairs := asked.pop(name, None):
            asked[field] = {key: plain(value) for key, value in pairs_of(name, pairs)}
    if pairs := asked.pop("describe", None):
        asked["task"] = dict(pairs_of("describe", pairs))
    if not asked.get("prior"):
        asked.pop("prior", None)
    keep = asked.get("keep_checkpoints")
    if keep is not None and re.fullmatch(r"-?[0-9]{1,9}", keep):
        asked["keep_checkpoints"] = int(keep)
    return asked


def plain(text: str) -> Any:
    """The value of an option: a number, true or false where it reads as one, else text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def pairs_of(name: str, pairs: Iterable[str]) -> Iterable[tuple[str, str]]:
    """The keys and values of a repeatable option; raises BadInput for what is no ``key=value``."""
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise BadInput(f"--{name.replace('_', '-')}", pair, "key=value")
        yield key.strip(), value
