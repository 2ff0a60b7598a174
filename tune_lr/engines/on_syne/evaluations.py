"""Past trials as Syne Tune's transfer-learning schedulers take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from syne_tune.optimizer.schedulers.transfer_learning.transfer_learning_task_evaluation import (
    TransferLearningTaskEvaluations,
)

from tune_lr.engines.on_syne.space import to_syne
from tune_lr.errors import BadInput, Missing
from tune_lr.history.points import configurations, values_of
from tune_lr.objective import WORST_LOSS
from tune_lr.prior.prior import Prior
from tune_lr.prior.related import labels
from tune_lr.prior.tasks import PastTask
from tune_lr.space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd


def transfer_evaluations(
    trials: pd.DataFrame,
    reports: pd.DataFrame,
    space: SearchSpace,
    metric: str,
    mode: Literal["min", "max"],
    name: str | None = None,
) -> dict[str, TransferLearningTaskEvaluations]:
    """The trials that are points of a space, and their curves, by task.

    ::

        past = History().filter(metric="val_loss")
        known = transfer_evaluations(past.trials(), past.to_pandas(), space, "val_loss", "min")
        BoundingBox(make_scheduler, to_syne(space), "val_loss", known)

    A configuration that was tried under several seeds is one row with as many seeds; where others have more,
    its own are repeated in turn. No cell is NaN, since Syne Tune's means and minima would be NaN with it:
    where a trial reported nothing, because it had ended or counts in larger steps, its latest value stands,
    and before its first report that one. Where a trial diverged, and where a value is infinite, the worst
    finite value of the task stands.

    Args:
        trials: one row a trial, as ``History.trials()`` has it: ``task``, ``trial_id``, ``best``, and
            ``config/<knob>``; ``experiment`` where several of one task may have trials of one name.
        reports: one row a report, as ``History.to_pandas()`` has it: ``task``, ``trial_id``, ``epoch``, and
            the metric, if any trial reports it; ``experiment`` where the trials have it. A trial without a
            report is one value: what the trials' table has in a column of the metric's name, else its
            ``best``, unless the table has a column ``metric`` that says that it is of another.
        space: whose points are wanted; trials that lie outside of it, or lack a knob, are left out.
        metric: the name of the objective.
        mode: whether small or large values of the metric are good.
        name: what a task without a column ``task`` is called.

    Returns:
        Task -> its evaluations, of shape (configurations, seeds, epochs, 1); the columns of
        ``hyperparameters`` are the keys of ``to_syne(space)``. A task without a usable trial is left out.

    Raises:
        BadInput: a column is missing, or the mode is neither ``min`` nor ``max``.
    """
    if mode not in ("min", "max"):
        raise BadInput("mode", mode, "min or max")
    trials, reports = _checked(trials, reports, metric, name)
    found = {}
    for task, of_task in trials.groupby("task", sort=False):
        curves = reports[reports["task"] == task]
        if (made := _evaluations(of_task, curves, space, metric, mode)) is not None:
            found[str(task)] = made
    return found


def of_prior(prior: Prior, metric: str = "val_loss") -> dict[str, TransferLearningTaskEvaluations]:
    """The past tasks of a prior as evaluations, whatever their metrics were called.

    ::

        BoundingBox(make_scheduler, to_syne(prior.space), "val_loss", of_prior(prior), do_minimize=True)

    Values are the best losses so far, so lower is better for every task, also where its metric was one to be
    maximized. Where a trial diverged, the worst other value of the task stands.

    Args:
        prior: fitted or loaded.
        metric: the name of the objective of the task to come.

    Returns:
        Task -> its evaluations, of shape (configurations, 1, epochs, 1). A task all of whose trials diverged
        is left out.

    Raises:
        BadInput: the metric has no name.
    """
    if not isinstance(metric, str) or not metric:
        raise BadInput("metric", metric, "the name of a reported value")
    found = {}
    for name, task in zip(labels(prior.tasks), prior.tasks, strict=True):
        if (task.curves < WORST_LOSS).any():
            found[name] = _of_past_task(task, prior.space, metric)
    return found


def _of_past_task(task: PastTask, space: SearchSpace, metric: str) -> TransferLearningTaskEvaluations:
    import pandas as pd

    sound = task.curves < WORST_LOSS
    curves = np.where(sound, task.curves, task.curves[sound].max())
    points = [space.flat(space.decode(row)) for row in task.cube]
    table = pd.DataFrame(points, columns=list(space.knobs))
    return TransferLearningTaskEvaluations(
        to_syne(space), table, [metric], curves[:, np.newaxis, :, np.newaxis]
    )


def _checked(
    trials: pd.DataFrame, reports: pd.DataFrame, metric: str, name: str | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables with a column ``task`` and names as text (BadInput)."""
    tables = []
    said = metric in trials or ("metric" in trials and (trials["metric"] == metric).any())
    if metric not in reports and said:
        reports = reports.assign(**{metric: np.nan})
    for table, wanted in ((trials, ["trial_id", "best"]), (reports, ["trial_id", "epoch", metric])):
        wanted = wanted if "task" in table or name is not None else ["task", *wanted]
        for column in wanted:
            if column not in table:
                raise Missing(f"column {column!r}", "a column of that name, as docs/history.md has it")
        tasks = table["task"].astype(str) if "task" in table else name
        tables.append(table.assign(task=tasks, trial_id=table["trial_id"].astype(str)))
    return tables[0], tables[1]


