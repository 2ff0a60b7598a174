"""An experiment of plain Syne Tune, really run: its Tuner, its local backend, a script a trial."""

from __future__ import annotations

import os
import re
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
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.config_space import loguniform, randint
    from syne_tune.optimizer.baselines import RandomSearch

    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "train_script.py"
    script.write_text(SCRIPT, "utf-8")
    space = {"lr": loguniform(0.001, 1.0), "patience": randint(0, 5)}
    scheduler = RandomSearch(space, metrics=["val_loss"], do_minimize=True, random_seed=0)
    suggestions = iter([scheduler.suggest() for _ in range(3)])
    with (
        mock.patch.object(scheduler, "suggest", side_effect=lambda: next(suggestions, None)),
        mock.patch.dict(os.environ, {"SYNETUNE_FOLDER": str(folder / "syne-tune")}),
    ):
        Tuner(
            trial_backend=LocalBackend(entry_point=str(script), rotate_gpus=False),
            scheduler=scheduler,
            stop_criterion=StoppingCriterion(max_num_trials_finished=10),
            n_workers=1,
            sleep_time=0.1,
            trial_backend_path=str(folder / "syne-tune" / "sample"),
            tuner_name="sample",
            suffix_tuner_name=False,
            save_tuner=False,
        ).run()
    (made,) = (one for one in (folder / "syne-tune").iterdir() if re.match("sample", one.name))
    return made
