"""A search space as a pure value: points, coordinates, configurations, and what is refused."""

from __future__ import annotations

import copy
import json
import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tune_lr.errors import BadInput, UnknownName
from tune_lr.space import CategoricalKnob, ConstantKnob, FloatKnob, IntKnob, SearchSpace

EXAMPLE: dict[str, Any] = {
    "name": "example",
    "knobs": {
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True, "default": 0.01},
        "min_lr_ratio": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
        "max_lr_ratio": {"type": "float", "low": 1.0, "high": 1000.0, "log": True},
        "patience": {"type": "int", "low": 0, "high": 20},
        "smooth": {"type": "categorical", "values": [True, False]},
        "window_size": {"type": "int", "low": 2, "high": 50, "log": True, "when": {"smooth": True}},
        "momentum": {"type": "constant", "value": 0.9},
    },
}


def example(**knobs: Any) -> SearchSpace:
    """The example, with some knobs replaced or added."""
    return SearchSpace.from_dict({"name": "example", "knobs": {**EXAMPLE["knobs"], **knobs}})


def point(**values: Any) -> dict[str, Any]:
    """A point of the example, with some values replaced, and those that are None left out."""
    whole = {
        "lr": 0.1,
        "min_lr_ratio": 0.5,
        "max_lr_ratio": 2.0,
        "patience": 3,
        "smooth": False,
        "momentum": 0.9,
    }
    return {name: value for name, value in {**whole, **values}.items() if value is not None}


SPACE = example()

finite = st.floats(-1e6, 1e6, allow_subnormal=False)
positive = st.floats(1e-12, 1e12)
texts = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=4, unique=True
)


def ranges(kind: str, bounds: st.SearchStrategy[Any], log: bool) -> st.SearchStrategy[dict[str, Any]]:
    pairs = st.tuples(bounds, bounds).filter(lambda pair: pair[0] < pair[1])
    return pairs.map(lambda pair: {"type": kind, "low": pair[0], "high": pair[1], "log": log})


knobs = st.one_of(
    ranges("float", finite, False),
    ranges("float", positive, True),
    ranges("int", st.integers(-(2**40), 2**40), False),
    ranges("int", st.integers(1, 2**40), True),
    ranges("int", st.integers(-3, 5), False),
    st.one_of(
        texts,
        st.just([False, True]),
        st.lists(st.integers(-9, 9), min_size=1, max_size=4, unique=True),
        st.lists(finite, min_size=1, max_size=4, unique=True),
    ).map(lambda values: {"type": "categorical", "values": values}),
    st.one_of(st.booleans(), st.integers(-9, 9), finite, st.text("a '\"", max_size=3)).map(
        lambda value: {"type": "constant", "value": value}
    ),
)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    content: dict[str, dict[str, Any]] = {}
    for i, knob in enumerate(draw(st.lists(knobs, min_size=1, max_size=6))):
        parents = [name for name, one in content.items() if one["type"] in ("categorical", "constant")]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            values = content[parent].get("values", [content[parent].get("value")])
            knob["when"] = {parent: draw(st.lists(st.sampled_from(values), min_size=1, max_size=2))}
        content[f"k{i}"] = knob
    return SearchSpace.from_dict({"name": "drawn", "knobs": content})


