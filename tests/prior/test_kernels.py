"""How alike configurations are by their knobs: the likelihood's slope, and what is learned."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from tune_lr.prior.kernels import LEVEL, Kernel, _surprise, learn


def table(columns: int, count: int, seed: int, matters: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores that one column alone decides, nearly."""
    rng = np.random.default_rng(seed)
    rows = rng.random((count, columns))
    scores = np.sin(5.0 * rows[:, matters]) + 0.05 * rng.standard_normal(count)
    return rows, (scores - scores.mean()) / scores.std(), rng.uniform(0.01, 0.3, count)


def test_a_configuration_is_as_like_itself_as_can_be() -> None:
    rows = np.random.default_rng(0).random((6, 3))
    kernel = Kernel(np.array([0.3, 1.0, 2.0]), signal=1.7)
    found = kernel.between(rows, rows)
    assert np.diag(found) == pytest.approx(1.7, abs=1e-6)
    assert found == pytest.approx(found.T)
    assert np.linalg.eigvalsh(found).min() > -1e-9
    off = found[~np.eye(6, dtype=bool)]
    assert ((off > 0.0) & (off < 1.7)).all()


def test_likeness_falls_with_distance_and_more_so_along_a_short_length() -> None:
    kernel = Kernel(np.array([0.3, 3.0]))
    steps = np.linspace(0.0, 1.0, 11)[:, np.newaxis]
    along = [kernel.between(np.zeros((1, 2)), steps * axis)[0] for axis in np.eye(2)]
    assert all((np.diff(one) < 0.0).all() for one in along)
    assert (along[0][1:] < along[1][1:]).all()
    # Matern 5/2 at one length: (1 + sqrt 5 + 5/3) exp(-sqrt 5)
    assert kernel.between(np.zeros((1, 2)), np.array([[0.3, 0.0]])).item() == pytest.approx(0.52399411)


@pytest.mark.parametrize("level", [LEVEL, 0.0])
@pytest.mark.parametrize("theta", [[0.0, 0.0, 0.0, -2.0], [-1.0, 0.7, 0.4, -0.5]])
def test_the_slope_is_what_finite_differences_say(theta: list[float], level: float) -> None:
    rows, scores, noise = table(2, 15, 1)
    at = np.array(theta)
    _, slope = _surprise(at, rows, scores, noise, level)
    told = approx_fprime(at, lambda x: _surprise(x, rows, scores, noise, level)[0], 1e-6)
    assert slope == pytest.approx(told, rel=1e-3, abs=1e-3)


def test_the_likelihood_is_that_of_a_normal() -> None:
    rows, scores, noise = table(2, 8, 2)
    kernel = Kernel(np.exp([-0.5, 0.2]), float(np.exp(0.3)), float(np.exp(-1.0)))
    covariance = kernel.between(rows, rows) + LEVEL + np.diag(kernel.noise + noise)
    expected = -multivariate_normal(np.zeros(8), covariance).logpdf(scores) - 4 * np.log(2 * np.pi)
    found, _ = _surprise(np.array([-0.5, 0.2, 0.3, -1.0]), rows, scores, noise, LEVEL)
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("matters", [0, 2])
def test_it_is_learned_which_knob_matters(matters: int) -> None:
    vague = Kernel.vague(4)
    found = learn([table(4, 40, seed, matters) for seed in (0, 1, 2)], vague)
    others = np.delete(found.lengths, matters)
    assert found.lengths[matters] < vague.lengths[matters]
    assert others.min() > 3.0 * found.lengths[matters]


def test_scores_that_are_chance_are_taken_for_noise() -> None:
    rng = np.random.default_rng(3)
    tables = [(rng.random((40, 3)), rng.standard_normal(40), np.full(40, 1e-6)) for _ in range(3)]
    clear = learn([table(3, 40, seed) for seed in range(3)], Kernel.vague(3))
    assert learn(tables, Kernel.vague(3)).noise > 5.0 * clear.noise


def test_nothing_is_learned_from_nothing() -> None:
    vague = Kernel.vague(3)
    found = learn([], Kernel(np.array([0.1, 5.0, 1.0]), 2.0, 0.5))
    assert found.lengths == pytest.approx(vague.lengths, rel=1e-3)
    assert (found.signal, found.noise) == pytest.approx((vague.signal, vague.noise), rel=1e-3)


def test_scores_of_one_value_and_rows_that_repeat_do_no_harm() -> None:
    rows = np.zeros((10, 2))
    found = learn([(rows, np.zeros(10), np.full(10, 0.03))], Kernel.vague(2))
    assert np.isfinite(found.lengths).all()
    assert 0.0 < found.signal < 10.0
