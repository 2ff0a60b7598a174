"""What the reports of each trial come to under an objective, on whole columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tune_lr.objective import WORST_LOSS, Objective

if TYPE_CHECKING:
    import pandas as pd


def outcome(
    reports: pd.DataFrame, objective: Objective, trials: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Each trial's last epoch (0: none), its value under the scope (NaN: none), and whether it diverged.

    Diverged: infinite once, or without a number at its end. Where a trial has numbers again after a gap, gaps
    mean that the metric was not reported there, and only a trial without any number diverged.
    """
    last, best = np.zeros(trials, np.int64), np.full(trials, np.nan)
    diverged = np.zeros(trials, dtype=bool)
    if not len(reports):
        return last, best, diverged
    codes = reports["trial"].to_numpy()
    np.maximum.at(last, codes, reports["epoch"].to_numpy())
    if objective.metric not in reports:
        return last, best, diverged
    values = reports[objective.metric].to_numpy()
    finite = np.isfinite(values)
    diverged[codes[np.isinf(values)]] = True
    reported = np.unique(codes)
    count = np.bincount(codes[finite], minlength=trials)
    diverged[reported] |= count[reported] == 0
    returns = (codes[1:] == codes[:-1]) & ~finite[:-1] & finite[1:]
    if not returns.any():
        ends = np.append(codes[1:] != codes[:-1], True)
        diverged[codes[ends & ~finite]] = True
    sign = 1.0 if objective.mode == "min" else -1.0
    losses = np.clip(sign * values[finite], -WORST_LOSS, WORST_LOSS)
    if objective.scope == "best":
        lowest = np.full(trials, np.inf)
        np.minimum.at(lowest, codes[finite], losses)
        best = np.where(np.isfinite(lowest), sign * lowest, np.nan)
    elif len(losses):
        owners = codes[finite]
        starts = np.flatnonzero(np.append(True, owners[1:] != owners[:-1]))
        for start, group in zip(starts, np.split(losses, starts[1:]), strict=True):
            best[owners[start]] = sign * objective.score(group.tolist())
    return last, best, diverged
