"""Configurations of any log as coordinates of one search space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tune_lr.history.matching import CONFIG
from tune_lr.history.points import values_of
from tune_lr.space import ConstantKnob, SearchSpace
from tune_lr.space.bounds import RATIOS

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

#: Why a configuration has no place in the space.
OUTSIDE, FOREIGN = "outside of the space", "none of the space's knobs"


@dataclass(frozen=True)
class Placed:
    """Where the trials of a log lie.

    Args:
        cube: coordinates as ``SearchSpace.encode`` has them, shape ``(trials, dimension)``.
        lacking: of the knobs that take part, the share that the log does not have.
        reasons: why a trial has no place; "" where it has one.
    """

    cube: Array
    lacking: Array
    reasons: NDArray[np.object_]


class Coordinates:
    """Places configurations in a space; each distinct one is worked out once, whatever the logs.

    A knob that a log lacks counts as being at its start. Constants of the space need not be in a log, but
    where they are and differ, the configuration is outside.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._known: dict[tuple[Any, ...], tuple[Array, float, str]] = {}
        self._nowhere = np.full(space.dimension, np.nan)
        bounds = [RATIOS[name] for name in space.knobs if name in RATIOS]
        self._keys = list(dict.fromkeys(["lr", *space.knobs, *bounds]))

    def place(self, trials: pd.DataFrame) -> Placed:
        """Where each row of a table with ``config/<knob>`` columns lies."""
        names = [
            str(n) for n in trials.columns if str(n).startswith(CONFIG) and n[len(CONFIG) :] in self._keys
        ]
        # True is 1 to a dict, but not to a knob.
        head = tuple((name, str(trials[name].dtype)) for name in names)
        columns = [trials[n].astype(object).where(trials[n].notna(), None).tolist() for n in names]
        rows = zip(*columns, strict=True) if columns else [()] * len(trials)
        found = [self._placed(head, tuple(row)) for row in rows]
        cube = np.array([one[0] for one in found], dtype=np.float64)
        return Placed(
            cube.reshape(len(trials), self._space.dimension),
            np.array([one[1] for one in found], dtype=np.float64),
            np.array([one[2] for one in found], dtype=object),
        )

    def _placed(self, head: tuple[tuple[str, str], ...], row: tuple[Any, ...]) -> tuple[Array, float, str]:
        key = (head, row)
        if key not in self._known:
            config = {
                name[len(CONFIG) :]: value
                for (name, _), value in zip(head, row, strict=True)
                if value is not None
            }
            self._known[key] = self._worked_out(config)
        return self._known[key]

    def _worked_out(self, config: dict[str, Any]) -> tuple[Array, float, str]:
        knobs = self._space.knobs
        by_bound = {name for name, bound in RATIOS.items() if bound in config and "lr" in config}
        starts = {
            name: knob.start() for name, knob in knobs.items() if name not in config and name not in by_bound
        }
        values = values_of({**starts, **config}, self._space)
        if values is None:
            return self._nowhere, 0.0, OUTSIDE
        varying = [name for name in values if not isinstance(knobs[name], ConstantKnob)]
        lacking = sum(name in starts for name in varying)
        if lacking == len(varying):
            return self._nowhere, 0.0, FOREIGN
        return self._space.encode(values), lacking / len(varying), ""
