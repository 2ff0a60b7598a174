"""Stochastic line search: searches with a known number of backtracks, and that only the LR is changed."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

from tune_lr.errors import BadInput
from tune_lr.schedules import build_schedule, training_step
from tune_lr.schedules.evaluation import Evaluation
from tune_lr.schedules.line_search import LineSearch
from tune_lr.schedules.updates import NOT_SCALED


def number(value: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor([value], dtype=torch.float64))


def closure_of(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    return closure


def bowl(x: nn.Parameter, curvature: float = 1.0) -> Callable[[], Tensor]:
    return lambda: curvature * x.square().sum() / 2


# Worked by hand. On f(x) = a x^2 / 2 a step of SGD lowers the loss by LR (1 - a LR / 2) times the squared
# gradient, so Armijo's condition is LR <= 2 (1 - armijo) / a.


@pytest.mark.parametrize(
    ("armijo", "curvature", "backtracks", "lr"),
    [
        (0.1, 1.0, 0, 1.6),  # at most 1.8
        (0.3, 1.0, 1, 0.8),  # at most 1.4
        (0.1, 4.0, 2, 0.4),  # at most 0.45
        (0.5, 4.0, 3, 0.2),  # at most 0.25
        (0.1, 100.0, 7, 0.0125),  # at most 0.018
    ],
)
def test_it_backtracks_as_often_as_armijo_asks(
    armijo: float, curvature: float, backtracks: int, lr: float
) -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=1.6)
    schedule = LineSearch(optimizer, armijo=armijo, backtrack=0.5)
    training_step(optimizer, schedule, closure_of(optimizer, bowl(x, curvature)))
    assert schedule.backtracks == backtracks
    assert schedule.get_last_lr() == [optimizer.param_groups[0]["lr"]] == [pytest.approx(lr)]
    assert schedule.evaluations == backtracks + 1
    assert x.item() == pytest.approx(1 - lr * curvature)


@given(
    armijo=st.floats(0.01, 0.9),
    curvature=st.floats(0.01, 1e3),
    backtrack=st.floats(0.3, 0.95),
    start=st.floats(0.01, 100.0),
)
def test_it_ends_at_the_first_lr_that_meets_the_condition(
    armijo: float, curvature: float, backtrack: float, start: float
) -> None:
    bound = 2 * (1 - armijo) / curvature
    tries = [start * backtrack**i for i in range(400)]
    assume(all(abs(lr / bound - 1) > 1e-9 for lr in tries))
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=start)
    schedule = LineSearch(optimizer, armijo=armijo, backtrack=backtrack, max_backtracks=399)
    training_step(optimizer, schedule, closure_of(optimizer, bowl(x, curvature)))
    assert schedule.get_last_lr() == pytest.approx([next(lr for lr in tries if lr < bound)])


def lrs_of(reset: str, **more: Any) -> tuple[list[float], list[int | None]]:
    """LRs and backtracks on curvatures 1, 8, 1, 1 (bounds for the LR: 1.8, 0.225, 1.8, 1.8) from 1.6."""
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=1.6)
    schedule = LineSearch(optimizer, backtrack=0.5, reset=reset, **more)
    lrs, backtracks = [], []
    for curvature in (1.0, 8.0, 1.0, 1.0):
        training_step(optimizer, schedule, closure_of(optimizer, bowl(x, curvature)))
        lrs += schedule.get_last_lr()
        backtracks.append(schedule.backtracks)
    return lrs, backtracks


def test_keep_never_grows() -> None:
    lrs, backtracks = lrs_of("keep")
    assert lrs == pytest.approx([1.6, 0.2, 0.2, 0.2])
    assert backtracks == [0, 3, 0, 0]


def test_max_begins_anew_each_time() -> None:
    lrs, backtracks = lrs_of("max")
    assert lrs == pytest.approx([1.6, 0.2, 1.6, 1.6])
    assert backtracks == [0, 3, 0, 0]


def test_grow_begins_above_the_last_by_its_share_of_an_epoch() -> None:
    lrs, backtracks = lrs_of("grow", growth=4.0, steps_per_epoch=2)  # twice the last, at most 1.6
    assert lrs == pytest.approx([1.6, 0.2, 0.4, 0.8])
    assert backtracks == [0, 3, 0, 0]


def test_the_length_of_an_epoch_is_that_of_the_run() -> None:
    optimizer = torch.optim.SGD([number(1.0)], lr=1.0)
    config = {"schedule": "line-search"}
    assert build_schedule(config, optimizer, 5, steps_per_epoch=30).steps_per_epoch == 30  # type: ignore[attr-defined]
    assert build_schedule(config, optimizer).steps_per_epoch == 1  # type: ignore[attr-defined]


def test_the_first_search_begins_at_max_lr() -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=0.1)
    schedule = build_schedule({"schedule": "line-search", "lr": 0.1, "max_lr": 1.5}, optimizer)
    training_step(optimizer, schedule, closure_of(optimizer, bowl(x)))
    assert schedule.get_last_lr() == pytest.approx([1.5])
    optimizer.param_groups[0]["lr"] = 0.1
    schedule = build_schedule({"schedule": "line-search", "max_lr_ratio": 12.0}, optimizer)
    x.data.fill_(1.0)
    training_step(optimizer, schedule, closure_of(optimizer, bowl(x)))
    assert schedule.get_last_lr() == pytest.approx([1.2])


def test_it_gives_up_with_the_last_lr_tried() -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=1.0)
    schedule = LineSearch(optimizer, backtrack=0.5, max_backtracks=3)
    training_step(optimizer, schedule, closure_of(optimizer, bowl(x, 1e6)))
    assert (schedule.backtracks, schedule.evaluations) == (3, 4)
    assert schedule.get_last_lr() == [0.125]


def test_groups_are_scaled_together() -> None:
    x, y = number(1.0), number(1.0)
    optimizer = torch.optim.SGD([{"params": [x], "lr": 1.6}, {"params": [y], "lr": 0.4}])
    schedule = LineSearch(optimizer, backtrack=0.5)
    loss = lambda: 2 * (x.square() + y.square()).sum()  # noqa: E731
    training_step(optimizer, schedule, closure_of(optimizer, loss))
    # At a share s of the step: 2 (1 - 6.4 s)^2 + 2 (1 - 1.6 s)^2 <= 4 - 0.1 s (1.6 + 0.4) 16; s = 1/4 at last
    assert schedule.get_last_lr() == pytest.approx([0.4, 0.1])
    optimizer.add_param_group({"params": [number(1.0)], "lr": 0.2})
    training_step(optimizer, schedule, closure_of(optimizer, loss))
    assert len(schedule.get_last_lr()) == 3
    assert schedule.get_last_lr()[2] == pytest.approx(schedule.get_last_lr()[0] / 2)


def test_a_loss_that_overflows_is_backed_away_from() -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=64.0)
    schedule = LineSearch(optimizer, backtrack=0.5)
    loss = lambda: x.square().sum() / 2 + (0.0 * (x.abs() - 2).clamp(min=0).mul(1e308).square()).sum()  # noqa: E731
    training_step(optimizer, schedule, closure_of(optimizer, loss))
    assert schedule.get_last_lr() == [1.0]


def test_where_nothing_can_be_searched_for_the_lr_stays() -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=1.6)
    schedule = LineSearch(optimizer, backtrack=0.5)
    training_step(optimizer, schedule, closure_of(optimizer, bowl(x, 4.0)))
    assert schedule.get_last_lr() == [pytest.approx(0.4)]
    for loss, gradient in ((math.nan, 1.0), (1.0, math.nan), (1.0, math.inf), (1.0, 0.0)):
        x.grad = torch.full_like(x, gradient)
        schedule.step(lambda loss=loss: loss)  # type: ignore[misc]
        assert (schedule.get_last_lr(), schedule.backtracks) == ([pytest.approx(0.4)], None)


def test_momentum_against_the_gradient_is_not_searched() -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=1.6, momentum=0.9)
    schedule = LineSearch(optimizer)
    training_step(optimizer, schedule, closure_of(optimizer, bowl(x)))  # to -0.6, with a velocity of 1
    training_step(optimizer, schedule, closure_of(optimizer, bowl(x)))  # the direction is 0.9 - 0.6
    assert (schedule.get_last_lr(), schedule.backtracks) == ([1.6], None)
    assert x.item() == pytest.approx(-0.6 - 1.6 * 0.3)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=2.0, momentum=0.9, nesterov=True, weight_decay=0.01),
        lambda p: torch.optim.Adam(p, lr=0.5),
        lambda p: torch.optim.AdamW(p, lr=0.5, weight_decay=0.1, foreach=True),
        lambda p: torch.optim.RMSprop(p, lr=0.5, centered=True),
    ],
)
def test_the_step_that_is_made_is_the_one_that_was_tried(make: Any) -> None:
    x = nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
    curvature = torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64)
    optimizer = make([x])
    schedule = LineSearch(optimizer, backtrack=0.7, armijo=0.05)
    loss = lambda: (curvature * x.square()).sum() / 2  # noqa: E731
    tried: list[float] = []
    searched = 0
    for _ in range(12):

        def evaluate() -> Tensor:
            tried.append(loss().item())
            return loss()

        training_step(optimizer, schedule, closure_of(optimizer, loss), evaluate=evaluate)
        if schedule.backtracks is not None:
            searched += 1
            assert loss().item() == pytest.approx(tried[-1])
    assert searched >= 6


# It changes the LR and nothing else


class Noisy(nn.Module):
    """Dropout, batch and spectral normalization: noise, and buffers that a forward pass moves."""

    def __init__(self) -> None:
        super().__init__()
        first = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(4, 8))
        self.net = nn.Sequential(first, nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # type: ignore[no-any-return]


def everything(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Parameters, buffers, gradients, the optimizer's state and the random state."""
    state = [t for p in model.parameters() for t in optimizer.state.get(p, {}).values()]
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    tensors = [*model.state_dict().values(), *gradients, *state, torch.get_rng_state()]
    return [torch.as_tensor(t).detach().clone() for t in tensors]


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=5.0),
        lambda p: torch.optim.SGD(p, lr=5.0, momentum=0.9),
        lambda p: torch.optim.AdamW(p, lr=5.0),
    ],
)
@pytest.mark.parametrize("set_to_none", [True, False])
def test_only_the_lr_is_changed(make: Any, set_to_none: bool) -> None:
    torch.manual_seed(0)
    model = Noisy()
    optimizer = make(model.parameters())
    schedule = LineSearch(optimizer, max_lr=10.0)
    x, y = torch.randn(16, 4), torch.randn(16, 1)

    def closure() -> Tensor:
        optimizer.zero_grad(set_to_none=set_to_none)
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        return loss

    for _ in range(4):
        closure()
        gradients = [p.grad for p in model.parameters()]
        before = everything(model, optimizer)
        schedule.step(closure)
        assert schedule.evaluations > 1
        assert all(map(torch.equal, everything(model, optimizer), before))
        assert all(p.grad is g for p, g in zip(model.parameters(), gradients, strict=True))
        optimizer.step()


