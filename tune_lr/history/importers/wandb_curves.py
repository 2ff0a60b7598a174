"""The curves of many runs, which charts and histories give point by point, as one table of reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

#: Steps of a curve, and its values there.
Points = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]

#: What the schema calls its own columns.
_RESERVED = frozenset({"trial", "epoch"})


def reports_of(points: Mapping[int, Mapping[str, list[Points]]]) -> dict[str, Any]:
    """The runs' curves below one another, a row a step of a run."""
    places = sorted(points)
    runs = [_curves(points[place]) for place in places]
    lengths = [len(steps) for steps, _ in runs]
    nothing = np.empty(0, "int64")
    found: dict[str, Any] = {"trial": np.repeat(np.array(places, "int64"), lengths)}
    found["epoch"] = np.concatenate([nothing, *(steps for steps, _ in runs)])
    for name in dict.fromkeys(metric for _, columns in runs for metric in columns):
        parts = [columns.get(name, np.full(len(steps), np.nan)) for steps, columns in runs]
        found[name] = np.concatenate(parts)
    return found


def _curves(curves: Mapping[str, list[Points]]) -> tuple[Any, dict[str, Any]]:
    """A run's steps, and its curves beside one another."""
    joined = {metric: _joined(parts) for metric, parts in curves.items()}
    if len(joined) == 1:
        ((metric, (own, values)),) = joined.items()
        if metric not in _RESERVED and (np.diff(own) > 0).all():
            return own, {metric: values}
    steps = np.unique(np.concatenate([np.empty(0, "int64"), *(own for own, _ in joined.values())]))
    columns: dict[str, Any] = {}
    for metric, (own, values) in joined.items():
        if metric not in _RESERVED:
            column = columns[metric] = np.full(len(steps), np.nan)
            column[np.searchsorted(steps, own)] = values
    return steps, columns


def _joined(parts: list[Points]) -> Points:
    if len(parts) == 1:
        return parts[0]
    steps, values = zip(*parts, strict=True)
    return np.concatenate(steps), np.concatenate(values)
