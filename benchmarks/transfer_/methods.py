"""The methods that are judged, each a small function that plays one run; and what each is told of the past.

A method whose parts are missing (another tool that is not installed) raises ``MissingPart`` and costs only
its own rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from transfer_.figures import best_so_far
from transfer_.histories import KINDS, NONE, Pasts, history_of
from transfer_.tables import METRIC, Array, Tables

from tune_lr.driver import Driver
from tune_lr.errors import TuneLRError
from tune_lr.jobs.replaying import replay

#: Configurations of a portfolio before random search goes on; about as many as ASHA tries within a budget.
POINTS = 100
#: Configurations that are enqueued: as many as TPE draws at random before it has a model.
ENQUEUED = 10
HELPFUL = ("all", "three", "twenty", "asha")
LYING = ("flipped", "half", "shuffled", "unrelated")
#: The methods that the goals are about.
REFERENCE, PORTFOLIO, OURS, OURS_BY_FOUR = "random", "portfolio", "freeze-thaw", "freeze-thaw-4"
MODELS = ("cqr", "bore", "bohb", "tpe")


class MissingPart(Exception):
    """A method cannot be run here, and why."""


@dataclass(frozen=True)
class Told:
    """What a method may use: the task's table, and the past.

    Args:
        tables: what was recorded.
        task: which task is judged.
        pasts: the past tasks; None: there is no history.
        fit: makes the prior of the past, or finds it where it was kept.
    """

    tables: Tables
    task: str
    budget: int
    pasts: Pasts | None = None
    fit: Callable[[], Any] = field(default=lambda: None)

    @cached_property
    def prior(self) -> Any:
        return None if self.pasts is None else self.fit()

    @cached_property
    def points(self) -> list[dict[str, Any]]:
        """The prior's portfolio."""
        from transfer_.rivals import in_order

        return in_order(self.tables.space, self.prior.points(POINTS))

    @cached_property
    def evaluations(self) -> Any:
        """The past as Syne Tune takes it."""
        from tune_lr.engines.on_syne.evaluations import transfer_evaluations

        past = history_of(self.tables, self.pasts or {})
        return transfer_evaluations(past.trials(), past.to_pandas(), self.tables.space, METRIC, "min")

    def replay(self, searcher: Any, trial_scheduler: Any, seed: int, **more: Any) -> pd.DataFrame:
        found: pd.DataFrame = replay(
            self.tables.space,
            self.tables.values,
            self.tables.curves[self.task],
            searcher=searcher,
            trial_scheduler=trial_scheduler,
            budget=self.budget,
            seed=seed,
            **more,
        )
        return found

    def searcher_options(self, seed: int) -> dict[str, Any]:
        return {"seed": seed, "max_epochs": self.tables.epochs}


Play = Callable[[Told, int], pd.DataFrame]


@dataclass(frozen=True)
class Method:
    """One method.

    Args:
        about: what stands in the table.
        play: one run under a seed.
        kinds: the histories that it is told.
        seeds: how many runs a task.
        seconds: a run on one core of two, roughly, until one was measured.
        version: raised where the method itself changes; its results are then made anew.
        ours: whether it stands on the package's prior, with whose code its results grow old.
    """

    about: str
    play: Play
    kinds: tuple[str, ...] = (NONE,)
    seeds: int = 11
    seconds: float = 0.3
    version: int = 1
    ours: bool = False


@dataclass(frozen=True)
class Run:
    """One run: the best loss so far after each epoch, and how long it took.

    Args:
        best: shape ``(budget,)``.
        ask: median seconds to say what a free worker should do.
        report: median seconds to take in a report and decide.
        seconds: all of it, in processor time; the first run of a part pays for the prior's fit as well.
    """

    best: Array
    ask: float
    report: float
    seconds: float


def run(method: Method, told: Told, seed: int) -> Run:
    """Play one run.

    Raises:
        MissingPart: what the method consists of is not there.
    """
    began = time.process_time()
    with _timed("next") as asks, _timed("report") as reports:
        try:
            found = method.play(told, seed)
        except (ImportError, TuneLRError) as error:
            raise MissingPart(str(error)) from error
    seconds = time.process_time() - began
    best = best_so_far(found["value"].to_numpy(np.float64), told.budget)
    return Run(best, float(np.median(asks)), float(np.median(reports)), seconds)


