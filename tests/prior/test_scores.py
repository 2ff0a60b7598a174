"""Scores of trials of different lengths, beside pairs that are counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import ndtri

from tune_lr.prior import scores as module
from tune_lr.prior.scores import filled_forward, running_best, win_scores, wins

NAN = math.nan


def test_a_pair_is_judged_at_the_last_epoch_that_both_reached() -> None:
    curves, last = filled_forward([[1.0, 0.5, 0.1], [0.8, 0.7], [0.9], [0.6, 0.6, 0.6]], 3)
    # a | b at 2: .5 < .7; c at 1: 1 > .9; d at 3: .1 < .6          -> 2
    # b | a lost; c at 1: .8 < .9; d at 2: .7 > .6                  -> 1
    # c | a at 1: .9 < 1; b lost; d at 1: .9 > .6                   -> 1
    # d | a lost; b at 2; c at 1                                    -> 2
    assert wins(curves, last).tolist() == [2.0, 1.0, 1.0, 2.0]
    assert win_scores(curves, last) == pytest.approx(ndtri([2.5 / 4, 1.5 / 4, 1.5 / 4, 2.5 / 4]))


def test_a_tie_is_half_a_win() -> None:
    curves, last = filled_forward([[1.0], [1.0], [2.0]], 1)
    assert wins(curves, last).tolist() == [1.5, 1.5, 0.0]
    assert win_scores(*filled_forward([[1.0]] * 5, 1)) == pytest.approx(np.zeros(5))


def test_one_trial_is_neither_good_nor_bad() -> None:
    assert win_scores(*filled_forward([[3.0]], 4)).tolist() == [0.0]


def test_gaps_have_the_value_before_them() -> None:
    made, last = filled_forward([[NAN, 2.0, NAN, 1.0, NAN], [5.0], [NAN, NAN], [4.0] * 9], 6)
    assert made[0].tolist() == [2.0, 2.0, 2.0, 1.0, 1.0, 1.0]
    assert made[1].tolist() == [5.0] * 6
    assert np.isnan(made[2]).all()
    assert made[3].tolist() == [4.0] * 6
    assert last.tolist() == [4, 1, 0, 6]


@given(
    values=arrays.arrays(
        np.float64, st.tuples(st.integers(1, 15), st.just(3)), elements=st.integers(-3, 3).map(float)
    ),
    seed=st.integers(0, 5),
)
def test_what_all_win_is_what_all_lose(values: np.ndarray, seed: int) -> None:
    last = np.random.default_rng(seed).integers(1, 4, len(values))
    curves, _ = filled_forward([row[:end] for row, end in zip(values, last, strict=True)], 3)
    count = len(values)
    assert wins(curves, last).sum() == pytest.approx(count * (count - 1) / 2)
    assert np.isfinite(win_scores(curves, last)).all()
    assert wins(-curves, last) == pytest.approx(count - 1 - wins(curves, last))


def test_many_trials_are_scored_against_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    curves, last = filled_forward(list(rng.normal(size=(1200, 4))), 4)
    whole = win_scores(curves, last)
    monkeypatch.setattr(module, "_OPPONENTS", 300)
    some = win_scores(curves, last)
    assert np.isfinite(some).all()
    assert np.corrcoef(whole, some)[0, 1] > 0.98
    assert some.std() == pytest.approx(1.0, abs=0.05)
    worst, best = curves[:, -1].argmax(), curves[:, -1].argmin()
    assert some[worst] == some.min()
    assert some[best] == some.max()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_size_of_a_metric_does_not_count(scale: float) -> None:
    base = np.random.default_rng(1).normal(size=(9, 3))
    last = np.array([1, 2, 3] * 3)
    assert np.array_equal(win_scores(base * scale, last), win_scores(base, last))


def test_the_best_so_far_passes_over_gaps() -> None:
    assert running_best(np.array([[3.0, NAN, 4.0, 1.0]])).tolist() == [[3.0, 3.0, 3.0, 1.0]]
