"""Paired samples, by their ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tune_lr.comparing.ranks import ALPHA, paired, pairs_needed, signed_rank

LOSSES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=14)


@given(LOSSES, st.integers(0, 2**32 - 1))
def test_the_other_way_round_it_is_the_same(sample: list[float], seed: int) -> None:
    other = np.random.default_rng(seed).permutation(sample).tolist()
    one, two = paired(sample, other), paired(other, sample)
    assert one.p == pytest.approx(two.p)
    assert one.effect == pytest.approx(-two.effect)
    assert one.difference == pytest.approx(-two.difference)
    assert (one.low, one.high) == (pytest.approx(-two.high), pytest.approx(-two.low))
    assert one.low <= one.difference <= one.high


def test_p_is_scipys_where_nothing_is_tied() -> None:
    ours, theirs = np.random.default_rng(0).normal(size=(2, 11))
    assert paired(ours, theirs).p == pytest.approx(stats.wilcoxon(ours, theirs).pvalue)


@pytest.mark.parametrize(("pairs", "left_out"), [(6, 0), (7, 2), (8, 3), (9, 5), (10, 8), (20, 52)])
def test_the_interval_is_that_of_the_tables(pairs: int, left_out: int) -> None:
    """Critical values of the signed-rank test, two-sided, 5 %: as many means lie beyond either end."""
    difference = np.random.default_rng(pairs).normal(size=pairs)
    means = np.sort(((difference[:, None] + difference) / 2)[np.triu_indices(pairs)])
    found = paired(difference, np.zeros(pairs))
    assert (found.low, found.high) == (means[left_out], means[-1 - left_out])
    assert found.difference == np.median(means)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1)
    held = 0
    for _ in range(1000):
        found = paired(draws.normal(size=10) + 0.7, draws.normal(size=10))
        held += found.low <= 0.7 <= found.high
    assert 0.93 <= held / 1000 <= 0.98


def test_a_run_without_a_loss_is_worse_than_any_other_and_counts_once() -> None:
    found = paired([math.nan, 1.0, 2.0], [5.0, math.nan, math.nan])
    assert found.effect == pytest.approx((1 - 2 + -0) / 3, abs=0.7)
    both = paired([math.nan] * 6, [math.nan] * 6)
    assert (both.p, both.effect, both.difference, both.all_alike) == (1.0, 0.0, 0.0, True)
    lost = paired([math.nan] * 8, [1.0] * 8)
    assert lost.effect == 1.0
    assert lost.p < ALPHA
    assert math.isinf(lost.difference)


def test_nothing_and_samples_that_do_not_fit() -> None:
    assert paired([], []).p == 1.0
    with pytest.raises(ValueError, match="2 and 1"):
        paired([1.0, 2.0], [1.0])


@pytest.mark.parametrize("tests", [1, 2, 6, 30])
def test_fewer_pairs_than_needed_find_nothing_and_so_many_can(tests: int) -> None:
    needed = pairs_needed(tests)
    assert signed_rank(np.arange(1.0, needed + 1))[1] * tests <= ALPHA
    assert signed_rank(np.arange(1.0, needed))[1] * tests > ALPHA
