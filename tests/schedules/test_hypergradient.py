"""Hypergradient descent: cases worked by hand, and every number's own rate against a slow loop."""

from __future__ import annotations

import copy
import gc
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tune_lr.errors import BadInput
from tune_lr.schedules import build_schedule, training_step
from tune_lr.schedules.hypergradient import Hypergradient
from tune_lr.schedules.updates import NOT_SCALED

PER = ["all", "group", "parameter"]


def number(value: float) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([value], dtype=torch.float64))


def train(optimizer: Any, schedule: Any, loss: Callable[[], Tensor], steps: int) -> list[list[float]]:
    """The LRs of each step."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    lrs = []
    for _ in range(steps):
        training_step(optimizer, schedule, closure)
        lrs.append(schedule.get_last_lr())
    return lrs


# Worked by hand: f(x) = x^2 / 2, so that the gradient is x


@pytest.mark.parametrize("per", PER)
def test_sgd_by_the_additive_rule(per: str) -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=0.1)
    schedule = Hypergradient(optimizer, 0.01, per, "additive")
    lrs = train(optimizer, schedule, lambda: x.square().sum() / 2, 3)
    # x: 1, 0.9, 0.8019; the direction is the gradient before: 0.9 * 1 = 0.9, 0.8019 * 0.9 = 0.72171
    assert [lr for (lr,) in lrs] == pytest.approx([0.1, 0.109, 0.1162171])
    assert x.item() == pytest.approx(0.8019 * (1 - 0.1162171))


@pytest.mark.parametrize("per", PER)
def test_sgd_by_the_multiplicative_rule(per: str) -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=0.1)
    schedule = Hypergradient(optimizer, 0.5, per)
    lrs = train(optimizer, schedule, lambda: x.square().sum() / 2, 3)
    assert [lr for (lr,) in lrs] == pytest.approx([0.1, 0.15, 0.225])  # the cosine is 1
    assert x.item() == pytest.approx(0.9 * 0.85 * 0.775)


@pytest.mark.parametrize("per", PER)
def test_a_step_too_far_brings_the_lr_down(per: str) -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=1.5)
    schedule = Hypergradient(optimizer, 0.5, per)
    lrs = train(optimizer, schedule, lambda: x.square().sum() / 2, 2)
    assert [lr for (lr,) in lrs] == pytest.approx([1.5, 0.75])  # x: 1, -0.5; the cosine is -1


@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize(
    ("rule", "step", "third"), [("additive", 0.01, 0.116883), ("multiplicative", 0.09, 0)]
)
def test_adam_counts_its_bias_corrected_direction(per: str, rule: str, step: float, third: float) -> None:
    x = number(1.0)
    optimizer = torch.optim.Adam([x], lr=0.1, betas=(0.9, 0.99), eps=0.0)
    schedule = Hypergradient(optimizer, step, per, rule)
    lrs = train(optimizer, schedule, lambda: x.square().sum() / 2, 3)
    # directions: 1, then m / sqrt(v) of m = (0.9 * 0.1 + 0.1 * 0.9) / 0.19 and v = (0.0099 + 0.0081) / 0.0199
    # x: 1, 0.9, 0.9 - 0.109 * 0.996115 = 0.791423; products: 0.9, 0.791423 * 0.996115 = 0.788349
    assert [lr for (lr,) in lrs] == pytest.approx([0.1, 0.109, third or 0.109 * 1.09], rel=1e-5)


def two(lrs: tuple[float, float], per: str) -> tuple[list[list[float]], list[float]]:
    """f = (x^2 + 4 y^2) / 2 from (1, 1), additive with 0.001: the LRs of two steps, and where they lead."""
    x, y = number(1.0), number(1.0)
    optimizer = torch.optim.SGD([{"params": [x], "lr": lrs[0]}, {"params": [y], "lr": lrs[1]}])
    schedule = Hypergradient(optimizer, 0.001, per, "additive")
    return train(optimizer, schedule, lambda: (x.square() + 4 * y.square()).sum() / 2, 2), [
        x.item(),
        y.item(),
    ]


def test_one_rate_for_all_sums_the_products_of_all_groups() -> None:
    lrs, at = two((0.1, 0.1), "all")
    # (1, 1) -> (0.9, 0.6); gradients (1, 4), (0.9, 2.4); 0.9 + 9.6 = 10.5
    assert lrs[1] == pytest.approx([0.1105, 0.1105])
    assert at == pytest.approx([0.9 * (1 - 0.1105), 0.6 * (1 - 4 * 0.1105)])


def test_one_rate_for_all_keeps_the_ratio_of_the_groups() -> None:
    lrs, _ = two((0.2, 0.1), "all")
    # (1, 1) -> (0.8, 0.6); with respect to the larger LR: 0.8 * 1 + 2.4 * 4 / 2 = 5.6
    assert lrs[1] == pytest.approx([0.2056, 0.1028])


def test_a_rate_for_each_group() -> None:
    lrs, at = two((0.1, 0.1), "group")
    assert lrs[1] == pytest.approx([0.1009, 0.1096])
    assert at == pytest.approx([0.9 * (1 - 0.1009), 0.6 * (1 - 4 * 0.1096)])


def test_a_rate_for_each_number() -> None:
    x = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    curvature = torch.tensor([1.0, 4.0], dtype=torch.float64)
    optimizer = torch.optim.SGD([x], lr=0.1)
    schedule = Hypergradient(optimizer, 0.001, "parameter", "additive")
    lrs = train(optimizer, schedule, lambda: (curvature * x.square()).sum() / 2, 2)
    assert lrs[1] == pytest.approx([(0.1009 + 0.1096) / 2])
    assert x.tolist() == pytest.approx([0.9 * (1 - 0.1009), 0.6 * (1 - 4 * 0.1096)])


def test_the_multiplicative_rule_knows_no_unit() -> None:
    """A loss of another size, with an LR to match, gives the same relative LRs."""

    def relative(size: float) -> list[float]:
        x = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
        curvature = torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64)
        optimizer = torch.optim.SGD([x], lr=0.1 / size)
        schedule = Hypergradient(optimizer, 0.2)
        lrs = train(optimizer, schedule, lambda: size * (curvature * x.square()).sum() / 2, 8)
        return [lr * size for (lr,) in lrs]

    assert relative(1000.0) == pytest.approx(relative(1.0))


# A rate for each number, against a loop that knows nothing of tensors

START = [1.0, -2.0, 0.5, 3.0, -0.1]
CURVATURE = [1.0, 4.0, 9.0, 0.3, 25.0]


def slow_sgd(state: dict[str, float], x: float, g: float) -> float:
    """The direction of SGD with momentum 0.8 (Nesterov's) and weight decay 0.01."""
    g += 0.01 * x
    state["v"] = g if "v" not in state else 0.8 * state["v"] + g
    return g + 0.8 * state["v"]


def slow_adam(state: dict[str, float], x: float, g: float) -> float:
    state["t"] = state.get("t", 0) + 1
    state["m"] = 0.9 * state.get("m", 0.0) + 0.1 * g
    state["v"] = 0.99 * state.get("v", 0.0) + 0.01 * g * g
    m, v = state["m"] / (1 - 0.9 ** state["t"]), state["v"] / (1 - 0.99 ** state["t"])
    return m / (math.sqrt(v) + 1e-8)


def slow_adamw(state: dict[str, float], x: float, g: float) -> float:
    return slow_adam(state, x, g) + 0.1 * x


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize(("rule", "step"), [("additive", 1e-3), ("multiplicative", 0.2)])
@pytest.mark.parametrize(
    ("make", "slow"),
    [
        (
            lambda p, **more: torch.optim.SGD(
                p, lr=0.02, momentum=0.8, nesterov=True, weight_decay=0.01, **more
            ),
            slow_sgd,
        ),
        (lambda p, **more: torch.optim.Adam(p, lr=0.02, betas=(0.9, 0.99), **more), slow_adam),
        (
            lambda p, **more: torch.optim.AdamW(p, lr=0.02, betas=(0.9, 0.99), weight_decay=0.1, **more),
            slow_adamw,
        ),
    ],
)
def test_every_number_has_a_rate_of_its_own(
    make: Any, slow: Any, rule: str, step: float, foreach: bool
) -> None:
    curvature = torch.tensor(CURVATURE, dtype=torch.float64)
    parts = [torch.nn.Parameter(torch.tensor(part, dtype=torch.float64)) for part in (START[:2], START[2:])]
    optimizer = make(parts, foreach=foreach)
    schedule = Hypergradient(optimizer, step, "parameter", rule, min_lr=0.005, max_lr=0.1)

    xs, rates, states = list(START), [0.02] * 5, [dict[str, float]() for _ in START]
    directions: list[float | None] = [None] * 5
    for _ in range(30):
        train(optimizer, schedule, lambda: (curvature * torch.cat(parts).square()).sum() / 2, 1)
        for i, x in enumerate(xs):
            gradient, before = CURVATURE[i] * x, directions[i]
            if before is not None:
                product = gradient * before
                factor = 1 + step * ((product > 0) - (product < 0))
                moved = rates[i] + step * product if rule == "additive" else rates[i] * factor
                rates[i] = min(max(moved, 0.005), 0.1)
            direction = slow(states[i], x, gradient)
            directions[i] = direction
            xs[i] = x - rates[i] * direction
        assert torch.cat(parts).tolist() == pytest.approx(xs, rel=1e-9, abs=1e-12)
        assert schedule.get_last_lr() == pytest.approx([sum(rates) / 5], rel=1e-9)
    assert len({round(rate, 6) for rate in rates}) > 1


# What it leaves alone, and what does it no harm


@pytest.mark.parametrize("per", PER)
def test_gradients_that_are_not_finite_leave_no_trace(per: str) -> None:
    x = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = torch.optim.SGD([x], lr=0.1)
    schedule = Hypergradient(optimizer, 0.1, per)
    train(optimizer, schedule, lambda: x.square().sum() / 2, 2)
    before = schedule.get_last_lr()
    for bad in (math.nan, math.inf, -math.inf):
        x.grad = torch.full((2,), bad)
        schedule.step(bad)
        assert schedule.get_last_lr() == before
    after = train(optimizer, schedule, lambda: x.square().sum() / 2, 3)
    assert after[-1][0] > before[0]


@pytest.mark.parametrize("per", PER)
def test_an_update_that_is_left_out_teaches_nothing(per: str) -> None:
    """Loss scaling leaves out updates whose gradients overflowed."""
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=0.1)
    schedule = Hypergradient(optimizer, 0.1, per)
    for _ in range(3):
        x.grad = torch.ones_like(x)
        schedule.step(1.0)
    assert schedule.get_last_lr() == [0.1]


