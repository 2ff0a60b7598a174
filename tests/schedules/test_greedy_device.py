"""GreedyLR on the device: the trace of the plain one, no value read on the host, and steps that compile."""

from __future__ import annotations

import copy
import math
import random
import re
import runpy
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.optimization import GreedyLR as Published

from tune_lr.errors import BadInput
from tune_lr.schedules import GreedyLR, build_schedule
from tune_lr.schedules.device_window import new_window, observed, true_sum
from tune_lr.schedules.greedy_device import DeviceGreedyLR

ROOT = Path(__file__).resolve().parents[2]
PAGE, CHECK = ROOT / "docs" / "greedylr.md", ROOT / "benchmarks" / "device_syncs.py"
BRISK = {"patience": 0, "factor": 0.5, "threshold": 0.0, "min_lr": 1e-4, "max_lr": 1.0}


def sgd(*lrs: Any, device: str = "cpu", **named: Any) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(2, device=device))], "lr": lr} for lr in lrs]
    return torch.optim.SGD(groups, lr=0.1, **named)


def tensor(loss: float) -> torch.Tensor:
    return torch.tensor(loss, dtype=torch.float64)


def memory(schedule: Any) -> dict[str, Any]:
    """Its state without what is plain's alone."""
    return {name: value for name, value in schedule.state_dict().items() if name != "history"}


def agree(plain: GreedyLR, device: DeviceGreedyLR, losses: list[Any], step: Any = None) -> None:
    """Both take the losses and have the same LRs after each, and the same memory in the end."""
    step = step or device.step
    for loss in losses:
        plain.step(loss)
        step(loss if isinstance(loss, torch.Tensor) else tensor(loss))
        assert device.get_last_lr() == plain.get_last_lr()
    assert [group["lr"] for group in device.optimizer.param_groups] == plain.get_last_lr()
    assert memory(device) == memory(plain)


def undecided(losses: list[float], size: int) -> bool:
    """Whether a window's sum lies so close to halfway between two floats that true_sum may not tell."""
    finite = [Fraction(loss) for loss in losses if math.isfinite(loss)]
    for end in range(1, len(finite) + 1):
        for start in range(max(0, end - size), end):
            exact = sum(finite[start:end], Fraction())
            nearest = float(exact) if abs(exact) < 1e308 else 0.0
            half, lacking = Fraction(math.ulp(nearest)) / 2, abs(exact - Fraction(nearest))
            if lacking != half and abs(lacking - half) < half / 2**60:
                return True
    return False


LOSSES = st.one_of(
    st.integers(-8, 8).map(float),
    st.integers(-200, 200).map(lambda n: n / 64),
    st.floats(-4.0, 4.0, allow_subnormal=False),
    st.floats(-1e300, 1e300),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e16, -1e16, 1e300, 0.1, 0.2, 0.3]),
)
SETTINGS = {
    "mode": st.sampled_from(["min", "max"]),
    "factor": st.one_of(st.sampled_from([0.5, 0.9, 0.95]), st.floats(0.05, 0.99)),
    "patience": st.integers(0, 2),
    "threshold": st.sampled_from([0.0, 1e-6, 0.125, 0.5]),
    "threshold_mode": st.sampled_from(["abs", "rel"]),
    "cooldown": st.integers(0, 3),
    "warmup": st.integers(0, 3),
    "eps": st.sampled_from([0.0, 1e-8, 0.03, 0.2]),
    "smooth": st.booleans(),
    "window_size": st.sampled_from([1, 2, 3, 5, 50]),
    "reset_start": st.integers(0, 4),
    "after_change": st.sampled_from(["freeze", "ignore", "continue"]),
}


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    lrs=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=3),
    spread=st.tuples(st.floats(0.05, 1.0), st.floats(1.0, 20.0)),
    named=st.fixed_dictionaries(SETTINGS),
    losses=st.lists(LOSSES, min_size=10, max_size=40),
    age=st.sampled_from([0, 0, 9_990, 20_000]),  # smoothing changes after 10,000 steps
)
def test_the_trace_is_that_of_the_plain_schedule(
    lrs: list[float], spread: tuple[float, float], named: dict[str, Any], losses: list[float], age: int
) -> None:
    assume(not undecided(losses, named["window_size"]))
    named.update(min_lr=[lr * spread[0] for lr in lrs], max_lr=[lr * spread[1] for lr in lrs])
    plain, device = GreedyLR(sgd(*lrs), **named), DeviceGreedyLR(sgd(*lrs), **named)
    for schedule in (plain, device):
        schedule.load_state_dict({"last_epoch": age})
    agree(plain, device, losses)


