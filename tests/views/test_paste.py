"""The line to paste really runs, and makes the schedule that was tuned."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

import tune_lr
from tune_lr import registry
from tune_lr.space import SearchSpace
from tune_lr.spacefile import load_space, space_names
from tune_lr.views.paste import GREEDY, STEPPED_TOGETHER, paste


def test_the_names_are_those_of_the_constructor() -> None:
    parameters = list(inspect.signature(tune_lr.GreedyLR).parameters)
    assert set(GREEDY) == set(parameters) - {"optimizer"}


def test_the_schedules_that_are_stepped_with_the_optimizer_are_those_that_need_more_than_a_loss() -> None:
    needs = {name: registry.load("schedules", name).needs for name in registry.names("schedules")}
    assert set(STEPPED_TOGETHER) == {name for name, need in needs.items() if need in ("gradient", "closure")}


def pasted(config: dict[str, Any], width: int = 96) -> Any:
    """What running the lines leaves in ``schedule``."""
    parameter = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=config["lr"])
    model = torch.nn.Linear(1, 1)
    names: dict[str, Any] = {
        "tune_lr": tune_lr,
        "optimizer": optimizer,
        "train_loader": range(10),
        "model": model,
    }
    lines = paste(config, 27, width)
    assert all(len(line) <= width for line in lines)
    exec("\n".join(lines[:-1]), names)
    if config.get("schedule") in STEPPED_TOGETHER:
        exec(lines[-1], {**names, "closure": lambda: halved(parameter)})
    else:
        assert lines[-1].startswith("schedule.step(loss)")
    return names["schedule"]


def halved(parameter: torch.Tensor) -> torch.Tensor:
    """A loss with its gradient, the sort that a closure returns."""
    parameter.grad = None
    loss = parameter.square().sum() / 2
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


@pytest.mark.parametrize("width", [76, 96, 1000])
@pytest.mark.parametrize("name", space_names())
def test_every_shipped_space_has_a_line_that_runs(name: str, width: int) -> None:
    space = load_space(name)
    for values in [space.default(), *space.sample(10, width)]:
        config = space.config(values)
        made = pasted(config, width)
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=config["lr"])
        tuned = tune_lr.build_schedule(config, optimizer, total_epochs=27, steps_per_epoch=10)
        assert type(made) is type(tuned)
        if config["schedule"] in STEPPED_TOGETHER:
            continue  # it has made a step already
        for step in range(60):
            loss = (step * 7919 % 13) / 13
            made.step(loss)
            tuned.step(loss)
            assert made.get_last_lr() == tuned.get_last_lr()


def test_a_configuration_without_a_schedule_is_given_as_it_is() -> None:
    space = SearchSpace.from_dict({"name": "s", "knobs": {"lr": {"type": "float", "low": 0.1, "high": 1.0}}})
    config = space.config(space.default())
    assert paste(config, 27) == [f"config = {config!r}"]
    long = {f"knob_{i}": i / 7 for i in range(20)}
    names: dict[str, Any] = {}
    exec("\n".join(paste(long, 27)), names)
    assert names["config"] == long


@pytest.mark.parametrize(
    "knobs", [{"patience": 3}, {"min_lr": 1e-4, "warmup": 2}, {"factor": 0.5, "window_size": None}]
)
def test_knobs_of_greedy_lr_are_enough_for_its_line(knobs: dict[str, Any]) -> None:
    made = pasted({"lr": 0.1, **knobs})
    assert type(made) is tune_lr.GreedyLR
    for name, value in knobs.items():
        if value is not None and name != "min_lr":
            assert getattr(made, name) == value


def test_names_that_others_bear_too_make_no_schedule() -> None:
    config = {"lr": 0.1, "eps": 1e-8, "warmup": 3}
    assert paste(config, 27) == [f"config = {config!r}"]


@pytest.mark.parametrize("schedule", [{}, {"schedule": "cosine"}, {"schedule": "greedy", "patience": 3}])
@pytest.mark.parametrize("name", registry.names("optimizers"))
def test_an_optimizer_that_torch_has_not_is_built(name: str, schedule: dict[str, Any]) -> None:
    config = {"lr": 0.5, "optimizer": name, "weight_decay": 0.125, **schedule}
    lines = paste(config, 27)
    assert any("build_optimizer" in line for line in lines) == (name not in ("sgd", "adam", "adamw"))
    if name in ("sgd", "adam", "adamw"):
        return
    names: dict[str, Any] = {"tune_lr": tune_lr, "train_loader": range(10), "model": torch.nn.Linear(1, 1)}
    exec("\n".join(lines[: -1 if schedule else None]), names)
    made = names["optimizer"].param_groups[0]
    assert made["weight_decay"] == 0.125
    assert ("schedule" in names) == bool(schedule)
    assert made.get("train_mode", True)


def test_an_optimizer_of_a_trainers_own_is_left_to_it() -> None:
    config = {"lr": 0.5, "optimizer": "shampoo"}
    assert paste(config, 27) == [f"config = {config!r}"]
