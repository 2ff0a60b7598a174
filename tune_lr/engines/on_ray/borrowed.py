"""What it takes to use Ray Tune's own schedulers: a random state of their own, and stand-ins for trials.

A scheduler of Ray's looks at few things of a trial, and of the controller that runs the trials. Here it is
shown stand-ins, so that it decides about trials that the driver runs, report by report.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from tune_lr.space import SearchSpace

#: Under these names Ray's schedulers find the loss and the epoch in a result.
LOSS, EPOCH = "loss", "epoch"

PENDING, RUNNING, PAUSED, TERMINATED = "PENDING", "RUNNING", "PAUSED", "TERMINATED"


class Randomness:
    """States for the global generators of Python and NumPy, in force for as long as Ray's code runs."""

    def __init__(self, seed: int) -> None:
        self._numpy: Any = np.random.RandomState(seed).get_state()
        self._python: Any = random.Random(seed).getstate()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        before = np.random.get_state(), random.getstate()
        np.random.set_state(self._numpy)
        random.setstate(self._python)
        try:
            yield
        finally:
            self._numpy, self._python = np.random.get_state(), random.getstate()
            np.random.set_state(before[0])
            random.setstate(before[1])


class StandIn:
    """What Ray's schedulers look at in one of their trials."""

    def __init__(self, name: str, status: str = RUNNING, config: Mapping[str, Any] | None = None) -> None:
        self.trial_id = self.experiment_tag = name
        self.status = status
        self.config = dict(config or {})
        self.evaluated_params: dict[str, Any] = {}
        self.last_result: dict[str, Any] = {}
        self.is_saving = False
        manager = SimpleNamespace(
            checkpoint_config=SimpleNamespace(num_to_keep=None), _latest_checkpoint_result=None
        )
        self.run_metadata = SimpleNamespace(checkpoint_manager=manager)
        self.temporary_state = SimpleNamespace(saving_to=None)

    def is_finished(self) -> bool:
        return self.status == TERMINATED

    def set_config(self, config: Mapping[str, Any]) -> None:
        self.config = dict(config)

    def set_experiment_tag(self, tag: str) -> None:
        self.experiment_tag = tag

    def __repr__(self) -> str:
        return f"{self.trial_id} {self.status}"


def into(space: SearchSpace, flat: Mapping[str, Any]) -> dict[str, Any]:
    """What Ray or Optuna proposes as a point of the space; it may lie outside, by rounding or by a factor."""
    inside: dict[str, Any] = {}
    for name, knob in space.knobs.items():
        value = flat.get(name, knob.start())
        low, high = getattr(knob, "low", None), getattr(knob, "high", None)
        inside[name] = value if low is None or high is None else min(max(value, low), high)
    return space.normalize(space.values(inside))
