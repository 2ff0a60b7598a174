"""The kinds of past: what a method is told about the other tasks, true, thin, cut short, or a lie.

Each is a set of past tasks, a task being rows of the tables and a curve for each. Whatever is drawn depends
on the kind, the task that is judged, and the group of seeds alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from transfer_.baseline import walk
from transfer_.tables import METRIC, Array, Tables

from tune_lr.history.history import History

#: How many tasks, and how many trials of each, the thin pasts have.
FEW_TASKS, FEW_TRIALS = 3, 20
#: Of a smooth function of chance: how many waves it is made of, and how long they are, in the unit cube.
_WAVES, _LENGTH = 200, 0.5


@dataclass(frozen=True)
class Past:
    """One past task: which rows of the tables were tried, and what was seen of each (NaN: nothing)."""

    rows: NDArray[np.int64]
    curves: Array
    #: Trials that a trial scheduler stopped.
    stopped: NDArray[np.bool_]

    @classmethod
    def whole(cls, curves: Array, rows: NDArray[np.int64] | None = None) -> Past:
        rows = np.arange(len(curves)) if rows is None else rows
        return cls(rows, curves[rows], np.zeros(len(rows), dtype=bool))


Pasts = dict[str, Past]
Maker = Callable[[Tables, list[str], np.random.Generator, int], Pasts]


def past_of(kind: str, tables: Tables, task: str, group: int, budget: int) -> Pasts:
    """The past tasks that a kind of history has for a task.

    Args:
        kind: one of ``KINDS``.
        tables: what was recorded.
        task: which task is judged; the past is made of the others.
        group: which group of seeds this is for.
        budget: epochs of a past job, where the past was cut short by ASHA.
    """
    others = [other for other in tables.tasks if other != task]
    draws = kind in DRAWN
    return KINDS[kind](tables, others, generator_of("past", kind, task, group if draws else 0), budget)


def generator_of(*what: Any) -> np.random.Generator:
    return np.random.default_rng(seed_of(*what))


def seed_of(*what: Any) -> int:
    """A number that depends on all of what is named, and on nothing else."""
    digest = hashlib.sha256("/".join(map(str, what)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def history_of(tables: Tables, pasts: Mapping[str, Past]) -> History:
    """Past tasks as a history."""
    return History.from_pandas(frame_of(tables, pasts), METRIC, "min")


def frame_of(tables: Tables, pasts: Mapping[str, Past]) -> pd.DataFrame:
    """One row a report, as a log has it: a trial that diverged ends with a report that is no number."""
    configs = pd.DataFrame(tables.values, dtype=object).add_prefix("config/")
    return pd.concat([_rows(task, past, configs) for task, past in pasts.items()], ignore_index=True)


def _rows(task: str, past: Past, configs: pd.DataFrame) -> pd.DataFrame:
    count, epochs = past.curves.shape
    known = ~np.isnan(past.curves)
    last = np.where(known.any(axis=1), epochs - known[:, ::-1].argmax(axis=1), 0)
    diverged = ~past.stopped & (last < epochs)
    reports = np.where(diverged, last + 1, last)
    trial = np.repeat(np.arange(count), reports)
    epoch = np.arange(len(trial)) - np.repeat(np.cumsum(reports) - reports, reports)
    status = np.where(diverged, "diverged", np.where(past.stopped, "stopped", "completed"))
    frame = pd.DataFrame(
        {
            "task": task,
            "trial_id": [f"{row:04d}" for row in past.rows[trial]],
            "status": status[trial],
            "epoch": epoch + 1,
            METRIC: past.curves[trial, epoch],
        }
    )
    knobs = configs.iloc[past.rows[trial]].reset_index(drop=True)
    found: pd.DataFrame = pd.concat([frame, knobs], axis=1)
    return found


# The kinds --------------------------------------------------------------------------------------------


def _all(tables: Tables, others: list[str], rng: np.random.Generator, budget: int) -> Pasts:
    return {task: Past.whole(tables.curves[task]) for task in others}


def _three(tables: Tables, others: list[str], rng: np.random.Generator, budget: int) -> Pasts:
    drawn = rng.choice(len(others), size=min(FEW_TASKS, len(others)), replace=False)
    return {others[at]: Past.whole(tables.curves[others[at]]) for at in sorted(drawn)}


def _twenty(tables: Tables, others: list[str], rng: np.random.Generator, budget: int) -> Pasts:
    count = len(tables.values)
    few = min(FEW_TRIALS, count)
    return {
        task: Past.whole(tables.curves[task], rng.choice(count, size=few, replace=False)) for task in others
    }


def _asha(tables: Tables, others: list[str], rng: np.random.Generator, budget: int) -> Pasts:
    return {task: _job(tables, task, int(rng.integers(2**31)), budget) for task in others}


def _job(tables: Tables, task: str, seed: int, budget: int) -> Past:
    """What a job of random search under ASHA leaves behind."""
    reports = walk(tables, task, seed, budget)
    rows = np.array(list(dict.fromkeys(reports[:, 0].tolist())), dtype=np.int64)
    seen = np.array([int((reports[:, 0] == row).sum()) for row in rows])
    curves = tables.curves[task][rows].copy()
    curves[np.arange(tables.epochs) >= seen[:, np.newaxis]] = np.nan
    ended_by_itself = np.isnan(tables.curves[task][rows, seen - 1]) | (seen == tables.epochs)
    return Past(rows, curves, ~ended_by_itself)


def _flipped(tables: Tables, others: list[str], rng: np.random.Generator, budget: int) -> Pasts:
    return {task: Past.whole(flip(tables.curves[task])) for task in others}


def _half(tables: Tables, others: list[str], rng: np.random.Generator, budget: int) -> Pasts:
    lies = set(rng.choice(len(others), size=len(others) // 2, replace=False).tolist())
    return {
        task: Past.whole(flip(tables.curves[task]) if at in lies else tables.curves[task])
        for at, task in enumerate(others)
    }


def _shuffled(tables: Tables, others: list[str], rng: np.random.Generator, budget: int) -> Pasts:
    count = len(tables.values)
    return {task: Past.whole(tables.curves[task][rng.permutation(count)]) for task in others}


def _unrelated(tables: Tables, others: list[str], rng: np.random.Generator, budget: int) -> Pasts:
    return {task: Past.whole(unrelated(tables.cube, tables.curves[task], rng)) for task in others}


def flip(curves: Array) -> Array:
    """After every epoch the best configuration has the value of the worst, the second best of the second
    worst, and so on; so losses fall as they did. What diverged counts as the worst value there is.
    """
    whole = _without_gaps(curves)
    order = np.argsort(np.where(np.isfinite(curves), curves, np.inf), axis=0, kind="stable")
    found = np.empty_like(whole)
    np.put_along_axis(found, order, np.take_along_axis(whole, order[::-1], axis=0), axis=0)
    return found


def unrelated(cube: Array, curves: Array, rng: np.random.Generator) -> Array:
    """The values that a task had after every epoch, given out by smooth functions of chance.

    What a configuration comes to in the end is one function, what it comes to at first another, and in
    between the one turns into the other: so first and last rank somewhat alike, as in real curves.
    """
    whole = np.sort(_without_gaps(curves), axis=0)
    first, last = _smooth(cube, rng), _smooth(cube, rng)
    found = np.empty_like(whole)
    for epoch, part in enumerate(np.linspace(0.6, 1.0, whole.shape[1])):
        score = part * last + np.sqrt(1.0 - part**2) * first
        found[np.argsort(score, kind="stable"), epoch] = whole[:, epoch]
    return found


def _smooth(cube: Array, rng: np.random.Generator) -> Array:
    """A draw of a Gaussian process with a squared exponential kernel, by random waves."""
    waves = rng.normal(size=(cube.shape[1], _WAVES)) / _LENGTH
    phases = rng.uniform(0.0, 2.0 * np.pi, _WAVES)
    found: Array = np.cos(cube @ waves + phases) @ rng.normal(size=_WAVES) * np.sqrt(2.0 / _WAVES)
    return found


def _without_gaps(curves: Array) -> Array:
    """What diverged has the worst value of its epoch, or of the epochs before where all have diverged."""
    finite = np.where(np.isfinite(curves), curves, -np.inf)
    worst = finite.max(axis=0)
    worst = np.where(np.isfinite(worst), worst, finite.max())
    return np.where(np.isfinite(curves), curves, worst)


#: Kind -> how it is made. ``none`` is no history at all.
KINDS: dict[str, Maker] = {
    "all": _all,
    "three": _three,
    "twenty": _twenty,
    "asha": _asha,
    "flipped": _flipped,
    "half": _half,
    "shuffled": _shuffled,
    "unrelated": _unrelated,
}
NONE = "none"
#: Kinds that are drawn, and so are others for every group of seeds.
DRAWN = frozenset(KINDS) - {"all", "flipped"}
#: What a person calls them.
WORDS = {
    "all": "all other tasks",
    "three": "three tasks",
    "twenty": "20 trials a task",
    "asha": "stopped by ASHA",
    "flipped": "rank-flipped",
    "half": "half of the tasks flipped",
    "shuffled": "shuffled",
    "unrelated": "unrelated",
    NONE: "none",
}
