"""The curves of an experiment of the history, as plain lists for whoever draws them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np

from tune_lr.history.matching import CONFIG
from tune_lr.journal import Status
from tune_lr.views.curves import Curve, Curves
from tune_lr.views.words import brief

if TYPE_CHECKING:
    import pandas as pd

    from tune_lr.history.entry import TaskInfo

#: So many trials are drawn: the best, and others evenly from the best to the worst.
MOST = 300
#: What a trial is drawn as of which the source did not say how it ended.
_UNSAID: Status = "completed"


def curves_of(info: TaskInfo, trials: pd.DataFrame, reports: pd.DataFrame) -> Curves:
    """The curves of one experiment; a trial without reports has none."""
    trials = trials.reset_index(drop=True)
    chosen = trials.iloc[_chosen(info, trials)]
    best = chosen["trial_id"].iloc[0] if len(chosen) and _has_best(info, chosen) else None
    found = [_curve(row) for row in chosen.to_dict("records")]
    by_id = dict(zip(chosen["trial_id"].tolist(), found, strict=True))
    rows = reports[reports["trial_id"].isin(list(by_id))].sort_values("epoch", kind="stable")
    for trial_id, group in rows.groupby("trial_id", sort=False, observed=True):
        curve = by_id[trial_id]
        if info.metric is not None and info.metric in group:
            curve.epochs, curve.values = _finite(group, info.metric)
        if "lr" in group:
            curve.lr_epochs, curve.lrs = _finite(group, "lr")
    unit = info.fidelity.removesuffix("s")
    if not any(curve.values for curve in found):
        unit = "trial"
        _one_point_each(found, chosen)
    metric = "value" if info.metric is None else brief(info.metric)
    return Curves(metric, info.mode or "min", found, None if best is None else brief(best), [], [], unit)


def _one_point_each(found: list[Curve], chosen: pd.DataFrame) -> None:
    """Where nothing was reported on the way, what each trial came to, in the order in which they began."""
    for curve, place, value in zip(found, chosen.index.tolist(), chosen["best"].tolist(), strict=True):
        if value is not None and math.isfinite(value):
            curve.epochs, curve.values = [place + 1], [float(value)]


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


def _finite(group: pd.DataFrame, name: str) -> tuple[list[int], list[float]]:
    import pandas as pd

    values = pd.to_numeric(group[name], errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    there = np.isfinite(values)
    return group["epoch"].to_numpy()[there].tolist(), values[there].tolist()
