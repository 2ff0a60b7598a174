"""Whether past tasks tell of one another shows before anything is trained."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from tune_lr.prior.coherence import coherence
from tune_lr.prior.filling import Scored
from tune_lr.prior.kernels import Kernel
from tune_lr.prior.model import Model
from tune_lr.prior.prior import Prior
from tune_lr.prior.starter import starter_prior
from tune_lr.spacefile import load_space

KERNEL = Kernel(np.array([0.4, 2.0]))


def task(shape: np.ndarray, rows: np.ndarray) -> Scored:
    places = np.argsort(np.argsort(shape))
    return Scored(rows, ndtri((places + 0.5) / len(places)), np.full(len(rows), 0.03))


def tasks(count: int, alike: bool, seed: int = 0, trials: int = 60) -> list[Scored]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        rows = rng.random((trials, 2))
        good = 0.5 + 0.05 * rng.standard_normal() if alike else rng.random()
        noise = 0.05 * rng.standard_normal(trials)
        shape = -np.abs(rows[:, 0] - good) + noise if alike else rng.standard_normal(trials)
        found.append(task(shape, rows))
    return found


@pytest.mark.parametrize("trials", [20, 60])
def test_tasks_that_are_alike_deserve_trust_and_chance_does_not(trials: int) -> None:
    chance = [coherence(tasks(10, alike=False, seed=seed, trials=trials), KERNEL) for seed in range(7)]
    assert np.median(chance) == 0.0
    assert max(chance) < 0.8  # of ten tasks, chance makes some tell of others
    assert all(coherence(tasks(10, alike=True, seed=seed, trials=trials), KERNEL) == 1.0 for seed in range(7))


def test_a_task_alone_is_trusted_as_is_usual_since_nothing_speaks_against_it() -> None:
    assert coherence(tasks(1, alike=True), KERNEL) == 1.0


def test_tasks_of_which_half_are_turned_round_say_little_together() -> None:
    whole = tasks(10, alike=True)
    half = [Scored(t.rows, -t.scores, t.noise) if i % 2 else t for i, t in enumerate(whole)]
    assert coherence(half, KERNEL) < 0.7
    turned = [Scored(t.rows, -t.scores, t.noise) for t in whole]
    assert coherence(turned, KERNEL) == 1.0  # that all lie alike, no past task can tell


def test_scores_that_are_all_the_same_say_nothing() -> None:
    flat = [Scored(t.rows, np.zeros(60), t.noise) for t in tasks(4, alike=True)]
    assert 0.0 <= coherence(flat, KERNEL) <= 1.0


def test_a_history_of_chance_recommends_nothing_and_the_starter_does(monkeypatch: pytest.MonkeyPatch) -> None:
    space = load_space("greedy_lr")
    prior = starter_prior(space)
    assert isinstance(prior, Prior)
    assert prior.coherence == 1.0
    assert Model(space, prior=prior).choose().why["source"] == "prior"
    monkeypatch.setattr("tune_lr.prior.prior.coherence", lambda *_: 0.0)
    lying = Prior(prior.space, prior.tasks, prior.kernel, prior.noise)
    choice = Model(space, prior=lying).choose()
    assert choice.why == {"source": "start"}
    assert choice.values == space.default()
