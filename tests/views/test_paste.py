"""The line to paste really runs, and makes the schedule that was tuned."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

import tune_lr
from tune_lr.space import SearchSpace
from tune_lr.spacefile import load_space, space_names
from tune_lr.views.paste import GREEDY, paste


def test_the_names_are_those_of_the_constructor() -> None:
    parameters = list(inspect.signature(tune_lr.GreedyLR).parameters)
    assert set(GREEDY) == set(parameters) - {"optimizer"}


def pasted(config: dict[str, Any]) -> Any:
    """What running the lines leaves in ``schedule``."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=config["lr"])
    names: dict[str, Any] = {"tune_lr": tune_lr, "optimizer": optimizer, "train_loader": range(10)}
    lines = paste(config, max_epochs=27)
    exec("\n".join(lines[:-1]), names)
    assert lines[-1].startswith("schedule.step(loss)")
    return names["schedule"]


@pytest.mark.parametrize("name", space_names())
def test_every_shipped_space_has_a_line_that_runs(name: str) -> None:
    space = load_space(name)
    for values in [space.default(), *space.sample(20, 0)]:
        config = space.config(values)
        made = pasted(config)
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=config["lr"])
        tuned = tune_lr.build_schedule(config, optimizer, total_epochs=27, steps_per_epoch=10)
        assert type(made) is type(tuned)
        for step in range(60):
            loss = (step * 7919 % 13) / 13
            made.step(loss)
            tuned.step(loss)
            assert made.get_last_lr() == tuned.get_last_lr()


def test_a_configuration_without_a_schedule_is_given_as_it_is() -> None:
    space = SearchSpace.from_dict({"name": "s", "knobs": {"lr": {"type": "float", "low": 0.1, "high": 1.0}}})
    config = space.config(space.default())
    assert paste(config, 27) == [f"config = {config!r}"]
