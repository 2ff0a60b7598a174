"""Whether a curve goes as the curves of good configurations went."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.samples.past import past, trial
from tests.samples.spaces import SMALL
from tune_lr.objective import WORST_LOSS
from tune_lr.prior.resemblance import resemblance
from tune_lr.prior.tasks import PastTask, past_tasks

EPOCHS = 9


def curve(rate: float, start: float = 2.0) -> list[float]:
    """A loss that falls by a share of itself with each epoch."""
    return [start * math.exp(-rate * epoch) for epoch in range(EPOCHS)]


def tasks(count: int = 8, trials: int = 40, shift: float = 0.0) -> list[PastTask]:
    """The faster a loss falls, the better it ends; each task has a scale of its own."""
    made = {}
    for i in range(count):
        rates = np.random.default_rng(i).uniform(0.02, 0.5, trials)
        points = SMALL.sample(trials, i)
        made[f"t{i}"] = [
            trial(SMALL.config(p), [shift + v for v in curve(rate, 2.0 + i)])
            for p, rate in zip(points, rates, strict=True)
        ]
    return past_tasks(past(**made), SMALL)


def test_the_good_fall_far_and_the_others_do_not() -> None:
    look = resemblance(tasks(), [3, 5])
    assert look is not None
    for epoch in (3, 5):
        assert look.evidence(curve(0.48), epoch) > 0.5
        assert look.evidence(curve(0.1), epoch) < -0.5
        told = [look.evidence(curve(rate), epoch) for rate in (0.05, 0.25, 0.48)]
        assert told == sorted(told)


def test_the_scale_of_a_loss_does_not_count() -> None:
    look = resemblance(tasks(), [3])
    assert look is not None
    assert look.evidence(curve(0.45, 1e6), 3) == look.evidence(curve(0.45, 1e-6), 3) != 0.0


def test_more_tasks_tell_more() -> None:
    few, many = (resemblance(tasks(count), [3]) for count in (1, 12))
    assert few is not None
    assert many is not None
    assert 0.0 < few.evidence(curve(0.48), 3) < many.evidence(curve(0.48), 3)


@pytest.mark.parametrize(
    ("losses", "epoch"),
    [
        ([-2.0, -3.0, -4.0], 3),
        ([0.0, -1.0, -2.0], 3),
        ([2.0, 1.0, 0.0], 3),
        ([2.0, 1.0, -0.5], 3),
        ([math.nan, 1.0, 0.5], 3),
        ([2.0, 1.0], 3),
        ([2.0, 1.0, 0.5, 0.4], 4),
    ],
)
def test_nothing_is_told_where_falls_mean_nothing(losses: list[float], epoch: int) -> None:
    look = resemblance(tasks(), [3])
    assert look is not None
    assert look.evidence(losses, epoch) == 0.0


def test_what_has_diverged_speaks_against() -> None:
    look = resemblance(tasks(), [3])
    assert look is not None
    assert look.evidence([2.0, WORST_LOSS, WORST_LOSS], 3) < 0.0


def test_past_losses_that_are_not_positive_tell_nothing() -> None:
    assert resemblance(tasks(2, shift=-10.0), [3]) is None
    assert resemblance([], [3]) is None
    assert resemblance(tasks(2), [EPOCHS + 1]) is None
    assert resemblance(tasks(2), []) is None
    every_second = [replace(task, stride=2) for task in tasks(2)]
    assert resemblance(every_second, [3]) is None
    mixed = resemblance([*tasks(2, shift=-10.0), *tasks(6)], [3])
    alone = resemblance(tasks(6), [3])
    assert mixed is not None
    assert alone is not None
    assert np.array_equal(mixed.odds, alone.odds)


def test_trials_that_did_not_get_so_far_are_left_out() -> None:
    whole = tasks(4)
    cut = [replace(task, last=np.where(np.arange(len(task.last)) % 2, 2, EPOCHS)) for task in whole]
    look = resemblance(cut, [2, 3])
    assert look is not None
    assert look.epochs == (2, 3)
    assert look.evidence(curve(0.48), 3) > 0.0
    none = [replace(task, last=np.full(len(task.last), 2)) for task in whole]
    assert resemblance(none, [3]) is None