def test_whatever_else_moves_the_parameters_is_not_taken_for_an_update() -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=0.1)
    schedule = Hypergradient(optimizer, 0.01, "all", "additive")
    train(optimizer, schedule, lambda: x.square().sum() / 2, 1)
    with torch.no_grad():
        x.fill_(2.0)
    lrs = train(optimizer, schedule, lambda: x.square().sum() / 2, 1)
    assert lrs == [[pytest.approx(0.1 + 0.01 * 2.0 * 1.0)]]


def test_parameters_without_a_gradient_cost_nothing_and_move_nothing() -> None:
    x, still = number(1.0), torch.nn.Parameter(torch.ones(1000))
    optimizer = torch.optim.SGD([x, still], lr=0.1)
    schedule = Hypergradient(optimizer, 0.1, "parameter")
    train(optimizer, schedule, lambda: x.square().sum() / 2, 3)
    state = schedule.state_dict()
    assert state["directions"][1] is None
    assert state["rates"][1] is None
    assert torch.equal(still, torch.ones(1000))


@pytest.mark.parametrize(("per", "tensors"), [("all", 1), ("group", 1), ("parameter", 2)])
def test_its_memory_is_a_tensor_or_two_of_the_size_of_the_parameters(per: str, tensors: int) -> None:
    model = torch.nn.Linear(10, 7)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = Hypergradient(optimizer, 0.1, per)
    train(optimizer, schedule, lambda: model(torch.ones(3, 10)).square().mean(), 2)
    state = schedule.state_dict()
    kept = [t for t in state["directions"] + state["rates"] if t is not None]
    assert sum(t.nbytes for t in kept) == tensors * sum(p.nbytes for p in model.parameters())


