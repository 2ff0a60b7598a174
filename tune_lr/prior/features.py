"""Points of a space as rows of numbers, such that distances mean something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_lr.space import CategoricalKnob, SearchSpace

Array = NDArray[np.float64]


def features(space: SearchSpace, points: Sequence[Mapping[str, Any]]) -> Array:
    """Shape ``(points, columns)``, in the unit cube.

    A number is its own coordinate. Categories get a column each, such that any two lie at distance 1. A knob
    that takes no part lies where it would be at rest, so that all points without it agree about it.
    """
    cube = np.array([space.encode(point) for point in points], dtype=np.float64)
    return of_cube(space, cube.reshape(len(points), space.dimension))


def of_cube(space: SearchSpace, cube: Array) -> Array:
    """The same, of coordinates as ``SearchSpace.encode`` has them, shape ``(points, dimension)``."""
    columns: list[Array] = []
    for i, name in enumerate(space.names):
        knob = space.knobs[name]
        column = np.where(np.isnan(cube[:, i]), knob.to_unit(knob.start()), cube[:, i])
        every = knob.every() if isinstance(knob, CategoricalKnob) else None
        if not every:
            columns.append(column)
            continue
        places = np.array([knob.to_unit(value) for value in every])
        if len(every) == 2:
            columns.append((np.abs(column - places[1]) < np.abs(column - places[0])).astype(np.float64))
        else:
            nearest = np.abs(column[:, np.newaxis] - places).argmin(axis=1)
            columns += list(np.eye(len(every))[nearest].T / np.sqrt(2.0))
    return np.stack(columns, axis=1) if columns else np.zeros((len(cube), 1))