@contextmanager
def _timed(name: str) -> Iterator[list[float]]:
    """How long each call of a method of the driver takes: searcher and rule with what they share."""
    inner, taken = getattr(Driver, name), list[float]()

    def outer(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return inner(*given, **named)
        finally:
            taken.append(time.perf_counter() - began)

    with mock.patch.object(Driver, name, outer):
        yield taken


# The plays --------------------------------------------------------------------------------------------


def _named(searcher: str, trial_scheduler: str, workers: int = 1, prior: bool = False) -> Play:
    """Parts that the registry knows."""

    def play(told: Told, seed: int) -> pd.DataFrame:
        more = {"prior": told.prior} if prior else {}
        return told.replay(searcher, trial_scheduler, seed, workers=workers, **more)

    return play


def _portfolio(told: Told, seed: int) -> pd.DataFrame:
    from transfer_.rivals import Portfolio

    searcher = Portfolio(told.tables.space, told.points, **told.searcher_options(seed))
    return told.replay(searcher, "asha", seed)


def _box(told: Told, seed: int) -> pd.DataFrame:
    from transfer_.rivals import Box

    searcher = Box(told.tables.space, told.evaluations, METRIC, **told.searcher_options(seed))
    return told.replay(searcher, "asha", seed)


def _tpe(told: Told, seed: int) -> pd.DataFrame:
    from transfer_.rivals import OptunaPruner

    return told.replay("tpe", OptunaPruner(max_epochs=told.tables.epochs, seed=seed), seed)


def _enqueued(told: Told, seed: int) -> pd.DataFrame:
    from transfer_.rivals import Enqueued, OptunaPruner

    searcher = Enqueued(told.tables.space, told.points[:ENQUEUED], **told.searcher_options(seed))
    return told.replay(searcher, OptunaPruner(max_epochs=told.tables.epochs, seed=seed), seed)


def _one_epoch_each(told: Told, seed: int) -> pd.DataFrame:
    """Half of the budget for an epoch each, the rest for the best of them."""
    from transfer_.rivals import AtMost, OneEpochThenBest

    from tune_lr.searchers.random import RandomSearcher

    trials = min(told.budget // 2, len(told.tables.values))
    inner = RandomSearcher(told.tables.space, **told.searcher_options(seed))
    rule = OneEpochThenBest(max_epochs=told.tables.epochs, trials=trials, seed=seed)
    return told.replay(AtMost(inner, trials), rule, seed)


_PASTS = tuple(KINDS)

METHODS: dict[str, Method] = {
    REFERENCE: Method("random, `asha`", _named("random", "asha"), seeds=31),
    "random-again": Method("random, `asha`, other seeds", _named("random", "asha"), seeds=31),
    "one-epoch-each": Method("one epoch each, then the best", _one_epoch_each),
    # 20 s a run: with 11 of them it alone would take as long as all the others.
    "cqr": Method("Syne Tune's CQR, `asha`", _named("cqr", "asha"), seeds=5, seconds=20.0),
    "bore": Method("Syne Tune's BORE, `asha`", _named("bore", "asha"), seconds=7.0),
    "bohb": Method("Syne Tune's BOHB, `asha`", _named("bohb", "asha"), seconds=0.8),
    "tpe": Method("Optuna's TPE, its Hyperband pruner", _tpe, seconds=0.6),
    "tpe-portfolio": Method(
        "the same, 10 of the portfolio enqueued", _enqueued, _PASTS, seconds=0.6, ours=True
    ),
    "box": Method("Syne Tune's BoundingBox, `asha`", _box, _PASTS),
    PORTFOLIO: Method("the plain portfolio, `asha`", _portfolio, _PASTS, seeds=31, ours=True),
    "prior-asha": Method(
        "`prior`, `asha`",
        _named("prior", "asha", prior=True),
        (*_PASTS, NONE),
        seeds=31,
        seconds=1.0,
        ours=True,
    ),
    OURS: Method(
        "`prior`, `freeze-thaw`",
        _named("prior", "freeze-thaw", prior=True),
        (*_PASTS, NONE),
        seeds=31,
        seconds=2.0,
        ours=True,
    ),
    OURS_BY_FOUR: Method(
        "`prior`, `freeze-thaw`, 4 workers",
        _named("prior", "freeze-thaw", workers=4, prior=True),
        ("all",),
        seconds=2.0,
        ours=True,
    ),
}