def test_an_lr_of_zero_stays_and_the_others_move() -> None:
    x, y = number(1.0), number(1.0)
    for per in PER:
        optimizer = torch.optim.SGD([{"params": [x], "lr": 0.0}, {"params": [y], "lr": 0.1}])
        schedule = Hypergradient(optimizer, 0.1, per)
        lrs = train(optimizer, schedule, lambda: (x.square() + y.square()).sum() / 2, 3)
        assert lrs[-1][0] == 0.0
        assert lrs[-1][1] > 0.1


@pytest.mark.parametrize("per", PER)
def test_bounds_hold(per: str) -> None:
    x = torch.nn.Parameter(torch.tensor([1.0, -3.0]))
    optimizer = torch.optim.SGD([x], lr=0.3)
    schedule = Hypergradient(optimizer, 0.9, per, min_lr=0.2, max_lr=0.4)
    lrs = train(optimizer, schedule, lambda: 5 * x.square().sum() / 2, 20)
    assert all(0.2 <= lr <= 0.4 for (lr,) in lrs)
    assert min(lrs)[0] == pytest.approx(0.2)


@pytest.mark.parametrize("per", PER)
def test_groups_may_be_added(per: str) -> None:
    x, y = number(1.0), number(1.0)
    optimizer = torch.optim.SGD([x], lr=0.1)
    schedule = Hypergradient(optimizer, 0.1, per)
    train(optimizer, schedule, lambda: x.square().sum() / 2, 3)
    lr = schedule.get_last_lr()[0]
    optimizer.add_param_group({"params": [y], "lr": lr / 2})
    lrs = train(optimizer, schedule, lambda: (x.square() + y.square()).sum() / 2, 3)
    assert lrs[-1][0] > lr
    assert lrs[-1][1] > lr / 2
    if per == "all":
        assert [a / b for a, b in lrs] == pytest.approx([2.0] * 3)


