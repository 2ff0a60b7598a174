"""Tables as people keep them, written by pandas; and the tables of an experiment of tune-lr's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tune_lr import SearchSpace, tune

LONG = pd.DataFrame(
    {
        "trial_id": ["007", "007", "1", "1", "1"],
        "epoch": [1, 2, 1, 2, 3],
        "seconds": [1.0, 2.0, 1.5, 2.5, 3.5],
        "status": ["running", "completed", "running", "running", "stopped"],
        "seed": [3, 3, 4, 4, 4],
        "val_loss": [0.5, 0.4, 0.75, 0.25, 0.125],
        "config/lr": [0.1, 0.1, 0.01, 0.01, 0.01],
        "config/patience": [3, 3, 5, 5, 5],
        "config/smooth": [True, True, False, False, False],
        "config/optimizer": ["adam", "adam", "sgd", "sgd", "sgd"],
    }
)

EXPECTED: dict[str, Any] = {
    "trials": 2,
    "reports": 5,
    "metric": None,
    "knobs": {"lr", "patience", "smooth", "optimizer"},
    "first": {1: 0.5, 2: 0.4},
}


def make(folder: Path) -> Path:
    """One row a report, under the schema's names."""
    path = folder / "runs.csv"
    LONG.to_csv(path, index=False)
    return path


def make_wide(folder: Path) -> Path:
    """One row a trial, with a curve in columns and a final value, as a spreadsheet has it."""
    path = folder / "sweep.csv"
    frame = pd.DataFrame(
        {
            "learning_rate": [0.1, 0.01, 0.001],
            "patience": [3, 5, 8],
            "val_loss_1": [0.9, 0.8, 0.7],
            "val_loss_2": [0.6, 0.5, None],
            "val_loss_3": [0.3, None, None],
            "test_accuracy": [0.7, 0.8, 0.9],
            "remark": ["good", "", "stopped early"],
        }
    )
    frame.to_csv(path, index=False)
    return path


def _train(config: dict[str, Any], trial: Any) -> None:
    for epoch in trial.epochs():
        trial.report(val_loss=config["lr"] * epoch)


def make_experiment(folder: Path) -> Path:
    """The tables of a real experiment, after its journal was lost."""
    space = SearchSpace.from_dict(
        {"name": "small", "knobs": {"lr": {"type": "float", "low": 0.1, "high": 1.0, "log": True}}}
    )
    out = folder / "experiment"
    tune(
        _train,
        space,
        engine="inline",
        searcher="random",
        trial_scheduler="none",
        trials=3,
        max_epochs=4,
        out=str(out),
    )
    (out / "journal.jsonl").unlink()
    return out
