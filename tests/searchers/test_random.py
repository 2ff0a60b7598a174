"""Random search: a finite space is proposed to its last point, each once; the seed decides the order."""

from __future__ import annotations

from typing import Any

import pytest

from tune_lr.searchers import random as module
from tune_lr.searchers.random import RandomSearcher
from tune_lr.space import SearchSpace


def space(**knobs: Any) -> SearchSpace:
    return SearchSpace.from_dict({"name": "small", "knobs": knobs})


def proposed(searcher: RandomSearcher) -> list[dict[str, Any]]:
    """All that it proposes until it ends."""
    found = []
    while (suggestion := searcher.ask()) is not None:
        found.append(suggestion.values)
    assert searcher.ask() is None
    return found


LOG = space(n={"type": "int", "low": 2, "high": 1000, "log": True})


def test_a_log_int_is_proposed_to_its_last_value() -> None:
    first = [values["n"] for values in proposed(RandomSearcher(LOG, seed=3))]
    assert sorted(first) == list(range(2, 1001))
    assert first == [values["n"] for values in proposed(RandomSearcher(LOG, seed=3))]


def test_the_seed_decides_the_order_of_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0)
    orders = [proposed(RandomSearcher(LOG, seed=seed)) for seed in (3, 3, 4)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0] != sorted(orders[0], key=lambda values: values["n"])


def test_conditions_are_kept() -> None:
    found = proposed(
        RandomSearcher(
            space(
                smooth={"type": "categorical", "values": [True, False]},
                window={"type": "int", "low": 1, "high": 5, "log": True, "when": {"smooth": True}},
                momentum={"type": "constant", "value": 0.9},
            )
        )
    )
    assert len(found) == 6
    assert {values.get("window") for values in found} == {None, 1, 2, 3, 4, 5}


def test_a_replayed_searcher_ends_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 20)
    small = space(n={"type": "int", "low": 1, "high": 60, "log": True})
    for cut in range(0, 61, 6):
        first, second = RandomSearcher(small, seed=1), RandomSearcher(small, seed=1)
        for _ in range(cut):
            suggestion = first.ask()
            assert suggestion is not None
            second.replay(suggestion)
        if cut == 60:
            assert first.ask() is None
        assert proposed(first) == proposed(second)


@pytest.mark.parametrize(
    ("knob", "most", "count"),
    [
        ({"type": "int", "low": 1, "high": 50}, 50, 50),
        ({"type": "int", "low": 1, "high": 50}, 49, None),
        ({"type": "int", "low": 0, "high": 2**40}, 100_000, None),
        ({"type": "float", "low": 0.0, "high": 1.0}, 100_000, None),
    ],
)
def test_points_are_counted_out_where_they_are_few(
    knob: dict[str, Any], most: int, count: int | None
) -> None:
    points = space(n=knob).points(most)
    assert (points if points is None else len(points)) == count


def test_a_continuum_that_never_takes_part_does_not_count() -> None:
    one = space(
        kind={"type": "constant", "value": "a"},
        n={"type": "int", "low": 1, "high": 3},
        width={"type": "float", "low": 0.0, "high": 1.0, "when": {"n": 3}},
    )
    assert one.points(100) is None
    never = space(
        n={"type": "int", "low": 1, "high": 3},
        x={"type": "int", "low": 1, "high": 2, "when": {"n": 1}},
        width={"type": "float", "low": 0.0, "high": 1.0, "when": {"n": 2, "x": 1}},
    )
    assert never.points(100) == [{"n": 1, "x": 1}, {"n": 1, "x": 2}, {"n": 2}, {"n": 3}]


def test_values_that_round_to_one_are_proposed_once() -> None:
    close = space(a={"type": "categorical", "values": [1.0, 1.0 + 1e-13, 2.0]})
    assert len(proposed(RandomSearcher(close))) == 2