def close(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """The same values of the same types in the same order; floats up to rounding."""
    return list(a) == list(b) and all(
        type(a[k]) is type(b[k])
        and (math.isclose(a[k], b[k], rel_tol=1e-9, abs_tol=1e-9) if type(a[k]) is float else a[k] == b[k])
        for k in a
    )


@given(spaces(), st.integers(0, 2**32))
def test_every_sample_is_a_point_and_survives_the_unit_cube(space: SearchSpace, seed: int) -> None:
    for values in space.sample(4, seed):
        space.validate(values)
        assert space.normalize(values) == values
        vector = space.encode(values)
        assert vector.shape == (space.dimension,) == (len(space.names),)
        inside = vector[~np.isnan(vector)]
        assert ((inside >= 0) & (inside <= 1)).all()
        assert [name for name, u in zip(space.names, vector, strict=True) if not np.isnan(u)] == [
            name for name in space.active(values) if name in space.names
        ]
        assert close(space.decode(vector), values)
        assert json.loads(json.dumps(values)) == values
        assert {type(value) for value in values.values()} <= {float, int, bool, str}


@given(spaces(), st.data())
def test_any_vector_is_a_point(space: SearchSpace, data: st.DataObject) -> None:
    number = st.floats(-2, 3) | st.sampled_from([math.inf, -math.inf, 0.0, 1.0])
    vector = np.array(data.draw(st.lists(number, min_size=space.dimension, max_size=space.dimension)))
    values = space.decode(vector)
    space.validate(values)
    assert values == space.decode(np.clip(vector, 0, 1))
    for i, name in enumerate(space.names):
        if name not in values:
            vector[i] = np.nan
    assert space.decode(vector) == values


@given(spaces())
def test_a_space_is_its_content(space: SearchSpace) -> None:
    again = SearchSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert hash(again) == hash(space)
    assert pickle.loads(pickle.dumps(space)) == space == copy.deepcopy(space)
    space.validate(space.default())


@given(spaces(), st.integers(0, 99), st.integers(0, 8), st.integers(0, 8))
def test_fewer_samples_are_the_first_of_more(space: SearchSpace, seed: int, few: int, more: int) -> None:
    few, more = sorted((few, more))
    assert space.sample(more, seed)[:few] == space.sample(few, seed)
    generator = np.random.default_rng(seed)
    assert space.sample(few, generator) + space.sample(more - few, generator) == space.sample(more, seed)


@given(spaces(), st.integers(0, 99))
def test_flat_fills_in_what_normalize_drops(space: SearchSpace, seed: int) -> None:
    (values,) = space.sample(1, seed)
    flat = space.flat(values)
    assert list(flat) == list(space.knobs)
    assert space.normalize(flat) == values
    assert space.key(flat) == space.key(values)


ratio = st.floats(0, 1)


@given(st.floats(1e-300, 1e3), ratio, st.floats(1, 1e4))
def test_bounds_hold_exactly_at_every_point(lr: float, low: float, high: float) -> None:
    space = SearchSpace(
        "bounds",
        {
            "lr": FloatKnob(1e-300, 1e3, log=True),
            "min_lr_ratio": FloatKnob(0, 1),
            "max_lr_ratio": FloatKnob(1, 1e4, log=True),
        },
    )
    config = space.config({"lr": lr, "min_lr_ratio": low, "max_lr_ratio": high})
    assert list(config) == ["lr", "min_lr", "max_lr"]
    assert config["min_lr"] <= config["lr"] <= config["max_lr"]
    assume(lr > 1e-200 and low > 1e-50)
    assert close(space.normalize(space.values(config)), {"lr": lr, "min_lr_ratio": low, "max_lr_ratio": high})


@given(st.integers(0, 2**32))
def test_values_is_the_inverse_of_config(seed: int) -> None:
    for values in SPACE.sample(5, seed):
        config = SPACE.config(values)
        assert not {"min_lr_ratio", "max_lr_ratio"} & set(config)
        assert config["min_lr"] <= config["lr"] <= config["max_lr"]
        back = SPACE.values(config)
        SPACE.validate(back)
        assert close(back, values)
        assert SPACE.key(back) == SPACE.key(values)


def test_values_reads_what_a_table_holds() -> None:
    row = {
        "lr": np.float64(0.1),
        "min_lr": 0.05,
        "max_lr": 0.2,
        "patience": 3.0,
        "smooth": np.bool_(False),
        "window_size": math.nan,
        "momentum": 0.9,
        "dataset": "digits",
    }
    assert SPACE.values(row) == point()
    assert type(SPACE.values(row)["patience"]) is int


def test_values_invents_nothing() -> None:
    assert SPACE.values({"lr": 5.0, "patience": None, "smooth": False}) == {"lr": 5.0, "smooth": False}
    assert SPACE.values({"min_lr": 0.1}) == {}
    assert SPACE.values({"lr": 0.0, "min_lr": 0.0}) == {"lr": 0.0}
    assert SPACE.values({"lr": 0.1, "min_lr": [0.1, 0.2]}) == {"lr": 0.1}
    assert SPACE.values({"min_lr_ratio": 0.5}) == {"min_lr_ratio": 0.5}


def test_a_categorical_ratio_comes_back_from_absolute_rates() -> None:
    space = example(min_lr_ratio={"type": "categorical", "values": [0.1, 0.3, 1]})
    for lr in (0.1, 0.3, 0.7):
        for index in range(3):
            values = point(lr=lr, min_lr_ratio=space.knobs["min_lr_ratio"].from_unit(index / 3 + 0.1))
            assert close(space.values(space.config(values)), space.normalize(values))


def test_default_is_given_or_the_middle() -> None:
    found = SPACE.default()
    assert found["lr"] == 0.01
    assert found["max_lr_ratio"] == pytest.approx(1000**0.5)
    assert (found["patience"], found["smooth"], found["window_size"], found["momentum"]) == (10, True, 9, 0.9)
    assert (
        "window_size"
        not in example(smooth={"type": "categorical", "values": [True, False], "default": False}).default()
    )


def test_zero_and_false_are_defaults_like_others() -> None:
    space = example(
        patience={"type": "int", "low": 0, "high": 9, "default": 0},
        smooth={"type": "categorical", "values": [True, False], "default": False},
    )
    assert SearchSpace.from_dict(space.to_dict()) == space
    assert space.default()["patience"] == 0
    assert space.default()["smooth"] is False


def test_whole_numbers_and_categories_are_bins_of_one_width() -> None:
    space = SearchSpace("bins", {"i": IntKnob(1, 4), "c": CategoricalKnob(("a", "b", "c", "d"))})
    grid = [space.decode([u, u]) for u in (0.0, 0.24, 0.26, 0.49, 0.51, 0.74, 0.76, 1.0)]
    assert [values["i"] for values in grid] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [values["c"] for values in grid] == list("aabbccdd")


def test_log_whole_numbers_favour_the_small() -> None:
    drawn = [v["i"] for v in SearchSpace("log", {"i": IntKnob(1, 1000, log=True)}).sample(2000, 0)]
    assert 0.4 < np.mean(np.array(drawn) <= 30) < 0.65
    assert min(drawn) == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (point(lr=2.0), ["space 'example'", "knob 'lr'", "2.0", "between 0.0001 and 1.0"]),
        (point(lr=math.nan), ["knob 'lr'", "nan"]),
        (point(lr="0.1"), ["knob 'lr'", "'0.1'", "a number"]),
        (point(lr=True), ["knob 'lr'", "True"]),
        (point(patience=True), ["knob 'patience'", "True", "a whole number"]),
        (point(patience=3.0), ["knob 'patience'", "3.0", "a whole number between 0 and 20"]),
        (point(smooth=1), ["knob 'smooth'", "1", "[True, False]"]),
        (point(smooth=0.0), ["knob 'smooth'", "[True, False]"]),
        (point(momentum=0.8), ["knob 'momentum'", "0.8", "0.9, which is constant"]),
        (point(patience=None), ["knob 'patience'", "the knob is active"]),
        (point(smooth=True), ["knob 'window_size'", "the knob is active"]),
        (point(patince=3), ["space 'example'", "'patince'", "did you mean patience"]),
        ([1], ["space 'example'", "a mapping"]),
    ],
)
def test_what_is_no_point_is_refused(values: Any, said: list[str]) -> None:
    for refuse in (SPACE.validate, SPACE.normalize, SPACE.encode, SPACE.config, SPACE.key, SPACE.flat):
        with pytest.raises(BadInput) as caught:
            refuse(values)
        assert all(part in str(caught.value) for part in said), str(caught.value)


