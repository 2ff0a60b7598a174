"""Runs made of numbers, for comparisons whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tune_lr.comparing.run import Run, replayed_run


def run(method: str, seed: int, losses: Sequence[float], *, slow: float = 1.0, per_trial: int = 5) -> Run:
    """Trials of ``per_trial`` epochs each, one after the other; an epoch takes ``slow`` seconds."""
    epochs = np.arange(len(losses))
    paid = pd.DataFrame(
        {
            "trial_id": [f"{epoch // per_trial:04d}" for epoch in epochs],
            "epoch": epochs % per_trial + 1,
            "value": losses,
            "time": slow * (epochs + 1.0),
        }
    )
    return replayed_run(method, seed, paid, max_epochs=per_trial)


def many(method: str, seeds: int = 10, *, shift: float = 0.0, noise: int = 0, slow: float = 1.0) -> list[Run]:
    """Runs of 40 epochs whose losses fall from 2 to 1 (and ``shift``), with noise of a quarter."""
    made = []
    for seed in range(seeds):
        draws = np.random.default_rng([noise, seed])
        losses = 1 + shift + np.linspace(1, 0, 40) + 0.25 * draws.random() + 0.001 * draws.random(40)
        made.append(run(method, seed, losses, slow=slow * (1 + 0.01 * draws.random())))
    return made
