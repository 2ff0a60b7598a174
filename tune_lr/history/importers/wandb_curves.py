"""The curves of many runs, which charts and histories give point by point, as one table of reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from tune_lr.history.columns import fitting
from tune_lr.history.log import Skipped

#: Steps of a curve, and its values there.
Points = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]

#: What the schema calls its own columns.
_RESERVED = frozenset({"trial", "epoch"})


def reports_of(points: Mapping[int, Mapping[str, list[Points]]], skipped: Skipped) -> dict[str, Any]:
    """The runs' curves below one another, a row a step of a run.

    Where there are more metrics than so many rows may have, those stay that have most values.
    """
    places = sorted(points)
    runs = [{name: _joined(parts) for name, parts in points[place].items()} for place in places]
    steps = [_steps([own for own, _ in run.values()]) for run in runs]
    ends = np.cumsum([0, *map(len, steps)])
    counts: Counter[str] = Counter()
    for run in runs:
        counts.update({name: len(own) for name, (own, _) in run.items() if name not in _RESERVED})
    found: dict[str, Any] = {"trial": np.repeat(np.array(places, "int64"), np.diff(ends))}
    found["epoch"] = np.concatenate([np.empty(0, "int64"), *steps])
    found |= {name: np.full(ends[-1], np.nan) for name in fitting(counts, int(ends[-1]), skipped)}
    for run, own_steps, start in zip(runs, steps, ends, strict=False):
        for name, (own, values) in run.items():
            if name in found and name not in _RESERVED:
                found[name][start + np.searchsorted(own_steps, own)] = values
    return found


def _steps(curves: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Every step of a run once, in order."""
    if len(curves) == 1 and (np.diff(curves[0]) > 0).all():
        return curves[0]
    return np.unique(np.concatenate([np.empty(0, "int64"), *curves]))


def _joined(parts: list[Points]) -> Points:
    if len(parts) == 1:
        return parts[0]
    steps, values = zip(*parts, strict=True)
    return np.concatenate(steps), np.concatenate(values)