def test_only_a_sum_that_needs_more_bits_than_kept_is_undecided() -> None:
    assert undecided([16384.0, 0.6, 0.3, 7.2e-294], 3)
    assert not undecided([16384.0, 0.6, 0.3, 7.2e-294], 2)
    assert not undecided([0.1, 0.2, 0.3, math.inf, -1e300, 1e16], 50)


def test_the_defaults_are_those_of_the_plain_schedule() -> None:
    assert memory(DeviceGreedyLR(sgd(0.1))) == memory(GreedyLR(sgd(0.1)))
    assert memory(DeviceGreedyLR(sgd(0.1), "max", 0.5)) == memory(GreedyLR(sgd(0.1), "max", 0.5))
    assert {*GreedyLR.knobs} - {*DeviceGreedyLR.knobs} == {"verbose"}
    config = {"schedule": "greedy", "lr": 0.1, "min_lr": 0.01, "patience": 4, "after_change": "ignore"}
    made = [
        build_schedule({**config, "schedule": name}, sgd(0.1, 0.2)) for name in ("greedy", "greedy-device")
    ]
    assert memory(made[0]) == memory(made[1])


# The sum of the window.
@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=60))
@example([1.0, 1e100, 1.0, -1e100])
@example([1e300, 0.1, -1e300, 0.2])
@example([5e-324, 5e-324])
@example([0.1] * 50)
def test_the_sum_of_a_window_is_the_true_one(values: list[float]) -> None:
    high, low = true_sum(torch.tensor(values, dtype=torch.float64))
    true = math.fsum(values)
    assert abs(high.item() - true) <= 2.0**-52 * abs(true)
    assert abs(low.item()) <= 2.0**-52 * abs(true)


def test_a_sum_beyond_the_largest_number_has_a_mean() -> None:
    window, age = new_window(3, torch.device("cpu")), torch.tensor([1])
    means = []
    for value in (1.5e308, 1.5e308, 1.2e308, 1.0, 2.0, 3.0):
        window, mean = observed(window, tensor(value).reshape(1), age)
        means.append(mean.item())
    assert means[:3] == pytest.approx([1.5e308, 1.5e308, 1.4e308])
    assert means[-1] == 2.0


def test_a_million_steps_later_the_mean_has_not_drifted() -> None:
    """A state says how old a run is, so that no test has to be that long."""
    rng = random.Random(0)
    plain, device = (
        GreedyLR(sgd(0.1), smooth=True, window_size=7, **BRISK),
        DeviceGreedyLR(sgd(0.1), smooth=True, window_size=7, **BRISK),
    )
    for schedule in (plain, device):
        schedule.load_state_dict({"last_epoch": 1_000_000})
    agree(plain, device, [rng.choice([1e16, rng.random(), rng.gauss(0, 1e-3)]) for _ in range(300)])