def test_spellings_of_one_point() -> None:
    plain = point(lr=1.0)
    for spelling in (
        point(lr=1),
        point(lr=np.float32(1)),
        point(lr=1.0, patience=np.int64(3)),
        point(lr=1.0, smooth=np.bool_(False)),
        point(lr=1.0, momentum=None),
        point(lr=1.0, window_size=10),
        point(lr=1.0, window_size=math.nan),
        point(lr=1.0 + 1e-13),
    ):
        SPACE.validate(spelling)
        found = SPACE.normalize(spelling)
        assert found == plain
        assert [type(v) for v in found.values()] == [float, float, float, int, bool, float]
        assert SPACE.key(spelling) == SPACE.key(plain)
    assert SPACE.key(point(lr=0.5)) != SPACE.key(point(lr=0.6))


def test_kinds_of_value_are_kept_apart() -> None:
    one: list[Any] = [1, 1.0, True, "1"]
    for a in one:
        for b in one:
            same = type(a) is type(b)
            assert (ConstantKnob(a) == ConstantKnob(b)) is same
            assert (CategoricalKnob((a,)) == CategoricalKnob((b,))) is same
    assert CategoricalKnob((0, 0.5)).values == (0.0, 0.5)
    with pytest.raises(BadInput, match=r"whole number|one of"):
        CategoricalKnob((1, 2)).check(1.0)
    with pytest.raises(BadInput):
        CategoricalKnob((1, 2)).check(True)


