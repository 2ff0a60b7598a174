"""An experiment of plain Ray Tune, really run; and one of Ray 2.0, written by hand.

The folder of Ray 2.0 was written from what its documentation and its loggers say: a state with a list of
``checkpoints``, one JSON text a trial with pickles as hex in it, and more keys in each result.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

EXPECTED: dict[str, Any] = {
    "trials": 3,
    "reports": 9,
    "metric": "val_loss",
    "knobs": {"lr", "patience", "optimizer.momentum"},
    "first": {1: 1.0, 2: 0.5, 3: 0.25},
}
_QUIET = {"RAY_AIR_NEW_OUTPUT": "0", "RAY_CHDIR_TO_TRIAL_DIR": "0", "OMP_NUM_THREADS": "1"}


def train(config: dict[str, Any]) -> None:
    from ray import tune

    for epoch in (1, 2, 3):
        tune.report({"val_loss": 0.5 ** (epoch - 1)})


def make(folder: Path) -> Path:
    """Three trials of three iterations, in a process of their own: a test may have a Ray running here."""
    folder.mkdir(parents=True, exist_ok=True)
    # By its text, since a script in this folder would take its neighbours for the libraries of their names.
    code = f"{Path(__file__).read_text('utf-8')}\n_run(Path({str(folder)!r}))\n"
    script = folder / "run_ray.py"
    script.write_text(code, "utf-8")
    subprocess.run([sys.executable, str(script)], check=True, capture_output=True, timeout=240)
    return folder / "ray" / "sample"


def _run(folder: Path) -> Path:
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


def _old_result(epoch: int, loss: float) -> dict[str, Any]:
    return {
        "val_loss": loss,
        "info": {"acc": 1 - loss, "device": "cpu", "deep": {"steps": 10 * epoch}},
        "time_this_iter_s": 0.5,
        "should_checkpoint": True,
        "done": False,
        "timesteps_total": None,
        "episodes_total": None,
        "training_iteration": epoch,
        "trial_id": "5a1c0_00000",
        "experiment_id": "0123456789abcdef0123456789abcdef",
        "date": "2022-09-01_10-00-00",
        "timestamp": 1662026400 + epoch,
        "time_total_s": 0.5 * epoch,
        "pid": 17,
        "hostname": "machine",
        "node_ip": "127.0.0.1",
        "config": {"lr": 0.1, "momentum": 0.9},
        "time_since_restore": 0.5 * epoch,
        "timesteps_since_restore": 0,
        "iterations_since_restore": epoch,
        "warmup_time": 0.003,
        "experiment_tag": "0_lr=0.1000",
    }


def make_older(folder: Path) -> Path:
    """Two trials of Ray 2.0: one that ran for three iterations, one that failed before the first."""
    experiment = folder / "train_2022-09-01_09-59-50"
    ran = experiment / "train_5a1c0_00000_0_lr=0.1000_2022-09-01_09-59-50"
    failed = experiment / "train_5a1c0_00001_1_lr=0.9000_2022-09-01_09-59-55"
    states = []
    for trial, lr, status in ((ran, 0.1, "TERMINATED"), (failed, 0.9, "ERROR")):
        trial.mkdir(parents=True)
        (trial / "params.json").write_text(json.dumps({"lr": lr, "momentum": 0.9}), "utf-8")
        (trial / "params.pkl").write_bytes(b"no pickle")
        state = {
            "trial_id": "_".join(trial.name.split("_")[1:3]),
            "trainable_name": "train",
            "config": {"lr": lr, "momentum": 0.9},
            "logdir": f"/home/somebody/ray_results/{experiment.name}/{trial.name}",
            "status": status,
            "last_result": {"_type": "CLOUDPICKLE_FALLBACK", "value": "80049504"},
            "placement_group_factory": "800495aa",
        }
        states.append(json.dumps(state))
    results = [json.dumps(_old_result(epoch, 0.5**epoch)) + "\n" for epoch in (1, 2, 3)]
    (ran / "result.json").write_text("".join(results), "utf-8")
    (failed / "result.json").write_text("", "utf-8")
    (failed / "error.txt").write_text("Failure # 1\nValueError: boom\n", "utf-8")
    (failed / "error.pkl").write_bytes(b"no pickle")
    content = {"checkpoints": states, "runner_data": {"_metric": "val_loss", "_stopper": "80049504"}}
    (experiment / "experiment_state-2022-09-01_09-59-50.json").write_text(json.dumps(content), "utf-8")
    (experiment / "search_gen_state-2022-09-01_09-59-50.json").write_bytes(b"\x80\x04no pickle")
    return experiment
