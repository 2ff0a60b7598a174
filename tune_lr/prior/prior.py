"""``Prior``: what past tasks tell of the configurations of a search space."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tune_lr.errors import BadInput
from tune_lr.history.history import History
from tune_lr.history.log import Skipped
from tune_lr.prior.box import narrowed
from tune_lr.prior.coherence import coherence
from tune_lr.prior.features import features, of_cube
from tune_lr.prior.fidelity import noise_of
from tune_lr.prior.filling import Scored, fill
from tune_lr.prior.kernels import Kernel, learn
from tune_lr.prior.learned_noise import learned_noise
from tune_lr.prior.portfolio import pool_of, portfolio
from tune_lr.prior.related import by_descriptors, by_results, labels
from tune_lr.prior.saved import Saved, read, write
from tune_lr.prior.tasks import PastTask, past_tasks
from tune_lr.space import ConstantKnob, SearchSpace

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Values = dict[str, Any]

#: What the kernel is learned from, and for how long: so many tasks, and the first trials of each.
_MOST_TABLES, _FIRST_TRIALS, _ROUNDS = 60, 100, 20
#: Of each task, so many span a box at most: more, and their extremes are chance.
_MOST_BEST = 10
#: What a density calls good, and what a point counts that is like nothing that was tried.
_GOOD, _UNTRIED = 0.1, 0.1


@dataclass(frozen=True, eq=False)
class Prior:
    """Past tasks, and what is learned of them; :meth:`fit` makes one.

    Args:
        space: whose configurations it tells of.
        tasks: what was seen.
        kernel: how alike two configurations are by their knobs.
        noise: the variance of a score by how far a trial was trained (``fidelity.noise_of``).
        notes: what was passed over.
    """

    space: SearchSpace
    tasks: tuple[PastTask, ...]
    kernel: Kernel
    noise: Array
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(cls, history: History, space: SearchSpace) -> Prior:
        """Learn from every task of a history that has trials in a space.

        Raises:
            BadInput: no task has two configurations of the space with a value, or no knob of it varies.
        """
        if not isinstance(history, History):
            raise BadInput("history", history, "a History")
        if not isinstance(space, SearchSpace):
            raise BadInput("space", space, "a SearchSpace, as load_space(name_or_path) gives one")
        if not space.dimension:
            raise BadInput("space", space.name, "one with a knob that is no constant")
        skipped = Skipped()
        tasks = past_tasks(history, space, skipped)
        if not tasks:
            told = "; ".join(skipped.lines()[:5]) or "it is empty"
            expected = f"a task with two configurations of the space {space.name!r} and a value for each"
            raise BadInput("history", history, f"{expected} ({told})")
        noise = learned_noise(tasks)
        tasks = [task.with_noise(noise) for task in tasks]
        return cls(space, tuple(tasks), _kernel(space, tasks), noise, tuple(skipped.lines()))

    # A portfolio ------------------------------------------------------------------------------------

    def points(self, n: int) -> list[Values]:
        """Up to ``n`` configurations that together do well on the past tasks, the first to try at the front.

        As ``points_to_evaluate`` of any searcher of Ray Tune, over ``to_ray(space)``, and of Syne Tune, over
        ``to_syne(space)``: a value for every knob that is a domain there. Bounds of the LR are ratios, as in
        the space, and knobs that take no part are at their start; :meth:`configs` has what a trial gets.

        Raises:
            BadInput: ``n`` is no whole number, 0 or more.
        """
        knobs = self.space.knobs
        domains = [n for n, knob in knobs.items() if knob.when or not isinstance(knob, ConstantKnob)]
        flat = [self.space.flat(values) for values in self.values(n)]
        return [{name: point[name] for name in domains} for point in flat]

    def values(self, n: int) -> list[Values]:
        """The same as points of the space (BadInput: as :meth:`points`)."""
        _demand_whole(n, "number of points", 0)
        chosen = portfolio(self.filled[0], int(n))
        return [self.space.decode(self.pool[place]) for place in chosen]

    def configs(self, n: int) -> list[dict[str, Any]]:
        """The same as trials get them, with absolute bounds of the LR (BadInput: as :meth:`points`)."""
        return [self.space.config(values) for values in self.values(n)]

    @cached_property
    def pool(self) -> Array:
        """The coordinates of what past tasks have tried, most tried first (``portfolio.pool_of``)."""
        return pool_of(self.tasks)

    @cached_property
    def filled(self) -> tuple[Array, Array]:
        """Every task's score of each of the pool, and the variance of what is not known of it."""
        return fill(self.scored, of_cube(self.space, self.pool), self.kernel)

    @cached_property
    def coherence(self) -> float:
        """How far it deserves trust before anything of a new task was seen, from 0 to 1 (``coherence``)."""
        return coherence(self.scored, self.kernel)

    @cached_property
    def scored(self) -> list[Scored]:
        """The tasks as ``filling.fill`` takes them."""
        return [Scored(of_cube(self.space, task.cube), task.scores, task.noise) for task in self.tasks]

    # The space --------------------------------------------------------------------------------------

    def box(self, share: float = 0.2, margin: float = 0.05) -> SearchSpace:
        """The space narrowed to what the best of each task span (``box.narrowed``).

        Args:
            share: of a task's configurations, how many count as the best; at least one, at most ten.
            margin: what is added on either side of a range, as a share of the knob's whole range.

        Raises:
            BadInput: the share is not above 0 and at most 1, or the margin not from 0 to 1.
        """
        if not _is_number(share) or not 0 < share <= 1:
            raise BadInput("share", share, "a number above 0, at most 1")
        if not _is_number(margin) or not 0 <= margin <= 1:
            raise BadInput("margin", margin, "a number from 0 to 1")
        good = [task.cube[_best(task, share)[:_MOST_BEST]] for task in self.tasks]
        return narrowed(self.space, np.concatenate(good), margin)

    def density(self, points: Sequence[Mapping[str, Any]]) -> Array:
        """How much likelier each point is among the good ones than among all; 1 where nothing is known.

        The ratio of two kernel densities, one over the best tenth of each task and one over all of its
        configurations, every task weighing the same. Lengths are half of those of the kernel, so a knob that
        matters little is smoothed over widely.

        Args:
            points: values of the space.

        Raises:
            BadInput: one is no point of the space.
        """
        rows = features(self.space, points) if points else np.zeros((0, len(self.kernel.lengths)))
        near = Kernel(self.kernel.lengths / 2.0)
        good, every = np.full(len(rows), _UNTRIED), np.full(len(rows), _UNTRIED)
        for task, scored in zip(self.tasks, self.scored, strict=True):
            like = near.between(rows, scored.rows)
            good += like[:, _best(task, _GOOD)].mean(axis=1) / len(self.tasks)
            every += like.mean(axis=1) / len(self.tasks)
        found: Array = good / every
        return found

    # A new task -------------------------------------------------------------------------------------

    def predict(self, points: Sequence[Mapping[str, Any]], epochs: int | None = None) -> pd.DataFrame:
        """How good each point is on a task not seen yet: columns ``mean`` and ``std``.

        A score is normal over the configurations of a task: 0 is usual, 1 better than five in six. The less
        past tasks agree or know about a point, the larger the deviation.

        Args:
            points: values of the space.
            epochs: how long they are trained, where not to the end: what is seen after few epochs tells less,
                so it deviates more.

        Raises:
            BadInput: one is no point of the space, or ``epochs`` is no whole number above 0.
        """
        import pandas as pd

        if epochs is not None:
            _demand_whole(epochs, "epochs", 1)
        if not points:
            nothing: pd.DataFrame = pd.DataFrame({"mean": np.zeros(0), "std": np.zeros(0)})
            return nothing
        scores, unknown = fill(self.scored, features(self.space, points), self.kernel)
        level = scores - self.filled[0].mean(axis=1, keepdims=True)
        known = 1.0 / (1.0 + unknown)
        counted = known.sum(axis=0) + 1.0  # as one more task, of which nothing is known
        mean = (known * level).sum(axis=0) / counted
        variance = ((known * (level - mean) ** 2).sum(axis=0) + self.kernel.signal) / counted
        if epochs is not None:
            variance = variance + noise_of(min(epochs, self.epochs), self.epochs, self.noise)
        frame: pd.DataFrame = pd.DataFrame({"mean": mean, "std": np.sqrt(variance)})
        return frame

    @cached_property
    def epochs(self) -> int:
        """How long a whole training was, in the median over the tasks."""
        return max(int(np.median([task.epochs for task in self.tasks])), 1)

    def related(self, by: Literal["results", "descriptors"] = "results") -> pd.DataFrame:
        """How alike past tasks are, tasks x tasks.

        Args:
            by: ``results``, the correlation of their scores over the pool (NaN: a task's are all the same);
                or ``descriptors``, the share of their descriptors that are equal (NaN: there are none).

        Raises:
            BadInput: ``by`` is something else.
        """
        import pandas as pd

        if by not in ("results", "descriptors"):
            raise BadInput("by", by, "results or descriptors")
        found = by_results(self.filled[0]) if by == "results" else by_descriptors(self.tasks)
        names = labels(self.tasks)
        frame: pd.DataFrame = pd.DataFrame(found, index=names, columns=names)
        return frame

    # Keeping ----------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a folder or fsspec URI (docs/prior.md); a prior that is there is replaced.

        Raises:
            BadInput: something else is there, or nothing can be written there.
        """
        write(Saved(self.space, self.tasks, self.kernel, self.noise, self.notes), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Prior:
        """What :meth:`save` wrote, whoever did (BadInput: it is no prior, or damaged)."""
        saved = read(path)
        return cls(saved.space, saved.tasks, saved.kernel, saved.noise, saved.notes)

    def __repr__(self) -> str:
        count = sum(len(task.scores) for task in self.tasks)
        return f"<Prior of {self.space.name}: {len(self.tasks)} tasks, {count} configurations>"


def _kernel(space: SearchSpace, tasks: Sequence[PastTask]) -> Kernel:
    """How alike configurations are by their knobs, learned from some of the tasks, evenly chosen."""
    chosen = np.linspace(0, len(tasks) - 1, min(len(tasks), _MOST_TABLES)).astype(int)
    tables = []
    for task in (tasks[i] for i in chosen):
        rows = of_cube(space, task.cube[:_FIRST_TRIALS])
        tables.append((rows, task.scores[:_FIRST_TRIALS], task.noise[:_FIRST_TRIALS]))
    return learn(tables, Kernel.vague(tables[0][0].shape[1]), rounds=_ROUNDS)


def _best(task: PastTask, share: float) -> NDArray[np.int64]:
    """The rows of the best share of a task's configurations, at least one."""
    count = max(int(np.ceil(share * len(task.scores))), 1)
    return np.argsort(-task.scores, kind="stable")[:count]


def _demand_whole(value: object, field: str, least: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise BadInput(field, value, f"a whole number, {least} or more")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