def test_an_error_in_the_closure_leaves_the_parameters_too() -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=1.0)
    schedule = LineSearch(optimizer)
    x.grad = torch.ones_like(x)
    training_step(optimizer, schedule, closure_of(optimizer, bowl(x)))
    was, before = x.item(), schedule.state_dict()
    losses = iter([1.0])
    with pytest.raises(StopIteration):
        schedule.step(lambda: next(losses))
    assert x.item() == was
    assert schedule.state_dict() == before
    assert torch.equal(x.grad, torch.ones_like(x))


@pytest.mark.parametrize("loss", [None, "x", torch.ones(2), 1j, torch.tensor(1j), [1.0]], ids=str)
def test_a_closure_that_gives_no_number_is_told(loss: Any) -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=1.0)
    schedule = LineSearch(optimizer)
    x.grad = torch.ones_like(x)
    before = schedule.state_dict()
    with pytest.raises(BadInput, match=r"^the closure's loss: "):
        schedule.step(lambda: loss)
    with pytest.raises(BadInput, match=r"^the closure's loss: "):
        training_step(optimizer, schedule, lambda: loss)
    assert schedule.state_dict() == before
    schedule.step(lambda: 10**400)
    assert schedule.get_last_lr() == [1.0]


def test_a_search_without_end_stops_above_zero() -> None:
    x = number(1.0)
    schedule = LineSearch(torch.optim.SGD([x], lr=1.0), backtrack=0.001, max_backtracks=10_000)
    x.grad = torch.ones_like(x)
    losses = iter([1.0])
    schedule.step(lambda: next(losses, math.nan))
    assert 0.0 < schedule.get_last_lr()[0] < 1e-300


