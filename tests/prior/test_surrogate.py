"""Several beliefs, kept up with a pool that grows and with trials that come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.samples.past import bowls
from tests.samples.spaces import SMALL
from tune_lr import Prior
from tune_lr.prior.pool import Pool
from tune_lr.prior.running import Running, Seen
from tune_lr.prior.surrogate import Outlook, Surrogate

#: How good a place is, of the first coordinate.
Shape = Callable[[float], float]


@pytest.fixture(scope="module")
def prior() -> Prior:
    return Prior.fit(bowls([0.4, 0.5, 0.6, 0.5], trials=40), SMALL)


@pytest.fixture
def pool() -> Pool:
    return Pool(SMALL, SMALL.sample(60, 3))


def running(pool: Pool, places: list[int], shape: Shape, epochs: int = 9) -> Running:
    made = Running(9)
    for i, place in enumerate(places):
        loss = shape(float(pool.rows[place, 0]))
        made.trials[str(i)] = Seen(str(i), place, [loss + 1.0 / epoch for epoch in range(1, epochs + 1)])
    return made


def look(surrogate: Surrogate, trials: Running, pool: Pool) -> Outlook:
    return surrogate.outlook(trials, np.arange(len(pool)))


def like(x: float) -> float:
    return abs(x - 0.5)


def flipped(x: float) -> float:
    return -abs(x - 0.5)


def test_before_any_trial_the_history_is_believed_as_far_as_it_weighs(prior: Prior, pool: Pool) -> None:
    outlook = look(Surrogate(pool, prior), Running(9), pool)
    assert outlook.trust == pytest.approx(0.5)
    assert outlook.weights.sum() == pytest.approx(1.0)
    assert outlook.tasks == ()
    near = np.abs(pool.rows[:, 0] - 0.5)
    assert near[outlook.mean.argmax()] < 0.15
    assert np.corrcoef(outlook.mean, -near)[0, 1] > 0.8


def test_the_favourite_is_what_past_tasks_recommend(prior: Prior, pool: Pool) -> None:
    favourite = Surrogate(pool, prior).favourite
    assert favourite is not None
    assert abs(pool.rows[favourite, 0] - 0.5) < 0.15
    assert Surrogate(pool, None).favourite is None


def test_without_a_history_there_is_none_to_trust(pool: Pool) -> None:
    surrogate = Surrogate(pool, None)
    outlook = look(surrogate, running(pool, list(range(20)), like), pool)
    assert outlook.trust == 0.0
    assert outlook.tasks == ()
    assert len(outlook.posteriors) == 2
    assert np.corrcoef(outlook.mean, -np.abs(pool.rows[:, 0] - 0.5))[0, 1] > 0.5


def test_trials_move_the_trust_and_name_the_tasks_that_speak(prior: Prior, pool: Pool) -> None:
    right = look(Surrogate(pool, prior), running(pool, list(range(12)), like), pool)
    assert right.trust > 0.8
    assert 1 <= len(right.tasks) <= 3
    assert set(right.tasks) <= {"bowl0", "bowl1", "bowl2", "bowl3"}
    wrong = look(Surrogate(pool, prior), running(pool, list(range(12)), flipped), pool)
    assert wrong.tasks == ()
    assert wrong.weights[:2].sum() < 0.2
    assert abs(pool.rows[wrong.mean.argmax(), 0] - 0.5) > 0.25


def test_scores_of_one_value_make_no_task_speak(prior: Prior, pool: Pool) -> None:
    outlook = look(Surrogate(pool, prior), running(pool, list(range(8)), lambda x: 1.0), pool)
    assert outlook.tasks == ()
    assert np.isfinite(outlook.mean).all()


def test_a_pool_that_grew_is_believed_of_as_one_that_was_whole(prior: Prior) -> None:
    points = SMALL.sample(50, 3)
    whole, grown = Pool(SMALL, points), Pool(SMALL, points[:20])
    first, second = Surrogate(whole, prior), Surrogate(grown, prior)
    trials = running(whole, list(range(15)), like)
    second.outlook(trials, np.arange(20))
    grown.add(points[20:])
    second.grow()
    assert second.scores == pytest.approx(first.scores, abs=1e-9)
    a, b = look(first, trials, whole), look(second, trials, grown)
    assert b.mean == pytest.approx(a.mean, abs=1e-7)
    assert b.weights == pytest.approx(a.weights, abs=1e-7)


def test_asking_again_or_of_some_places_gives_the_same(prior: Prior, pool: Pool) -> None:
    surrogate = Surrogate(pool, prior)
    trials = running(pool, list(range(10)), like, epochs=3)
    whole, again = look(surrogate, trials, pool), look(surrogate, trials, pool)
    assert np.array_equal(whole.mean, again.mean)
    some = surrogate.outlook(trials, np.array([40, 7, 12]))
    assert some.mean == pytest.approx(whole.mean[[40, 7, 12]], abs=1e-9)
    variances = [one.variance[[40, 7, 12]] for one in whole.posteriors]
    for one, expected in zip(some.posteriors, variances, strict=True):
        assert one.variance == pytest.approx(expected, abs=1e-9)
    fresh = look(Surrogate(pool, prior), trials, pool)
    assert fresh.mean == pytest.approx(whole.mean, abs=1e-9)


def test_what_is_pending_makes_its_place_certain_and_moves_no_mean(prior: Prior, pool: Pool) -> None:
    surrogate = Surrogate(pool, prior)
    trials = running(pool, list(range(10)), like)
    before = look(surrogate, trials, pool)
    trials.trials["new"] = Seen("new", 33)
    after = look(surrogate, trials, pool)
    assert np.array_equal(before.mean, after.mean)
    assert np.array_equal(before.weights, after.weights)
    for one, other in zip(before.posteriors, after.posteriors, strict=True):
        assert (other.variance <= one.variance + 1e-9).all()
        assert other.variance[33] < one.variance[33]


def test_knobs_that_matter_are_learned_from_the_running_trials(pool: Pool) -> None:
    surrogate = Surrogate(pool, None)
    trials = running(pool, list(range(7)), like)
    before = look(surrogate, trials, pool)
    surrogate.learn(trials)
    assert np.array_equal(look(surrogate, trials, pool).mean, before.mean), "seven are too few"
    trials = running(pool, list(range(40)), like)
    before = look(surrogate, trials, pool)
    surrogate.learn(trials)
    after = look(surrogate, trials, pool)
    assert after.posteriors[-1].evidence > before.posteriors[-1].evidence
    assert after.weights[-1] > before.weights[-1]
    rest = slice(40, 60)
    better, worse = (
        np.corrcoef(one.posteriors[-1].mean[rest], -np.abs(pool.rows[rest, 0] - 0.5))[0, 1]
        for one in (after, before)
    )
    assert better > worse


def test_a_belief_that_no_longer_counts_is_not_worked_out(pool: Pool) -> None:
    surrogate = Surrogate(pool, None)
    trials = running(pool, list(range(60)), like)
    surrogate.learn(trials)
    outlook = look(surrogate, trials, pool)
    assert len(outlook.posteriors) == len(outlook.weights) == 1
    assert outlook.weights.sum() == pytest.approx(1.0)
    assert np.isfinite(outlook.mean).all()
