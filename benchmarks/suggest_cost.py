"""What it costs the model to choose what to train next, with few observations and with many.

    python benchmarks/suggest_cost.py [--choices 200] [--observations 200 5000]

One observation is one report. Trials are begun at random and trained for 1, 3, 9 or 27 epochs, as a trial
scheduler would leave them, until there are so many observations; then the model decides: it chooses a new
configuration or a paused trial, which is trained to its next rung. A figure is over those choices, each after
a report: the median and the 95th percentile of the milliseconds of ``choose`` and of the ``begin`` that goes
with it. Beside it is what taking in a report costs, learning included. CPU time of this thread, so that other
work on the machine does not count; the libraries use one thread.

The rows: without a history, and with the prior that ships (the space ``greedy_lr``).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import numpy as np

from tune_lr.prior.model import Choice, Model
from tune_lr.prior.prior import Prior
from tune_lr.prior.starter import starter_prior
from tune_lr.space import SearchSpace
from tune_lr.spacefile import load_space

#: The most milliseconds that a choice may take, by the number of observations.
GOALS = {200: 20.0, 5000: 100.0}
_MAX_EPOCHS = 27


class Cost(NamedTuple):
    """Milliseconds: median and 95th percentile of a choice, and of taking in a report."""

    history: str
    observations: int
    trials: int
    choice: tuple[float, float]
    report: tuple[float, float]


class Training:
    """Trials whose losses are made up: the first coordinates matter most, and all fall with the epochs."""

    def __init__(self, space: SearchSpace, prior: Prior | None) -> None:
        self.space = space
        self.model = Model(space, prior=prior, max_epochs=_MAX_EPOCHS)
        self._rng = np.random.default_rng(0)
        self._values: dict[str, dict[str, Any]] = {}
        self.observations = 0
        self.choices: list[float] = []
        self.reports: list[float] = []

    def _loss(self, values: dict[str, Any], epoch: int) -> float:
        spot = np.nan_to_num(self.space.encode(values), nan=0.5)
        far = float(((spot - 0.6) ** 2 / np.arange(1, len(spot) + 1)).sum())
        return far + 1.0 / epoch + 0.01 * float(self._rng.standard_normal())

    def begin(self, values: dict[str, Any]) -> str:
        trial_id = f"{len(self._values):04d}"
        self._values[trial_id] = values
        self.model.begin(trial_id, values)
        return trial_id

    def train(self, trial_id: str, until: int) -> None:
        """Train a trial up to an epoch, and pause it, or end it with its last one."""
        trial = self.model.running.trials[trial_id]
        for epoch in range(trial.epochs + 1, until + 1):
            loss = self._loss(self._values[trial_id], epoch)
            self.reports.append(_timed(lambda e=epoch, v=loss: self.model.observe(trial_id, e, v)))
            self.observations += 1
        (self.model.end if until >= _MAX_EPOCHS else self.model.pause)(trial_id)

    def fill(self, observations: int) -> None:
        """Train trials at random, three in four of a rung stopping there."""
        for values in self.space.sample(observations, 1):
            if self.observations >= observations:
                return
            left = observations - self.observations
            self.train(self.begin(values), min(int(self._rng.choice([1, 3, 9, 27], p=_PARTS)), left))

    def decide(self) -> None:
        """Have the model choose, and do what it says."""
        made: list[Choice] = []
        begun: list[str] = []
        taken = _timed(lambda: made.append(self.model.choose()))
        choice = made[0]
        if choice.values is not None:
            values = choice.values
            taken += _timed(lambda: begun.append(self.begin(values)))
        self.choices.append(taken)
        trial_id = choice.trial_id or begun[0]
        self.model.go_on(trial_id)
        done = self.model.running.trials[trial_id].epochs
        self.train(trial_id, next(rung for rung in self.model.rungs if rung > done))


#: Of the trials, the parts that are trained for 1, 3, 9 and 27 epochs.
_PARTS = (0.7, 0.2, 0.07, 0.03)


def _timed(call: Callable[[], object]) -> float:
    """Milliseconds."""
    begin = time.thread_time()
    call()
    return (time.thread_time() - begin) * 1e3


def measure(observations: int, choices: int, prior: Prior | None, space: SearchSpace) -> Cost:
    """The cost of ``choices`` choices after so many observations."""
    training = Training(space, prior)
    training.fill(observations)
    training.decide()  # the first one after a long while works out what the others find done
    trials = len(training.model.running.trials)
    training.choices, training.reports = [], []
    for _ in range(choices):
        training.decide()
    return Cost(
        "none" if prior is None else f"{len(prior.tasks)} tasks",
        observations,
        trials,
        _summary(training.choices),
        _summary(training.reports),
    )


def _summary(taken: list[float]) -> tuple[float, float]:
    median, high = np.quantile(taken, [0.5, 0.95])
    return float(median), float(high)


def table(costs: Iterable[Cost]) -> str:
    """One row a measurement, with its goal beside it."""
    lines = [
        f"{'':24}{'ms a choice':>20}{'ms a report':>20}{'goal':>8}",
        f"{'history':10}{'reports':>8}{'trials':>6}" + f"{'median':>10}{'95 %':>10}" * 2 + f"{'ms':>8}",
    ]
    for cost in costs:
        figures = "".join(f"{each:10.1f}" for each in (*cost.choice, *cost.report))
        goal = GOALS.get(cost.observations)
        told = "" if goal is None else f"{goal:8.0f}  {'reached' if cost.choice[0] <= goal else 'missed'}"
        lines.append(f"{cost.history:10}{cost.observations:8}{cost.trials:6}{figures}{told}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--choices", type=int, default=200, help="choices a figure is over")
    parser.add_argument("--observations", type=int, nargs="+", default=sorted(GOALS), help="reports before")
    asked = parser.parse_args()
    space = load_space("greedy_lr")
    rows = [(count, prior) for count in asked.observations for prior in (None, starter_prior(space))]
    print(f"{asked.choices} choices a row, one thread")
    print(table(measure(count, asked.choices, prior, space) for count, prior in rows))


if __name__ == "__main__":
    main()
