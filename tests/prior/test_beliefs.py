"""What is believed before and after trials, beside the same worked out the plain way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from tune_lr.prior import beliefs
from tune_lr.prior.beliefs import Belief, from_history, posterior, weights, without_history
from tune_lr.prior.kernels import LEVEL, Kernel

KERNEL = Kernel(np.array([0.4, 0.8]), 1.0, 0.1)
RNG = np.random.default_rng(4)
POOL = RNG.random((12, 2))
EVERY = np.arange(12)


def belief(mean: float = 0.0) -> Belief:
    factors = np.random.default_rng(5).normal(size=(3, 12))
    return Belief("history", 0.25, np.full(12, mean) + 0.1 * EVERY, factors, KERNEL, 0.5)


def after(one: Belief, places: list[int], scores: list[float], noise: float = 0.1) -> tuple:
    rows = np.array([one.row(POOL, place) for place in places]).reshape(len(places), 12)
    where, noises = np.array(places, dtype=np.int64), np.full(len(places), noise)
    found = posterior(one.mean, one.variance(), rows, where, np.array(scores), noises, EVERY)
    return found.evidence, found.mean, found.variance


def dense(one: Belief) -> np.ndarray:
    """The whole covariance, level included."""
    return one.factors.T @ one.factors + one.share * one.kernel.between(POOL, POOL) + LEVEL


def test_rows_and_variances_are_those_of_the_whole_covariance() -> None:
    one = belief()
    whole = dense(one) - LEVEL
    assert np.array([one.row(POOL, place) for place in EVERY]) == pytest.approx(whole, abs=1e-7)
    assert one.variance() == pytest.approx(np.diag(whole), abs=1e-7)


@pytest.mark.parametrize("places", [[3], [3, 7, 1], [5, 5, 2], list(range(12))])
def test_a_posterior_is_what_a_plain_computation_gives(places: list[int]) -> None:
    one, scores, noise = belief(), list(np.linspace(-1.0, 1.5, len(places))), 0.2
    whole = dense(one)
    seen = whole[np.ix_(places, places)] + noise * np.eye(len(places))
    across = whole[places]
    left = np.array(scores) - one.mean[places]
    evidence, mean, variance = after(one, places, scores, noise)
    assert mean == pytest.approx(one.mean + across.T @ np.linalg.solve(seen, left), abs=1e-4)
    expected = np.diag(whole - across.T @ np.linalg.solve(seen, across))
    assert variance == pytest.approx(expected, abs=1e-4)
    plain = multivariate_normal(one.mean[places], seen).logpdf(scores)
    assert evidence == pytest.approx(plain + 0.5 * len(places) * np.log(2 * np.pi), abs=1e-3)


def test_before_any_trial_a_belief_is_what_it_was() -> None:
    evidence, mean, variance = after(belief(), [], [])
    assert evidence == 0.0
    assert np.array_equal(mean, belief().mean)
    assert np.array_equal(variance, belief().variance())


def test_weights_add_up_to_one_however_far_evidence_goes() -> None:
    held = [belief(), belief(), *without_history(12, [KERNEL, KERNEL])]
    assert weights(held, [0.0] * 4) == pytest.approx(np.array([2, 2, 1, 1]) / 6)
    for evidence in ([1e5, -1e5, 0.0, 3.0], [-1e8, -1e8, -1e8, -1e8], [7.0, 7.0, 6.0, -700.0]):
        found = weights(held, evidence)
        assert found.sum() == pytest.approx(1.0)
        assert (found >= 0.0).all()
        assert found.argmax() == np.argmax(evidence)


def shapes(count: int, flip: float = 1.0, seed: int = 6) -> np.ndarray:
    """Tasks of one shape over the pool, and a little of their own."""
    rng = np.random.default_rng(seed)
    shared = 3.0 * POOL[:, 0] - 1.5
    return np.array([flip * shared + 0.3 * rng.standard_normal(12) for _ in range(count)])


def trust(trial_scores: np.ndarray, trials: int) -> np.ndarray:
    """How far each belief is trusted after some trials: three of a history, the last of none."""
    held = from_history(shapes(8), np.full((8, 12), 0.1), KERNEL) + without_history(12, [KERNEL])
    places = [int(place) for place in np.random.default_rng(7).permutation(12)[:trials]]
    scores = list(trial_scores[places])
    return weights(held, [after(one, places, scores)[0] for one in held])


def test_a_history_that_is_right_gains_weight() -> None:
    right = shapes(1, seed=8)[0]
    assert trust(right, 0) == pytest.approx(0.25)
    assert trust(right, 3)[3] > trust(right, 10)[3]
    assert trust(right, 10)[:3].sum() > 0.95


def test_one_that_is_flipped_loses_what_it_said_but_not_what_it_knows_of_shapes() -> None:
    flipped = shapes(1, -1.0, seed=8)[0]
    assert trust(flipped, 5)[:2].sum() < 0.1
    assert trust(flipped, 8)[:2].sum() < 0.05
    assert trust(flipped, 8)[2:].sum() > 0.95


def test_one_that_has_nothing_to_do_with_what_is_seen_loses_all() -> None:
    other = np.array([3.0 * np.sin(4.0 * y) for y in POOL[:, 1]])
    assert trust(other, 10)[3] > max(trust(other, 4)[3], 0.6)


def test_tasks_that_agree_make_a_mean_and_those_that_do_not_make_none() -> None:
    first, second, third = from_history(shapes(8), np.full((8, 12), 0.1), KERNEL)
    assert np.corrcoef(first.mean, POOL[:, 0])[0, 1] > 0.98
    assert np.array_equal(first.mean, second.mean)
    assert not third.mean.any()
    both = np.concatenate([shapes(4), shapes(4, -1.0)])
    split, *_ = from_history(both, np.full((8, 12), 0.1), KERNEL)
    assert np.abs(split.mean).max() < 0.3 * np.abs(first.mean).max()
    assert np.median(split.variance()) > 2.0 * np.median(first.variance())


def test_what_is_not_known_of_a_task_counts_less() -> None:
    scores = np.array([np.linspace(-1, 1, 12), np.linspace(1, -1, 12)])
    sure, *_ = from_history(scores, np.array([[0.0] * 12, [9.0] * 12]), KERNEL)
    assert np.corrcoef(sure.mean, scores[0])[0, 1] > 0.99


def test_one_task_alone_can_be_a_history() -> None:
    for one in from_history(shapes(1), np.full((1, 12), 0.1), KERNEL):
        _, mean, variance = after(one, [1, 2], [0.5, -0.5])
        assert np.isfinite(mean).all()
        assert (variance > 0.0).all()


def test_without_history_nothing_is_expected_and_near_ones_are_alike() -> None:
    (one,) = without_history(12, [KERNEL])
    assert one.name == "alone"
    assert not one.mean.any()
    _, _, variance = after(one, [0, 1, 2], [2.0, -1.0, -1.0], 0.01)
    nearest = np.linalg.norm((POOL[3:] - POOL[0]) / KERNEL.lengths, axis=1).argmin() + 3
    assert variance[nearest] < np.median(variance[3:])


def test_a_covariance_that_rounding_has_spoilt_is_mended() -> None:
    one = Belief("alone", 0.25, np.zeros(12), np.full((1, 12), 1e7), KERNEL, 0.5)
    evidence, mean, variance = after(one, [0, 0, 0, 1], [0.0, 1.0, 0.5, 0.2], 0.0)
    assert np.isfinite(evidence)
    assert np.isfinite(mean).all()
    assert (variance > 0.0).all()


@pytest.mark.parametrize("asked", [[4], [11, 0, 4], list(range(12)), list(range(11, 2, -1))])
@pytest.mark.parametrize("at_a_time", [1, 5, 1024])
def test_however_much_is_asked_and_in_what_parts(
    asked: list[int], at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, places = belief(), [3, 7, 1]
    _, mean, variance = after(one, places, [1.0, 0.0, -1.0])
    monkeypatch.setattr(beliefs, "_AT_A_TIME", at_a_time)
    rows = [one.row(POOL, place) for place in places]
    found = posterior(
        one.mean, one.variance(), rows, np.array(places), np.array([1.0, 0.0, -1.0]), np.full(3, 0.1),
        np.array(asked),
    )  # fmt: skip
    assert found.mean == pytest.approx(mean[asked], abs=1e-9)
    assert found.variance == pytest.approx(variance[asked], abs=1e-9)


def test_rows_of_several_are_the_rows_of_each() -> None:
    for one in (belief(), *without_history(12, [KERNEL])):
        by_knobs = list(KERNEL.between(POOL[[2, 5, 2]], POOL))
        together = one.rows([2, 5, 2], by_knobs)
        assert np.array(together) == pytest.approx(np.array([one.row(POOL, i) for i in (2, 5, 2)]), abs=1e-7)