def test_an_optimizer_with_attributes_of_its_own_is_probed_as_it_is() -> None:
    class Scaled(torch.optim.SGD):
        def __init__(self, parameters: Any, lr: float, size: float) -> None:
            super().__init__(parameters, lr=lr)
            self.size = size

        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.sub_(self.size * group["lr"] * p.grad)

    x = number(1.0)
    optimizer = Scaled([x], lr=1.6, size=4.0)
    schedule = LineSearch(optimizer, backtrack=0.5)
    training_step(optimizer, schedule, closure_of(optimizer, bowl(x)))
    assert schedule.get_last_lr() == [pytest.approx(0.4)]  # 4 LR is at most 1.8
    assert x.item() == pytest.approx(1 - 1.6)


def test_hooks_and_wrappers_of_the_optimizer_see_only_the_real_steps() -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=1.6)
    steps: list[int] = []
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
    schedule = LineSearch(optimizer)
    for _ in range(3):
        training_step(optimizer, schedule, closure_of(optimizer, bowl(x)))
    assert len(steps) == 3


# Noise


def test_every_evaluation_of_a_search_has_the_noise_of_the_gradient() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(20, 20), nn.Dropout(0.5), nn.Linear(20, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=3.0)
    schedule = LineSearch(optimizer, backtrack=0.5)
    x, masks = torch.randn(8, 20), []
    model[1].register_forward_hook(lambda m, args, out: masks.append(out.detach() == 0))
    per_step = []
    for _ in range(3):
        masks.clear()
        training_step(optimizer, schedule, closure_of(optimizer, lambda: model(x).square().mean()))
        assert len(masks) > 1
        assert all(torch.equal(mask, masks[0]) for mask in masks)
        per_step.append(masks[0])
    assert not torch.equal(per_step[0], per_step[1])


