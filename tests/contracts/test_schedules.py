"""What every registered schedule must do; the registry says which there are."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
import torch

from tune_lr import registry
from tune_lr.errors import BadInput
from tune_lr.schedules import Needs, Schedule, build_schedule, training_step

LOSSES = [2.0 / (1 + i % 9) + 0.3 * math.sin(i) for i in range(40)]
NAMES = registry.names("schedules")


class Run:
    """A small training with two parameter groups, driven by a schedule."""

    def __init__(self, name: str, scale: float = 1.0, **settings: Any) -> None:
        model = torch.nn.Linear(3, 1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(0.5)
        groups: list[dict[str, Any]] = [
            {"params": [model.weight], "lr": 0.05 * scale},
            {"params": [model.bias], "lr": 0.02 * scale},
        ]
        self.model, self.optimizer = model, torch.optim.SGD(groups, lr=0.05, momentum=0.5)
        config = {"schedule": name, "lr": 0.05, "batch_size": 3, "patience": 2, "model": "linear"}
        config.update(settings)
        self.schedule: Schedule = build_schedule(config, self.optimizer, 10, steps_per_epoch=4)

    def closure(self) -> torch.Tensor:
        return (self.model(torch.ones(4, 3)) - 1.0).square().mean()

    def step(self, loss: float) -> list[float]:
        train(self.optimizer, self.schedule, self.closure, loss)
        return self.schedule.get_last_lr()


def train(
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    closure: Callable[[], torch.Tensor],
    told: float | None = None,
) -> None:
    """One step of training; the schedule is told a loss of ours, or that of the closure."""

    def gradients() -> torch.Tensor:
        optimizer.zero_grad()
        loss = closure()
        loss.backward()
        return (
            loss if told is None or schedule.needs == "closure" else torch.tensor(told, dtype=torch.float64)
        )

    training_step(optimizer, schedule, gradients)


def alike(one: Any, two: Any) -> bool:
    """Equality of states, which may hold tensors."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(alike(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(alike, one, two))
    return torch.equal(one, two) if isinstance(one, torch.Tensor) else bool(one == two)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_says_what_it_needs_and_reads(name: str) -> None:
    part = registry.load("schedules", name)
    assert part.needs in get_args(Needs)
    assert isinstance(part.knobs, tuple)
    assert all(isinstance(knob, str) for knob in part.knobs)
    assert isinstance(Run(name).schedule, Schedule)


def test_there_is_one_lr_a_group_and_the_optimizer_has_it(name: str) -> None:
    run = Run(name)
    for loss in LOSSES:
        lrs = run.step(loss)
        assert len(lrs) == 2
        assert all(isinstance(lr, float) and lr >= 0.0 and math.isfinite(lr) for lr in lrs)
        assert lrs == [group["lr"] for group in run.optimizer.param_groups]


def test_a_state_in_mid_run_goes_on_with_the_same_trace(name: str) -> None:
    for cut in (0, 1, 17):
        first, second = Run(name), Run(name)
        for loss in LOSSES[:cut]:
            first.step(loss)
        state = first.schedule.state_dict()
        frozen = copy.deepcopy(state)
        buffer = io.BytesIO()
        torch.save([state, first.optimizer.state_dict(), first.model.state_dict()], buffer)
        buffer.seek(0)
        schedule, optimizer, model = torch.load(buffer, weights_only=True)
        second.model.load_state_dict(model)
        second.optimizer.load_state_dict(optimizer)
        second.schedule.load_state_dict(schedule)
        assert [first.step(x) for x in LOSSES[cut:]] == [second.step(x) for x in LOSSES[cut:]]
        assert alike(state, frozen), "the state shares something with the live schedule"


def test_a_state_brings_the_lrs_with_it(name: str) -> None:
    first, second = Run(name), Run(name)
    for loss in LOSSES[:17]:
        first.step(loss)
    second.schedule.load_state_dict(first.schedule.state_dict())
    assert [group["lr"] for group in second.optimizer.param_groups] == first.schedule.get_last_lr()


def test_it_begins_at_the_lr_of_now_whatever_scheduled_before(name: str) -> None:
    fresh, used = Run(name), Run(name)
    for earlier in ("one-cycle", "cosine"):
        build_schedule({"schedule": earlier}, used.optimizer, 10).step(1.0)
    config = {"schedule": name, "lr": 0.05, "patience": 2}
    for run in (fresh, used):
        for group, lr in zip(run.optimizer.param_groups, (0.05, 0.02), strict=True):
            group["lr"] = lr
        run.schedule = build_schedule(config, run.optimizer, 10, steps_per_epoch=4)
    assert [fresh.step(loss) for loss in LOSSES] == [used.step(loss) for loss in LOSSES]


