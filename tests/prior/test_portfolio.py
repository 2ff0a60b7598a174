"""The order in which a portfolio is tried, and what it is chosen from."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.samples.past import bowls, past, trial
from tests.samples.spaces import SMALL
from tune_lr.prior.portfolio import pool_of, portfolio
from tune_lr.prior.tasks import past_tasks
from tune_lr.space import SearchSpace

TABLES = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(1, 12)),
    elements=st.floats(-3, 3, allow_nan=False),
)


@given(scores=TABLES, k=st.integers(0, 15))
def test_each_place_comes_once_and_fewer_are_the_first_of_more(scores: np.ndarray, k: int) -> None:
    whole = portfolio(scores, scores.shape[1])
    assert sorted(whole) == list(range(scores.shape[1]))
    assert portfolio(scores, k) == whole[:k]


@given(scores=TABLES)
def test_the_best_of_the_first_few_never_falls(scores: np.ndarray) -> None:
    chosen = portfolio(scores, scores.shape[1])
    best = [scores[:, chosen[: i + 1]].max(axis=1).mean() for i in range(len(chosen))]
    assert (np.diff(best) >= 0).all()


@given(scores=TABLES, bonus=st.floats(0.1, 2.0))
def test_one_better_than_all_on_every_task_is_first(scores: np.ndarray, bonus: float) -> None:
    best = scores.max(axis=1, keepdims=True) + bonus
    assert portfolio(np.append(scores, best, axis=1), 1) == [scores.shape[1]]


def test_the_second_helps_the_tasks_that_the_first_does_not() -> None:
    scores = np.array([[2.0, 1.9, -1.0, 0.0], [2.0, 1.9, -1.0, 0.0], [-2.0, -2.0, 2.0, 0.0]])
    assert portfolio(scores, 2) == [0, 2]


def test_of_equals_the_first() -> None:
    assert portfolio(np.zeros((3, 4)), 4) == [0, 1, 2, 3]


def test_the_pool_has_what_most_tasks_tried_first_and_then_the_best() -> None:
    one = SearchSpace.from_dict({"name": "one", "knobs": {"x": {"type": "float", "low": 0.0, "high": 1.0}}})
    history = past(
        a=[trial({"x": x}, [loss]) for x, loss in ((0.1, 3.0), (0.2, 1.0), (0.3, 2.0))],
        b=[trial({"x": x}, [loss]) for x, loss in ((0.4, 2.0), (0.1, 9.0), (0.5, 1.0))],
    )
    tasks = past_tasks(history, one)
    assert pool_of(tasks)[:, 0].tolist() == [0.1, 0.2, 0.5, 0.3, 0.4]
    assert pool_of(tasks, 2)[:, 0].tolist() == [0.1, 0.2]


def test_the_same_points_of_several_tasks_are_one_each() -> None:
    assert len(pool_of(past_tasks(bowls([0.2, 0.8], trials=30), SMALL))) == 30