# States.
def test_states_go_from_one_to_the_other_and_to_transformers_in_mid_run() -> None:
    rng = random.Random(1)
    named: dict[str, Any] = {**BRISK, "patience": 1, "cooldown": 1, "smooth": True, "window_size": 4}
    losses = [rng.gauss(1, 1) for _ in range(80)]
    whole = GreedyLR(sgd(0.1, 0.2), **named)
    trace = []
    for loss in losses:
        whole.step(loss)
        trace.append(whole.get_last_lr())
    kinds: list[Any] = [DeviceGreedyLR, GreedyLR, DeviceGreedyLR, Published]
    schedule: Any = Published(sgd(0.1, 0.2), **named)
    got = []
    for i, loss in enumerate(losses):
        if i % 10 == 9:
            following = kinds[i // 10 % 4](sgd(0.1, 0.2), **named)
            following.load_state_dict(copy.deepcopy(schedule.state_dict()))
            schedule = following
        schedule.step(tensor(loss))
        got.append([float(lr) for lr in schedule.get_last_lr()])
    assert got == trace


def test_a_state_lands_in_the_tensors_that_a_captured_step_holds() -> None:
    named: dict[str, Any] = {**BRISK, "smooth": True, "window_size": 3}
    optimizer = sgd(0.1)
    device = DeviceGreedyLR(optimizer, **named)
    held = [*device._state[:8], *device._state.window, *device._rule[-4:], optimizer.param_groups[0]["lr"]]
    places = [one.data_ptr() for one in held]
    for loss in (3.0, 2.0, 5.0, 1.0):
        device.step(tensor(loss))
    other = GreedyLR(sgd(0.2), **{**named, "max_lr": 0.8, "factor": 0.25})
    other.step(4.0)
    device.load_state_dict(other.state_dict())
    now = [*device._state[:8], *device._state.window, *device._rule[-4:], optimizer.param_groups[0]["lr"]]
    assert [one.data_ptr() for one in now] == places
    agree(other, device, [3.0, 2.0, 6.0, 6.0, 1.0])
    with pytest.raises(BadInput, match="_last_lr"):
        device.load_state_dict({"_last_lr": [0.1, 0.2]})
    assert memory(device) == memory(other)


def test_a_loaded_total_that_has_drifted_is_made_good() -> None:
    device = DeviceGreedyLR(sgd(0.1), smooth=True, window_size=3, **BRISK)
    state = device.state_dict()
    device.load_state_dict({**state, "_streaming_avg": {"window_size": 3, "values": [1.0] * 3, "sum": 1e3}})
    device.step(tensor(4.0))
    assert device.state_dict()["best"] == 2.0


# What happens to the optimizer.
def test_lrs_that_somebody_sets_are_found() -> None:
    optimizers = sgd(0.1, 0.2), sgd(0.1, 0.2)
    plain, device = GreedyLR(optimizers[0], **BRISK), DeviceGreedyLR(optimizers[1], **BRISK)
    agree(plain, device, [3.0, 4.0])
    optimizers[0].param_groups[0]["lr"] = 0.3
    optimizers[1].param_groups[0]["lr"].fill_(0.3)
    agree(plain, device, [5.0, 1.0])
    for optimizer in optimizers:
        optimizer.param_groups[1]["lr"] = 0.4  # a number in place of the tensor
    agree(plain, device, [2.0, 0.5])
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    agree(plain, device, [0.7, 0.6])


def test_parameter_groups_may_be_added() -> None:
    optimizers = sgd(0.1), sgd(0.1)
    plain, device = GreedyLR(optimizers[0], **BRISK), DeviceGreedyLR(optimizers[1], **BRISK)
    agree(plain, device, [3.0, 4.0])
    for optimizer in optimizers:
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.02})
    agree(plain, device, [5.0, 1.0, 6.0] + [7.0] * 20)


def test_a_tensor_that_two_groups_share_becomes_two() -> None:
    shared = torch.tensor(0.1, dtype=torch.float64)
    optimizer = sgd(shared, shared)
    device = DeviceGreedyLR(optimizer, **{**BRISK, "max_lr": [0.1, 0.4]})
    device.step(tensor(1.0))
    assert [float(group["lr"]) for group in optimizer.param_groups] == [0.1, 0.2] == device.get_last_lr()
    assert optimizer.param_groups[0]["lr"] is shared


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_tensor_holds_what_was_written_rounded(dtype: torch.dtype) -> None:
    lr = torch.tensor(0.1, dtype=dtype)
    optimizers = sgd(lr.clone()), sgd(lr)
    plain, device = GreedyLR(optimizers[0], **BRISK), DeviceGreedyLR(optimizers[1], **BRISK)
    for loss in (3.0, 2.0, 5.0, 6.0, 1.0) * 4:
        plain.step(loss)
        device.step(torch.tensor(loss, dtype=dtype))
        assert device.get_last_lr() == plain.get_last_lr()
        assert torch.equal(lr, optimizers[0].param_groups[0]["lr"])
    assert optimizers[1].param_groups[0]["lr"] is lr


OTHERS = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD")


@pytest.mark.parametrize("name", [*OTHERS, "SGD fused", "AdamW fused"])
def test_training_is_the_same_to_the_last_bit(name: str) -> None:
    kind, *fused = name.split()
    weights = []
    for schedule_kind in (GreedyLR, DeviceGreedyLR):
        weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        optimizer = getattr(torch.optim, kind)([weight], lr=0.05, **dict.fromkeys(fused, True))
        schedule: Any = schedule_kind(optimizer, **BRISK)
        for _ in range(15):
            optimizer.zero_grad()
            loss = (weight * torch.tensor([1.0, 3.0])).square().sum()
            loss.backward()
            optimizer.step()
            schedule.step(loss.detach())
        weights.append(weight.detach())
    assert torch.equal(*weights)


