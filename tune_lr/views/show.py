"""An experiment in words and tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tune_lr.experiment import Experiment
from tune_lr.objective import Objective
from tune_lr.record import Record, TrialRecord, headline
from tune_lr.space import ConstantKnob, SearchSpace
from tune_lr.views.decisions import show_decisions
from tune_lr.views.paste import paste
from tune_lr.views.standing import standing
from tune_lr.views.trust import told, trust_in
from tune_lr.views.words import counted, duration, short, tally

#: So many failures are told; the table says which trials the others are.
_FAILURES_TOLD = 5
_WIDE, _CODE_WIDE = 250, 100


def console_for_results() -> Console:
    """Standard output; wide where it is no terminal, so that tables in files and pipes are whole."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, soft_wrap=True)


def show(experiment: Experiment, console: Console, top: int = 10) -> None:
    """Print the summary, the best ``top`` trials, what failed, the best configuration, and how to go on."""
    record, status = standing(experiment)
    go_on = f"; to go on: tune-lr resume {quoted(experiment.where)}" if record.status == "interrupted" else ""
    console.print(Text(summary(experiment, record, status) + go_on, style="bold"))
    _print_prior(record, console)
    if record.trials:
        console.print(trials_table(record, experiment.objective, experiment.space, console.width, top))
    _print_failures(record, console)
    _print_best(experiment, record, console)
    if experiment.path and (experiment.path / "reports.parquet").exists():
        folder = experiment.path if experiment.uri else Path(experiment.where)
        where = str(folder / "reports.parquet")
        console.print(Text(f"\nEvery report:  pandas.read_parquet({where!r})", style="dim"))


def finale(experiment: Experiment, console: Console) -> None:
    """What to know when a job has ended: the summary, the best configuration, and where all of it lies."""
    record = experiment.record()
    console.print(Text(summary(experiment, record), style="bold"))
    _print_prior(record, console)
    _print_best(experiment, record, console)
    if experiment.path:
        where = quoted(experiment.where)
        console.print(Text(f"\nMore:  tune-lr show {where}   tune-lr plot {where}", style="dim"))


def show_trial(experiment: Experiment, trial_id: str, console: Console) -> None:
    """Print all that is known of one trial.

    Raises:
        BadInput: there is no such trial.
    """
    record, _ = standing(experiment)
    trial = record.named(trial_id)
    reason = f" ({trial.reason})" if trial.reason else ""
    head = f"trial {trial.trial_id}: {trial.status}{reason} after {counted(trial.epochs, 'epoch')}"
    console.print(Text(head, style="bold"))
    _print_config(trial.config, console)
    if trial.reports:
        console.print(_reports_table(trial))
    show_decisions(experiment, trial.trial_id, console)
    if trial.error:
        console.print(Text(trial.error.rstrip(), style="red"))


def summary(experiment: Experiment, record: Record, status: str | None = None) -> str:
    """The experiment in a line; ``status`` where there is more to say than the record's."""
    counts: dict[Any, int] = {}
    for trial in record.trials.values():
        counts[trial.status] = counts.get(trial.status, 0) + 1
    ended = f"{record.status} early, since {record.why}" if record.why else record.status
    parts = [status or ended, f"{counted(len(record.trials), 'trial')} ({tally(counts)})"]
    parts += [counted(record.epochs, "epoch"), duration(record.seconds)]
    return f"{experiment.where}: {', '.join(parts)}"


def trials_table(record: Record, objective: Objective, space: SearchSpace, width: int, top: int) -> Table:
    """The best trials, then those without a value, with as many knobs as the width has room for."""
    ranked = record.ranked(objective)
    best = {trial.trial_id for trial in ranked}
    rows = [*ranked, *(t for t in record.trials.values() if t.trial_id not in best)]
    knobs = _varying(record, space)
    head = ["trial", "status", "epochs", objective.metric]
    cells = [
        [trial.trial_id, trial.status, str(trial.epochs), _value(trial, objective)]
        + [short(trial.config.get(knob)) for knob in knobs]
        for trial in rows[:top]
    ]
    shown = _fitting([*head, *knobs], cells, width, least=len(head))
    hidden = [knob for knob in knobs if knob not in shown]
    notes = [f"{len(rows) - top} more trials"] if len(rows) > top else []
    notes += [f"no room for {', '.join(hidden)}"] if hidden else []
    table = Table(box=box.SIMPLE_HEAD, caption="; ".join(notes) or None, caption_justify="left")
    for name in shown:
        table.add_column(Text(name), justify="left" if name in ("trial", "status") else "right", no_wrap=True)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row[: len(shown)]))
    return table


