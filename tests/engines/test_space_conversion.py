"""One space, two engines: what is a point for one is a point for all, and reading back loses nothing."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_lr.errors import BadInput
from tune_lr.space import CategoricalKnob, ConstantKnob, FloatKnob, IntKnob, Knob, SearchSpace
from tune_lr.spacefile import load_space, space_names

pytest.importorskip("syne_tune")
pytest.importorskip("ray.tune")

from ray import tune
from ray.tune.search import sample as ray_domains
from syne_tune import config_space as syne

from tune_lr.engines.on_ray.space import from_ray, to_ray
from tune_lr.engines.on_syne.space import from_syne, to_syne

To = Callable[[SearchSpace], dict[str, Any]]
Back = Callable[[Mapping[str, Any], str], SearchSpace]
ENGINES: list[tuple[str, To, Back]] = [("syne", to_syne, from_syne), ("ray", to_ray, from_ray)]
both = pytest.mark.parametrize(("to", "back"), [e[1:] for e in ENGINES], ids=[e[0] for e in ENGINES])


def draw_from(domains: dict[str, Any], seed: int) -> dict[str, Any]:
    """One point as the engine draws it."""
    random = np.random.RandomState(seed)
    is_domain = (syne.Domain, ray_domains.Domain)
    return {k: d.sample(random_state=random) if isinstance(d, is_domain) else d for k, d in domains.items()}


def accepts(domains: dict[str, Any], flat: dict[str, Any]) -> bool:
    """Whether the engine takes a flat point for one of its own."""
    return list(domains) == list(flat) and all(
        d.is_valid(flat[k]) if hasattr(d, "is_valid") else type(d) is type(flat[k]) and d == flat[k]
        for k, d in domains.items()
    )


def with_when(knob: dict[str, Any], parent: dict[str, Any] | None, pick: int) -> dict[str, Any]:
    if parent is None:
        return knob
    values = parent.get("values") or [parent["value"]]
    return {**knob, "when": {"first": values[pick % len(values)]}}


numbers = st.floats(-1e3, 1e3)
pairs = st.tuples(numbers, numbers).filter(lambda p: p[0] < p[1])
log_pairs = st.tuples(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9)).filter(lambda p: p[0] < p[1])
int_pairs = st.tuples(st.integers(-50, 50), st.integers(1, 50)).map(lambda p: (p[0], p[0] + p[1]))
log_int_pairs = st.tuples(st.integers(1, 50), st.integers(1, 5000)).map(lambda p: (p[0], p[0] + p[1]))
choices = st.one_of(
    st.just([True, False]),
    st.lists(st.text("ab '\"=,", max_size=5), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(-9, 9), min_size=1, max_size=4, unique=True),
    st.lists(numbers, min_size=1, max_size=4, unique=True),
).map(lambda values: {"type": "categorical", "values": values})
constants = st.one_of(st.booleans(), st.integers(0, 9), numbers, st.text("a '", max_size=3)).map(
    lambda value: {"type": "constant", "value": value}
)


def ranges(kind: str, bounds: st.SearchStrategy[Any], log: bool) -> st.SearchStrategy[dict[str, Any]]:
    return bounds.map(lambda p: {"type": kind, "low": p[0], "high": p[1], "log": log, "default": p[1]})


any_knob = st.one_of(
    ranges("float", pairs, False),
    ranges("float", log_pairs, True),
    ranges("int", int_pairs, False),
    ranges("int", log_int_pairs, True),
    choices,
    constants,
)
spaces = st.builds(
    lambda first, rest: SearchSpace.from_dict(
        {
            "name": "drawn",
            "knobs": {
                "first": first,
                **{f"k{i}": with_when(knob, first if on else None, i) for i, (knob, on) in enumerate(rest)},
            },
        }
    ),
    choices | constants,
    st.lists(st.tuples(any_knob, st.booleans()), max_size=5),
)


@both
@given(space=spaces, seed=st.integers(0, 2**31))
def test_what_an_engine_draws_is_a_point(to: To, back: Back, space: SearchSpace, seed: int) -> None:
    drawn = draw_from(to(space), seed)
    assert list(drawn) == list(space.knobs)
    values = space.normalize(drawn)
    space.validate(values)
    assert space.values(drawn) == values
    for name, value in values.items():
        assert type(value) is type(space.knobs[name].start())


@both
@given(space=spaces, seed=st.integers(0, 2**31))
def test_a_point_is_one_for_every_engine(to: To, back: Back, space: SearchSpace, seed: int) -> None:
    domains = to(space)
    for values in [*space.sample(3, seed), space.default()]:
        flat = space.flat(values)
        assert accepts(domains, flat)
        assert space.normalize(flat) == values


@given(space=spaces, seed=st.integers(0, 2**31))
def test_a_point_of_one_engine_is_one_of_the_other(space: SearchSpace, seed: int) -> None:
    here, there = to_syne(space), to_ray(space)
    assert accepts(there, space.flat(draw_from(here, seed)))
    assert accepts(here, space.flat(draw_from(there, seed)))


@both
@given(space=spaces)
def test_reading_back_gives_an_equal_space(to: To, back: Back, space: SearchSpace) -> None:
    domains = to(space)
    assert back(domains, "drawn") == space
    assert back(copy.deepcopy(domains), "drawn") == space
    assert back(pickle.loads(pickle.dumps(domains)), "drawn") == space
    assert back({**domains}, "drawn") == space


@pytest.mark.parametrize("name", space_names())
@both
def test_shipped_spaces_survive_the_way_there_and_back(to: To, back: Back, name: str) -> None:
    space = load_space(name)
    domains = to(space)
    assert back(domains, name) == space
    for seed in range(20):
        config = space.config(space.values(draw_from(domains, seed)))
        assert config.get("min_lr", 0.0) <= config["lr"] <= config.get("max_lr", config["lr"])


@both
def test_categories_come_back_as_the_types_they_were(to: To, back: Back) -> None:
    lists: list[tuple[Any, ...]] = [
        (True, False),
        (1, 2),
        (1.0, 2.0),
        ("1", "true"),
        ("a b", "it's", '"x"', ""),
    ]
    for values in lists:
        domains = to(SearchSpace("types", {"c": CategoricalKnob(values)}))
        drawn = [draw_from(domains, seed)["c"] for seed in range(40)]
        assert {(type(value), value) for value in drawn} == {(type(value), value) for value in values}


@both
def test_both_ends_of_a_whole_range_are_drawn(to: To, back: Back) -> None:
    for log in (False, True):
        domains = to(SearchSpace("ends", {"i": IntKnob(1, 3, log=log)}))
        assert {draw_from(domains, seed)["i"] for seed in range(100)} == {1, 2, 3}


@both
def test_what_a_domain_is_now_counts_not_what_it_was_made_of(to: To, back: Back) -> None:
    space = SearchSpace("x", {"lr": FloatKnob(0.1, 1.0, default=0.3)})
    domains = to(space)
    domains["lr"].upper = 0.5
    assert back(domains, "x").knobs["lr"] == FloatKnob(0.1, 0.5, default=0.3)


def test_syne_tune_writes_and_reads_the_space_as_its_own() -> None:
    space = load_space("greedy_lr")
    written = syne.config_space_to_json_dict(to_syne(space))
    again = from_syne(syne.config_space_from_json_dict(written), "greedy_lr")
    # Syne Tune's files know domains only; kinds, bounds and values come through.
    for name, knob in space.knobs.items():
        bare = (
            type(knob).__name__,
            *(getattr(knob, f, None) for f in ("low", "high", "log", "values", "value")),
        )
        other = again.knobs[name]
        assert bare == (
            type(other).__name__,
            *(getattr(other, f, None) for f in ("low", "high", "log", "values", "value")),
        )


@pytest.mark.parametrize(
    ("domain", "knob"),
    [
        (syne.uniform(0, 1), FloatKnob(0, 1)),
        (syne.loguniform(1e-3, 1), FloatKnob(1e-3, 1, log=True)),
        (syne.randint(0, 5), IntKnob(0, 5)),
        (syne.lograndint(1, 5), IntKnob(1, 5, log=True)),
        (syne.randint(5, 5), ConstantKnob(5)),
        (syne.uniform(5, 5), ConstantKnob(5.0)),
        (syne.choice(["a", "b"]), CategoricalKnob(("a", "b"))),
        (syne.ordinal([1, 2, 4]), CategoricalKnob((1, 2, 4))),
        (syne.logordinal([1, 2, 4]), CategoricalKnob((1, 2, 4))),
        (syne.finrange(0.0, 1.0, 3), CategoricalKnob((0.0, 0.5, 1.0))),
        (syne.logfinrange(1, 4, 4, cast_int=True), CategoricalKnob((1, 2, 3, 4))),
        (syne.quniform(0.0, 1.0, 0.5), CategoricalKnob((0.0, 0.5, 1.0))),
        (syne.qrandint(0, 6, 3), CategoricalKnob((0, 3, 6))),
        ("text", ConstantKnob("text")),
        (3, ConstantKnob(3)),
    ],
)
def test_other_peoples_syne_tune_spaces_are_read(domain: Any, knob: Knob) -> None:
    assert from_syne({"x": domain}).knobs["x"] == knob


@pytest.mark.parametrize(
    ("domain", "knob"),
    [
        (tune.uniform(0, 1), FloatKnob(0, 1)),
        (tune.loguniform(1e-3, 1), FloatKnob(1e-3, 1, log=True)),
        (tune.randint(0, 5), IntKnob(0, 4)),
        (tune.lograndint(1, 5), IntKnob(1, 4, log=True)),
        (tune.randint(5, 6), ConstantKnob(5)),
        (tune.choice(["a", "b"]), CategoricalKnob(("a", "b"))),
        (tune.grid_search([1, 2, 4]), CategoricalKnob((1, 2, 4))),
        (tune.quniform(0, 1, 0.5), CategoricalKnob((0.0, 0.5, 1.0))),
        (tune.quniform(0, 2, 1), CategoricalKnob((0.0, 1.0, 2.0))),
        (tune.qrandint(0, 6, 3), CategoricalKnob((0, 3, 6))),
        (tune.qrandint(0, 6, 1), IntKnob(0, 5)),
        ("text", ConstantKnob("text")),
        (3, ConstantKnob(3)),
    ],
)
def test_other_peoples_ray_spaces_are_read(domain: Any, knob: Knob) -> None:
    assert from_ray({"x": domain}).knobs["x"] == knob


@pytest.mark.parametrize(
    ("read", "domain"),
    [
        (from_syne, syne.reverseloguniform(0.1, 0.9)),
        (from_syne, syne.quniform(0.0, 1.0, 1e-5)),
        (from_syne, [1, 2]),
        (from_syne, None),
        (from_ray, tune.randn(0, 1)),
        (from_ray, tune.qrandn(0, 1, 0.1)),
        (from_ray, tune.sample_from(lambda config: 1)),
        (from_ray, tune.quniform(0, 1, 1e-5)),
        (from_ray, {"nested": tune.uniform(0, 1)}),
        (from_ray, tune.choice([None, 1])),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(read: Callable[..., SearchSpace], domain: Any) -> None:
    with pytest.raises(BadInput, match=r"space\['odd'\]"):
        read({"odd": domain})
