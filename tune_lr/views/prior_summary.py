"""What a prior comes to, as plain numbers for whoever shows them: its knobs, its tasks, who is like whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_lr.prior.features import of_cube
from tune_lr.prior.prior import Prior
from tune_lr.prior.tasks import PastTask
from tune_lr.space import CategoricalKnob, Knob
from tune_lr.views.history_coverage import Covered, covered

Array = NDArray[np.float64]

#: A range is looked at in so many places.
_PLACES = 49
#: How widely a density smooths along a knob, as a part of its range; what counts as good, and what a place
#: counts that is like nothing that was tried (the same of both as ``Prior.density``).
_WIDTH, _GOOD, _UNTRIED = 0.06, 0.1, 0.1
#: The middle part of the good ones is where they lie.
_MIDDLE = (0.1, 0.9)
#: So many relatives of a task are named.
RELATIVES = 2


@dataclass(frozen=True)
class Marginal:
    """What the past tasks tell of one knob.

    Args:
        spread: where their configurations lie, and the best tenth of each task.
        places: along the range; empty for choices, whose places are the ``spread``'s labels.
        density: at each place, how much likelier it is among the good ones than among all; every task counts
            the same.
        low, high: where the middle four fifths of the good ones lie; None for choices, and where the knob
            takes no part in any.
        matters: by how much the scores of a configuration change from one end of the knob to the other, as
            the kernel has learned it: 0 not at all, 1 as from any configuration to any other.
    """

    spread: Covered
    places: tuple[float, ...]
    density: tuple[float, ...]
    low: float | int | None
    high: float | int | None
    matters: float

    @property
    def name(self) -> str:
        """The knob."""
        return self.spread.name


@dataclass(frozen=True)
class TaskTold:
    """What is told of a past task.

    Args:
        label: its name, with more where several are called alike.
        task: all that is known of it.
        whole: how many of its configurations were trained to the end.
        relatives: the tasks that are most like it, and how much: the correlation of the scores.
    """

    label: str
    task: PastTask
    whole: int
    relatives: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Summary:
    """A prior in numbers.

    Args:
        prior: it.
        tasks: as it has them.
        knobs: in the order of the space.
        related: the correlation of the scores of each two tasks; NaN where one's are all the same.
        agreement: the mean of it over the pairs of tasks; None where there are none.
    """

    prior: Prior
    tasks: tuple[TaskTold, ...]
    knobs: tuple[Marginal, ...]
    related: Array
    agreement: float | None


def summary(prior: Prior) -> Summary:
    """What a prior comes to; its pool is filled for it, which takes a moment where there are many tasks."""
    frame = prior.related()
    related, labels = frame.to_numpy(np.float64), [str(label) for label in frame.columns]
    pairs = related[np.triu_indices(len(related), 1)]
    known = pairs[~np.isnan(pairs)]
    tasks = tuple(
        TaskTold(
            labels[i], task, int((task.last == task.curves.shape[1]).sum()), _relatives(related[i], i, labels)
        )
        for i, task in enumerate(prior.tasks)
    )
    knobs = tuple(_marginal(prior, at, name) for at, name in enumerate(prior.space.names))
    return Summary(prior, tasks, knobs, related, float(known.mean()) if len(known) else None)


def in_order(related: Array) -> list[int]:
    """The tasks such that those that are alike stand side by side."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(related) < 3:
        return list(range(len(related)))
    apart = np.clip(1.0 - np.nan_to_num(related), 0.0, 2.0)
    np.fill_diagonal(apart, 0.0)
    tree = linkage(
        squareform((apart + apart.T) / 2, checks=False), "average", optimal_ordering=len(apart) < 100
    )
    found: list[int] = leaves_list(tree).tolist()
    return found


def _relatives(row: Array, own: int, labels: list[str]) -> tuple[tuple[str, float], ...]:
    order = [int(j) for j in np.argsort(-np.nan_to_num(row, nan=-2.0), kind="stable") if j != own]
    return tuple((labels[j], float(row[j])) for j in order[:RELATIVES] if not np.isnan(row[j]))


def _marginal(prior: Prior, at: int, name: str) -> Marginal:
    knob = prior.space.knobs[name]
    every, good = _along(prior.tasks, at)
    told: tuple[float, ...] = ()
    if isinstance(knob, CategoricalKnob):
        places = np.array([knob.to_unit(value) for value in knob.every() or ()])
        density = _of_choices(places, every, good)
        low = high = None
    else:
        places = _places(knob)
        density, told = _of_range(places, every, good), tuple(_number(knob.from_unit(u)) for u in places)
        low, high = _middle(knob, good)
    return Marginal(
        _spread(prior, at, name), told, tuple(density.tolist()), low, high, _matters(prior, at, knob)
    )


