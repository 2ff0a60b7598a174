"""What the published GreedyLR gets wrong: each check fails on transformers' class, and passes on ours."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from tune_lr.schedules import GreedyLR

Published: Any = pytest.importorskip("transformers.optimization").GreedyLR


def optimizer(*lrs: Any, kind: Any = torch.optim.SGD) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return kind(groups, lr=0.1)


def lr_after(schedule: Any, losses: list[float]) -> float:
    for loss in losses:
        schedule.step(loss)
    return float(schedule.optimizer.param_groups[0]["lr"])


def one_nan_leaves_the_window(cls: Any) -> None:
    schedule = cls(optimizer(0.1), factor=0.5, patience=0, smooth=True, window_size=2, max_lr=1e9)
    before = lr_after(schedule, [4.0, math.nan])
    assert before == 0.1, "it counts as bad: one raise, one cut"
    assert lr_after(schedule, [3.0, 2.0, 1.0]) == 0.8


def one_infinity_leaves_the_window(cls: Any) -> None:
    schedule = cls(optimizer(0.1), factor=0.5, patience=0, smooth=True, window_size=2, max_lr=1e9)
    assert lr_after(schedule, [4.0, math.inf, 3.0, 2.0, 1.0]) == 0.8


def minus_infinity_is_not_the_best_loss_ever(cls: Any) -> None:
    schedule = cls(optimizer(0.1), factor=0.5, patience=0, max_lr=1e9)
    assert lr_after(schedule, [4.0, -math.inf]) == 0.1
    assert lr_after(schedule, [3.0]) == 0.2


def a_spike_does_not_stay_in_the_sum(cls: Any) -> None:
    schedule = cls(optimizer(0.1), smooth=True, window_size=60)
    lr_after(schedule, [1e16] + [1.0] * 60)
    assert schedule._streaming_avg.sum / len(schedule._streaming_avg.values) == 1.0


def a_million_steps_leave_the_sum_exact(cls: Any) -> None:
    schedule = cls(optimizer(0.1), smooth=True, window_size=50, patience=10**9)
    values = [0.1 + (i * 7919 % 1000) / 1000 for i in range(1000)]
    for i in range(1_000_000):
        schedule.step(values[i % 1000] * (1e3 if i < 500_000 else 1.0))
    window = list(schedule._streaming_avg.values)
    assert abs(schedule._streaming_avg.sum - math.fsum(window)) <= 2.0**-50 * math.fsum(window)


def worse_is_not_better_for_negative_metrics(cls: Any) -> None:
    schedule = cls(optimizer(0.1), threshold_mode="rel", threshold=0.1, patience=0, max_lr=1e9, factor=0.5)
    assert lr_after(schedule, [-1.0, -0.95, -0.9, -0.85]) == 0.1 * 2 / 8


def worse_is_not_better_for_negative_metrics_that_are_maximized(cls: Any) -> None:
    schedule = cls(
        optimizer(0.1), mode="max", threshold_mode="rel", threshold=0.1, patience=0, max_lr=1e9, factor=0.5
    )
    assert lr_after(schedule, [-1.0, -1.05, -1.1, -1.15]) == 0.1 * 2 / 8


def a_small_rate_can_be_raised(cls: Any) -> None:
    schedule = cls(optimizer(1e-7), patience=0, min_lr=0.0)
    assert lr_after(schedule, [1.0]) == pytest.approx(1e-7 / 0.95)


def a_small_rate_can_be_cut(cls: Any) -> None:
    schedule = cls(optimizer(1e-7), patience=0, min_lr=0.0)
    assert lr_after(schedule, [1.0, 1.0, 1.0]) < 1e-7


def a_min_lr_above_the_rate_is_told(cls: Any) -> None:
    with pytest.raises(ValueError, match=r"min_lr: 0.001 .* at most the LR .* 5e-05"):
        cls(optimizer(5e-5))


def refused(**settings: Any) -> Callable[[Any], None]:
    def check(cls: Any) -> None:
        with pytest.raises(ValueError, match=next(iter(settings))):
            cls(optimizer(0.1), **settings)

    return check


def a_tensor_rate_is_written_in_place(cls: Any) -> None:
    rate = torch.tensor(0.1)
    schedule = cls(optimizer(rate, kind=torch.optim.Adam), patience=0, factor=0.5)
    lr_after(schedule, [1.0])
    assert schedule.optimizer.param_groups[0]["lr"] is rate
    assert float(rate) == pytest.approx(0.2)


def a_group_may_be_added_later(cls: Any) -> None:
    schedule = cls(optimizer(0.1), factor=0.5, patience=0)
    schedule.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.3})
    lr_after(schedule, [1.0])
    assert schedule.get_last_lr() == [0.2, 0.6]


def a_state_shares_nothing(cls: Any) -> None:
    schedule = cls(optimizer(0.1), patience=0, smooth=True)
    state = schedule.state_dict()
    frozen = copy.deepcopy(state)
    state["min_lrs"][0] = state["_init_lrs"][0] = 7.0
    other = cls(optimizer(0.1), smooth=True)
    other.load_state_dict(frozen)
    frozen["max_lrs"][0] = 9.0
    assert schedule.min_lrs == [1e-3]
    assert other.max_lrs == [1.0]


def the_last_rates_are_a_copy(cls: Any) -> None:
    schedule = cls(optimizer(0.1))
    schedule.get_last_lr().append(7.0)
    assert schedule.get_last_lr() == [0.1]


def it_is_a_scheduler_of_torch(cls: Any) -> None:
    schedule = cls(optimizer(0.1))
    assert isinstance(schedule, LRScheduler)
    assert isinstance(schedule, ReduceLROnPlateau), "what frameworks hand a metric to"


CHECKS: list[Callable[[Any], None]] = [
    one_nan_leaves_the_window,
    one_infinity_leaves_the_window,
    minus_infinity_is_not_the_best_loss_ever,
    a_spike_does_not_stay_in_the_sum,
    a_million_steps_leave_the_sum_exact,
    worse_is_not_better_for_negative_metrics,
    worse_is_not_better_for_negative_metrics_that_are_maximized,
    a_small_rate_can_be_raised,
    a_small_rate_can_be_cut,
    a_min_lr_above_the_rate_is_told,
    a_tensor_rate_is_written_in_place,
    a_group_may_be_added_later,
    a_state_shares_nothing,
    the_last_rates_are_a_copy,
    it_is_a_scheduler_of_torch,
]
REFUSED: list[dict[str, Any]] = [
    {"min_lr": 0.5, "max_lr": 0.4},
    {"min_lr": math.nan},
    {"max_lr": math.nan},
    {"factor": 0.0},
    {"factor": -0.5},
    {"factor": math.nan},
    {"patience": -1},
    {"cooldown": -1},
    {"warmup": -1},
    {"window_size": 0, "smooth": True},
    {"window_size": -3, "smooth": True},
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_is_wrong_there_is_right_here(check: Callable[[Any], None]) -> None:
    check(GreedyLR)
    with pytest.raises((AssertionError, IndexError, pytest.fail.Exception)):
        check(Published)


@pytest.mark.parametrize("settings", REFUSED, ids=str)
def test_what_is_accepted_there_is_refused_here(settings: dict[str, Any]) -> None:
    check = refused(**settings)
    check(GreedyLR)
    with pytest.raises(pytest.fail.Exception):
        check(Published)


def test_every_check_takes_a_class() -> None:
    assert all(list(inspect.signature(check).parameters) == ["cls"] for check in CHECKS)
