"""An experiment's record as tables, and the Parquet files made of them: the same columns on every engine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_lr.objective import Objective
from tune_lr.record import Record

if TYPE_CHECKING:
    import pandas as pd

_REPORTS = {"trial_id": "string", "epoch": "int64", "seconds": "float64"}
_TRIALS = {"trial_id": "string", "status": "string", "epochs": "int64", "best": "float64"}


def reports_table(record: Record) -> pd.DataFrame:
    """One row a report: ``trial_id epoch seconds``, the metrics under their names, ``config/<key>``."""
    rows = (
        {
            "trial_id": trial.trial_id,
            "epoch": report.epoch,
            "seconds": report.seconds,
            **report.metrics,
            **_config(trial.config),
        }
        for trial in record.trials.values()
        for report in trial.reports
    )
    return _frame(rows, _REPORTS)


def trials_table(record: Record, objective: Objective) -> pd.DataFrame:
    """One row a trial: ``trial_id status epochs best``, ``config/<key>``, ``error``.

    ``best`` is the trial's value under the objective's scope, in the metric's own direction.
    """
    rows = (
        {
            "trial_id": trial.trial_id,
            "status": trial.status,
            "epochs": trial.epochs,
            "best": objective.value(objective.score(losses)) if (losses := trial.losses(objective)) else None,
            **_config(trial.config),
            "error": trial.error,
        }
        for trial in record.trials.values()
    )
    frame = _frame(rows, _TRIALS)
    frame["error"] = frame["error"].astype("string") if "error" in frame else None
    ordered: pd.DataFrame = frame.reindex(
        columns=[*(name for name in frame.columns if name != "error"), "error"]
    )
    return ordered


def decisions_table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One row a decision: ``schedule first last decision loss lr lrs``; NaN for a loss that is None."""
    import pandas as pd

    frame: pd.DataFrame = pd.DataFrame(list(rows)).astype({"loss": "float64", "lr": "float64"})
    return frame


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a table so that a reader sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    frame.to_parquet(temporary, index=False)
    os.replace(temporary, path)


def _config(config: dict[str, Any]) -> dict[str, Any]:
    return {f"config/{name}": value for name, value in config.items()}


def _frame(rows: Iterable[dict[str, Any]], types: dict[str, str]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(list(rows))
    for name, kind in types.items():
        frame[name] = frame[name].astype(kind) if name in frame else pd.Series(dtype=kind)
    for name in frame.columns:
        if frame[name].dtype == object and name not in types:
            frame[name] = _one_type(frame[name])
    ordered: pd.DataFrame = frame.reindex(
        columns=[*types, *(name for name in frame.columns if name not in types)]
    )
    return ordered


def _one_type(column: pd.Series[Any]) -> pd.Series[Any]:
    """An object column (a knob that some trials lack, a metric that was None) as what its values are."""
    import pandas as pd

    kinds = {type(value) for value in column if value is not None and value == value}
    if not kinds:
        return column.astype("float64")
    if kinds <= {int, float}:
        return pd.to_numeric(column)
    if kinds == {bool}:
        return column.astype("boolean")
    return column.astype("string")
