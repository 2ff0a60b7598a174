"""What past tasks tell of configurations that they have not tried."""

from __future__ import annotations

import numpy as np
import pytest

from tune_lr.prior import filling
from tune_lr.prior.filling import Filler, Scored, fill
from tune_lr.prior.kernels import Kernel

KERNEL = Kernel(np.array([0.4, 2.0]), 1.0, 0.05)
POOL = np.random.default_rng(9).random((40, 2))


def truth(rows: np.ndarray, center: float = 0.5) -> np.ndarray:
    return np.asarray(1.0 - 4.0 * np.abs(rows[:, 0] - center))


def seen(count: int, center: float = 0.5, seed: int = 0, noise: float = 0.01) -> Scored:
    rows = np.random.default_rng(seed).random((count, 2))
    return Scored(rows, truth(rows, center), np.full(count, noise))


def alike(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def test_what_a_task_has_seen_stays() -> None:
    odd = seen(30)
    odd.scores[3] = 4.0  # an outlier that nothing around it bears out
    scores, unknown = fill([odd, seen(30, seed=1)], np.concatenate([POOL, odd.rows]), KERNEL)
    assert scores.shape == unknown.shape == (2, 70)
    own, never = slice(40, 70), slice(0, 40)
    assert scores[0, 43] > scores[0, never].max() + 0.5
    assert np.median(np.abs(scores[0, own] - odd.scores)) < 0.15
    assert np.median(unknown[0, own]) < 0.7 * np.median(unknown[0, never])
    assert scores[1, 43] < scores[0, 43] - 0.5, "what one task saw is not what another did"


def test_twenty_trials_are_enough_where_tasks_share_a_shape() -> None:
    tasks = [seen(20, center, seed) for seed, center in enumerate((0.45, 0.5, 0.55, 0.5))]
    scores, unknown = fill(tasks, POOL, KERNEL)
    for told, center in zip(scores, (0.45, 0.5, 0.55, 0.5), strict=True):
        assert alike(told, truth(POOL, center)) > 0.95
    assert (unknown < 1.0).all()


def test_a_task_that_saw_little_is_lent_what_others_share() -> None:
    few = seen(4, 0.5, 7)
    with_others, _ = fill([few, *(seen(30, 0.5, seed) for seed in range(3))], POOL, KERNEL)
    alone, unknown = fill([few], POOL, KERNEL)
    assert alike(with_others[0], truth(POOL)) > alike(alone[0], truth(POOL))
    assert alike(with_others[0], truth(POOL)) > 0.9
    assert (unknown > 0.0).all()


def test_a_task_of_its_own_is_not_made_like_the_others() -> None:
    tasks = [seen(40, 0.2, 5), *(seen(40, 0.8, seed) for seed in range(4))]
    scores, _ = fill(tasks, POOL, KERNEL)
    assert alike(scores[0], truth(POOL, 0.2)) > 0.9
    assert alike(scores[1], truth(POOL, 0.8)) > 0.9


def test_parts_of_a_pool_are_filled_as_the_whole_is() -> None:
    filler = Filler([seen(20), seen(20, 0.3, 1)], KERNEL)
    whole = filler.at(POOL)
    parts = [filler.at(part) for part in (POOL[:7], POOL[7:8], POOL[8:])]
    for i in (0, 1):
        assert np.concatenate([part[i] for part in parts], axis=1) == pytest.approx(whole[i], abs=1e-9)
    assert np.array_equal(fill([seen(20), seen(20, 0.3, 1)], POOL, KERNEL)[0], whole[0])


def test_the_same_configurations_in_every_task_count_as_one_each() -> None:
    rows = np.random.default_rng(2).random((30, 2))
    tasks = [Scored(rows, truth(rows, center), np.full(30, 0.01)) for center in (0.4, 0.5, 0.6)]
    scores, _ = fill(tasks, POOL, KERNEL)
    assert all(alike(told, truth(POOL, c)) > 0.95 for told, c in zip(scores, (0.4, 0.5, 0.6), strict=True))


def test_more_trials_than_can_be_conditioned_on_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "_SHARED", 50)
    monkeypatch.setattr(filling, "_OWN", 30)
    tasks = [seen(200, 0.5, seed) for seed in range(2)]
    scores, _ = fill(tasks, np.concatenate([POOL, tasks[0].rows[:1]]), KERNEL)
    assert alike(scores[0, :40], truth(POOL)) > 0.95


def test_noisy_scores_are_trusted_less() -> None:
    rows = POOL[:1]
    sure, unsure = (
        fill([Scored(np.r_[rows, seen(20).rows], np.r_[5.0, seen(20).scores], np.r_[n, [0.01] * 20])],
             rows, KERNEL)[0][0, 0]
        for n in (0.01, 50.0)
    )  # fmt: skip
    assert sure > unsure + 1.0
