"""A search space narrowed to where good points lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_lr.errors import BadInput
from tune_lr.space import CategoricalKnob, ConstantKnob, FloatKnob, IntKnob, Knob, SearchSpace

Array = NDArray[np.float64]

_LONGEST_NAME = 96


def narrowed(space: SearchSpace, good: Array, margin: float) -> SearchSpace:
    """The part of a space that good points span.

    Numbers keep to the range of the good points, widened by a margin; categories are those that occur among
    them, and one that is left alone is a constant. Defaults move into what is left. Whatever a condition then
    rules out for good is gone. What no good point says anything of stays as it was.

    Args:
        space: what is narrowed.
        good: coordinates, NaN for what takes no part, shape ``(points, dimension)``.
        margin: what is added on either side, as a share of the knob's whole range.
    """
    column = {name: good[:, i] for i, name in enumerate(space.names)}
    knobs: dict[str, Knob] = {}
    for name, knob in space.knobs.items():
        when = _left_of(knob.when, knobs)
        if when is None:
            continue
        knob = replace(knob, when=when)
        known = column.get(name, np.array([]))
        known = known[~np.isnan(known)]
        knobs[name] = _narrowed(knob, known, margin) if len(known) else knob
    return SearchSpace(f"{space.name[:_LONGEST_NAME]}-box", knobs, space.description)


def _left_of(when: Mapping[str, tuple[Any, ...]], knobs: Mapping[str, Knob]) -> dict[str, Any] | None:
    """A knob's conditions in the narrowed space; None where they cannot be met in it."""
    found = {}
    for parent, allowed in when.items():
        if parent not in knobs:
            return None
        left = tuple(value for value in allowed if _has(knobs[parent], value))
        if not left:
            return None
        found[parent] = left
    return found


def _has(knob: Knob, value: Any) -> bool:
    try:
        knob.check(value)
    except BadInput:
        return False
    return True


def _narrowed(knob: Knob, known: Array, margin: float) -> Knob:
    if isinstance(knob, (FloatKnob, IntKnob)):
        return _narrowed_range(knob, known, margin)
    if not isinstance(knob, CategoricalKnob):
        return knob
    occurring = {knob.from_unit(u) for u in known}
    values = tuple(value for value in knob.values if value in occurring)
    if len(values) == 1:
        return ConstantKnob(values[0], when=knob.when, description=knob.description)
    return replace(knob, values=values, default=knob.default if knob.default in occurring else None)


def _narrowed_range(knob: FloatKnob | IntKnob, known: Array, margin: float) -> Knob:
    low: Any = knob.from_unit(known.min() - margin)
    high: Any = knob.from_unit(known.max() + margin)
    if low >= high:  # one whole number, or no margin
        return ConstantKnob(low, when=knob.when, description=knob.description)
    default = None if knob.default is None else min(max(knob.default, low), high)
    return replace(knob, low=low, high=high, default=default)
