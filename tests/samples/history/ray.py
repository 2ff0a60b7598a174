"""An experiment of plain Ray Tune, really run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

EXPECTED: dict[str, Any] = {
    "trials": 3,
    "reports": 9,
    "metric": None,
    "knobs": {"lr", "patience", "optimizer.momentum"},
    "first": {1: 1.0, 2: 0.5, 3: 0.25},
}
_QUIET = {"RAY_AIR_NEW_OUTPUT": "0", "RAY_CHDIR_TO_TRIAL_DIR": "0", "OMP_NUM_THREADS": "1"}


def train(config: dict[str, Any]) -> None:
    from ray import tune

    for epoch in (1, 2, 3):
        tune.report({"val_loss": 0.5 ** (epoch - 1)})


def make(folder: Path) -> Path:
    """Three trials of three iterations."""
    import ray
    from ray import tune

    token = {"RAY_AUTH_TOKEN_PATH": str(folder / "token")}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text("0" * 32, "utf-8")
    with mock.patch.dict(os.environ, {**_QUIET, **token}):
        ray.init(
            address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False
        )
        try:
            space = {"lr": tune.loguniform(0.001, 1.0), "patience": tune.randint(0, 5)}
            tune.Tuner(
                train,
                param_space={**space, "optimizer": {"momentum": 0.9}},
                tune_config=tune.TuneConfig(metric="val_loss", mode="min", num_samples=3, reuse_actors=True),
                run_config=tune.RunConfig(name="sample", storage_path=str(folder / "ray"), verbose=0),
            ).fit()
        finally:
            ray.shutdown()
    return folder / "ray" / "sample"