def _evaluations(
    trials: pd.DataFrame, reports: pd.DataFrame, space: SearchSpace, metric: str, mode: str
) -> TransferLearningTaskEvaluations | None:
    """One task; None where none of its trials can be used."""
    import pandas as pd

    points, groups = _points(trials, space)
    curves = _curves(trials, reports, metric)
    finite = curves[np.isfinite(curves)]
    if not points or not finite.size:
        return None
    worst = finite.max() if mode == "min" else finite.min()
    told = ~np.isnan(curves).all(axis=1)
    groups = [[row for row in rows if told[row]] for rows in groups]
    kept = [place for place, rows in enumerate(groups) if rows]
    if not kept:
        return None
    curves = np.where(np.isfinite(curves), curves, worst)
    seeds = max(len(groups[place]) for place in kept)
    values = np.stack([curves[np.resize(groups[place], seeds)] for place in kept])
    table = pd.DataFrame([points[place] for place in kept], columns=list(space.knobs))
    return TransferLearningTaskEvaluations(to_syne(space), table, [metric], values[..., np.newaxis])


def _points(trials: pd.DataFrame, space: SearchSpace) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """The different points of the space, and the rows of the trials that tried each."""
    points: dict[str, dict[str, Any]] = {}
    groups: dict[str, list[int]] = {}
    for row, config in enumerate(configurations(trials)):
        if (point := values_of(config, space)) is not None:
            key = space.key(point)
            points.setdefault(key, space.flat(point))
            groups.setdefault(key, []).append(row)
    return list(points.values()), list(groups.values())


def _curves(trials: pd.DataFrame, reports: pd.DataFrame, metric: str) -> np.ndarray[Any, Any]:
    """Trial x epoch that any trial reports: the latest value so far, infinite where it is none.

    A trial that has neither a report nor a value of its own is NaN throughout.
    """
    import pandas as pd

    at = _positions(trials, reports)
    values = _numbers(reports[metric])
    epochs = reports["epoch"].to_numpy(np.int64)
    known = (at >= 0) & ~np.isnan(values)
    at, values, epochs = at[known], values[known], epochs[known]
    every = np.unique(epochs) if len(epochs) else np.array([0])
    curves = np.full((len(trials), len(every)), np.nan)
    curves[at, np.searchsorted(every, epochs)] = values
    if "status" in trials:
        last = np.zeros(len(trials), np.int64)
        np.maximum.at(last, at, np.searchsorted(every, epochs) + 1)
        diverged = (trials["status"] == "diverged").to_numpy(bool, na_value=False)
        curves[diverged[:, np.newaxis] & (np.arange(len(every)) >= last[:, np.newaxis])] = np.inf
    silent = np.isnan(curves).all(axis=1)
    curves[silent] = _finals(trials, metric)[silent, np.newaxis]
    filled: np.ndarray[Any, Any] = pd.DataFrame(curves).ffill(axis=1).bfill(axis=1).to_numpy()
    return filled


def _finals(trials: pd.DataFrame, metric: str) -> np.ndarray[Any, Any]:
    """What each trial came to in the metric, as far as the trials' own table tells."""
    best = _numbers(trials["best"])
    if "metric" in trials:
        best = np.where(trials["metric"] == metric, best, np.nan)
    if metric not in trials:
        return best
    final = _numbers(trials[metric])
    return np.where(np.isnan(final), best, final)


def _positions(trials: pd.DataFrame, reports: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Of each report the row of its trial, -1 where there is none."""
    keys = [name for name in ("experiment", "trial_id") if name in trials and name in reports]
    rows = trials[keys].assign(_at=np.arange(len(trials))).drop_duplicates(keys)
    at = reports[keys].merge(rows, on=keys, how="left")["_at"]
    return np.asarray(at.fillna(-1), np.int64)


def _numbers(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    import pandas as pd

    numbers: np.ndarray[Any, Any] = pd.to_numeric(column, errors="coerce").to_numpy(
        np.float64, na_value=np.nan
    )
    return numbers
