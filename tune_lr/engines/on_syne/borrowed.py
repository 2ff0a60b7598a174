"""What it takes to use Syne Tune's own parts: a random state of their own, and points that are ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from syne_tune import config_space as syne

from tune_lr.space import SearchSpace


class Randomness:
    """A state for numpy's global generator, in force for as long as Syne Tune's code runs."""

    def __init__(self, seed: int) -> None:
        self._state: Any = np.random.RandomState(seed).get_state()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        before = np.random.get_state()
        np.random.set_state(self._state)
        try:
            yield
        finally:
            self._state = np.random.get_state()
            np.random.set_state(before)


def into(space: SearchSpace, config: Mapping[str, Any]) -> dict[str, Any]:
    """What Syne Tune proposes as a point of the space; it may lie outside by rounding.

    Raises:
        BadInput: it is none.
    """
    inside: dict[str, Any] = {}
    for name, knob in space.knobs.items():
        value = config.get(name)
        low, high = getattr(knob, "low", None), getattr(knob, "high", None)
        inside[name] = value if low is None or value is None else min(max(value, low), high)
    return space.normalize(space.values(inside))


def domains(config_space: Mapping[str, Any], flat: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without constants, as Syne Tune's searchers are told it."""
    return {name: flat[name] for name, domain in config_space.items() if isinstance(domain, syne.Domain)}
