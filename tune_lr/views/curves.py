"""The curves of an experiment, as plain lists for whoever draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from tune_lr.experiment import Experiment
from tune_lr.journal import Status
from tune_lr.record import Record
from tune_lr.views.incumbent import Incumbent

#: Colours that people tell apart whatever their eyes (Okabe and Ito), by what became of a trial.
COLOURS: dict[Status, str] = {
    "completed": "#0072B2",
    "stopped": "#999999",
    "paused": "#56B4E9",
    "running": "#009E73",
    "failed": "#CC79A7",
    "diverged": "#D55E00",
}
BEST_COLOUR = "#E69F00"


@dataclass
class Curve:
    """One trial: what it reported at which epoch. ``lrs`` is empty where it reported no lr."""

    trial_id: str
    status: Status
    config: dict[str, object]
    epochs: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    lr_epochs: list[int] = field(default_factory=list)
    lrs: list[float] = field(default_factory=list)


@dataclass
class Curves:
    """All that there is to draw."""

    metric: str
    mode: str
    trials: list[Curve]
    best: str | None
    #: Epochs spent over all trials, and the best value at that moment.
    spent: list[int]
    best_so_far: list[float]
    #: What is counted along a curve.
    unit: str = "epoch"

    def of_status(self, status: Status) -> list[Curve]:
        """The trials of one status, without the best one."""
        return [curve for curve in self.trials if curve.status == status and curve.trial_id != self.best]

    @property
    def best_curve(self) -> Curve | None:
        return next((curve for curve in self.trials if curve.trial_id == self.best), None)


def curves(experiment: Experiment) -> Curves:
    """The curves of an experiment, as far as it has got."""
    objective, record = experiment.objective, Record()
    incumbent = Incumbent(objective)
    spent: list[int] = []
    best_so_far: list[float] = []
    for event in experiment.journal.read():
        record.apply(event)
        trial = record.trials.get(event.get("trial_id", ""))
        if trial is None:
            continue
        incumbent.update(trial)
        if event["event"] == "report" and incumbent.value is not None:
            spent.append(record.epochs)
            best_so_far.append(incumbent.value)
    found = []
    for trial in record.trials.values():
        curve = Curve(trial.trial_id, trial.status, dict(trial.config))
        for report in trial.reports:
            loss, lr = objective.loss(report.metrics.get(objective.metric)), report.metrics.get("lr")
            if loss is not None:
                curve.epochs.append(report.epoch)
                curve.values.append(objective.value(loss))
            if lr is not None and math.isfinite(lr):
                curve.lr_epochs.append(report.epoch)
                curve.lrs.append(float(lr))
        found.append(curve)
    return Curves(objective.metric, objective.mode, found, incumbent.trial_id, spent, best_so_far)


def best_label(best: Curve) -> str:
    """What a legend says of the best trial."""
    return f"best: trial {best.trial_id} ({best.status})"


def is_wide(values: Sequence[float]) -> bool:
    """Whether a logarithmic axis suits the values: all above 0, and far apart."""
    return bool(values) and min(values) > 0 and 10 < max(values) / min(values) < 1e100


def view_of(curves: Curves) -> tuple[float, float] | None:
    """The range of values worth looking at, where the worst trials would squash the rest; else None."""
    values = sorted(value for curve in curves.trials for value in curve.values)
    if len(values) < 20:
        return None
    best_first = values if curves.mode == "min" else values[::-1]
    best, usual, worst = best_first[0], best_first[int(0.9 * (len(values) - 1))], best_first[-1]
    if abs(worst - best) <= 4 * abs(usual - best):
        return None
    edge = best + 1.5 * (usual - best)
    low, high = sorted((best, edge))
    margin = 0.04 * (high - low) or 0.04 * abs(best) or 1.0
    return low - margin, high + margin


def suits_logarithm(curves: Curves, view: tuple[float, float] | None) -> bool:
    """Whether the losses, as far as they are looked at, suit a logarithmic axis."""
    values = [value for curve in curves.trials for value in curve.values]
    if view is None:
        return is_wide(values)
    return view[0] > 0 and is_wide([value for value in values if view[0] <= value <= view[1]])
