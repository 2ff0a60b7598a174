"""The curves and final values of TensorBoard's runs, side by side."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np

from tune_lr.history.columns import MOST_COLUMNS, fitting, most_columns
from tune_lr.history.importers.tensorboard_run import Run
from tune_lr.history.log import Skipped

#: Lightning logs it where the person names no metric for its table of hyperparameters.
_NO_METRIC = ("hp_metric", -1.0)
#: What a log's own columns are called; Lightning's ``epoch`` is one, and no metric.
_RESERVED = frozenset({"trial", "epoch", "seconds"})
_RESERVED_OF_TRIALS = _RESERVED | {"trial_id", "status", "seed", "error"}


def finals(runs: list[Run], skipped: Skipped) -> dict[str, list[float]]:
    """The values of whole runs, a column a metric; NaN where a run has none."""
    found: dict[str, list[float]] = {}
    most = min(MOST_COLUMNS, most_columns(len(runs)))
    for place, run in enumerate(runs):
        for tag, value in run.finals.items():
            if (tag, value) == _NO_METRIC or tag in _RESERVED:
                continue
            if tag in _RESERVED_OF_TRIALS or tag.startswith("config/"):
                skipped.add(tag[:100], "a metric whose name has another meaning here")
            elif tag in found or len(found) < most:
                found.setdefault(tag, [math.nan] * len(runs))[place] = value
            else:
                skipped.add("hparams", "a metric beside very many others")
    return found


def curves(runs: list[Run], named: Collection[str], skipped: Skipped) -> dict[str, Any]:
    """The runs' curves below one another, a row a step of a run, a column a tag.

    Where that would be very many cells, the tags stay that are ``named`` or have most values.
    """
    tags = [[tag for tag, values in run.values.items() if _counts(tag, values)] for run in runs]
    steps = [_steps(run, own) for run, own in zip(runs, tags, strict=True)]
    counts = Counter[str]()
    for run, own in zip(runs, tags, strict=True):
        counts.update({tag: len(run.values[tag]) for tag in own})
    rows = sum(map(len, steps))
    kept = dict.fromkeys(fitting({**counts, **{n: math.inf for n in named if n in counts}}, rows, skipped))
    if len(kept) < len(counts):
        tags = [[tag for tag in own if tag in kept] for own in tags]
        steps = [_steps(run, own) for run, own in zip(runs, tags, strict=True)]
        rows = sum(map(len, steps))
    found: dict[str, Any] = {
        "trial": np.repeat(np.arange(len(runs)), [len(own) for own in steps]),
        "epoch": np.concatenate(steps),
        "seconds": np.full(rows, np.nan),
        **{tag: np.full(rows, np.nan) for tag in kept},
    }
    end = 0
    for run, own, there in zip(runs, tags, steps, strict=True):
        start, end = end, end + len(there)
        seconds = found["seconds"][start:end]
        for tag in own:
            at = np.searchsorted(there, run.steps[tag])
            found[tag][start:end][at] = run.values[tag]
            np.fmax.at(seconds, at, run.times[tag])
        if not np.isnan(seconds).all():
            seconds -= np.nanmin([np.fmin.reduce(run.times[tag]) for tag in own])
    return found


def _counts(tag: str, values: array[float]) -> bool:
    """Whether a tag's curve is one of a metric."""
    return tag not in _RESERVED and not (tag == _NO_METRIC[0] and {*values} == {_NO_METRIC[1]})


def _steps(run: Run, tags: list[str]) -> np.ndarray[Any, Any]:
    """Every step at which one of the tags has a value."""
    nothing: np.ndarray[Any, Any] = np.empty(0, np.int64)
    return np.unique(np.concatenate([nothing, *(np.array(run.steps[tag], np.int64) for tag in tags)]))
