"""MLflow's stores that are files, really written by its client."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

EXPECTED: dict[str, Any] = {
    "trials": 2,
    "reports": 6,
    "metric": None,
    "knobs": {"lr", "patience", "smooth", "optimizer"},
    "first": {0: 1.0, 1: 0.5, 2: 0.25},
}


def make(folder: Path) -> Path:
    """Two runs of three steps, with one metric that has no steps, in a file store."""
    folder.mkdir(parents=True, exist_ok=True)
    with mock.patch.dict(os.environ, {"MLFLOW_ALLOW_FILE_STORE": "true"}):
        _write(f"file:{folder / 'mlruns'}")
    return folder / "mlruns"


def make_sqlite(folder: Path) -> Path:
    """The same in a database."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(f"sqlite:///{folder / 'mlflow.db'}")
    return folder / "mlflow.db"


def _write(store: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(store)
    experiment = client.create_experiment("sample")
    for number in range(2):
        run = client.create_run(experiment).info.run_id
        knobs = {"lr": 0.1 * (number + 1), "patience": 3, "smooth": True, "optimizer": "sgd"}
        for name, value in knobs.items():
            client.log_param(run, name, value)
        for step in range(3):
            client.log_metric(run, "val_loss", 0.5**step, step=step, timestamp=1000 * step)
        client.log_metric(run, "final_accuracy", 0.75)
        client.set_terminated(run, "FINISHED")
