"""Schedules of several phases, against cases worked by hand, and what torch's own would do wrong here."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch

from tune_lr.errors import BadInput
from tune_lr.schedules import Schedule, build_schedule

NAMES = ["cosine-restarts", "polynomial", "one-cycle", "warmup-stable-decay"]


def sgd(*lrs: float | torch.Tensor) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs or (0.4,)]
    return torch.optim.SGD(groups, lr=0.1)


def trace(schedule: Schedule, steps: int) -> list[list[float]]:
    """The LR of every group before the first step and after each."""
    lrs = [schedule.get_last_lr()]
    for _ in range(steps):
        schedule.step(1.0)
        lrs.append(schedule.get_last_lr())
    return lrs


def built(name: str, steps: int, **knobs: Any) -> list[float]:
    """The LR over the initial 0.4, at every step of a run and for three steps after its end."""
    schedule = build_schedule({"schedule": name, **knobs}, sgd(), steps)
    return [lr / 0.4 for (lr,) in trace(schedule, steps + 3)]


def test_two_restarts_worked_by_hand() -> None:
    # Cycles of 4, 8 and 16 steps: cos(0), cos(45), cos(90), cos(135 degrees) in the first.
    high, low = (2 + math.sqrt(2)) / 4, (2 - math.sqrt(2)) / 4
    got = built("cosine-restarts", 28, restarts=2, t_mult=2)
    assert got[:5] == pytest.approx([1, high, 0.5, low, 1], abs=1e-9)
    assert [got[6], got[8], got[10], got[12]] == pytest.approx([high, 0.5, low, 1], abs=1e-9)
    assert [got[16], got[20], got[24]] == pytest.approx([high, 0.5, low], abs=1e-9)
    assert got[28:] == pytest.approx([0, 0, 0, 0], abs=1e-9)


def test_cycles_of_one_length_and_a_lower_bound_worked_by_hand() -> None:
    got = built("cosine-restarts", 12, restarts=2, t_mult=1, min_lr_ratio=0.2)
    # 0.2 + 0.8 * 1/2 half way.
    assert [got[i] for i in (0, 2, 4, 6, 8, 10, 12)] == pytest.approx([1, 0.6, 1, 0.6, 1, 0.6, 0.2])


@pytest.mark.parametrize("steps", [7, 10, 90, 301, 1000])
@pytest.mark.parametrize(("restarts", "t_mult"), [(0, 1), (1, 3), (2, 2), (3, 1), (4, 3)])
def test_cycles_fill_a_run_of_any_length(steps: int, restarts: int, t_mult: int) -> None:
    got = built("cosine-restarts", steps, restarts=restarts, t_mult=t_mult)
    span = sum(t_mult**cycle for cycle in range(restarts + 1))
    for cycle in range(restarts + 1):
        begins = steps * sum(t_mult**before for before in range(cycle))
        at, length = math.ceil(begins / span), steps * t_mult**cycle / span
        late = (at - begins / span) / length  # a restart comes between two steps
        if late < 1:
            assert got[at] == pytest.approx((1 + math.cos(math.pi * late)) / 2, abs=1e-9)
    assert got[steps:] == pytest.approx([0] * 4, abs=1e-9)


def test_a_polynomial_worked_by_hand() -> None:
    assert built("polynomial", 4, power=2) == pytest.approx([1, 9 / 16, 4 / 16, 1 / 16, 0, 0, 0, 0])
    assert built("polynomial", 4) == pytest.approx([1, 0.75, 0.5, 0.25, 0, 0, 0, 0])


def test_one_cycle_worked_by_hand() -> None:
    # Up in 2 steps from 1/10, down in 4 to 1/100; half way is the mean of the two ends.
    got = built("one-cycle", 6, pct_start=1 / 3, div_factor=10, final_div_factor=10)
    assert [got[i] for i in (0, 1, 2, 4, 6)] == pytest.approx([0.1, 0.55, 1, 0.505, 0.01])
    assert got[6:] == pytest.approx([0.01] * 4)
    straight = {"pct_start": 0.5, "div_factor": 5, "final_div_factor": 2, "anneal_strategy": "linear"}
    assert built("one-cycle", 4, **straight) == pytest.approx([0.2, 0.6, 1, 0.55, 0.1, 0.1, 0.1, 0.1])


@pytest.mark.parametrize("pct_start", [0.01, 0.3, 0.99])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_one_cycle_of_a_few_steps_reaches_its_peak(steps: int, pct_start: float) -> None:
    got = built("one-cycle", steps, pct_start=pct_start)
    assert got[0] == pytest.approx(1 / 25)
    assert max(got[: steps + 1]) == pytest.approx(1.0)
    assert got[-1] == pytest.approx(1 / 25e4)


def test_one_cycle_leaves_momentum_alone_unless_asked() -> None:
    def momenta(**knobs: Any) -> list[float]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4, momentum=0.7)
        schedule = build_schedule({"schedule": "one-cycle", "pct_start": 0.5, **knobs}, optimizer, 4)
        found = [optimizer.param_groups[0]["momentum"]]
        for _ in range(6):
            schedule.step(1.0)
            found.append(optimizer.param_groups[0]["momentum"])
        return found

    assert momenta() == [0.7] * 7
    bounds = {"base_momentum": 0.8, "max_momentum": 0.9}
    assert momenta(cycle_momentum=True, **bounds) == pytest.approx([0.9, 0.85, 0.8, 0.85, 0.9, 0.9, 0.9])


def test_momentum_is_asked_of_an_optimizer_that_has_some() -> None:
    config = {"schedule": "one-cycle", "cycle_momentum": True}
    parameters = [torch.nn.Parameter(torch.zeros(1))]
    adam = torch.optim.Adam(parameters, lr=0.4)
    build_schedule(config, adam, 4)
    assert adam.param_groups[0]["betas"] == (0.95, 0.999)
    with pytest.raises(BadInput, match=r"cycle_momentum: .*Adagrad has no momentum"):
        build_schedule(config, torch.optim.Adagrad(parameters, lr=0.4), 4)


def test_a_default_of_base_momentum_gives_way_to_max_momentum() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4, momentum=0.7)
    config = {"schedule": "one-cycle", "cycle_momentum": True}
    schedule = build_schedule({**config, "max_momentum": 0.5}, optimizer, 4)
    schedule.step(1.0)
    assert optimizer.param_groups[0]["momentum"] == 0.5
    with pytest.raises(BadInput, match=r"^base_momentum: "):
        build_schedule({**config, "max_momentum": 0.5, "base_momentum": 0.6}, optimizer, 4)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_a_state_brings_cycled_momentum_with_it(kind: Any) -> None:
    def made() -> Any:
        named = {"momentum": 0.5} if kind is torch.optim.SGD else {}
        optimizer = kind([torch.nn.Parameter(torch.zeros(1))], lr=0.4, **named)
        return build_schedule({"schedule": "one-cycle", "cycle_momentum": True}, optimizer, 10)

    first, second = made(), made()
    for steps in (0, 1, 2, 6, 9):
        while first.scheduler.last_epoch < steps:
            first.step(1.0)
        second.load_state_dict(first.state_dict())
        one, two = (schedule.optimizer.param_groups[0] for schedule in (first, second))
        assert [one.get(key) for key in ("lr", "momentum", "betas")] == [
            two.get(key) for key in ("lr", "momentum", "betas")
        ]


def test_warmup_stable_decay_worked_by_hand() -> None:
    # 2 steps of 10 up by thirds, 4 along, 4 down to 1/5, by 1/5 each.
    got = built("warmup-stable-decay", 10, warmup_part=0.2, decay_part=0.4, end_factor=0.2)
    assert got[:7] == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1, 1])
    assert got[7:] == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.2, 0.2, 0.2])


def test_phases_of_warmup_stable_decay_may_be_absent() -> None:
    assert built("warmup-stable-decay", 3, warmup_part=0, decay_part=0) == [1.0] * 7
    assert built("warmup-stable-decay", 3, warmup_part=1, decay_part=0)[:4] == pytest.approx(
        [0.25, 0.5, 0.75, 1]
    )
    assert built("warmup-stable-decay", 2, warmup_part=0, decay_part=1)[:3] == pytest.approx([1, 0.5, 0])
    # Both halves of three steps round to two: the warmup has them.
    assert built("warmup-stable-decay", 3, warmup_part=0.5, decay_part=0.5)[:4] == pytest.approx(
        [1 / 3, 2 / 3, 1, 0]
    )


@pytest.mark.parametrize("name", NAMES)
def test_groups_keep_their_ratio(name: str) -> None:
    for config in ({}, {"lr": 0.4, "min_lr": 0.04}):
        schedule = build_schedule({"schedule": name, **config}, sgd(0.4, 0.02), 21)
        for first, second in trace(schedule, 25):
            assert second == pytest.approx(first / 20, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_group_whose_lr_is_0_stays_there(name: str) -> None:
    schedule = build_schedule({"schedule": name}, sgd(0.4, 0.0), 10)
    assert all(second == 0.0 for _, second in trace(schedule, 12))


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_lr_is_written_in_place_and_its_state_travels(name: str) -> None:
    lrs = (torch.tensor(0.4), torch.tensor(0.02))
    optimizer = sgd(*lrs)
    schedule = build_schedule({"schedule": name}, optimizer, 21)
    plain = np.array(trace(build_schedule({"schedule": name}, sgd(0.4, 0.02), 21), 23))
    assert np.array(trace(schedule, 9)) == pytest.approx(plain[:10], rel=1e-5, abs=1e-8)
    assert all(group["lr"] is lr for group, lr in zip(optimizer.param_groups, lrs, strict=True))
    buffer = io.BytesIO()
    torch.save(schedule.state_dict(), buffer)
    buffer.seek(0)
    again = build_schedule({"schedule": name}, sgd(torch.tensor(0.4), torch.tensor(0.02)), 21)
    again.load_state_dict(torch.load(buffer, weights_only=True))
    assert np.array(trace(again, 14)) == pytest.approx(plain[9:], rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_that_depends_on_the_length_says_so(name: str) -> None:
    with pytest.raises(BadInput, match=rf"total_epochs: .*'{name}'"):
        build_schedule({"schedule": name}, sgd())


@pytest.mark.parametrize(
    ("name", "knobs", "field"),
    [
        ("cosine-restarts", {"restarts": -1}, "restarts"),
        ("cosine-restarts", {"restarts": 101}, "restarts"),
        ("cosine-restarts", {"restarts": 1.5}, "restarts"),
        ("cosine-restarts", {"t_mult": 0}, "t_mult"),
        ("cosine-restarts", {"t_mult": 11}, "t_mult"),
        ("cosine-restarts", {"min_lr": 0.5}, "min_lr"),
        ("polynomial", {"power": 0}, "power"),
        ("polynomial", {"power": math.inf}, "power"),
        ("polynomial", {"power": "two"}, "power"),
        ("one-cycle", {"pct_start": 0}, "pct_start"),
        ("one-cycle", {"pct_start": 1.0}, "pct_start"),
        ("one-cycle", {"div_factor": 0.5}, "div_factor"),
        ("one-cycle", {"final_div_factor": math.nan}, "final_div_factor"),
        ("one-cycle", {"anneal_strategy": "sine"}, "anneal_strategy"),
        ("one-cycle", {"cycle_momentum": "no"}, "cycle_momentum"),
        ("one-cycle", {"cycle_momentum": True, "max_momentum": 1.0}, "max_momentum"),
        ("one-cycle", {"cycle_momentum": True, "base_momentum": 0.99}, "base_momentum"),
        ("warmup-stable-decay", {"warmup_part": 1.1}, "warmup_part"),
        ("warmup-stable-decay", {"warmup_part": 0.6, "decay_part": 0.6}, "decay_part"),
        ("warmup-stable-decay", {"end_factor": 2}, "end_factor"),
    ],
)
def test_knobs_out_of_range_are_refused(name: str, knobs: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput, match=f"^{field}: "):
        build_schedule({"schedule": name, **knobs}, sgd(), 10)
