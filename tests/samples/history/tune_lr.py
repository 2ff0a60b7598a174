"""An experiment of tune-lr's own, really run in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tune_lr import SearchSpace, Trial, tune

SPACE = SearchSpace.from_dict(
    {
        "name": "small",
        "knobs": {
            "lr": {"type": "float", "low": 0.001, "high": 1.0, "log": True},
            "max_lr_ratio": {"type": "float", "low": 1.0, "high": 10.0},
            "patience": {"type": "int", "low": 0, "high": 5},
        },
    }
)
EXPECTED: dict[str, Any] = {
    "trials": 3,
    "reports": 9,
    "metric": "val_loss",
    "knobs": {"lr", "max_lr", "patience"},
    "first": {1: 1.0, 2: 0.5, 3: 0.25},
}


def train(config: dict[str, Any], trial: Trial) -> None:
    for epoch in trial.epochs():
        trial.report(val_loss=0.5 ** (epoch - 1), lr=config["lr"])


def make(folder: Path) -> Path:
    """Three trials of three epochs."""
    path = folder / "experiment"
    tune(
        train,
        SPACE,
        engine="inline",
        searcher="random",
        trials=3,
        max_epochs=3,
        trial_scheduler="none",
        out=path,
    )
    return path