def test_the_random_numbers_of_a_training_are_those_without_a_search() -> None:
    drawn = []
    for name in ("constant", "line-search"):
        torch.manual_seed(5)
        x = number(1.0)
        optimizer = torch.optim.SGD([x], lr=0.5)
        schedule = build_schedule({"schedule": name}, optimizer)
        for _ in range(3):
            training_step(
                optimizer, schedule, closure_of(optimizer, lambda x=x: x.square().sum() * torch.rand(()))
            )  # type: ignore[misc]
        drawn.append(torch.rand(4))
    assert torch.equal(*drawn)


def test_an_evaluation_without_a_graph_and_without_backward_does_as_well() -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=1.6)
    schedule = LineSearch(optimizer, armijo=0.3, backtrack=0.5)
    bowl(x)().backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        schedule.step(lambda: 0.5 * x.item() ** 2)
    assert schedule.get_last_lr() == [0.8]
    assert schedule.evaluations == 3  # the loss before the step was not known


def test_an_evaluation_tells_how_often_it_was_asked() -> None:
    x = number(3.0)
    again = Evaluation(torch.optim.SGD([x], lr=1.0), bowl(x))
    assert (again(), again(), again.count) == (4.5, 4.5, 2)


# Training, states, bad input


@pytest.mark.parametrize("reset", ["keep", "max", "grow"])
@pytest.mark.parametrize(
    "make", [lambda p: torch.optim.SGD(p, lr=2.0), lambda p: torch.optim.Adam(p, lr=1.0, betas=(0.0, 0.9))]
)
def test_it_brings_a_quadratic_to_its_minimum_whatever_max_lr(reset: str, make: Any) -> None:
    x = nn.Parameter(torch.tensor([2.0, -1.0]))
    curvature = torch.tensor([1.0, 30.0])
    optimizer = make([x])
    schedule = LineSearch(optimizer, reset=reset, steps_per_epoch=20)
    loss = lambda: (curvature * x.square()).sum() / 2  # noqa: E731
    first = loss().item()
    for _ in range(300):
        training_step(optimizer, schedule, closure_of(optimizer, loss))
    assert loss().item() <= 1e-6 * first


