"""The baselines have the shape that their knobs promise, whatever the length of the run."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from tune_lr.errors import BadInput
from tune_lr.schedules import TorchSchedule, build_schedule


def optimizer(*lrs: float) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs or (0.4,)]
    return torch.optim.SGD(groups, lr=0.1)


def shape(config: dict[str, Any], epochs: int, steps_per_epoch: int = 1) -> list[float]:
    """The LR relative to the initial one, before the first step and after each."""
    schedule = build_schedule(config, optimizer(), epochs, steps_per_epoch)
    lrs = schedule.get_last_lr()
    for _ in range(epochs * steps_per_epoch):
        schedule.step(1.0)
        lrs += schedule.get_last_lr()
    return [lr / 0.4 for lr in lrs]


@pytest.mark.parametrize(("epochs", "steps"), [(12, 1), (6, 10), (120, 1)])
@pytest.mark.parametrize(
    ("config", "at"),
    [
        ({"schedule": "constant"}, {0: 1, 0.5: 1, 1: 1}),
        ({"schedule": "linear"}, {0: 1, 0.5: 0.5, 1: 0}),
        ({"schedule": "linear", "end_factor": 0.2}, {0: 1, 0.5: 0.6, 1: 0.2}),
        ({"schedule": "cosine"}, {0: 1, 1 / 3: 0.75, 0.5: 0.5, 1: 0}),
        ({"schedule": "cosine", "min_lr": 0.04}, {0: 1, 0.5: 0.55, 1: 0.1}),
        ({"schedule": "cosine", "min_lr_ratio": 0.1}, {0: 1, 0.5: 0.55, 1: 0.1}),
        ({"schedule": "step", "gamma": 0.5, "drops": 2}, {0: 1, 1 / 6: 1, 1 / 3: 0.5, 2 / 3: 0.25, 1: 0.25}),
        ({"schedule": "step", "gamma": 0.5, "drops": 0}, {0: 1, 1: 1}),
        ({"schedule": "step"}, {0: 1, 0.5: 0.1, 1: 0.01}),
        ({"schedule": "exponential", "final_factor": 0.25}, {0: 1, 0.5: 0.5, 1: 0.25}),
        ({"schedule": "exponential"}, {0: 1, 0.5: 0.1, 1: 0.01}),
    ],
)
def test_the_shape_is_relative_to_the_run(
    config: dict[str, Any], at: dict[float, float], epochs: int, steps: int
) -> None:
    lrs = shape(config, epochs, steps)
    got = {part: lrs[round(part * epochs * steps)] for part in at}
    assert got == pytest.approx(at, abs=1e-9)


def test_plateau_follows_the_loss_and_survives_wild_ones() -> None:
    config = {"schedule": "plateau", "factor": 0.5, "patience": 1, "threshold": 0.0, "min_lr": 0.15}
    schedule = build_schedule(config, optimizer())
    lrs = []
    for loss in (3.0, math.nan, -math.inf, 2.0, 2.0, 2.0, 1.0):
        schedule.step(loss)
        lrs += schedule.get_last_lr()
    assert lrs == [0.4, 0.4, 0.2, 0.2, 0.2, 0.15, 0.15]
    with pytest.raises(BadInput, match="loss"):
        schedule.step(None)


def test_every_group_keeps_its_own_lr() -> None:
    schedule = build_schedule({"schedule": "exponential", "final_factor": 0.1}, optimizer(0.4, 0.2), 10)
    for _ in range(10):
        schedule.step(1.0)
    assert schedule.get_last_lr() == pytest.approx([0.04, 0.02])


@pytest.mark.parametrize("bound", [{"lr": 0.4, "min_lr": 0.04}, {"min_lr_ratio": 0.1}])
def test_every_group_ends_at_its_own_bound(bound: dict[str, float]) -> None:
    for config in ({"schedule": "cosine"}, {"schedule": "plateau", "factor": 0.5, "patience": 0}):
        schedule = build_schedule({**config, **bound}, optimizer(0.4, 0.02), 10)
        lrs = [schedule.get_last_lr()]
        for _ in range(10):
            schedule.step(1.0)
            lrs.append(schedule.get_last_lr())
        assert lrs[0] == [0.4, 0.02]
        assert [first / second for first, second in lrs] == pytest.approx([20.0] * 11)
        assert lrs[-1] == pytest.approx([0.04, 0.002])


def test_a_cosine_by_group_is_that_of_torch() -> None:
    config = {"schedule": "cosine", "lr": 0.4, "min_lr": 0.1}
    one, two = (build_schedule(config, optimizer(*lrs), 6) for lrs in ((0.4,), (0.4, 0.2)))
    for _ in range(9):  # beyond its end too
        one.step(1.0)
        two.step(1.0)
        assert two.get_last_lr()[0] == pytest.approx(one.get_last_lr()[0])
    assert two.get_last_lr() == pytest.approx([0.1, 0.05])
    again = build_schedule(config, optimizer(0.4, 0.2), 6)
    again.load_state_dict(two.state_dict())
    assert again.get_last_lr() == two.get_last_lr()
    two.step(1.0)
    again.step(1.0)
    assert again.get_last_lr() == two.get_last_lr()


@pytest.mark.parametrize("bound", [{"min_lr_ratio": 0.1}, {"min_lr": 0.01}])
def test_plateau_takes_in_a_group_if_it_knows_its_bound(bound: dict[str, float]) -> None:
    config = {"schedule": "plateau", "factor": 0.5, "patience": 0, **bound}
    schedule = build_schedule(config, optimizer(0.4, 0.2))
    schedule.step(1.0)
    schedule.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.1})
    if "min_lr" in bound:
        schedule.step(1.0)
        assert schedule.get_last_lr() == [0.2, 0.1, 0.05]
    else:
        with pytest.raises(BadInput, match="parameter groups: 3"):
            schedule.step(1.0)


def test_a_state_that_does_not_fit_names_what_is_wrong() -> None:
    schedule = build_schedule({"schedule": "cosine"}, optimizer(), 10)
    state = schedule.state_dict()
    for bad, said in (
        ({"T_max": 0}, "T_max: 0 .* a whole number"),
        ({"eta_min": math.nan}, "eta_min: nan"),
        ({"_last_lr": [0.1, 0.1]}, "_last_lr: .* a list of 1"),
        ({"_last_lr": [-0.1]}, "_last_lr: -0.1"),
        ({"gamma": 0.1}, "has 'gamma' too"),
    ):
        with pytest.raises(BadInput, match=said):
            schedule.load_state_dict({**state, **bad})
    del state["eta_min"]
    with pytest.raises(BadInput, match="lacks eta_min"):
        schedule.load_state_dict(state)


@pytest.mark.parametrize("name", ["cosine", "plateau"])
@pytest.mark.parametrize("bound", [{}, {"min_lr_ratio": 0.1}, {"min_lr": 0.02, "lr": 0.4}])
def test_a_schedule_may_be_built_on_lrs_that_have_moved_and_take_the_state_then(
    name: str, bound: dict[str, float]
) -> None:
    config = {"schedule": name, "patience": 0, **bound}
    first = build_schedule(config, optimizer(0.4, 0.2), 6)
    for _ in range(3):
        first.step(1.0)
    second = build_schedule(config, optimizer(0.1, 0.1), 6)
    second.load_state_dict(first.state_dict())
    for _ in range(5):
        first.step(1.0)
        second.step(1.0)
        assert second.get_last_lr() == first.get_last_lr()


def test_a_state_of_another_version_of_torch_fits() -> None:
    """Its bookkeeping is not the same."""
    first, second = (build_schedule({"schedule": "cosine"}, optimizer(), 10) for _ in range(2))
    first.step(1.0)
    state = first.state_dict()
    state.pop("_is_initial", None)
    second.load_state_dict({**state, "verbose": False})
    second.step(1.0)
    first.step(1.0)
    assert first.get_last_lr() == second.get_last_lr()


def test_any_scheduler_of_torch_can_be_driven_without_wrapping_the_optimizer() -> None:
    opt = optimizer()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule = TorchSchedule(opt, lambda o: torch.optim.lr_scheduler.CyclicLR(o, 0.1, 0.4, 2))
        for _ in range(4):
            opt.step()
            schedule.step(1.0)
    assert "step" not in vars(opt)
    wrapped = torch.optim.lr_scheduler.StepLR(opt, 1)
    before = vars(opt)["step"]
    TorchSchedule(opt, lambda o: torch.optim.lr_scheduler.StepLR(o, 1))
    assert vars(opt)["step"] is before
    assert wrapped.get_last_lr() == schedule.get_last_lr()


@pytest.mark.parametrize("name", ["linear", "cosine", "step", "exponential"])
def test_a_schedule_that_depends_on_the_length_says_so(name: str) -> None:
    with pytest.raises(BadInput, match=rf"total_epochs: .*'{name}'"):
        build_schedule({"schedule": name}, optimizer())
    assert build_schedule({"schedule": name, "max_epochs": 5}, optimizer())


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"schedule": "linear", "end_factor": 1.5}, "end_factor"),
        ({"schedule": "cosine", "min_lr": 0.5}, "min_lr"),
        ({"schedule": "cosine", "min_lr": math.nan}, "min_lr"),
        ({"schedule": "cosine", "min_lr_ratio": 2}, "min_lr_ratio"),
        ({"schedule": "step", "gamma": 0.0}, "gamma"),
        ({"schedule": "step", "drops": -1}, "drops"),
        ({"schedule": "step", "drops": 10**9}, "drops"),
        ({"schedule": "step", "gamma": True}, "gamma"),
        ({"schedule": "step", "gamma": np.True_}, "gamma"),
        ({"schedule": "step", "drops": np.True_}, "drops"),
        ({"schedule": "exponential", "final_factor": 0}, "final_factor"),
        ({"schedule": "plateau", "factor": 1.0}, "factor"),
        ({"schedule": "plateau", "patience": -1}, "patience"),
        ({"schedule": "plateau", "patience": 10**19}, "patience"),
    ],
)
def test_knobs_out_of_range_are_refused(config: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput, match=f"^{field}: "):
        build_schedule(config, optimizer(), 10)
