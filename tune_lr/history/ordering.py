"""The reports of a log put in order: by trial and epoch, epochs from 1, each once, metrics as floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tune_lr.history.columns import LARGEST_WHOLE
from tune_lr.history.log import Fidelity, Log, Skipped

if TYPE_CHECKING:
    import pandas as pd

#: Numbers of which so many follow the one before are epochs.
_IN_A_ROW = 0.9


def metric_values(column: pd.Series[Any], name: str, skipped: Skipped) -> pd.Series[Any] | None:
    """A metric's column as floats; None where none of it is a number."""
    import pandas as pd

    if column.dtype == np.float64:
        return column
    numbers = pd.to_numeric(column, errors="coerce")
    lost = int((numbers.isna() & column.notna()).sum())
    if lost and lost == int(column.notna().sum()) and not (column.astype(str).str.lower() == "nan").any():
        skipped.add(name, "a value that is no number", lost)
        return None
    floats: pd.Series[Any] = pd.Series(numbers.to_numpy(np.float64, na_value=np.nan), index=column.index)
    return floats


def ordered(
    reports: pd.DataFrame, log: Log, trials: int, skipped: Skipped, notes: list[str]
) -> tuple[pd.DataFrame, Fidelity]:
    """Reports by trial and epoch, epochs from 1, each once; and what epochs are."""
    import pandas as pd

    if not len(reports):
        empty = {"trial": np.array([], np.int32), "epoch": np.array([], np.int64), "seconds": np.array([])}
        return pd.DataFrame(empty), log.fidelity or "epochs"
    trial, epoch = _as_numbers(reports["trial"]), _as_numbers(reports["epoch"])
    with np.errstate(invalid="ignore"):
        good = (trial >= 0) & (trial < trials) & (epoch >= 0) & (epoch < LARGEST_WHOLE) & (epoch % 1 == 0)
    skipped.add("reports", "an epoch that is no whole number from 0 upwards", int((~good).sum()))
    if not good.all():
        reports, trial, epoch = reports[good], trial[good], epoch[good]
    codes, counted = trial.astype(np.int32), epoch.astype(np.int64)
    order = _order(codes, counted)
    if order is not None:
        reports, codes, counted = reports.iloc[order], codes[order], counted[order]
    again = np.zeros(len(codes), dtype=bool)
    again[:-1] = (codes[1:] == codes[:-1]) & (counted[1:] == counted[:-1])
    skipped.add("reports", "an epoch that was reported again later", int(again.sum()))
    if again.any():
        reports, codes, counted = reports[~again], codes[~again], counted[~again]
    fidelity, shift = _counting(codes, counted, log, notes)
    counted = counted + shift
    before = counted < 1
    skipped.add("reports", "a report before the first epoch", int(before.sum()))
    if before.any():
        reports, codes, counted = reports[~before], codes[~before], counted[~before]
    found: dict[str, Any] = {"trial": codes, "epoch": counted, "seconds": np.full(len(codes), np.nan)}
    for name in reports.columns:
        if name not in ("trial", "epoch"):
            values = metric_values(reports[name], str(name), skipped)
            if values is not None:
                found[str(name)] = values.to_numpy()
    return pd.DataFrame(found), fidelity


def _as_numbers(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """A column's values as they are where they are numbers, else as floats."""
    import pandas as pd

    if column.dtype in (np.int64, np.int32, np.float64):
        return column.to_numpy()
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)


def _order(trial: np.ndarray[Any, Any], epoch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """What sorts by trial and epoch and keeps the order of equals; None where it is sorted."""
    later = trial[1:] > trial[:-1]
    if (later | ((trial[1:] == trial[:-1]) & (epoch[1:] >= epoch[:-1]))).all():
        return None
    return np.lexsort((epoch, trial))


def _counting(
    trial: np.ndarray[Any, Any], epoch: np.ndarray[Any, Any], log: Log, notes: list[str]
) -> tuple[Fidelity, int]:
    """What the numbers count, and what to add so that they begin with 1."""
    fidelity = log.fidelity
    if fidelity is None:
        first = np.ones(len(trial), dtype=bool)
        first[1:] = trial[1:] != trial[:-1]
        by_one = np.ones(len(trial), dtype=bool)
        by_one[1:] = epoch[1:] == epoch[:-1] + 1
        in_a_row = np.where(first, epoch <= 1, by_one).mean()
        fidelity = "epochs" if in_a_row >= _IN_A_ROW else "steps"  # a report may be missing here and there
        if fidelity == "steps":
            notes.append("the numbers of the reports have gaps, so they are taken for steps")
    from_zero = log.counts_from == 0 or (log.counts_from is None and bool((epoch == 0).any()))
    if from_zero:
        notes.append("epochs were counted from 0 and are now counted from 1")
    return fidelity, int(from_zero)
