"""Covariances that are kept while the pool grows are those that would be worked out anew."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from tests.samples.spaces import SMALL
from tune_lr.prior import likeness
from tune_lr.prior.kernels import Kernel
from tune_lr.prior.likeness import Likeness
from tune_lr.prior.pool import Pool

KERNEL = Kernel(np.array([0.3, 0.5, 1.0, 2.0]), 0.8, 0.1)


def test_rows_follow_the_pool_as_it_grows() -> None:
    points = SMALL.sample(40, 0)
    pool = Pool(SMALL, points[:10])
    kept = Likeness(KERNEL, pool)
    asked = [[3], [3, 7, 1], [9, 3], [25, 3, 0, 9], [39, 25, 1]]
    for places, size in zip(asked, (10, 10, 20, 30, 40), strict=True):
        pool.add(points[:size])
        expected = KERNEL.between(pool.rows[places], pool.rows)
        assert np.array(kept.rows(places)) == pytest.approx(expected, abs=1e-9)
    assert kept.rows([]) == []


def test_what_was_handed_out_does_not_change() -> None:
    points = SMALL.sample(20, 0)
    pool = Pool(SMALL, points[:10])
    kept = Likeness(KERNEL, pool)
    (row,) = kept.rows([2])
    before = row.copy()
    pool.add(points)
    (longer,) = kept.rows([2])
    assert np.array_equal(row, before)
    assert np.array_equal(longer[:10], before)


def test_no_more_is_kept_than_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "_KEPT", 5)
    pool = Pool(SMALL, SMALL.sample(20, 0))
    kept = Likeness(KERNEL, pool)
    for places in ([0, 1, 2], [3, 4, 5], list(range(12)), [19]):
        assert np.array(kept.rows(places)) == pytest.approx(
            KERNEL.between(pool.rows[places], pool.rows), abs=1e-9
        )
        assert len(kept._rows) <= max(5, len(places))


def test_a_copy_grows_with_its_own_pool() -> None:
    pool = Pool(SMALL, SMALL.sample(10, 0))
    kept = Likeness(KERNEL, pool)
    kept.rows([1])
    other = copy.deepcopy(kept)
    pool.add(SMALL.sample(5, 9))
    assert len(kept.rows([1])[0]) == 15
    assert len(other.rows([1])[0]) == 10
