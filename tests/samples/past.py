"""Small histories of past tasks, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from tests.samples.spaces import SMALL
from tune_lr.history.history import History
from tune_lr.space import SearchSpace

#: One trial: its configuration, its curve (None: nothing reported there), and columns of its own.
PastTrial = tuple[Mapping[str, Any], Sequence[float | None], Mapping[str, Any]]


def trial(config: Mapping[str, Any], curve: Sequence[float | None], **columns: Any) -> PastTrial:
    return config, curve, columns


def past(metric: str = "loss", mode: Literal["min", "max"] = "min", **tasks: Sequence[PastTrial]) -> History:
    """A history of trials with given curves; an epoch without a number has no row."""
    rows = [
        {
            "task": task,
            "trial_id": f"t{at}",
            "epoch": epoch,
            metric: value,
            **columns,
            **{f"config/{name}": knob for name, knob in config.items()},
        }
        for task, trials in tasks.items()
        for at, (config, curve, columns) in enumerate(trials)
        for epoch, value in enumerate(curve, 1)
        if value is not None
    ]
    return History.from_pandas(pd.DataFrame(rows), metric, mode)


def bowls(
    centers: Sequence[float], trials: int = 20, epochs: int = 9, space: SearchSpace = SMALL, seed: int = 0
) -> History:
    """Tasks ``bowl0`` and so on, where the first coordinate alone matters and each has its own best place."""
    values = space.sample(trials, seed)
    at = np.array([space.encode(one)[0] for one in values])
    fall = np.exp(-np.arange(epochs) / 3.0)
    made = {
        f"bowl{i}": [
            trial(space.config(one), (abs(x - center) + fall).tolist())
            for one, x in zip(values, at, strict=True)
        ]
        for i, center in enumerate(centers)
    }
    return past(**made)