@pytest.mark.parametrize("per", PER)
def test_complex_and_half_precision_parameters(per: str) -> None:
    for dtype in (torch.complex64, torch.bfloat16):
        x = torch.nn.Parameter(torch.full((3,), 1 + 1j if dtype.is_complex else 1.0, dtype=dtype))
        optimizer = torch.optim.SGD([x], lr=0.1)
        schedule = Hypergradient(optimizer, 0.1, per)
        lrs = train(optimizer, schedule, lambda x=x: x.abs().square().sum() / 2, 4)  # type: ignore[misc]
        assert [lr for (lr,) in lrs] == pytest.approx([0.1, 0.11, 0.121, 0.1331], rel=0.01)


# The hook


def test_a_step_without_the_schedule_is_the_optimizers_own() -> None:
    xs = []
    for scheduled in (True, False):
        x = torch.nn.Parameter(torch.tensor([1.0, -3.0]))
        optimizer = torch.optim.SGD([x], lr=0.1)
        schedule = Hypergradient(optimizer, 0.5, "parameter") if scheduled else None
        for _ in range(3):
            x.grad = x.detach().clone()
            optimizer.step()
        assert schedule is None or schedule.get_last_lr() == [0.1]
        xs.append(x.detach())
    assert torch.equal(*xs)


def test_a_schedule_that_is_dropped_lets_go() -> None:
    x = number(1.0)
    optimizer = torch.optim.SGD([x], lr=0.1)
    schedule = Hypergradient(optimizer, 0.5, "parameter")
    train(optimizer, schedule, lambda: x.square().sum() / 2, 3)
    x.grad = torch.ones_like(x)
    schedule.step(1.0)
    assert len(optimizer._optimizer_step_post_hooks) == 1
    del schedule
    gc.collect()
    assert not optimizer._optimizer_step_post_hooks
    before, lr = x.item(), optimizer.param_groups[0]["lr"]
    optimizer.step()
    assert x.item() == before - lr


def test_a_copy_of_both_goes_on_alike() -> None:
    x = torch.nn.Parameter(torch.tensor([1.0, -3.0]))
    optimizer = torch.optim.Adam([x], lr=0.1)
    schedule = Hypergradient(optimizer, 0.2, "parameter")
    train(optimizer, schedule, lambda: x.square().sum() / 2, 3)
    twin_optimizer, twin = copy.deepcopy((optimizer, schedule))
    (y,) = twin_optimizer.param_groups[0]["params"]
    first = train(optimizer, schedule, lambda: x.square().sum() / 2, 4)
    second = train(twin_optimizer, twin, lambda: y.square().sum() / 2, 4)
    assert first == second
    assert torch.equal(x, y)


# States, and bad input