def test_an_optimizer_that_takes_no_tensor_is_refused() -> None:
    class Own(torch.optim.Optimizer):
        def __init__(self, lr: Any) -> None:
            super().__init__([torch.nn.Parameter(torch.zeros(1))], {"lr": lr})

    class Derived(torch.optim.SGD):
        pass

    parameters = [torch.nn.Parameter(torch.zeros(1))]
    with pytest.raises(BadInput, match=r"optimizer: 'Own' .*LRs as tensors"):
        DeviceGreedyLR(Own(0.1))
    DeviceGreedyLR(Own(torch.tensor(0.1)))
    DeviceGreedyLR(Derived(parameters, lr=0.1))
    for kind in (torch.optim.Adam, torch.optim.AdamW):
        with pytest.raises(BadInput, match=r"foreach: True .*capturable"):
            DeviceGreedyLR(kind(parameters, lr=0.1, foreach=True))
        DeviceGreedyLR(kind(parameters, lr=0.1, foreach=True, capturable=True))
    with pytest.raises(TypeError, match="not an Optimizer"):
        DeviceGreedyLR(parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", ["0.5", None, torch.zeros(2), torch.zeros(()) * 1j, [1.0]])
def test_what_is_not_one_number_is_refused(loss: Any) -> None:
    device = DeviceGreedyLR(sgd(0.1))
    with pytest.raises(BadInput, match=r"loss: .*one number"):
        device.step(loss)


def test_settings_are_checked_as_ever() -> None:
    with pytest.raises(BadInput, match="verbose"):
        DeviceGreedyLR(sgd(0.1), verbose=True)
    with pytest.raises(BadInput, match="verbose"):
        DeviceGreedyLR(sgd(0.1)).load_state_dict({"verbose": True})
    with pytest.raises(BadInput, match="min_lr"):
        DeviceGreedyLR(sgd(1e-4))
    with pytest.raises(BadInput, match="after_change"):
        DeviceGreedyLR(sgd(0.1), after_change="nothing")


@pytest.mark.parametrize("name", ["patience", "cooldown", "warmup", "reset_start", "window_size"])
def test_what_has_no_room_on_the_device_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=name):
        build_schedule({"schedule": "greedy-device", "smooth": True, name: 10**19}, sgd(0.1))