def quoted(path: str) -> str:
    """A path as a shell wants it."""
    import shlex

    return shlex.quote(path)


def _print_prior(record: Record, console: Console) -> None:
    if said := told(trust_in(record)):
        console.print(Text(said))


def _print_failures(record: Record, console: Console) -> None:
    failed = record.with_status("failed")
    for trial in failed[:_FAILURES_TOLD]:
        console.print(Text(f"trial {trial.trial_id} failed: {headline(trial.error or '')}", style="red"))
    if len(failed) > _FAILURES_TOLD:
        console.print(Text(f"... and {counted(len(failed) - _FAILURES_TOLD, 'other')}", style="red"))


def _print_best(experiment: Experiment, record: Record, console: Console) -> None:
    ranked = record.ranked(experiment.objective)
    if not ranked:
        console.print(f"No trial has reported a usable {experiment.objective.metric}.", markup=False)
        return
    trial = ranked[0]
    console.print(Text(f"\nBest: trial {trial.trial_id}, {_achieved(trial, experiment.objective)}", "bold"))
    constants = {name for name, knob in experiment.space.knobs.items() if isinstance(knob, ConstantKnob)}
    varied = {name: value for name, value in trial.config.items() if name not in constants}
    _print_config(varied or trial.config, console)
    if trial.status == "paused":
        console.print(Text(_not_to_the_end(trial, experiment, record)))
    console.print(Text("\nUse it:", style="bold"))
    for line in paste(trial.config, experiment.job.max_epochs, max(40, min(console.width, _CODE_WIDE) - 4)):
        console.print(Text(f"    {line}", style="green"), soft_wrap=True)


def _achieved(trial: TrialRecord, objective: Objective) -> str:
    """The trial's value, and which epoch it is of where it is one epoch's."""
    told = f"{objective.metric} {_value(trial, objective)}"
    if objective.scope == "best":
        found = ((objective.loss(r.metrics.get(objective.metric)), r.epoch) for r in trial.reports)
        epoch = min((loss, epoch) for loss, epoch in found if loss is not None)[1]
        return f"{told} at epoch {epoch} of {trial.epochs} ({trial.status})"
    return f"{told} after {counted(trial.epochs, 'epoch')} ({trial.status})"


def _not_to_the_end(trial: TrialRecord, experiment: Experiment, record: Record) -> str:
    """What to know of a best trial that is paused, and how it would go on."""
    told = f"It was not trained to the end ({trial.epochs} of {experiment.job.max_epochs} epochs)"
    if record.status == "running":
        return f"{told}; it may still go on."
    resume = f"tune-lr resume {quoted(experiment.where)}" if experiment.path else ""
    if trial.unfinished:
        how = {"budget": " --budget AMOUNT", "stop-when": " --stop-when none"}.get(trial.reason or "", "")
        return f"{told}; to go on with it: {resume}{how}" if resume else f"{told}."
    more = f"with more trials than {len(record.trials)} the best of them go on"
    return f"{told}; {more}: {resume} --trials N" if resume else f"{told}; {more}."


def _value(trial: TrialRecord, objective: Objective) -> str:
    losses = trial.losses(objective)
    return short(objective.value(objective.score(losses))) if losses else ""


def _varying(record: Record, space: SearchSpace) -> list[str]:
    constants = {name for name, knob in space.knobs.items() if isinstance(knob, ConstantKnob)}
    names = dict.fromkeys(name for trial in record.trials.values() for name in trial.config)
    return [name for name in names if name not in constants]


def _fitting(head: list[str], rows: list[list[str]], width: int, least: int) -> list[str]:
    """The first columns that fit into the width."""
    room, shown = width - 1, 0
    for i, name in enumerate(head):
        room -= 3 + max(len(name), *(len(row[i]) for row in rows))
        if room < 0 and i >= least:
            break
        shown = i + 1
    return head[:shown]


def _reports_table(trial: TrialRecord) -> Table:
    names = list(dict.fromkeys(name for report in trial.reports for name in report.metrics))
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("epoch", "seconds", *names):
        table.add_column(Text(name), justify="right")
    for report in trial.reports:
        values = (short(report.metrics.get(name)) if name in report.metrics else "" for name in names)
        table.add_row(str(report.epoch), f"{report.seconds:.1f}", *(Text(value) for value in values))
    return table


def _print_config(config: dict[str, Any], console: Console) -> None:
    console.print(Padding(Text(_listed(config)), (0, 0, 0, 4)), soft_wrap=False)


def _listed(config: dict[str, Any]) -> str:
    return ", ".join(f"{name} {short(value)}" for name, value in config.items())
