"""Recorded curves in place of trainings, and simulated time in place of waiting.

A table has a row for each configuration: values, the curve of the metric, and what each epoch costs. A worker
that trains a trial for an epoch reports the next number of its row, and the clock jumps to the next report.
The driver, the searcher and the trial scheduler are the same as in any job.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tune_lr.driver import Driver
from tune_lr.errors import BadInput
from tune_lr.journal import CONTINUE, Report, Status
from tune_lr.objective import Objective
from tune_lr.searchers.base import Searcher, Suggestion, Wait
from tune_lr.space import SearchSpace
from tune_lr.trials.run import Leg, Outcome


@dataclass(frozen=True)
class Table:
    """What was recorded.

    Args:
        values: points of the space, one a row.
        curves: the metric after each epoch, shape (rows, epochs); NaN where the training had diverged.
        cost: seconds that each epoch takes, shape (rows, epochs).
    """

    values: list[dict[str, Any]]
    curves: NDArray[np.float64]
    cost: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        configs: Sequence[Mapping[str, Any]],
        curves: ArrayLike,
        cost: ArrayLike | None,
    ) -> Table:
        """A checked table.

        Raises:
            BadInput: a configuration is no point of the space or stands there twice, or shapes do not fit.
        """
        found = np.asarray(curves, dtype=np.float64)
        if found.ndim != 2 or len(found) != len(configs) or not found.size:
            raise BadInput(
                "curves", f"shape {found.shape}", f"({len(configs)}, epochs), a row a configuration"
            )
        try:
            seconds = np.broadcast_to(_by_row(1.0 if cost is None else cost), found.shape)
        except ValueError:
            raise BadInput("cost", "a shape of its own", f"one number, one a row, or {found.shape}") from None
        if not (np.isfinite(seconds) & (seconds >= 0)).all():
            raise BadInput("cost", cost, "seconds: finite numbers of 0 or more")
        values = [_point(space, config) for config in configs]
        if len({space.key(point) for point in values}) < len(values):
            raise BadInput("configs", len(configs), "configurations that differ from each other")
        return cls(values, found, seconds)


def _by_row(cost: ArrayLike) -> NDArray[np.float64]:
    seconds = np.asarray(cost, dtype=np.float64)
    return seconds[:, np.newaxis] if seconds.ndim == 1 else seconds


def _point(space: SearchSpace, config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of the table as values, whether it has ratios or absolute bounds."""
    values = space.values(config)
    try:
        return space.normalize(values)
    except BadInput as error:
        raise BadInput("configs", dict(config), f"points of the space ({error})") from None


class OverTable(Searcher):
    """A searcher whose proposals are rows of a table: the nearest that has not been tried.

    One that knows the table's rows itself proposes nothing else, and nothing is changed.
    """

    def __init__(self, searcher: Searcher, table: Table) -> None:
        super().__init__(searcher.space, seed=searcher.seed, max_epochs=searcher.max_epochs)
        self._searcher, self._table = searcher, table
        self._rows = {self.space.key(values): row for row, values in enumerate(table.values)}
        self._cube = np.stack([_coordinates(self.space, values) for values in table.values])
        self._free = np.ones(len(table.values), dtype=bool)
        #: trial -> row.
        self.row_of: dict[str, int] = {}

    def ask(self) -> Suggestion | Wait | None:
        if not self._free.any():
            return None
        found = self._searcher.ask()
        if not isinstance(found, Suggestion):
            return found
        row = self._rows.get(self.space.key(found.values), -1)
        if row < 0 or not self._free[row]:
            distance = ((self._cube - _coordinates(self.space, found.values)) ** 2).sum(axis=1)
            row = int(np.where(self._free, distance, np.inf).argmin())
        self._free[row] = False
        self.row_of[found.trial_id] = row
        values = self._table.values[row]
        return Suggestion(found.trial_id, values, self.space.config(values), found.why)

    def tell(self, trial_id: str, epoch: int, value: float) -> None:
        self._searcher.tell(trial_id, epoch, value)

    def done(self, trial_id: str, status: Status) -> None:
        self._searcher.done(trial_id, status)


def _coordinates(space: SearchSpace, values: Mapping[str, Any]) -> NDArray[np.float64]:
    """The point in the unit cube, a knob that takes no part in the middle."""
    return np.nan_to_num(space.encode(values), nan=0.5)


class Simulated(ABC):
    """Workers that take their reports from a table, and a clock that jumps from one to the next."""

    @abstractmethod
    def clock(self) -> float:
        """Simulated seconds since the beginning."""

    @abstractmethod
    def run(self, driver: Driver) -> None:
        """Run the job to its end."""


class Simulation(Simulated):
    """tune-lr's own.

    Args:
        table: what was recorded.
        searcher: whose proposals are rows of it.
        objective: what the curves are of.
    """

    def __init__(self, table: Table, searcher: OverTable, objective: Objective) -> None:
        self._table, self._searcher, self._metric = table, searcher, objective.metric
        self._now = 0.0
        #: What happens next: when, in which order it was planned, and the trial whose epoch ends.
        self._due: list[tuple[float, int, str]] = []
        self._planned = 0
        self._epoch: dict[str, int] = {}
        self._seconds: dict[str, float] = {}

    def clock(self) -> float:
        return self._now

    def run(self, driver: Driver) -> None:
        idle = driver.job.workers
        while True:
            while idle and isinstance(leg := driver.next(), Leg):
                idle -= 1
                self._epoch[leg.trial_id] = leg.heard or 0
                self._plan(leg.trial_id)
            if not self._due:
                return
            self._now, _, trial_id = heapq.heappop(self._due)
            if not self._goes_on(driver, trial_id):
                idle += 1

    def _plan(self, trial_id: str) -> None:
        cost = float(self._table.cost[self._searcher.row_of[trial_id], self._epoch[trial_id]])
        self._seconds[trial_id] = self._seconds.get(trial_id, 0.0) + cost
        heapq.heappush(self._due, (self._now + cost, self._planned, trial_id))
        self._planned += 1

    def _goes_on(self, driver: Driver, trial_id: str) -> bool:
        """Report an epoch that has ended; whether the worker trains the next."""
        row, epoch = self._searcher.row_of[trial_id], self._epoch[trial_id] + 1
        self._epoch[trial_id] = epoch
        value = float(self._table.curves[row, epoch - 1])
        decision = driver.report(trial_id, Report(epoch, self._seconds[trial_id], {self._metric: value}))
        if decision == CONTINUE and epoch < driver.job.max_epochs:
            self._plan(trial_id)
            return True
        driver.finish(trial_id, Outcome("ended"))
        return False