def test_at_a_minimum_above_zero_rounding_does_not_drive_the_lr_down() -> None:
    x = nn.Parameter(torch.tensor([1.0, -1.0]))
    optimizer = torch.optim.SGD([x], lr=1.0)
    schedule = LineSearch(optimizer, reset="keep")
    for _ in range(200):
        training_step(optimizer, schedule, closure_of(optimizer, lambda: 1000.0 + x.square().sum() / 3))
    assert schedule.get_last_lr()[0] > 0.5


def test_a_state_holds_the_settings_and_the_counts() -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=1.6)
    schedule = LineSearch(optimizer, reset="keep", backtrack=0.5)
    training_step(optimizer, schedule, closure_of(optimizer, bowl(x, 8.0)))
    other = LineSearch(torch.optim.SGD([number(1.0)], lr=1.0))
    other.load_state_dict(schedule.state_dict())
    assert (other.reset, other.backtrack, other.max_lrs) == ("keep", 0.5, [1.6])
    assert (other.evaluations, other.backtracks) == (schedule.evaluations, schedule.backtracks) == (4, 3)
    bad = copy.deepcopy(schedule.state_dict())
    with pytest.raises(BadInput, match="_last_lr"):
        other.load_state_dict({**bad, "_last_lr": [0.1, 0.1], "reset": "max"})
    assert other.reset == "keep"


@pytest.mark.parametrize(
    "bad",
    [
        {"_scale": 0.0}, {"_scale": math.nan}, {"_scale": math.inf}, {"_scale": None}, {"_searched": "yes"},
        {"evaluations": -1}, {"evaluations": 1.5}, {"backtracks": "x"}, {"backtracks": -1},
        {"max_lrs": [math.inf]}, {"_init_lrs": [0.0]}, {"_init_lrs": 1.6}, {"_last_lr": [math.nan]},
        {"growth": math.inf}, {"max_backtracks": 10**9}, {"steps_per_epoch": 10**400},
    ],
    ids=str,
)  # fmt: skip
def test_a_hostile_state_changes_nothing(bad: dict[str, Any]) -> None:
    x = number(1.0)
    schedule = LineSearch(torch.optim.SGD([x], lr=1.6))
    training_step(schedule.optimizer, schedule, closure_of(schedule.optimizer, bowl(x, 8.0)))
    before = schedule.state_dict()
    with pytest.raises(BadInput, match=next(iter(bad)).lstrip("_").rstrip("s")):
        schedule.load_state_dict({**before, **bad})
    with pytest.raises(BadInput):
        schedule.adopt({**before, **bad}, 0.5)
    assert schedule.state_dict() == before


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"max_lr": 1e308}, "^max_lr: .* at most 1e.06 times"),
        ({"max_lr_ratio": 1e308}, "^max_lr_ratio: "),
        ({"backtrack": 1e-320}, "^backtrack: "),
        ({"max_backtracks": 10**9}, "^max_backtracks: "),
        ({"armijo": 0.0}, "^armijo: .* above 0 and below 1"),
        ({"armijo": math.nan}, "^armijo: "),
        ({"backtrack": 1.0}, "^backtrack: .* above 0 and below 1"),
        ({"reset": 2}, "^reset: .* keep or max or grow"),
        ({"growth": 0.5}, "^growth: "),
        ({"max_lr": 0.01}, "^max_lr: .* at least"),
        ({"max_lr_ratio": 0.5}, "^max_lr_ratio: "),
        ({"max_backtracks": -1}, "^max_backtracks: "),
        ({"steps_per_epoch": 0}, "^steps_per_epoch: "),
    ],
)
def test_bad_input_is_named(config: dict[str, Any], said: str) -> None:
    optimizer = torch.optim.SGD([number(1.0)], lr=0.1)
    with pytest.raises(BadInput, match=said):
        build_schedule({"schedule": "line-search", **config}, optimizer)


def test_a_loss_in_place_of_a_closure_says_so() -> None:
    schedule = LineSearch(torch.optim.SGD([number(1.0)], lr=0.1))
    with pytest.raises(BadInput, match=r"^closure: 0\.5 .* a function"):
        schedule.step(0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", NOT_SCALED)
def test_an_optimizer_whose_lr_is_no_factor_is_refused(kind: Any) -> None:
    with pytest.raises(BadInput, match=f"^optimizer: '{kind.__name__}'"):
        LineSearch(kind([number(1.0)], lr=0.1))