def test_the_step_of_the_optimizer_is_not_wrapped(name: str) -> None:
    assert "step" not in vars(Run(name).optimizer)


def test_a_loss_that_is_not_finite_does_no_lasting_harm(name: str) -> None:
    run = Run(name)
    for loss in (1.0, math.nan, math.inf, -math.inf, 0.9, 0.8):
        assert all(math.isfinite(lr) for lr in run.step(loss))


def test_a_run_may_be_longer_than_planned(name: str) -> None:
    run = Run(name)
    for i in range(3 * len(LOSSES)):
        assert all(math.isfinite(lr) and lr >= 0.0 for lr in run.step(LOSSES[i % 40]))


def test_past_the_planned_end_the_lr_stays_what_it_was_there(name: str) -> None:
    """But for the exponential, which has no end, and for those that follow the training."""
    run = Run(name)
    for _ in range(40):
        at_the_end = run.step(1.0)
    if run.schedule.needs == "nothing" and name != "exponential":
        for _ in range(60):
            assert run.step(1.0) == pytest.approx(at_the_end, abs=1e-12)


def test_a_group_that_is_taken_away_is_told(name: str) -> None:
    run = Run(name)
    for loss in LOSSES[:5]:
        run.step(loss)
    del run.optimizer.param_groups[1]

    def go_on() -> None:  # GreedyLR looks at the groups when it moves their LRs
        for loss in LOSSES:
            run.step(loss)

    with pytest.raises(BadInput, match=r"^parameter groups: 1 .* the 2 that"):
        go_on()


@pytest.mark.parametrize("lr", [0.03, 0.0])
def test_a_group_that_is_added_is_taken_in_or_told(name: str, lr: float) -> None:
    run = Run(name)
    for loss in LOSSES[:5]:
        run.step(loss)
    parameter = torch.nn.Parameter(torch.ones(1))
    run.optimizer.add_param_group({"params": [parameter], "lr": lr})
    try:
        lrs = [run.step(loss) for loss in LOSSES[5:]]
    except BadInput:
        return
    assert lrs[-1] == [group["lr"] for group in run.optimizer.param_groups]
    assert all(len(row) == 3 and 0.0 <= min(row) <= max(row) < math.inf for row in lrs[-20:])
    state = run.schedule.state_dict()
    run.schedule.load_state_dict(state)
    assert alike(run.schedule.state_dict(), state)


#: What anything in a state may be replaced by.
HOSTILE: list[Any] = [
    None, "x", math.nan, math.inf, -1, 0, 1e308, True, [], {}, [1, 2, 3], [None, None], [math.inf, math.inf],
    [math.nan, 0.1], ["a", "b"], 10**400, 0.5, 1j, torch.tensor([1.0, 2.0]), (0.1,), object(),
]  # fmt: skip


def hostile(state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The state with each of its entries, also inner ones, replaced or taken out."""
    for key, value in state.items():
        yield {other: copy.deepcopy(state[other]) for other in state if other != key}
        yield from ({**copy.deepcopy(state), key: bad} for bad in HOSTILE)
        if isinstance(value, dict):
            yield from ({**copy.deepcopy(state), key: inner} for inner in hostile(value))


def lrs_of(run: Run) -> list[float]:
    return [float(group["lr"]) for group in run.optimizer.param_groups]


def after(name: str, steps: int, **settings: Any) -> Run:
    run = Run(name, **settings)
    for loss in LOSSES[:steps]:
        run.step(loss)
    return run


def check_refused_or_sound(run: Run, state: Any, name: str, settings: dict[str, Any]) -> Run:
    """A state is refused and nothing changed, or it is taken and the schedule works; a run to go on with."""
    before, lrs = run.schedule.state_dict(), lrs_of(run)
    try:
        run.schedule.load_state_dict(state)
    except BadInput:
        assert alike(run.schedule.state_dict(), before), state
        assert lrs_of(run) == lrs, state
        return run
    run.schedule.state_dict()
    for loss in LOSSES[:6]:
        assert all(math.isfinite(lr) and lr >= 0.0 for lr in run.step(loss)), state
    return after(name, 3, **settings)


@pytest.mark.parametrize("smooth", [False, True])
def test_a_hostile_state_is_refused_and_changes_nothing_or_is_sound(name: str, smooth: bool) -> None:
    settings = {"smooth": smooth, "per": "parameter" if smooth else "all", "window_size": 3}
    state = after(name, 7, **settings).schedule.state_dict()
    run = after(name, 3, **settings)
    for bad in hostile(state):
        run = check_refused_or_sound(run, bad, name, settings)


def test_what_is_no_state_is_refused(name: str) -> None:
    run = after(name, 3)
    before = run.schedule.state_dict()
    for state in (None, "x", [], 5):
        with pytest.raises(BadInput):
            run.schedule.load_state_dict(state)  # type: ignore[arg-type]
        assert alike(run.schedule.state_dict(), before)


def test_the_state_of_another_schedule_is_refused(name: str) -> None:
    """GreedyLR takes what it knows, for the sake of states of transformers', and must go on well."""
    run = after(name, 3)
    takes_parts = {"history", "reset_start"} & run.schedule.state_dict().keys()
    for other in NAMES:
        state = after(other, 3).schedule.state_dict()
        if takes_parts:
            run = check_refused_or_sound(run, state, name, {})
        elif other != name:
            with pytest.raises(BadInput):
                run.schedule.load_state_dict(state)


def test_a_state_of_other_groups_is_refused(name: str) -> None:
    run = after(name, 3)
    before = run.schedule.state_dict()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.05)
    one = build_schedule({"schedule": name, "lr": 0.05}, optimizer, 10, steps_per_epoch=4)
    with pytest.raises(BadInput):
        run.schedule.load_state_dict(one.state_dict())
    assert alike(run.schedule.state_dict(), before)


