"""The configurations that a model chooses among."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.samples.spaces import SMALL
from tune_lr import load_space
from tune_lr.prior.features import features
from tune_lr.prior.pool import Pool
from tune_lr.space import SearchSpace


def test_each_point_is_there_once_in_the_order_of_coming() -> None:
    points = SMALL.sample(6, 0)
    pool = Pool(SMALL, [*points, points[2], points[0]])
    assert len(pool) == 6
    assert pool.values == [SMALL.normalize(point) for point in points]
    assert pool.add([points[4], *SMALL.sample(2, 1), points[4]]) == [4, 6, 7, 4]
    assert pool.add([]) == []
    assert len(pool) == len(pool.rows) == 8


def test_places_are_found_again() -> None:
    pool = Pool(SMALL, SMALL.sample(5, 0))
    assert [pool.place(values) for values in pool.values] == list(range(5))
    assert pool.place(SMALL.sample(1, 99)[0]) is None


def test_rows_are_the_features_however_it_grew() -> None:
    points = SMALL.sample(9, 0)
    pool = Pool(SMALL)
    assert pool.rows.shape == (0, 4)
    for cut in (slice(0, 1), slice(1, 6), slice(6, 9)):
        pool.add(points[cut])
    assert np.array_equal(pool.rows, features(SMALL, points))


def test_a_knob_that_takes_no_part_makes_no_second_point() -> None:
    point: dict[str, Any] = {"lr": 0.1, "min_lr_ratio": 0.1, "momentum": 0.9, "smooth": False}
    pool = Pool(SMALL, [point, dict(reversed(point.items()))])
    assert len(pool) == 1
    assert "window" not in pool.values[0]


@pytest.mark.parametrize("name", ["greedy_lr", "any_schedule", "adamw_finetune"])
def test_neighbours_are_points_of_the_space(name: str) -> None:
    space = load_space(name)
    pool = Pool(space, space.sample(4, 0))
    found = pool.neighbours([0, 3], 30, np.random.default_rng(0))
    assert len(found) == 60
    for point in found:
        space.validate(space.normalize(point))
        config = space.config(space.normalize(point))
        if "min_lr" in config:
            assert config["min_lr"] <= config["lr"]


def test_neighbours_lie_near_and_most_are_new() -> None:
    pool = Pool(SMALL, SMALL.sample(20, 0))
    found = pool.neighbours([7], 60, np.random.default_rng(1))
    away = np.linalg.norm(features(SMALL, found) - pool.rows[7], axis=1)
    others = np.linalg.norm(pool.rows - pool.rows[7], axis=1)
    assert np.median(away) < 0.5 * np.median(np.delete(others, 7))
    before = len(pool)
    pool.add(found)
    assert len(pool) > before + 20


def test_a_neighbour_may_wake_a_knob_that_was_idle() -> None:
    flag = {"type": "categorical", "values": [True, False]}
    wide = {"type": "int", "low": 2, "high": 9, "default": 4, "when": {"smooth": True}}
    space = SearchSpace.from_dict({"name": "two", "knobs": {"smooth": flag, "window": wide}})
    pool = Pool(space, [{"smooth": False}])
    woken = [p for p in pool.neighbours([0], 400, np.random.default_rng(2)) if p["smooth"]]
    assert woken
    assert all(2 <= point["window"] <= 9 for point in woken)


def test_the_same_draws_give_the_same_neighbours() -> None:
    pool = Pool(SMALL, SMALL.sample(3, 0))
    first, again, other = (
        pool.neighbours([1], 5, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )  # fmt: skip
    assert first == again != other
