"""Which past tasks an experiment resembles, by what it has seen so far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.history.history import History
from tune_lr.history.log import Skipped
from tune_lr.history.matching import CONFIG
from tune_lr.prior.features import of_cube
from tune_lr.prior.filling import fill
from tune_lr.prior.prior import Prior
from tune_lr.prior.related import labels
from tune_lr.prior.tasks import PastTask, past_tasks
from tune_lr.views.history import is_utf
from tune_lr.views.words import brief, counted

Array = NDArray[np.float64]

#: So many tasks are listed.
_MOST = 40
#: A bar is so many letters wide where it is 1.
_WIDE = 10
#: Of fewer configurations a correlation is chance.
LEAST = 3


@dataclass(frozen=True)
class Kin:
    """How an experiment resembles past tasks.

    Args:
        configurations: how many of it the comparison rests on, each once.
        tasks: past tasks, the one most like it first, and the rank correlation of their scores with its own
            at its configurations; NaN where a task finds them all as good as each other.
    """

    configurations: int
    tasks: tuple[tuple[str, float], ...]

    @property
    def chance(self) -> float:
        """How large a correlation comes about by chance: one standard deviation of it."""
        return float(1.0 / np.sqrt(max(self.configurations - 1, 1)))


def kin_of(experiment: Experiment, prior: Prior) -> Kin:
    """Compare what an experiment has seen with what past tasks make of the same configurations.

    The experiment is taken as one more past task, so that curves of different lengths, failures and repeats
    count as theirs do.

    Raises:
        BadInput: too few of its trials have a value and lie in the prior's space.
    """
    seen = _seen(experiment, prior)
    scores, _ = fill(prior.scored, of_cube(prior.space, seen.cube), prior.kernel)
    found = [_rank_correlation(one, seen.scores) for one in scores]
    order = np.argsort(-np.nan_to_num(found, nan=-2.0), kind="stable")
    names = labels(prior.tasks)
    return Kin(len(seen.scores), tuple((names[i], float(found[i])) for i in order))


def show_kin(kin: Kin, console: Console) -> None:
    """Print which past tasks an experiment resembles."""
    count = counted(kin.configurations, "configuration")
    console.print(Text(f"resemblance to {counted(len(kin.tasks), 'past task')}, by {count}", style="bold"))
    left_out = len(kin.tasks) - _MOST
    caption = f"{counted(left_out, 'more task')}; --json tells all\n" if left_out > 0 else ""
    caption += (
        "correlation: of the ranks of the configurations, as the past task and as this experiment has them;\n"
        f"by chance alone it would be about {kin.chance:.2f} off"
    )
    table = Table(box=box.SIMPLE_HEAD, caption=Text(caption), caption_justify="left")
    for name in ("past task", "correlation", ""):
        table.add_column(name, justify="right" if name == "correlation" else "left")
    bar = "█" if is_utf(console) else "#"
    for name, number in kin.tasks[:_MOST]:
        told, length = ("", 0) if math.isnan(number) else (f"{number:.2f}", round(_WIDE * max(number, 0.0)))
        table.add_row(*map(Text, (brief(name), told, bar * length)))
    console.print(table)


def as_json(kin: Kin) -> dict[str, Any]:
    """The same for machines: strict JSON."""
    told = [
        {"task": name, "correlation": None if math.isnan(number) else number} for name, number in kin.tasks
    ]
    return {"configurations": kin.configurations, "by_chance": kin.chance, "tasks": told}


def _seen(experiment: Experiment, prior: Prior) -> PastTask:
    objective, frame = experiment.objective, experiment.to_pandas()
    skipped, found = Skipped(), list[PastTask]()
    if len(frame) and objective.metric in frame:
        status = {trial.trial_id: trial.status for trial in experiment.record().trials.values()}
        configs = [name for name in frame.columns if str(name).startswith(CONFIG)]
        frame = frame[["trial_id", "epoch", objective.metric, *configs]]
        frame = frame.assign(status=frame["trial_id"].map(status))
        history = History.from_pandas(frame, objective.metric, objective.mode)
        found = past_tasks(history, prior.space, skipped)
    if not found or len(found[0].scores) < LEAST:
        count = len(found[0].scores) if found else 0
        told = f"{counted(LEAST, 'configuration')} of space {prior.space.name} with a value (there: {count})"
        raise BadInput("experiment", experiment.where, "; ".join([told, *skipped.lines()[:1]]))
    return found[0]


def _rank_correlation(one: Array, other: Array) -> float:
    from scipy.stats import rankdata

    a, b = rankdata(one.round(9)), rankdata(other)
    if a.std() == 0.0 or b.std() == 0.0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