@pytest.mark.parametrize(
    "bad", [True, "x", [], 1j, object(), torch.tensor([1.0, 2.0])], ids=lambda it: type(it).__name__
)
def test_a_knob_that_is_no_number_is_named(name: str, bad: Any) -> None:
    flags = {"smooth", "verbose", "cycle_momentum"}
    for knob in registry.load("schedules", name).knobs:
        if bad is True and knob in flags:
            continue
        given = {knob: bad}
        if knob.endswith("_momentum") and knob not in flags:
            given["cycle_momentum"] = True
        with pytest.raises(BadInput, match=rf"^{knob}: "):
            Run(name, **given)


@pytest.mark.parametrize("lr", ["x", [], "1e-3", True, 1j], ids=str)
def test_an_lr_that_is_no_number_is_named_where_bounds_are_meant_beside_it(name: str, lr: Any) -> None:
    knobs = {"min_lr", "max_lr"} & {*registry.load("schedules", name).knobs}
    if knobs:
        with pytest.raises(BadInput, match=r"^lr: "):
            Run(name, lr=lr, min_lr=0.01, max_lr=0.1)


@pytest.mark.parametrize("epochs", [10**400, 1e308, 10**20, 0, "x", True], ids=str)
def test_a_length_that_no_run_has_is_named_as_it_was_given(name: str, epochs: Any) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.05)
    with pytest.raises(BadInput, match=r"^max_epochs: "):
        build_schedule({"schedule": name, "max_epochs": epochs}, optimizer)
    with pytest.raises(BadInput, match=r"^total_epochs: "):
        build_schedule({"schedule": name, "max_epochs": 3}, optimizer, epochs)


def test_a_tensor_lr_is_written_in_place(name: str) -> None:
    """A compiled or captured step holds on to the tensor."""
    run = Run(name)
    tensors = [torch.tensor(0.05), torch.tensor(0.02)]
    for group, lr in zip(run.optimizer.param_groups, tensors, strict=True):
        group["lr"] = lr
    config = {"schedule": name, "lr": 0.05, "patience": 2}
    run.schedule = build_schedule(config, run.optimizer, 10, steps_per_epoch=4)
    for loss in LOSSES:
        lrs = run.step(loss)
        assert all(isinstance(lr, float) and math.isfinite(lr) and lr >= 0.0 for lr in lrs)
        assert [float(lr) for lr in tensors] == pytest.approx(lrs, rel=1e-6)
    assert all(group["lr"] is lr for group, lr in zip(run.optimizer.param_groups, tensors, strict=True))


def test_a_quadratic_is_brought_to_its_minimum(name: str) -> None:
    """Curvatures 1 and 4, an LR that is stable (below 2 / 4) and bounds that leave it so."""
    curvature = torch.tensor([1.0, 4.0])
    x = torch.nn.Parameter(torch.tensor([2.0, -1.0]))
    optimizer = torch.optim.SGD([x], lr=0.2)
    config = {"schedule": name, "lr": 0.2, "min_lr": 0.002, "max_lr": 0.4}
    schedule = build_schedule(config, optimizer, 10, steps_per_epoch=20)

    def loss() -> torch.Tensor:
        return (curvature * x.square()).sum() / 2

    first = loss().item()
    for _ in range(200):
        train(optimizer, schedule, loss)
    assert loss().item() <= 1e-6 * first


