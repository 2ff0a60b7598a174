"""A space narrowed to where the best of past tasks lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples.past import bowls
from tests.samples.spaces import SMALL
from tune_lr.errors import BadInput
from tune_lr.prior.box import narrowed
from tune_lr.prior.prior import Prior
from tune_lr.space import SearchSpace
from tune_lr.spacefile import load_space, space_names


@given(
    name=st.sampled_from(space_names()),
    seed=st.integers(0, 1000),
    count=st.integers(1, 12),
    margin=st.floats(0, 0.5),
)
def test_every_shipped_space_stays_one_and_keeps_its_good_points(
    name: str, seed: int, count: int, margin: float
) -> None:
    space = load_space(name)
    good = space.sample(count, seed)
    box = narrowed(space, np.array([space.encode(one) for one in good]), margin)
    assert SearchSpace.from_dict(box.to_dict()) == box
    for values in [*box.sample(20, seed), box.default()]:
        space.validate(values)
        config = box.config(values)
        if "min_lr" in config and "lr" in config:
            assert config["min_lr"] <= config["lr"]
    if margin > 1e-6:
        for values in good:
            box.validate(values)


def test_numbers_keep_to_the_range_of_the_good_ones_and_the_default_moves_in() -> None:
    good = [{"lr": 0.1, "min_lr_ratio": 0.1, "smooth": True, "window": n, "momentum": 0.9} for n in (6, 8)]
    box = narrowed(SMALL, np.array([SMALL.encode(one) for one in good]), 0.0)
    assert box.name == "small-box"
    knobs = box.to_dict()["knobs"]
    assert knobs["lr"] == {"type": "constant", "value": pytest.approx(0.1)}
    assert knobs["smooth"] == {"type": "constant", "value": True}
    assert knobs["window"] == {"type": "int", "low": 6, "high": 8, "default": 6, "when": {"smooth": True}}
    assert knobs["momentum"] == {"type": "constant", "value": 0.9}


def test_a_knob_whose_condition_no_good_point_meets_is_gone() -> None:
    good = [{"lr": lr, "min_lr_ratio": 0.1, "smooth": False} for lr in (0.1, 0.3)]
    box = narrowed(SMALL, np.array([SMALL.encode(one) for one in good]), 0.05)
    assert list(box.knobs) == ["lr", "min_lr_ratio", "smooth", "momentum"]


def test_what_waits_for_a_whole_number_waits_for_those_that_are_left() -> None:
    knobs = {
        "layers": {"type": "int", "low": 1, "high": 9},
        "skip": {"type": "categorical", "values": ["a", "b"], "when": {"layers": [2, 5, 8]}},
    }
    space = SearchSpace.from_dict({"name": "deep", "knobs": knobs})
    good = [{"layers": 4}, {"layers": 6}]
    box = narrowed(space, np.array([space.encode(one) for one in good]), 0.0)
    assert box.knobs["skip"].when == {"layers": (5,)}
    assert box.knobs["skip"].every() == ("a", "b"), "no good point says anything of it"


def test_the_box_of_a_prior_is_about_the_knob_that_matters() -> None:
    prior = Prior.fit(bowls([0.45, 0.55], trials=60), SMALL)
    box = prior.box(share=0.1, margin=0.02)
    extent = (
        SMALL.knobs["lr"].to_unit(box.knobs["lr"].extent()[0]),
        SMALL.knobs["lr"].to_unit(  # type: ignore[index]
            box.knobs["lr"].extent()[1]  # type: ignore[index]
        ),
    )
    assert 0.3 < extent[0] < extent[1] < 0.7
    wide = prior.box(share=1.0, margin=1.0)
    assert wide.knobs["lr"].extent() == SMALL.knobs["lr"].extent()


@pytest.mark.parametrize(
    ("share", "margin"), [(0, 0.1), (1.5, 0.1), (True, 0.1), (0.2, -1), (0.2, 2), (0.2, "x")]
)
def test_a_box_of_impossible_shares_is_refused(share: float, margin: float) -> None:
    prior = Prior.fit(bowls([0.5], trials=5), SMALL)
    with pytest.raises(BadInput, match=r"share|margin"):
        prior.box(share, margin)