@pytest.mark.parametrize(
    ("knob", "said"),
    [
        ({"type": "float", "low": 1.0, "high": 1.0}, "less than high"),
        ({"type": "float", "low": 2.0, "high": 1.0}, "less than high"),
        ({"type": "float", "low": 0.0, "high": 1.0, "log": True}, "more than 0"),
        ({"type": "float", "low": math.nan, "high": 1.0}, "finite"),
        ({"type": "float", "low": 0.0, "high": math.inf}, "finite"),
        ({"type": "float", "low": -1e308, "high": 1e308}, "width"),
        ({"type": "float", "low": "abc", "high": 1.0}, "a number"),
        ({"type": "float", "low": True, "high": 2.0}, "a number"),
        ({"type": "float", "low": 0.0, "high": 1.0, "log": "yes"}, "true or false"),
        ({"type": "float", "low": 0.0, "high": 1.0, "default": 3.0}, "default"),
        ({"type": "float", "low": 0.0, "high": 1.0, "default": "x"}, "default"),
        ({"type": "float", "low": 0.0}, "high"),
        ({"type": "float", "lwo": 0.0, "high": 1.0}, "did you mean low"),
        ({"type": "int", "low": 0.5, "high": 3}, "a whole number"),
        ({"type": "int", "low": 0, "high": 3, "log": True}, "more than 0"),
        ({"type": "int", "low": 0, "high": 2**60}, "a whole number between"),
        ({"type": "categorical", "values": []}, "at least one"),
        ({"type": "categorical", "values": "abc"}, "a list"),
        ({"type": "categorical", "values": [1, 1]}, "differ"),
        ({"type": "categorical", "values": [1, "a"]}, "one kind"),
        ({"type": "categorical", "values": [True, 0]}, "one kind"),
        ({"type": "categorical", "values": [None]}, "text, a finite number"),
        ({"type": "categorical", "values": ["\ud800"]}, "surrogates"),
        ({"type": "categorical", "values": ["a"], "default": "b"}, "default"),
        ({"type": "constant", "value": math.nan}, "finite"),
        ({"type": "constant", "value": [1]}, "text, a finite number"),
        ({"type": "constant", "value": 1, "default": 1}, "no default"),
        ({"type": "flaot", "low": 0.0, "high": 1.0}, "did you mean float"),
        ({"low": 0.0, "high": 1.0}, "type"),
        ({"type": "int", "low": 0, "high": 3, "when": {"smoth": True}}, "did you mean smooth"),
        ({"type": "int", "low": 0, "high": 3, "when": {"smooth": 1}}, "[True, False]"),
        ({"type": "int", "low": 0, "high": 3, "when": {"smooth": []}}, "at least one"),
        ({"type": "int", "low": 0, "high": 3, "when": {"patience": 21}}, "between 0 and 20"),
        ({"type": "int", "low": 0, "high": 3, "when": {"lr": 0.1}}, "categorical, int or constant"),
        ({"type": "int", "low": 0, "high": 3, "when": {"odd": 1}}, "knob"),
        ({"type": "int", "low": 0, "high": 3, "when": "smooth"}, "a mapping"),
        ({"type": "int", "low": 0, "high": 3, "description": 3}, "text"),
        (3, "a mapping"),
    ],
)
def test_a_knob_that_cannot_be_is_refused_by_name(knob: Any, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        example(odd=knob)
    assert "knob 'odd'" in str(caught.value)
    assert said in str(caught.value), str(caught.value)


def test_conditions_look_back_only() -> None:
    first = {"type": "int", "low": 0, "high": 1, "when": {"b": 0}}
    second = {"type": "int", "low": 0, "high": 1, "when": {"a": 0}}
    with pytest.raises(BadInput, match="stands before"):
        SearchSpace.from_dict({"name": "circle", "knobs": {"a": first, "b": second}})


def test_conditions_chain() -> None:
    space = SearchSpace.from_dict(
        {
            "name": "chain",
            "knobs": {
                "a": {"type": "categorical", "values": ["x", "y", "z"]},
                "b": {"type": "int", "low": 0, "high": 3, "when": {"a": ["x", "y"]}},
                "c": {"type": "float", "low": 0, "high": 1, "when": {"b": 0, "a": "x"}},
                "d": {"type": "constant", "value": 1, "when": {"b": [1, 2]}},
            },
        }
    )
    assert space.normalize({"a": "z", "b": 0, "c": 0.5, "d": 1}) == {"a": "z"}
    assert space.normalize({"a": "x", "b": 0, "c": 0.5}) == {"a": "x", "b": 0, "c": 0.5}
    assert space.normalize({"a": "y", "b": 0, "c": 0.5}) == {"a": "y", "b": 0}
    assert space.normalize({"a": "y", "b": 1}) == {"a": "y", "b": 1, "d": 1}
    assert space.names == ("a", "b", "c")


@pytest.mark.parametrize(
    "knobs",
    [
        {"min_lr_ratio": {"type": "float", "low": 0.1, "high": 1.5}},
        {"min_lr_ratio": {"type": "float", "low": -0.1, "high": 1.0}},
        {"min_lr_ratio": {"type": "categorical", "values": ["a"]}},
        {"max_lr_ratio": {"type": "float", "low": 0.9, "high": 2.0}},
        {"max_lr_ratio": {"type": "constant", "value": 0.5}},
        {
            "max_lr_ratio": {"type": "float", "low": 1.0, "high": 1e308},
            "lr": {"type": "constant", "value": 10.0},
        },
        {"min_lr": {"type": "constant", "value": 0.1}},
        {"lr": {"type": "float", "low": 0.0, "high": 1.0}},
        {"lr": {"type": "categorical", "values": ["low", "high"]}},
    ],
)
def test_bounds_that_could_cross_are_refused(knobs: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="lr"):
        example(**knobs)


def test_absolute_bounds_pass_only_where_they_cannot_cross() -> None:
    lr = FloatKnob(1e-3, 1.0, log=True)
    space = SearchSpace("apart", {"lr": lr, "min_lr": FloatKnob(1e-5, 1e-3), "max_lr": ConstantKnob(1.0)})
    config = space.config(space.default())
    assert config["min_lr"] <= config["lr"] <= config["max_lr"]
    for bound, knob in (("min_lr", FloatKnob(1e-5, 1e-2)), ("max_lr", ConstantKnob(0.5))):
        with pytest.raises(BadInput, match=f"{bound}_ratio"):
            SearchSpace("across", {"lr": lr, bound: knob})
    with pytest.raises(BadInput, match="'lr' beside it"):
        SearchSpace("alone", {"min_lr_ratio": FloatKnob(0.1, 1)})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "a mapping"),
        ({"name": "x"}, "knobs"),
        ({"name": "x", "knobs": {}}, "at least one knob"),
        ({"name": "x", "knobs": []}, "at least one knob"),
        ({"knobs": EXAMPLE["knobs"]}, "name"),
        ({"name": "no spaces", "knobs": EXAMPLE["knobs"]}, "a name of letters"),
        ({"name": "../x", "knobs": EXAMPLE["knobs"]}, "a name of letters"),
        ({"name": "x", "knob": EXAMPLE["knobs"]}, "did you mean knobs"),
        ({"name": "x", "knobs": {"a/b": {"type": "constant", "value": 1}}}, "a name of letters"),
        ({"name": "x", "knobs": {3: {"type": "constant", "value": 1}}}, "a name of letters"),
        ({"name": "x", "knobs": EXAMPLE["knobs"], "description": 3}, "text"),
    ],
)
def test_content_that_is_no_space_is_refused(content: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        SearchSpace.from_dict(content)


def test_numbers_that_yaml_took_for_text_are_numbers() -> None:
    knob = {"type": "float", "low": "1e-4", "high": "1", "log": True, "default": "1e-2"}
    assert example(lr=knob) == SPACE
    assert example(patience={"type": "int", "low": "0", "high": "2e1"}) == SPACE


def test_equality_is_about_name_and_knobs() -> None:
    described = SearchSpace("example", dict(SPACE.knobs), "for people")
    assert described == SPACE
    assert described.to_dict()["description"] == "for people"
    assert SearchSpace("other", dict(SPACE.knobs)) != SPACE
    one, two = ConstantKnob(1), ConstantKnob(2)
    assert SearchSpace("x", {"a": one, "b": two}) != SearchSpace("x", {"b": two, "a": one})
    assert SPACE != "example"


def test_a_space_of_constants_has_one_point() -> None:
    space = SearchSpace("fixed", {"a": ConstantKnob(1), "b": ConstantKnob("x y")})
    assert space.dimension == 0
    assert space.sample(2, 0) == [{"a": 1, "b": "x y"}] * 2
    assert space.encode({}).shape == (0,)
    assert space.decode([]) == {"a": 1, "b": "x y"}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SPACE.decode([0.5]),
        lambda: SPACE.decode(np.full((1, 6), 0.5)),
        lambda: SPACE.decode(np.full(6, np.nan)),
        lambda: SPACE.sample(-1, 0),
        lambda: SPACE.sample(1.5, 0),  # type: ignore[arg-type]
        lambda: SPACE.sample(1, -1),
        lambda: SPACE.sample(1, None),  # type: ignore[arg-type]
    ],
)
def test_wrong_calls_are_refused(wrong: Any) -> None:
    with pytest.raises(BadInput):
        wrong()


def test_a_space_does_not_change_with_what_it_was_made_of() -> None:
    knobs = dict(SPACE.knobs)
    space = SearchSpace("example", knobs)
    knobs.clear()
    assert space == SPACE
    SearchSpace("floats", {"a": CategoricalKnob((0.5, 1)), "b": (b := IntKnob(0, 1, when={"a": (1,)}))})
    assert b.when == {"a": (1,)}
    assert type(b.when["a"][0]) is int


def test_an_unknown_category_suggests_a_near_one() -> None:
    space = example(opt={"type": "categorical", "values": ["adamw", "sgd"]})
    with pytest.raises(UnknownName, match="did you mean adamw"):
        space.validate(point(opt="adam"))


def test_spaces_need_numpy_only(root: Path) -> None:
    code = (
        "import sys, tune_lr.space; "
        "print([m for m in ('torch', 'pandas', 'yaml', 'pydantic', 'ray', 'syne_tune') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