#: Other settings for the schedules that have any of these knobs.
OTHER = {
    "lr": 0.1, "min_lr_ratio": 0.05, "max_lr_ratio": 3.0, "patience": 1, "factor": 0.7, "smooth": True,
    "window_size": 3, "cooldown": 1, "end_factor": 0.3, "gamma": 0.6, "drops": 3, "final_factor": 0.2,
    "power": 2.0, "restarts": 1, "t_mult": 1, "pct_start": 0.5, "div_factor": 5.0, "warmup_part": 0.3,
    "hyper_lr": 0.1, "per": "parameter", "backtrack": 0.6, "threshold": 1e-3, "reset_start": 4,
}  # fmt: skip


@pytest.mark.parametrize("smooth", [False, True])
def test_to_adopt_the_state_of_the_same_settings_is_to_load_it(name: str, smooth: bool) -> None:
    given = {"smooth": smooth, "per": "parameter" if smooth else "all"}
    for cut in (0, 1, 20):
        first, loads, adopts = Run(name, **given), Run(name, **given), Run(name, **given)
        for loss in LOSSES[:cut]:
            first.step(loss)
        state = first.schedule.state_dict()
        loads.schedule.load_state_dict(state)
        adopts.schedule.adopt(copy.deepcopy(state), cut / 40)  # type: ignore[attr-defined]
        one, two = loads.schedule.state_dict(), adopts.schedule.state_dict()
        assert one.pop("history", None) is None or two.pop("history")["start"] == cut
        assert alike(one, two)
        for run in (loads, adopts):
            run.model.load_state_dict(first.model.state_dict())
        assert [loads.step(x) for x in LOSSES[cut:]] == [adopts.step(x) for x in LOSSES[cut:]]


def test_to_adopt_a_state_is_to_go_on_there_under_ones_own_settings(name: str) -> None:
    first, fresh, second = Run(name), Run(name, scale=2.0, **OTHER), Run(name, scale=2.0, **OTHER)
    for loss in LOSSES[:20]:
        first.step(loss)
    state = first.schedule.state_dict()
    frozen = copy.deepcopy(state)
    second.schedule.adopt(state, 0.5)  # type: ignore[attr-defined]
    lows, highs = bounds(second.schedule)
    for loss in LOSSES[20:]:
        lrs = second.schedule.get_last_lr()
        assert all(low <= lr <= high for low, lr, high in zip(lows, lrs, highs, strict=True))
        assert lrs == [group["lr"] for group in second.optimizer.param_groups]
        second.step(loss)
    assert alike(state, frozen), "the state shares something with the live schedule"
    own, now = fresh.schedule.state_dict(), second.schedule.state_dict()
    kept = SETTINGS & own.keys()
    assert {key: now[key] for key in kept} == {key: own[key] for key in kept}
    steps = now.get("taken", now.get("last_epoch", 40))  # restarts count in cycles
    assert steps == 40


def test_what_needs_nothing_adopts_its_own_place_whatever_ran_before(name: str) -> None:
    through, second = Run(name, scale=2.0, **OTHER), Run(name, scale=2.0, **OTHER)
    at_the_start = second.schedule.get_last_lr()
    second.schedule.adopt(None, 0.5)  # type: ignore[attr-defined]
    if through.schedule.needs == "nothing":
        for loss in LOSSES[:20]:
            at_the_start = through.step(loss)
    assert second.schedule.get_last_lr() == at_the_start


#: What a state says of settings, in whichever schedule has it.
SETTINGS = {
    "factor", "patience", "threshold", "min_lrs", "max_lrs", "smooth", "window_size", "cooldown", "warmup",
    "reset_start_original", "after_change", "_init_lrs", "base_lrs", "hyper_lr", "per", "rule", "armijo",
    "backtrack", "reset", "growth", "gamma", "power", "milestones", "end_factor", "total_iters", "eta_min",
    "T_max", "floors", "span",
}  # fmt: skip


def bounds(schedule: Schedule) -> tuple[list[float], list[float]]:
    """The bounds of two parameter groups that began at LRs of 0.1 and 0.04."""
    lows = getattr(schedule, "min_lrs", None) or [0.0, 0.0]
    highs = getattr(schedule, "max_lrs", None) or [0.1, 0.04]
    return lows, highs
