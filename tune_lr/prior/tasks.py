"""Past tasks as tables that can be compared: where their trials lie in the space, and how good they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tune_lr.history.entry import Entry
from tune_lr.history.history import History
from tune_lr.history.log import Skipped
from tune_lr.objective import WORST_LOSS
from tune_lr.prior.coordinates import Coordinates
from tune_lr.prior.curves import curves_of, extent
from tune_lr.prior.fidelity import USUAL, noise_of
from tune_lr.prior.scores import Whole, win_scores
from tune_lr.space import SearchSpace

Array = NDArray[np.float64]

#: Why a trial, and why a task, tells nothing.
SILENT, TOO_FEW = "no value", "fewer than two configurations of the space with a value"
#: Added to the variance of a score where none of the knobs is known, and in proportion where some are not.
_UNKNOWN_KNOBS = 1.0


@dataclass(frozen=True, eq=False)
class PastTask:
    """What a past task tells of the configurations of a space; each distinct one is a row.

    Args:
        name: of the task.
        id: of its import in the history; of several, with ``+`` between them.
        source: the importers, with commas between them.
        descriptors: facts of the task.
        metric: what was optimized.
        mode: ``min`` or ``max``.
        cube: coordinates as ``SearchSpace.encode`` has them (NaN: takes no part), shape
            ``(configurations, dimension)``.
        curves: the best loss so far, lower is better whatever the metric, shape
            ``(configurations, columns)``; after the last column the value of that one. Where a final value is
            what counted, it stands in the last column.
        last: the last column that was reached, from 1.
        scores: normal scores of how good each is among the others, high is good.
        noise: the variance of each score, by how far it was trained and how often.
        lacking: the share of the knobs that the log does not tell and that are taken to be at their start.
        repeats: how often each was tried, in trials as long as the longest of them.
        dropped: why trials could not be used -> how many.
        stride: how many epochs a column of the curves stands for.
    """

    name: str
    id: str
    source: str
    descriptors: dict[str, str]
    metric: str
    mode: str
    cube: Array
    curves: Array
    last: Whole
    scores: Array
    noise: Array
    lacking: Array
    repeats: Array
    dropped: dict[str, int] = field(default_factory=dict)
    stride: int = 1

    @property
    def epochs(self) -> int:
        """How long its longest training was."""
        return int(self.curves.shape[1] * self.stride)

    def with_noise(self, variances: Array) -> PastTask:
        """The same where the variance by fidelity is another (``fidelity.noise_of``)."""
        noise = _noise(self.last, self.curves.shape[1], self.lacking, variances)
        return replace(self, noise=noise / self.repeats)


class _Rows(NamedTuple):
    """Trials, or configurations, one a row."""

    cube: Array
    curves: Array
    last: Whole
    lacking: Array


def past_tasks(history: History, space: SearchSpace, skipped: Skipped | None = None) -> list[PastTask]:
    """What a history tells of a space, by task.

    Imports of one task with one metric and direction are one task; with other metrics they are others of
    the same name, since their values cannot be compared.

    Args:
        history: any mix of imports; knobs that they lack are taken to be at their start.
        space: trials outside of it are left out.
        skipped: told of the tasks that give nothing.
    """
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in history.entries():
        info = entry.info
        groups.setdefault((info.task, info.metric, info.mode, info.fidelity), []).append(entry)
    coordinates = Coordinates(space)
    found = []
    for entries in groups.values():
        task, dropped = _task(entries, coordinates)
        if task is not None:
            found.append(task)
        elif skipped is not None:
            told = ", ".join(f"{count} with {reason}" for reason, count in dropped.items())
            skipped.add(entries[0].info.task, TOO_FEW + (f" (trials: {told})" if told else ""))
    return found


def _task(entries: Sequence[Entry], coordinates: Coordinates) -> tuple[PastTask | None, dict[str, int]]:
    """One task (None: too little of it can be used), and why trials were left out."""
    columns, stride = extent(entries)
    dropped: Counter[str] = Counter()
    parts = []
    for entry in entries:
        placed = coordinates.place(entry.trials)
        curves, last = curves_of(entry, columns, stride)
        reasons = np.where((placed.reasons == "") & (last == 0), SILENT, placed.reasons)
        dropped.update(str(reason) for reason in reasons if reason)
        kept = reasons == ""
        parts.append(_Rows(placed.cube[kept], curves[kept], last[kept], placed.lacking[kept]))
    trials = _Rows(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    groups = _alike(trials.cube)
    if len(groups) < 2:
        return None, dict(dropped)
    infos = [entry.info for entry in entries]
    descriptors: dict[str, str] = {}
    for info in reversed(infos):
        descriptors |= info.descriptors
    rows, scores, noise, repeats = _merged(groups, trials)
    task = PastTask(
        name=infos[0].task,
        id="+".join(info.id for info in infos),
        source=", ".join(sorted({info.source for info in infos})),
        descriptors=descriptors,
        metric=infos[0].metric,
        mode=infos[0].mode,
        cube=rows.cube,
        curves=rows.curves,
        last=rows.last,
        scores=scores,
        noise=noise,
        lacking=rows.lacking,
        repeats=repeats,
        dropped=dict(dropped),
        stride=stride,
    )
    return task, dict(dropped)


def _alike(cube: Array) -> list[NDArray[np.int64]]:
    """The rows of each distinct configuration, in the order of their first."""
    groups: dict[bytes, list[int]] = {}
    for i, row in enumerate(cube.round(9) + 0.0):
        groups.setdefault(row.tobytes(), []).append(i)
    return [np.array(rows) for rows in groups.values()]


def _merged(groups: list[NDArray[np.int64]], trials: _Rows) -> tuple[_Rows, Array, Array, Array]:
    """Repeats of a configuration as one: rows, scores, noise, and how many trials each stands for.

    Scores are averaged by precision; a curve is the mean of those trained longest.
    """
    every = win_scores(trials.curves, trials.last)
    noises = _noise(trials.last, trials.curves.shape[1], trials.lacking, USUAL)
    best = np.array([rows[noises[rows].argmin()] for rows in groups])
    curves, scores, noise = trials.curves[best], every[best], noises[best]
    for i, rows in enumerate(groups):
        if len(rows) > 1:
            precision = 1.0 / noises[rows]
            scores[i] = (precision * every[rows]).sum() / precision.sum()
            noise[i] = 1.0 / precision.sum()
            curves[i] = _mean_curve(trials.curves[rows[trials.last[rows] == trials.last[best[i]]]])
    # As a file has them, so that a prior that was saved is the one that was made.
    curves = curves.astype(np.float32).astype(np.float64)
    made = _Rows(trials.cube[best], curves, trials.last[best], trials.lacking[best])
    return made, scores, noise, noises[best] / noise


def _mean_curve(curves: Array) -> Array:
    """The mean of several curves; the worst loss where half of them have it."""
    worst = curves >= WORST_LOSS
    sound = np.where(worst, 0.0, curves).sum(axis=0) / np.maximum((~worst).sum(axis=0), 1)
    return np.where(worst.mean(axis=0) >= 0.5, WORST_LOSS, sound)


def _noise(last: Whole, columns: int, lacking: Array, variances: Array) -> Array:
    return noise_of(last, columns, variances) + _UNKNOWN_KNOBS * lacking
