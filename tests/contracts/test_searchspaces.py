"""Whatever space is shipped: it is documented, named as its file, sampled without fault, and buildable."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
import yaml

from tune_lr import registry
from tune_lr.space import CategoricalKnob, ConstantKnob, FloatKnob, Knob, SearchSpace
from tune_lr.spacefile import dump_space, load_space, parse_space, shipped_folder, space_names

NAMES = space_names()
every = pytest.mark.parametrize("name", NAMES)
GREEDY = ["greedy_lr", "sgd_small_net", "adamw_finetune"]
#: But for one with the trace and the knobs of another, greedy.
SCHEDULES = [name for name in registry.names("schedules") if name != "greedy-device"]
#: The space of one schedule, where it has another name.
OWN = {"greedy": "greedy_lr"}


def test_the_spaces_that_others_rely_on_are_there() -> None:
    assert {*GREEDY, "constant", "linear", "cosine", "step", "exponential", "plateau"} <= set(NAMES)
    assert {"cosine_restarts", "polynomial", "one_cycle", "warmup_stable_decay", "any_schedule"} <= set(NAMES)
    assert {"prodigy", "dadaptation", "schedule_free_sgd", "schedule_free_adamw"} <= set(NAMES)
    assert {"hypergradient", "line_search"} <= set(NAMES)


@every
def test_a_file_explains_itself(name: str) -> None:
    path = shipped_folder() / f"{name}.yaml"
    text = path.read_text("utf-8")
    space = load_space(name)
    assert space.name == name
    assert text.startswith("# ")
    assert space.description
    assert load_space(path) == space
    assert parse_space(dump_space(space)) == space
    # Numbers are written so that any YAML reader takes them for numbers.
    assert SearchSpace.from_dict(yaml.safe_load(text)) == space


@every
def test_every_point_makes_a_configuration(name: str) -> None:
    space = load_space(name)
    space.validate(space.default())
    for values in [space.default(), *space.sample(200, 0)]:
        config = space.config(values)
        assert json.loads(json.dumps(config)) == config
        assert config["lr"] > 0
        assert 0 <= config.get("min_lr", 0.0) <= config["lr"] <= config.get("max_lr", config["lr"])
        assert config["schedule"]
        assert space.key(space.values(config)) == space.key(values)


@every
def test_the_rate_has_a_logarithmic_range_and_a_default(name: str) -> None:
    """But where every optimizer of the space estimates its own step size: ``lr`` multiplies it, by 1."""
    space = load_space(name)
    lr, optimizers = space.knobs["lr"], space.knobs.get("optimizer")
    if isinstance(lr, ConstantKnob):
        assert lr.value == 1.0
        assert isinstance(optimizers, (CategoricalKnob, ConstantKnob))
        chosen = optimizers.values if isinstance(optimizers, CategoricalKnob) else (optimizers.value,)
        assert set(chosen) <= {"prodigy", "dadapt-adam", "dadapt-sgd"}
        return
    assert isinstance(lr, FloatKnob)
    assert lr.log
    assert lr.default is not None


@every
def test_its_optimizer_takes_every_point(name: str) -> None:
    torch = pytest.importorskip("torch")
    from tune_lr.trials.optimizers import build_optimizer

    space = load_space(name)
    for values in [space.default(), *space.sample(25, 1)]:
        config = space.config(values)
        optimizer = build_optimizer(config, [torch.nn.Parameter(torch.zeros(1))])
        assert optimizer.param_groups[0]["lr"] == config["lr"]


@every
def test_its_schedule_takes_every_point(name: str) -> None:
    torch = pytest.importorskip("torch")
    from tune_lr.schedules import build_schedule, training_step

    space = load_space(name)
    for values in [space.default(), *space.sample(25, 1)]:
        config = space.config(values)
        parameter = torch.nn.Parameter(torch.ones(1))
        optimizer = torch.optim.SGD([parameter], lr=config["lr"])
        schedule = build_schedule(config, optimizer, total_epochs=5)

        def closure(optimizer: Any = optimizer, parameter: Any = parameter) -> Any:
            optimizer.zero_grad()
            loss = parameter.square().sum()
            loss.backward()
            return loss

        for _ in range(5):
            training_step(optimizer, schedule, closure)
        assert all(0 <= rate < float("inf") for rate in schedule.get_last_lr())


def test_any_schedule_has_every_schedule() -> None:
    families = load_space("any_schedule").knobs["schedule"].every()
    assert families is not None
    assert sorted(map(str, families)) == SCHEDULES


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_any_schedule_has_the_knobs_of_each_schedule(schedule: str) -> None:
    """The same as its own space, with ranges that have points in common, and no knob of another schedule."""
    together, alone = load_space("any_schedule"), load_space(OWN.get(schedule, schedule.replace("-", "_")))
    chosen = {**alone.default(), **together.default(), "schedule": schedule, "smooth": True}
    there, here = together.active(chosen), alone.active({**alone.default(), "smooth": True})
    # Stepping by batch is what a configuration without the key means.
    assert set(there) == set(here) - {name for name in here if alone.knobs[name].every() == ("batch",)}
    for name in set(there) - {"schedule"}:
        assert in_common(together.knobs[name], alone.knobs[name]), name


def in_common(one: Knob, other: Knob) -> bool:
    """Whether some value is of both."""
    ranges = one.extent(), other.extent()
    if ranges[0] and ranges[1]:
        return max(ranges[0][0], ranges[1][0]) <= min(ranges[0][1], ranges[1][1])
    return bool(set(one.every() or ()) & set(other.every() or ()))


def test_any_schedule_steps_each_as_its_own_space_does() -> None:
    space = load_space("any_schedule")
    for values in space.sample(100, 0):
        config = space.config(values)
        assert (config.get("step_every") == "epoch") == (config["schedule"] == "plateau")


@pytest.mark.parametrize("name", GREEDY)
def test_every_knob_of_greedy_has_its_name_in_the_space(name: str) -> None:
    published = pytest.importorskip("transformers.optimization").GreedyLR
    space = load_space(name)
    config = space.config({**space.default(), "smooth": True, "window_size": 10})
    assert set(inspect.signature(published).parameters) - {"optimizer"} <= set(config)
    assert config["step_every"] == "batch"


@pytest.mark.parametrize("name", GREEDY)
def test_greedy_is_alive_in_a_trial(name: str) -> None:
    """Fed a noisy loss that falls for 600 steps, most configurations keep changing the rate."""
    np = pytest.importorskip("numpy")
    torch = pytest.importorskip("torch")
    from tune_lr.schedules import build_schedule

    space, random, alive = load_space(name), np.random.default_rng(0), 0
    steps = np.arange(600)
    losses = 2.3 * np.exp(-steps / 150) * random.lognormal(0, 0.3, 600) + 0.05
    points = space.sample(40, 2)
    for values in points:
        config = space.config(values)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config["lr"])
        schedule, rates = build_schedule(config, optimizer), [config["lr"]]
        for loss in losses:
            schedule.step(float(loss))
            rates.append(optimizer.param_groups[0]["lr"])
        alive += int(np.count_nonzero(np.diff(rates)) >= 5)
    assert alive >= 0.75 * len(points)