@pytest.mark.parametrize(
    "bad",
    [
        {"last_epoch": 10**30}, {"cooldown_counter": 1e308}, {"window_size": 10**12}, {"patience": -1},
        {"best": "x"}, {"_last_lr": [math.inf]}, {"verbose": torch.ones(2)}, {"gamma": 0.1},
        {"reset_start": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_hostile_state_changes_nothing(bad: dict[str, Any]) -> None:
    device = DeviceGreedyLR(sgd(0.1), smooth=True, window_size=3)
    device.step(2.0)
    before = device.state_dict()
    with pytest.raises(BadInput):
        device.load_state_dict(bad)
    assert device.state_dict() == before
    device.step(1.0)


def test_verbose_is_no_knob() -> None:
    assert "verbose" not in DeviceGreedyLR.knobs
    build_schedule({"schedule": "greedy-device", "verbose": True}, sgd(0.1)).step(1.0)


def test_the_first_group_may_be_empty() -> None:
    groups: list[dict[str, Any]] = [{"params": []}, {"params": [torch.nn.Parameter(torch.zeros(1))]}]
    device = DeviceGreedyLR(torch.optim.SGD(groups, lr=0.1))
    device.step(1.0)
    assert device.get_last_lr() == [0.1, 0.1]


# No value is read.
class Reads(TorchDispatchMode):
    """Counts the operations that bring a value to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default)
        return func(*args, **(kwargs or {}))


KINDS = [
    {"after_change": kind, "smooth": smooth} for kind in ("freeze", "ignore") for smooth in (True, False)
]


@pytest.mark.parametrize(
    "named", [*KINDS, {"mode": "max", "threshold_mode": "rel", "after_change": "continue"}]
)
def test_no_step_reads_a_value(named: dict[str, Any]) -> None:
    losses = [torch.tensor(loss, requires_grad=True) for loss in (3.0, 2.0, math.nan, 5.0, 6.0) * 4]
    lrs = torch.tensor(0.1), 0.2
    plain, device = GreedyLR(sgd(*lrs), **BRISK, **named), DeviceGreedyLR(sgd(*lrs), **BRISK, **named)
    with Reads() as reads:
        for loss in losses:
            device.step(loss)
    assert reads.count == 0
    with Reads() as reads:
        for loss in losses:
            plain.step(loss.detach())
    assert reads.count >= len(losses)


@pytest.mark.parametrize("named", KINDS)
def test_a_step_works_where_there_are_no_values_at_all(named: dict[str, Any]) -> None:
    """On the meta device nothing can be read, and no tensor of another device may take part."""
    optimizer = sgd(0.1, 0.2, device="meta")
    schedule = DeviceGreedyLR(optimizer, **BRISK, **named)
    for _ in range(3):
        schedule.step(torch.zeros((), device="meta"))
        schedule.step(1.0)
    assert {group["lr"].device.type for group in optimizer.param_groups} == {"meta"}
    with pytest.raises(BadInput):
        GreedyLR(sgd(0.1), **BRISK, **named).step(torch.zeros((), device="meta"))


def test_the_code_of_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda step, **named: step)
    (code,) = re.findall(r"```python\n(import torch\n.*?DeviceGreedyLR.*?)```", PAGE.read_text(), re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["schedule"].state_dict()["last_epoch"] == 3


def test_where_there_is_no_gpu_the_check_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    runpy.run_path(str(CHECK))["main"]([])
    assert "no GPU here" in capsys.readouterr().out


# Compiling.
@pytest.fixture
def compiler() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    with torch._dynamo.config.patch(error_on_recompile=False):
        yield
    torch._dynamo.reset()


def compiled(schedule: DeviceGreedyLR, backend: str) -> Callable[[torch.Tensor], None]:
    made: Callable[[torch.Tensor], None] = torch.compile(schedule.step, fullgraph=True, backend=backend)
    return made


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(
    ("backend", "named"),
    [
        ("inductor", {"after_change": "ignore", "smooth": True, "window_size": 5}),
        ("aot_eager", {"after_change": "freeze", "smooth": False, "mode": "max", "threshold_mode": "rel"}),
        ("aot_eager", {"after_change": "continue", "smooth": True, "window_size": 3}),
    ],
)
def test_a_step_compiles_whole_and_once(backend: str, named: dict[str, Any]) -> None:
    rng = random.Random(2)
    drawn = [rng.choice([rng.gauss(0, 1), 1e16, math.nan, 3.0 + rng.random()]) for _ in range(150)]
    losses = [torch.tensor(loss) for loss in drawn]
    named = {**BRISK, "patience": 1, "factor": 0.9, "cooldown": 1, "warmup": 2, "reset_start": 3, **named}
    bounds = {"min_lr": [0.05, 0.1], "max_lr": [1.0, 2.0]}
    plain = GreedyLR(sgd(0.1, 0.2), **{**named, **bounds})
    device = DeviceGreedyLR(sgd(0.1, 0.2), **{**named, **bounds})
    with torch._dynamo.config.patch(error_on_recompile=True):
        agree(plain, device, losses, compiled(device, backend))
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    assert "reset" in {row.decision for row in plain.history}


def net(capturable: bool) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model = torch.nn.Linear(3, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.3, -0.2, 0.1]]))
        model.bias.zero_()
    return model, torch.optim.Adam(model.parameters(), lr=0.05, capturable=capturable)


@pytest.mark.usefixtures("compiler")
def test_optimizer_and_schedule_compile_together() -> None:
    inputs = torch.arange(24.0).reshape(8, 3) / 24
    traces = []
    for on_device in (False, True):
        model, optimizer = net(capturable=on_device)
        schedule: Any = (DeviceGreedyLR if on_device else GreedyLR)(optimizer, **BRISK)

        def update(
            loss: torch.Tensor, optimizer: torch.optim.Optimizer = optimizer, schedule: Any = schedule
        ) -> None:
            optimizer.step()
            schedule.step(loss)

        run, trace = torch.compile(update, backend="aot_eager") if on_device else update, []
        for i in range(20):
            with torch._dynamo.config.patch(error_on_recompile=i > 1):  # the optimizer's state is made once
                optimizer.zero_grad()
                loss = (model(inputs) - 1).square().mean()
                loss.backward()
                run(loss.detach())
                trace.append((loss.item(), schedule.get_last_lr()))
        traces.append(trace)
    for (loss, lrs), (other, others) in zip(*traces, strict=True):
        assert loss == pytest.approx(other, rel=1e-4)
        assert lrs == others
    assert len({tuple(lrs) for _, lrs in traces[0]}) > 3


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("kind", [GreedyLR, DeviceGreedyLR, Published])
def test_only_the_published_schedule_has_a_compiled_optimizer_compiled_anew(kind: Any) -> None:
    """It replaces the tensor by a number, and a compiled step has numbers built in."""
    optimizer = sgd(torch.tensor(0.1))
    weight = optimizer.param_groups[0]["params"][0]
    schedule, step = kind(optimizer, **BRISK), torch.compile(optimizer.step, backend="aot_eager")
    seen = set()
    for loss in (3.0, 2.0, 5.0, 6.0, 1.0, 0.5, 0.4):
        weight.grad = torch.ones(2)
        step()
        schedule.step(loss)
        seen.add(float(schedule.get_last_lr()[0]))
    assert len(seen) > 3
    if kind is Published:
        assert counters["stats"]["unique_graphs"] >= 3
    else:
        assert counters["stats"]["unique_graphs"] == 1
