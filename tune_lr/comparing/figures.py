"""The figures of one run, and the curves of several: what was best after how many epochs or seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tune_lr.comparing.run import Run

if TYPE_CHECKING:
    import pandas as pd

Numbers = NDArray[np.float64]
Unit = Literal["epochs", "seconds"]
#: The column that counts each of them.
COLUMN = {"epochs": "spent", "seconds": "time"}
#: Points of a curve over seconds.
_POINTS = 400
#: Fewer trials have no rank correlation that says anything.
_LEAST_RANKED = 5


def figures(run: Run, unit: Unit, budget: float) -> dict[str, float]:
    """What a run is judged by, at a budget.

    Returns:
        ``best`` (loss), ``epochs`` and ``seconds`` spent within the budget, ``trained`` (seconds of all
        workers), ``overhead`` (the share of the workers' time that was not spent training), ``busy`` (the
        share in which they had a trial), ``per_trial`` (seconds a trial: what was not training, by the
        trials begun), ``first_report`` (seconds), ``start_up`` and ``decision`` (median seconds from handing
        out a trial to its first epoch, and between two epochs), ``memory`` (bytes), and how many trials
        were ``begun``, ``completed``, ``stopped``, ``paused``, ``failed``, ``diverged``. NaN: not known.
    """
    reports = run.reports[run.reports[COLUMN[unit]] <= budget]
    seconds = float(reports["time"].max()) if len(reports) else math.nan
    legs = run.legs[run.legs["begun"] <= seconds]
    trained, had = _trained(reports, legs), float((legs["ended"].clip(upper=seconds) - legs["begun"]).sum())
    room = run.workers * seconds
    begun = float(reports["trial_id"].nunique())
    found = {
        "best": float(reports["best"].iloc[-1]) if len(reports) else math.inf,
        "epochs": float(reports["spent"].max()) if len(reports) else 0.0,
        "seconds": seconds,
        "trained": trained,
        "overhead": _share(room - trained, room),
        "busy": _share(had, room) if len(legs) else math.nan,
        "per_trial": _share(room - trained, begun),
        "first_report": float(reports["time"].iloc[0]) if len(reports) else math.nan,
        "start_up": _median(legs["start_up"].to_numpy(np.float64)),
        "decision": _median(_between(reports)),
        "memory": math.nan if run.memory is None else float(run.memory),
        "begun": begun,
    }
    for status in ("completed", "stopped", "paused", "failed", "diverged"):
        found[status] = float(run.statuses.get(status, 0))
    return found


def _trained(reports: pd.DataFrame, legs: pd.DataFrame) -> float:
    """Seconds that the trials trained; NaN in a replay."""
    if not len(legs):
        return math.nan
    return float(reports.groupby("trial_id")["trained"].max().sum())


def _between(reports: pd.DataFrame) -> Numbers:
    """Seconds from one report of a trial to its next, less what the epoch between them trained.

    Where a trial was paused in between, that is no decision: only epochs of trials that were going on count,
    which are those closest together.
    """
    if reports["trained"].isna().all():
        return np.zeros(0)
    ordered = reports.sort_values(["trial_id", "epoch"])
    steps = ordered.groupby("trial_id")[["time", "trained", "epoch"]].diff()
    gap = (steps["time"] - steps["trained"])[steps["epoch"] == 1]
    between: Numbers = gap.to_numpy(np.float64)
    return np.maximum(between, 0.0)


def rung_agreement(run: Run, rung: int) -> tuple[int, float]:
    """How well the order of trials at an epoch told their order at the end.

    Returns:
        The trials that were trained to the end, and the rank correlation (Spearman) of their best losses by
        the rung with those at the end; NaN of fewer than five. Trials that were stopped have no end, so
        that this is of those that early stopping let through, and the milder for it.
    """
    from scipy.stats import spearmanr

    best = run.reports.assign(loss=run.reports.groupby("trial_id")["loss"].cummin())
    at, end = (best[best["epoch"] == epoch].set_index("trial_id")["loss"] for epoch in (rung, run.max_epochs))
    both = at.to_frame("rung").join(end.rename("end"), how="inner").dropna()
    if len(both) < _LEAST_RANKED or both["rung"].nunique() < 2 or both["end"].nunique() < 2:
        return len(both), math.nan
    return len(both), float(spearmanr(both["rung"], both["end"]).statistic)


def rungs_of(run: Run) -> list[int]:
    """A ninth and a third of a training, where early stopping usually looks."""
    return sorted({max(1, round(run.max_epochs / 9)), max(1, round(run.max_epochs / 3))} - {run.max_epochs})


def grid_of(runs: Sequence[Run], unit: Unit) -> Numbers:
    """Where curves are looked at: every epoch, or some hundred moments, as far as every run has come."""
    last = min((float(run.reports[COLUMN[unit]].max()) for run in runs if len(run.reports)), default=0.0)
    if unit == "epochs":
        return np.arange(1.0, last + 1)
    return np.linspace(0.0, last, _POINTS + 1)[1:] if last > 0 else np.zeros(0)


def best_on(runs: Sequence[Run], grid: Numbers, unit: Unit) -> Numbers:
    """The best loss of each run at each point of a grid, shape (runs, points); inf before the first."""
    rows = []
    for run in runs:
        at = run.reports[COLUMN[unit]].to_numpy(np.float64)
        best = np.concatenate([[np.inf], run.reports["best"].to_numpy(np.float64)])
        rows.append(best[np.searchsorted(at, grid, side="right")])
    return np.array(rows).reshape(len(runs), len(grid))


def first_at(curve: Numbers, grid: Numbers, target: float) -> float:
    """Where on the grid a curve first is as good as the target; inf: nowhere."""
    reached = np.flatnonzero(curve <= target)
    return float(grid[reached[0]]) if len(reached) else math.inf


def busy_over_time(run: Run, points: int = 60) -> dict[str, Any]:
    """How many workers had a trial, on average, in each of so many equal parts of the run.

    Returns:
        ``seconds``: the middle of each part; ``workers``: the mean number that were busy.
    """
    end = float(run.legs["ended"].max()) if len(run.legs) else 0.0
    if end <= 0:
        return {"seconds": [], "workers": []}
    edges = np.linspace(0.0, end, points + 1)
    begun, ended = run.legs["begun"].to_numpy(np.float64), run.legs["ended"].to_numpy(np.float64)
    had = [np.clip(np.minimum(ended, b) - np.maximum(begun, a), 0, None).sum() / (b - a)
           for a, b in pairwise(edges)]  # fmt: skip
    return {"seconds": ((edges[:-1] + edges[1:]) / 2).tolist(), "workers": [float(one) for one in had]}


def _median(values: Numbers) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else math.nan


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 and math.isfinite(part) else math.nan