def test_a_state_of_another_kind_is_refused_and_changes_nothing() -> None:
    def made(size: int, per: str) -> Hypergradient:
        x = torch.nn.Parameter(torch.ones(size))
        optimizer = torch.optim.SGD([x], lr=0.1)
        schedule = Hypergradient(optimizer, 0.1, per)
        train(optimizer, schedule, lambda: x.square().sum() / 2, 3)
        return schedule

    schedule = made(2, "all")
    before = schedule.state_dict()
    with pytest.raises(BadInput, match=r"^per: 'all' .* parameter, which the state"):
        schedule.load_state_dict(made(2, "parameter").state_dict())
    with pytest.raises(BadInput, match="the state's directions"):
        schedule.load_state_dict(made(3, "all").state_dict())
    with pytest.raises(BadInput, match="_last_lr"):
        schedule.load_state_dict({**before, "_last_lr": [0.1, 0.1]})
    after = schedule.state_dict()
    assert after["_last_lr"] == before["_last_lr"]
    assert torch.equal(after["directions"][0], before["directions"][0])


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"_last_lr": [math.inf]}, "_last_lr"), ({"_last_lr": [0.0]}, "_last_lr"),
        ({"_last_lr": [3.0]}, "_last_lr"),
        ({"_init_lrs": [0.0], "min_lrs": [0.0]}, "_init_lrs"), ({"min_lrs": [0.0]}, "min_lrs"),
        ({"rates": [torch.tensor([math.nan, 0.1])]}, "rates"), ({"rates": [torch.tensor([1, 1])]}, "rates"),
        ({"rates": [0.1]}, "rates"), ({"rates": None}, "rates"), ({"rates": []}, "rates"),
        ({"directions": [torch.ones(2, dtype=torch.complex64)]}, "directions"),
        ({"directions": torch.ones(1, 2)}, "directions"), ({"per": torch.ones(2)}, "per"),
        ({"hyper_lr": None, "rule": "additive"}, "hyper_lr"), ({"hyper_lr": math.inf}, "hyper_lr"),
    ],
    ids=str,
)  # fmt: skip
def test_a_hostile_state_is_named_and_changes_nothing(bad: dict[str, Any], field: str) -> None:
    x = torch.nn.Parameter(torch.ones(2))
    schedule = Hypergradient(torch.optim.SGD([x], lr=0.1), 0.1, "parameter")
    train(schedule.optimizer, schedule, lambda: x.square().sum() / 2, 3)
    before = schedule.state_dict()
    for take in (schedule.load_state_dict, lambda state: schedule.adopt(state, 0.5)):
        with pytest.raises(BadInput, match=field):
            take({**before, **bad})
    after = schedule.state_dict()
    assert {name: after[name] for name in ("_last_lr", "rule", "hyper_lr", "min_lrs")} == {
        name: before[name] for name in ("_last_lr", "rule", "hyper_lr", "min_lrs")
    }
    assert torch.equal(after["rates"][0], before["rates"][0])


def test_a_group_that_is_added_moves_though_the_first_stands_still() -> None:
    x, y, z = (number(1.0) for _ in range(3))
    groups = [{"params": [x], "lr": 0.0}, {"params": [y], "lr": 0.1}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    schedule = Hypergradient(optimizer, 0.5)
    train(optimizer, schedule, lambda: (x + y).square().sum(), 2)
    optimizer.add_param_group({"params": [z], "lr": 0.05})
    train(optimizer, schedule, lambda: (x + y + z).square().sum(), 3)
    assert schedule.get_last_lr()[2] > 0.0


@pytest.mark.parametrize("kind", NOT_SCALED)
def test_an_optimizer_whose_lr_is_no_factor_is_refused(kind: Any) -> None:
    with pytest.raises(BadInput, match=f"^optimizer: '{kind.__name__}' .* SGD, Adam or AdamW"):
        Hypergradient(kind([number(1.0)], lr=0.1))


def test_an_optimizer_with_modes_is_refused() -> None:
    schedulefree = pytest.importorskip("schedulefree")
    with pytest.raises(BadInput, match=r"^optimizer: 'SGDScheduleFree'"):
        Hypergradient(schedulefree.SGDScheduleFree([number(1.0)], lr=0.1))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"hyper_lr": -0.1}, "^hyper_lr: "),
        ({"hyper_lr": 1.0}, "^hyper_lr: 1.0 .* below 1"),
        ({"hyper_lr": math.nan}, "^hyper_lr: "),
        ({"rule": "additive"}, "^hyper_lr: not given; expected a number for rule 'additive'"),
        ({"rule": "sideways"}, "^rule: "),
        ({"per": "tensor"}, "^per: .* all or group or parameter"),
        ({"min_lr": 0.0}, "^min_lr: .* above 0"),
        ({"min_lr_ratio": 0.0}, "^min_lr_ratio: .* above 0"),
        ({"min_lr": 0.2}, "^min_lr: .* at most"),
        ({"max_lr": 0.05}, "^max_lr: .* at least"),
        ({"max_lr_ratio": 0.5}, "^max_lr_ratio: "),
    ],
)
def test_bad_input_is_named(config: dict[str, Any], said: str) -> None:
    optimizer = torch.optim.SGD([number(1.0)], lr=0.1)
    with pytest.raises(BadInput, match=said):
        build_schedule({"schedule": "hypergradient", **config}, optimizer)


def test_an_optimizer_without_an_lr_to_move_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^lr: "):
        Hypergradient(torch.optim.SGD([number(1.0)], lr=0.0))
