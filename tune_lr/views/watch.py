"""``tune-lr watch``: what a running experiment does, in another terminal than the one that runs it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tune_lr.errors import BadInput
from tune_lr.experiment import ENDED, Experiment
from tune_lr.record import Record, TrialRecord
from tune_lr.views.following import Following
from tune_lr.views.progress import Progress, Tally, picture
from tune_lr.views.show import summary
from tune_lr.views.standing import DEAD, standing
from tune_lr.views.words import short

#: Trials in the table: the best, and those that run.
_BEST, _RUNNING = 8, 8
#: Seconds without news after which it is looked whether the driver still lives. Looking takes its lock for a
#: moment, which is not to be done often.
_SILENCE = 10.0
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 24


def watch(experiment: Experiment, console: Console, every: float = 1.0, once: bool = False) -> None:
    """Show an experiment until it ends, or once.

    Args:
        experiment: in a folder.
        console: a terminal gets a live picture, anything else plain lines.
        every: seconds between two looks.
        once: show it as it is, and leave.

    Raises:
        BadInput: its journal is damaged, or it is in memory.
        KeyboardInterrupt: after Ctrl-C.
    """
    if experiment.path is None:
        raise BadInput("experiment", "memory", "one in a folder")
    following = Following(experiment.path / "journal.jsonl")
    following.news()
    if once:
        console.print(seen(experiment, following))
    elif console.is_terminal and not console.is_dumb_terminal:
        with Live(seen(experiment, following), console=console, auto_refresh=False, transient=True) as live:
            _follow(
                experiment, following, every, lambda: live.update(seen(experiment, following), refresh=True)
            )
    else:
        with Progress(console.file, every=max(1.0, every)) as progress:
            if following.session and following.record.status == "running":
                progress(following.session, following.record)
            _follow(experiment, following, every, lambda: None, progress)
    console.print(Text(summary(experiment, *standing(experiment)), style="bold"))


def _follow(
    experiment: Experiment,
    following: Following,
    every: float,
    shown: Callable[[], None],
    progress: Progress | None = None,
) -> None:
    """Look again and again, until it has ended or its driver is gone."""
    heard = time.monotonic()
    while following.record.status not in ENDED:
        time.sleep(every)
        events = following.news()
        for event in events:
            if progress is not None:
                progress(event, following.record)
        if events:
            heard = time.monotonic()
        elif time.monotonic() - heard > _SILENCE:
            if standing(experiment)[1] == DEAD:
                return
            heard = time.monotonic()
        shown()


def seen(experiment: Experiment, following: Following) -> RenderableType:
    """What a look shows: how far it is, the best so far, the best trials and those that run."""
    record = following.record
    if not following.session:
        return Text(f"{experiment.where}: nothing has begun yet")
    tally = Tally(following.session["asked"], record, float(following.session["time"]))
    now = time.time() if record.status == "running" else record.seen or time.time()
    name = Text(f"{experiment.where}: {record.status}", style="bold")
    return Group(name, picture(tally, now), _best_so_far(experiment, record), _trials(experiment, record))


def _best_so_far(experiment: Experiment, record: Record) -> Text:
    """The best loss after each trial that has one, as a little curve."""
    objective, best, curve = experiment.objective, math.inf, []
    for trial in record.trials.values():
        losses = trial.losses(objective)
        if losses and trial.status != "diverged":
            best = min(best, objective.score(losses))
            curve.append(best)
    return Text(f"best so far, trial by trial: {sparkline(curve)}") if len(curve) > 1 else Text("")


def _trials(experiment: Experiment, record: Record) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("trial", "status", "epochs", experiment.objective.metric, "curve"):
        table.add_column(Text(name), justify="left" if name in ("trial", "status", "curve") else "right")
    best = record.ranked(experiment.objective)[:_BEST]
    running = [trial for trial in record.with_status("running") if trial not in best][-_RUNNING:]
    for trial in [*best, *running]:
        table.add_row(*map(Text, _row(experiment, trial)))
    return table


def _row(experiment: Experiment, trial: TrialRecord) -> list[str]:
    objective = experiment.objective
    losses = trial.losses(objective)
    value = short(objective.value(objective.score(losses))) if losses else ""
    return [trial.trial_id, trial.status, str(trial.epochs), value, sparkline(losses)]


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """Numbers as bars, the lowest the smallest; of more than ``width`` every so many."""
    if len(values) > width:
        values = [values[round(at * (len(values) - 1) / (width - 1))] for at in range(width)]
    if not values:
        return ""
    low, high = min(values), max(values)
    if not high > low:
        return _BARS[0] * len(values)
    # Halved, since the distance of two floats may be none.
    span = high / 2 - low / 2
    return "".join(_BARS[min(7, int((value / 2 - low / 2) / span * 8))] for value in values)