def _along(tasks: tuple[PastTask, ...], at: int) -> tuple[list[Array], list[Array]]:
    """The coordinates of one knob, of all and of the good configurations of each task that have good ones."""
    every, good = list[Array](), list[Array]()
    for task in tasks:
        column, best = task.cube[:, at], task.cube[_best(task), at]
        if not np.isnan(best).all():
            every.append(column[~np.isnan(column)])
            good.append(best[~np.isnan(best)])
    return every, good


def _best(task: PastTask) -> NDArray[np.int64]:
    count = max(int(np.ceil(_GOOD * len(task.scores))), 1)
    return np.argsort(-task.scores, kind="stable")[:count]


def _places(knob: Knob) -> Array:
    """Coordinates to look at: evenly spread ones, of whole numbers those that there are, each once."""
    every = knob.every()
    if every is None:
        return np.linspace(0.0, 1.0, _PLACES)
    if len(every) > _PLACES:
        every = list(dict.fromkeys(knob.from_unit(u) for u in np.linspace(0.0, 1.0, _PLACES)))
    return np.array([knob.to_unit(value) for value in every])


def _of_range(places: Array, every: list[Array], good: list[Array]) -> Array:
    """The ratio of two densities, with what falls beyond an end reflected at it."""
    near = [np.mean([_bumps(places, one) for one in some], axis=0) for some in (good, every) if some]
    if not near:
        return np.ones(len(places))
    found: Array = (near[0] + _UNTRIED) / (near[1] + _UNTRIED)
    return found


def _bumps(places: Array, points: Array) -> Array:
    mirrored = np.concatenate([points, -points, 2.0 - points])
    away = (places[:, np.newaxis] - mirrored) / _WIDTH
    found: Array = np.exp(-0.5 * away**2).sum(axis=1) / (len(points) * _WIDTH * np.sqrt(2 * np.pi))
    return found


def _of_choices(places: Array, every: list[Array], good: list[Array]) -> Array:
    if not good:
        return np.ones(len(places))

    def shares(some: list[Array]) -> Array:
        nearest = [np.abs(one[:, np.newaxis] - places).argmin(axis=1) for one in some]
        counts = [np.bincount(one, minlength=len(places)) / len(one) for one in nearest]
        found: Array = np.mean(counts, axis=0) * len(places)
        return found

    return (shares(good) + _UNTRIED) / (shares(every) + _UNTRIED)


def _middle(knob: Knob, good: list[Array]) -> tuple[float | int | None, float | int | None]:
    """Where the middle of the good ones lies, every task counting the same."""
    if not good:
        return None, None
    points = np.concatenate(good)
    weights = np.concatenate([np.full(len(one), 1.0 / len(one)) for one in good])
    order = np.argsort(points, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    low, high = (points[order][np.searchsorted(reached, part - 1e-9)] for part in _MIDDLE)
    return _number(knob.from_unit(low)), _number(knob.from_unit(high))


def _matters(prior: Prior, at: int, knob: Knob) -> float:
    """How far apart the kernel takes the ends of a knob to be, of choices the two most unlike."""
    every = (knob.every() or ()) if isinstance(knob, CategoricalKnob) else ()
    levels = np.array([knob.to_unit(value) for value in every] or [0.0, 1.0])
    cube = np.full((len(levels), prior.space.dimension), np.nan)  # the others at their start
    cube[:, at] = levels
    rows = of_cube(prior.space, cube)
    alike = prior.kernel.between(rows, rows) / prior.kernel.signal
    return float(np.clip(1.0 - alike.min(), 0.0, 1.0))


def _spread(prior: Prior, at: int, name: str) -> Covered:
    import pandas as pd

    knob = prior.space.knobs[name]
    column = np.concatenate([task.cube[:, at] for task in prior.tasks])
    good = np.concatenate([np.isin(np.arange(len(task.scores)), _best(task)) for task in prior.tasks])
    values = [knob.from_unit(u) if not np.isnan(u) else None for u in column]
    whole = not isinstance(knob, CategoricalKnob)
    return covered(name, knob, pd.Series(values, dtype="float64" if whole else object), good)


def _number(value: Any) -> float | int:
    found: float | int = value
    return found
