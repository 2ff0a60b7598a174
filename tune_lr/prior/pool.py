"""The configurations that a model chooses among: a finite list, each once, that may grow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_lr.prior.features import Array, of_cube
from tune_lr.space import SearchSpace

Values = dict[str, Any]

#: How far the neighbours of a configuration lie from it, as parts of a knob's range; one of them is drawn.
_STEPS = (0.2, 0.07, 0.02)
#: How many coordinates of a neighbour differ, in the mean.
_MOVED = 3.0


class Pool:
    """Points of a space, in the order in which they came.

    Args:
        space: of the points.
        points: the first of them; what is no new point is left out.
    """

    def __init__(self, space: SearchSpace, points: Iterable[Mapping[str, Any]] = ()) -> None:
        self.space = space
        self.values: list[Values] = []
        #: Features, shape ``(points, columns)``.
        self.rows: Array = of_cube(space, np.zeros((0, space.dimension)))
        self._cube: list[Array] = []
        self._places: dict[str, int] = {}
        self.add(points)

    def __len__(self) -> int:
        return len(self.values)

    def place(self, values: Mapping[str, Any]) -> int | None:
        """Where a point is; None where it is not among them."""
        return self._places.get(self.space.key(values))

    def add(self, points: Iterable[Mapping[str, Any]]) -> list[int]:
        """The places of points, new ones put at the end."""
        before, places = len(self.values), []
        for point in points:
            values = self.space.normalize(point)
            key = self.space.key(values)
            if key not in self._places:
                self._places[key] = len(self.values)
                self.values.append(values)
                self._cube.append(self.space.encode(values))
            places.append(self._places[key])
        if len(self.values) > before:
            new = of_cube(self.space, np.array(self._cube[before:]))
            self.rows = np.concatenate([self.rows, new])
        return places

    def neighbours(self, places: Sequence[int], count: int, rng: np.random.Generator) -> list[Values]:
        """``count`` points near each of several places, new or not."""
        found = []
        for place in places:
            base = self._cube[place]
            resting = self._resting()
            for _ in range(count):
                moved = rng.random(len(base)) < min(_MOVED / len(base), 1.0)
                step = rng.choice(_STEPS) * rng.standard_normal(len(base))
                spot = np.where(np.isnan(base), resting, base)
                found.append(self.space.decode(np.clip(spot + moved * step, 0.0, 1.0)))
        return found

    def _resting(self) -> NDArray[np.float64]:
        """Where a knob lies that takes no part, should a neighbour wake it."""
        knobs = self.space.knobs
        return np.array([knobs[name].to_unit(knobs[name].start()) for name in self.space.names])
