"""From a trial's config to its schedule."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tune_lr import registry
from tune_lr.errors import BadInput, UnknownName
from tune_lr.schedules import GreedyLR, build_schedule, step_every
from tune_lr.spacefile import load_space


def optimizer(*lrs: float) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs or (0.1,)]
    return torch.optim.SGD(groups, lr=0.1)


def greedy(config: dict[str, Any], *lrs: float) -> GreedyLR:
    schedule = build_schedule(config, optimizer(*lrs))
    assert isinstance(schedule, GreedyLR)
    return schedule


def test_the_default_is_greedy_with_bounds_around_the_lr() -> None:
    schedule = greedy({}, 1e-5, 2.0)
    assert schedule.min_lrs == pytest.approx([1e-8, 2e-3])
    assert schedule.max_lrs == pytest.approx([1e-4, 20.0])


def test_knobs_are_read_and_the_rest_is_ignored() -> None:
    config = {
        "schedule": "greedy", "lr": 0.7, "batch_size": 32, "momentum": 0.9, "window": "odd", "patience": 3,
        "factor": 0.9, "smooth": True, "window_size": None, "min_lr": 0.01, "max_lr": 0.5, "mode": "max",
        "step_every": "epoch", "max_lr_ratio": 3.0,
    }  # fmt: skip
    schedule = greedy(config)
    assert (schedule.patience, schedule.factor, schedule.mode) == (3, 0.9, "max")
    assert (schedule.min_lrs, schedule.max_lrs) == ([0.01], [0.5])
    assert (schedule.smooth, schedule.window_size) == (True, 50)


def test_ratios_stand_in_for_bounds() -> None:
    schedule = greedy({"min_lr_ratio": 0.5, "max_lr_ratio": 2.0})
    assert (schedule.min_lrs, schedule.max_lrs) == ([0.05], [0.2])
    for bad in ({"min_lr_ratio": 1.5}, {"max_lr_ratio": 0.5}, {"min_lr_ratio": math.nan}):
        with pytest.raises(BadInput, match="_lr_ratio"):
            greedy(bad)


def test_bounds_are_scaled_to_the_lr_of_each_group() -> None:
    schedule = greedy({"lr": 0.1, "min_lr": 0.05, "max_lr": 0.3}, 0.1, 0.01, 0.4)
    assert schedule.min_lrs == pytest.approx([0.05, 0.005, 0.2])
    assert schedule.max_lrs == pytest.approx([0.3, 0.03, 1.2])
    assert (schedule.min_lrs[0], schedule.max_lrs[0]) == (0.05, 0.3)
    assert greedy({"lr": 0.1, "min_lr": [0.05, 0.01]}, 0.1, 0.01).min_lrs == [0.05, 0.01]
    assert greedy({"min_lr": 0.005, "max_lr": 0.3}, 0.1, 0.01).min_lrs == [0.005, 0.005]
    assert greedy({"lr": 0.7, "min_lr": 0.05}, 0.1).min_lrs == [0.05], "one group: as the config says"
    with pytest.raises(BadInput, match="min_lr"):
        greedy({"lr": 0.1, "min_lr": 0.2}, 0.1, 0.01)
    with pytest.raises(BadInput, match="min_lr"):
        greedy({"lr": 0.1, "min_lr": math.nan}, 0.1, 0.01)


@pytest.mark.parametrize("lr", [0.1, 0.3, 1e-3, 0.07])
@pytest.mark.parametrize("part", [0.1, 1 / 3, 0.7, 3.0])
def test_a_bound_at_the_lr_stays_there_for_every_group(lr: float, part: float) -> None:
    schedule = greedy({"lr": lr, "min_lr": lr, "max_lr": lr}, lr, lr * part)
    assert schedule.min_lrs == schedule.max_lrs == [lr, lr * part]
    for name in ("cosine", "plateau"):
        built = build_schedule({"schedule": name, "lr": lr, "min_lr": lr}, optimizer(lr, lr * part), 5)
        for _ in range(5):
            built.step(1.0)
        assert built.get_last_lr() == pytest.approx([lr, lr * part])


@pytest.mark.parametrize("name", ["greedy_lr", "sgd_small_net", "adamw_finetune", "cosine", "plateau"])
def test_shipped_spaces_serve_several_groups(name: str) -> None:
    space = load_space(name)
    for values in space.sample(200, 0):
        config = space.config(values)
        build_schedule(config, optimizer(*(config["lr"] * part for part in (1.0, 0.1, 0.37, 7.0))), 10)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean greedy"):
        build_schedule({"schedule": "gredy"}, optimizer())
    with pytest.raises(BadInput, match="schedule"):
        build_schedule({"schedule": 3}, optimizer())
    with pytest.raises(BadInput, match="total_epochs"):
        build_schedule({"schedule": "cosine"}, optimizer(), 0)
    with pytest.raises(BadInput, match="steps_per_epoch"):
        build_schedule({"schedule": "cosine"}, optimizer(), 3, 0)
    with pytest.raises(BadInput, match=r"step_every: 'week' .* batch or epoch"):
        step_every({"step_every": "week"})


def test_a_schedule_stepped_every_epoch_counts_epochs() -> None:
    for every, steps in (("batch", 20), ("epoch", 4)):
        config = {"schedule": "linear", "step_every": every}
        schedule = build_schedule(config, optimizer(), total_epochs=4, steps_per_epoch=5)
        for _ in range(steps):
            assert schedule.get_last_lr()[0] > 0
            schedule.step(1.0)
        assert schedule.get_last_lr() == [0.0]


def test_a_newcomer_needs_no_more_than_a_class_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Newcomer:
        needs, knobs = "nothing", ("speed",)

        def __init__(self, optimizer: torch.optim.Optimizer, speed: float = 1.0) -> None:
            self.speed = speed

    monkeypatch.setattr(registry, "load", lambda kind, name: Newcomer)
    assert build_schedule({"schedule": "newcomer", "speed": 2.0, "lr": 1.0}, optimizer()).speed == 2.0  # type: ignore[attr-defined]
