"""One step of training, in the order that each schedule needs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tune_lr import registry
from tune_lr.schedules import build_schedule, training_step


class Told:
    """A schedule that notes what it is told, and where the parameter and its gradient stand then."""

    def __init__(self, needs: str, x: Tensor) -> None:
        self.needs, self.x = needs, x
        self.heard: list[Any] = []

    def step(self, told: Any) -> None:
        self.heard.append((told, self.x.item(), None if self.x.grad is None else self.x.grad.item()))


@pytest.fixture
def x() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([3.0]))


def step(needs: str, x: torch.nn.Parameter, **more: Any) -> tuple[float, Any, int]:
    """The loss, what was heard, and how often the closure was called; f(x) = x^2, LR 0.5, so to 0."""
    optimizer, schedule, calls = torch.optim.SGD([x], lr=0.5), Told(needs, x), 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        optimizer.zero_grad()
        loss = x.square().sum()
        loss.backward()
        return loss

    loss = training_step(optimizer, schedule, closure, **more)  # type: ignore[arg-type]
    assert x.item() == 0.0
    (heard,) = schedule.heard
    return loss, heard, calls


@pytest.mark.parametrize("needs", ["nothing", "loss"])
def test_after_the_optimizer(needs: str, x: torch.nn.Parameter) -> None:
    assert step(needs, x) == (9.0, (9.0, 0.0, 6.0), 1)


def test_gradients_before_the_optimizer(x: torch.nn.Parameter) -> None:
    assert step("gradient", x) == (9.0, (9.0, 3.0, 6.0), 1)


def test_a_closure_before_the_optimizer(x: torch.nn.Parameter) -> None:
    loss, (again, at, gradient), calls = step("closure", x)
    assert (loss, at, gradient, calls, again.loss) == (9.0, 3.0, 6.0, 1, 9.0)
    with torch.no_grad():
        x.fill_(2.0)
    assert again() == 4.0
    assert x.grad is not None
    assert x.grad.item() == 6.0, "evaluating again leaves the gradient"


def test_a_cheaper_evaluation_is_called_in_place_of_the_closure(x: torch.nn.Parameter) -> None:
    _, (again, *_), calls = step("closure", x, evaluate=lambda: 7.0)
    assert (again(), calls) == (7.0, 1)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("name", registry.names("schedules"))
def test_every_schedule_trains_with_every_optimizer(name: str, optimizer: Any) -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(5, 1)
    inputs = torch.randn(32, 5)
    targets = inputs.sum(dim=1, keepdim=True)
    opt = optimizer(model.parameters(), lr=0.05)
    schedule = build_schedule({"schedule": name, "lr": 0.05}, opt, 5, steps_per_epoch=20)

    def closure() -> Tensor:
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        loss.backward()
        return loss

    losses = [training_step(opt, schedule, closure) for _ in range(100)]
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("name", ["hypergradient", "line-search"])
def test_an_optimizer_that_accelerate_has_wrapped_is_stepped_alike(name: str) -> None:
    accelerate = pytest.importorskip("accelerate")
    traces = []
    for wrapped in (True, False):
        x = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        optimizer = torch.optim.Adam([x], lr=0.1)
        if wrapped:
            optimizer = accelerate.Accelerator(cpu=True).prepare(optimizer)
        schedule = build_schedule({"schedule": name, "per": "parameter"}, optimizer)

        def closure(x: Any = x, optimizer: Any = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss: Tensor = x.square().sum()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        traces.append(
            [(training_step(optimizer, schedule, closure), schedule.get_last_lr()) for _ in range(5)]
        )
    assert traces[0] == traces[1]
