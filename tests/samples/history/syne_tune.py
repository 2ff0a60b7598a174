"""An experiment of plain Syne Tune, really run: its Tuner, its local backend, a script a trial.

``make_old`` writes a folder of 0.13 by hand, whose ``metadata.json`` says less.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock

SCRIPT = """
import argparse
from syne_tune import Reporter

arguments = argparse.ArgumentParser()
arguments.add_argument("--lr", type=float)
arguments.add_argument("--patience", type=int)
arguments.parse_known_args()
report = Reporter()
for epoch in (1, 2, 3):
    report(epoch=epoch, val_loss=0.5 ** (epoch - 1))
"""
EXPECTED: dict[str, Any] = {
    "trials": 3,
    "reports": 9,
    "metric": "val_loss",
    "knobs": {"lr", "patience"},
    "first": {1: 1.0, 2: 0.5, 3: 0.25},
}


def make(folder: Path) -> Path:
    """Three trials of three epochs, one after the other."""
    from syne_tune.config_space import loguniform, randint
    from syne_tune.optimizer.baselines import RandomSearch

    space = {"lr": loguniform(0.001, 1.0), "patience": randint(0, 5)}
    return run(folder, SCRIPT, RandomSearch(space, metrics=["val_loss"], do_minimize=True, random_seed=0))


def run(folder: Path, script: str, scheduler: Any, trials: int = 3, **more: Any) -> Path:
    """A few trials under a scheduler of Syne Tune's own, one after the other."""
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "train_script.py"
    file.write_text(script, "utf-8")
    suggest, left = scheduler.suggest, iter(range(trials))

    def suggest_a_few() -> Any:
        return suggest() if next(left, None) is not None else None

    with (
        mock.patch.object(scheduler, "suggest", suggest_a_few),
        mock.patch.dict(os.environ, {"SYNETUNE_FOLDER": str(folder / "syne-tune")}),
    ):
        Tuner(
            trial_backend=LocalBackend(entry_point=str(file), rotate_gpus=False),
            scheduler=scheduler,
            stop_criterion=StoppingCriterion(max_num_trials_finished=10 * trials),
            n_workers=1,
            sleep_time=0.1,
            trial_backend_path=str(folder / "syne-tune" / "sample"),
            tuner_name="sample",
            suffix_tuner_name=False,
            save_tuner=False,
            **more,
        ).run()
    (made,) = (one for one in (folder / "syne-tune").iterdir() if re.match("sample", one.name))
    return made


#: What 0.13 keeps of an experiment: its schedulers told neither their arguments nor what counts their epochs.
OLD_METADATA: dict[str, Any] = {
    "st_tuner_creation_timestamp": 1720000000.0,
    "entrypoint": "resnet_cifar10",
    "backend": "LocalBackend",
    "metric_names": ["accuracy", "latency"],
    "metric_mode": ["max", "min"],
    "scheduler_name": "HyperbandScheduler",
    "config_space": json.dumps(
        {
            "lr": {
                "domain_cls": "Float",
                "domain_kwargs": {"lower": 0.001, "upper": 1.0},
                "sampler_cls": "LogUniform",
                "sampler_kwargs": {"base": 2.718281828459045},
            },
            "batch_size": {
                "domain_cls": "FiniteRange",
                "domain_kwargs": {"lower": 16, "upper": 256, "log_scale": True, "cast_int": True, "size": 5},
            },
            "optimizer": {
                "domain_cls": "Categorical",
                "domain_kwargs": {"categories": ["sgd", "None"]},
                "sampler_cls": "Uniform",
                "sampler_kwargs": {},
            },
            "epochs": 4,
        }
    ),
    "benchmark": "cifar",
    "st_tuner_start_timestamp": 1720000001.0,
}
OLD_TABLE = """\
accuracy,epoch,latency,st_worker_timestamp,st_worker_time,st_worker_cost,st_worker_iter,st_decision,st_status,\
trial_id,config_lr,config_batch_size,config_optimizer,config_epochs,st_tuner_time
0.1,1,7.0,1720000010.0,1.5,0.0001,0,CONTINUE,InProgress,0,0.01,32,sgd,4,10.0
0.2,1,7.5,1720000010.5,1.25,0.0001,0,PAUSE,InProgress,1,0.5,64,None,4,10.5
0.3,2,7.0,1720000011.0,2.5,0.0002,1,CONTINUE,InProgress,0,0.01,32,sgd,4,11.0
0.05,1,9.0,1720000012.0,1.0,0.0001,0,STOP,InProgress,2,1.0,16,sgd,4,12.0
,3,7.0,1720000012.5,3.5,0.0003,2,CONTINUE,InProgress,0,0.01,32,sgd,4,12.5
0.6,4,7.0,1720000013.0,4.5,0.0004,3,STOP,InProgress,0,0.01,32,sgd,4,13.0
0.4,1,8.0,1720000013.5,1.0,0.0001,0,CONTINUE,Failed,3,0.02,256,None,4,13.5
0.3,1,8.0,1720000014.0,1.0,0.0001,0,CONTINUE,InProgress,10,0.03,128,sgd,4,14.0
"""


def make_old(folder: Path, table: str = OLD_TABLE, metadata: Any = None) -> Path:
    """Five trials under promotion: through, paused, stopped, failed, and one under way."""
    made = folder / "cifar-2024-07-03-09-46-40-123"
    made.mkdir(parents=True)
    (made / "metadata.json").write_text(json.dumps(OLD_METADATA if metadata is None else metadata))
    (made / "results.csv.zip").write_bytes(packed(table))
    return made


def packed(table: str | bytes) -> bytes:
    """A table as Syne Tune packs it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("results.csv", table)
    return content.getvalue()
