"""The curves of an experiment of the history, as plain lists for whoever draws them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np

from tune_lr.history.matching import CONFIG
from tune_lr.journal import Status
from tune_lr.views.canvas import FURTHEST
from tune_lr.views.curves import Curve, Curves
from tune_lr.views.words import brief

if TYPE_CHECKING:
    import pandas as pd

    from tune_lr.history.entry import TaskInfo

#: So many trials are drawn: the best, and others evenly from the best to the worst.
MOST = 300
#: What a trial is drawn as of which the source did not say how it ended.
_UNSAID: Status = "completed"


@dataclass
class PastCurves(Curves):
    """Curves, and how many reports of them hold values too far out to be drawn."""

    beyond: int = 0


def curves_of(info: TaskInfo, trials: pd.DataFrame, reports: pd.DataFrame) -> PastCurves:
    """The curves of one experiment; a trial without reports has none."""
    trials = trials.reset_index(drop=True)
    chosen = trials.iloc[_chosen(info, trials)]
    best = chosen["trial_id"].iloc[0] if len(chosen) and _has_best(info, chosen) else None
    found, beyond, beyond_of_lr = [_curve(row) for row in chosen.to_dict("records")], 0, 0
    by_id = dict(zip(chosen["trial_id"].tolist(), found, strict=True))
    rows = reports[reports["trial_id"].isin(list(by_id))].sort_values("epoch", kind="stable")
    for trial_id, group in rows.groupby("trial_id", sort=False, observed=True):
        curve = by_id[trial_id]
        if info.metric is not None and info.metric in group:
            curve.epochs, curve.values, more = _drawable(group, info.metric)
            beyond += more
        if "lr" in group:
            curve.lr_epochs, curve.lrs, more = _drawable(group, "lr")
            beyond_of_lr += more
    unit = info.fidelity.removesuffix("s")
    if not any(curve.values for curve in found) and not beyond:
        unit = "trial"
        beyond = _one_point_each(found, chosen)
    metric = "value" if info.metric is None else brief(info.metric)
    best = None if best is None else brief(best)
    return PastCurves(metric, info.mode or "min", found, best, [], [], unit, beyond + beyond_of_lr)


def _one_point_each(found: list[Curve], chosen: pd.DataFrame) -> int:
    """Where nothing was reported on the way, what each trial came to, in the order in which they began.

    Returns how many are too far out to be drawn.
    """
    beyond = 0
    for curve, place, value in zip(found, chosen.index.tolist(), chosen["best"].tolist(), strict=True):
        if value is None or not math.isfinite(value):
            continue
        if abs(value) > FURTHEST:
            beyond += 1
        else:
            curve.epochs, curve.values = [place + 1], [float(value)]
    return beyond


def _chosen(info: TaskInfo, trials: pd.DataFrame) -> list[int]:
    """Positions of the trials to draw, the best first."""
    values = trials["best"].to_numpy(dtype="float64", na_value=np.nan)
    order = np.argsort(-values if info.mode == "max" else values, kind="stable")
    if len(order) > MOST:
        order = order[np.unique(np.linspace(0, len(order) - 1, MOST).astype(int))]
    found: list[int] = order.tolist()
    return found


def _has_best(info: TaskInfo, chosen: pd.DataFrame) -> bool:
    value: Any = chosen["best"].iloc[0]
    return info.mode is not None and value is not None and value == value


def _curve(row: dict[Any, Any]) -> Curve:
    status = row.get("status")
    known = cast("Status", status) if status in get_args(Status) else _UNSAID
    config = {
        brief(name.removeprefix(CONFIG)): brief(value)
        for name, value in row.items()
        if name.startswith(CONFIG) and value == value and value is not None
    }
    return Curve(brief(row["trial_id"]), known, cast("dict[str, object]", config))


def _drawable(group: pd.DataFrame, name: str) -> tuple[list[int], list[float], int]:
    """Epochs and finite values, and how many more are too far out."""
    import pandas as pd

    values = pd.to_numeric(group[name], errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    finite = np.isfinite(values)
    there = finite & (np.abs(values) <= FURTHEST)
    return group["epoch"].to_numpy()[there].tolist(), values[there].tolist(), int((finite & ~there).sum())
