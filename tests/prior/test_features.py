"""Points as rows of numbers: what is alike lies near."""

from __future__ import annotations

import numpy as np
import pytest

from tests.samples.spaces import SMALL
from tune_lr.prior.features import features, of_cube
from tune_lr.space import SearchSpace

KINDS = SearchSpace.from_dict(
    {
        "name": "kinds",
        "knobs": {
            "x": {"type": "float", "low": 0.0, "high": 2.0},
            "rule": {"type": "categorical", "values": ["a", "b", "c", "d"]},
            "flag": {"type": "categorical", "values": [True, False]},
            "steps": {"type": "int", "low": 1, "high": 100, "log": True, "when": {"flag": True}},
        },
    }
)


def test_any_two_categories_lie_at_distance_one() -> None:
    rows = features(KINDS, [{"x": 1.0, "rule": rule, "flag": False} for rule in "abcd"])
    for i in range(4):
        away = np.linalg.norm(rows - rows[i], axis=1)
        assert np.delete(away, i) == pytest.approx(1.0)
        assert away[i] == 0.0
    flags = features(KINDS, [{"x": 1.0, "rule": "a", "flag": flag, "steps": 10} for flag in (True, False)])
    assert np.abs(flags[0] - flags[1])[5] == 1.0


def test_a_number_is_its_own_coordinate() -> None:
    rows = features(KINDS, [{"x": x, "rule": "a", "flag": False} for x in (0.0, 0.5, 2.0)])
    assert rows[:, 0].tolist() == [0.0, 0.25, 1.0]
    assert (rows[0, 1:] == rows[2, 1:]).all()


def test_points_without_a_knob_agree_about_it() -> None:
    point = {"lr": 0.1, "min_lr_ratio": 0.1, "momentum": 0.9}
    idle, resting, other = features(
        SMALL,
        [{**point, "smooth": False}, {**point, "smooth": True, "window": 4},
         {**point, "smooth": True, "window": 9}],
    )  # fmt: skip
    away = np.flatnonzero(idle != resting)
    assert len(away) == 1, "they differ in the choice alone: where it rests, the window is at its default"
    assert np.flatnonzero(resting != other).tolist() == [3]


@pytest.mark.parametrize("space", [SMALL, KINDS])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_of_points_and_of_their_cube_are_the_same(space: SearchSpace, count: int) -> None:
    points = space.sample(count, 3) if count else []
    cube = np.array([space.encode(point) for point in points]).reshape(count, space.dimension)
    rows = features(space, points)
    assert np.array_equal(rows, of_cube(space, cube))
    assert rows.shape == (count, {"small": 4, "kinds": 7}[space.name])
    assert not np.isnan(rows).any()
    assert ((rows >= 0.0) & (rows <= 1.0)).all()


def test_a_space_of_constants_has_one_column_that_says_nothing() -> None:
    still = SearchSpace.from_dict({"name": "still", "knobs": {"m": {"type": "constant", "value": 0.9}}})
    assert features(still, [{"m": 0.9}, {"m": 0.9}]).tolist() == [[0.0], [0.0]]
