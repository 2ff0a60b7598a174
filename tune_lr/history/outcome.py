"""What the reports of each trial come to under an objective, on whole columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tune_lr.objective import Objective

if TYPE_CHECKING:
    import pandas as pd


def outcome(
    reports: pd.DataFrame, objective: Objective, trials: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Each trial's last epoch (0: none), its value under the scope (NaN: none), and whether it diverged.

    Diverged: without a finite number at its end, or throughout. Where a metric is not reported at every epoch
    the table has NaN as well, and that is no divergence: see :func:`_diverged`.
    """
    last, best = np.zeros(trials, np.int64), np.full(trials, np.nan)
    if not len(reports):
        return last, best, np.zeros(trials, dtype=bool)
    codes, epochs = reports["trial"].to_numpy(), reports["epoch"].to_numpy()
    np.maximum.at(last, codes, epochs)
    if objective.metric not in reports:
        return last, best, np.zeros(trials, dtype=bool)
    values = reports[objective.metric].to_numpy()
    finite = np.isfinite(values)
    diverged = _diverged(codes, epochs, values, trials)
    sign = 1.0 if objective.mode == "min" else -1.0
    losses = sign * values[finite]
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


def _diverged(
    codes: np.ndarray[Any, Any], epochs: np.ndarray[Any, Any], values: np.ndarray[Any, Any], trials: int
) -> np.ndarray[Any, Any]:
    """Which trials have no finite number at their end.

    NaN at the end is excused where it means that the metric is not reported at every epoch: where no trial
    has a number at those epochs, while elsewhere numbers followed such epochs; or where the trial itself had
    numbers again after a gap at epochs of which others have numbers.
    """
    diverged, finite = np.zeros(trials, dtype=bool), np.isfinite(values)
    if finite.all():
        return diverged
    again = (codes[1:] == codes[:-1]) & np.isnan(values[:-1]) & finite[1:]
    _, at = np.unique(epochs, return_inverse=True)
    told = np.zeros(at.max() + 1, dtype=bool)
    told[at[finite]] = True
    left_out = ~told[at] & np.isnan(values)
    left_out &= (again & left_out[:-1]).any()
    has_gaps = np.zeros(trials, dtype=bool)
    has_gaps[codes[1:][again & ~left_out[:-1]]] = True
    latest = np.full(trials, -1)
    latest[codes[finite]] = np.flatnonzero(finite)
    at_end = np.arange(len(codes)) > latest[codes]
    diverged[codes[at_end & ~left_out]] = True
    diverged &= ~has_gaps
    ends = np.append(codes[1:] != codes[:-1], True)
    diverged[codes[ends & np.isinf(values)]] = True
    return diverged
