"""What the model makes of values, epochs and spaces that were not thought of."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.samples.past import bowls
from tests.samples.spaces import SMALL
from tune_lr import Prior, load_space
from tune_lr.objective import WORST_LOSS
from tune_lr.prior.model import Choice, Model
from tune_lr.space import SearchSpace

SPACES = sorted(path.stem for path in (Path(__file__).parents[2] / "searchspaces").glob("*.yaml"))

#: A loss by how good the configuration is (0: best), and by the epoch.
Losses = Callable[[float, int], float]

HOSTILE: dict[str, Losses] = {
    "all diverged": lambda bad, epoch: WORST_LOSS,
    "all equal": lambda bad, epoch: 1.0,
    "all zero": lambda bad, epoch: 0.0,
    "huge": lambda bad, epoch: 1e28 * (1.0 + bad) / epoch,
    "near the worst": lambda bad, epoch: 0.999 * WORST_LOSS,
    "negative": lambda bad, epoch: bad - 10.0 - epoch,
    "very negative": lambda bad, epoch: -1e29 * (2.0 - bad),
    "tiny": lambda bad, epoch: 1e-300 * (1.0 + bad),
    "some diverged": lambda bad, epoch: WORST_LOSS if bad > 0.3 and epoch > 1 else bad,
    "rising": lambda bad, epoch: bad + epoch,
}


@pytest.fixture(scope="module")
def prior() -> Prior:
    return Prior.fit(bowls([0.45, 0.5, 0.55], trials=30), SMALL)


def played(model: Model, choices: int, losses: Losses, stride: int = 1, beyond: int = 0) -> None:
    """Follow the model; a report every ``stride`` epochs, the last ones past the end."""
    for _ in range(choices):
        choice = model.choose()
        if choice == Choice():
            return
        trial_id = choice.trial_id or f"{len(model.running.trials):04d}"
        if choice.values is not None:
            model.space.validate(choice.values)
            assert model._pool.place(choice.values) not in model.running.begun
            model.begin(trial_id, choice.values)
        model.go_on(trial_id)
        trial = model.running.trials[trial_id]
        bad = abs(float(model._pool.rows[trial.place, 0]) - 0.5)
        until = next((rung for rung in model.rungs if rung > trial.epochs), trial.epochs) + beyond
        for epoch in range(trial.epochs + stride, until + stride, stride):
            model.observe(trial_id, epoch, losses(bad, epoch))
        (model.end if trial.epochs >= model.running.max_epochs or trial.ruined else model.pause)(trial_id)
        told = choice.why.get("trust", 0.0)
        assert 0.0 <= told <= 1.0


@pytest.mark.parametrize("history", [True, False])
@pytest.mark.parametrize("losses", HOSTILE.values(), ids=HOSTILE)
def test_it_goes_on_whatever_the_losses(losses: Losses, history: bool, prior: Prior) -> None:
    model = Model(SMALL, prior=prior if history else None, max_epochs=9)
    played(model, 30, losses)
    assert len(model.running.trials) >= 4
    assert model.choose() != Choice()


@pytest.mark.parametrize("history", [True, False])
def test_epochs_beyond_the_most_do_no_harm(history: bool, prior: Prior) -> None:
    model = Model(SMALL, prior=prior if history else None, max_epochs=9)
    played(model, 30, lambda bad, epoch: bad + 1.0 / epoch, beyond=4)
    assert max(trial.epochs for trial in model.running.trials.values()) > 9
    assert model.choose() != Choice()


@pytest.mark.parametrize("history", [True, False])
def test_reports_may_come_every_five_epochs(history: bool, prior: Prior) -> None:
    model = Model(SMALL, prior=prior if history else None, max_epochs=27)
    played(model, 40, lambda bad, epoch: bad + 1.0 / epoch, stride=5)
    best = min(model.running.trials.values(), key=lambda trial: np.nanmin(trial.curve))
    assert abs(float(model._pool.rows[best.place, 0]) - 0.5) < 0.15
    assert all(math.isnan(trial.curve[0]) for trial in model.running.trials.values())


@pytest.mark.parametrize("most", [1, 2, 3])
def test_short_trainings(most: int, prior: Prior) -> None:
    for history in (None, prior):
        model = Model(SMALL, prior=history, max_epochs=most)
        played(model, 20, lambda bad, epoch: bad)
        assert len(model.running.trials) > 5


@pytest.mark.parametrize("name", SPACES)
def test_every_space_that_ships(name: str) -> None:
    space = load_space(name)
    model = Model(space, max_epochs=9)
    keys = set()
    for number in range(15):
        choice = model.choose_new()
        assert choice.values is not None
        space.validate(choice.values)
        keys.add(space.key(choice.values))
        model.begin(str(number), choice.values)
        for epoch in range(1, 4 if number % 3 else 3):
            model.observe(str(number), epoch, float(len(str(choice.values)) % 17) + 1.0 / epoch)
        model.pause(str(number))
    assert len(keys) == 15


@pytest.mark.parametrize(
    "knobs",
    [
        {"x": {"type": "constant", "value": 1}},
        {"x": {"type": "categorical", "values": ["a", "b"]}},
        {"x": {"type": "int", "low": 1, "high": 3}},
    ],
    ids=["one point", "two", "three"],
)
def test_a_space_of_hardly_any_points_ends(knobs: dict[str, dict[str, object]]) -> None:
    space = SearchSpace.from_dict({"name": "few", "knobs": knobs})
    model = Model(space, max_epochs=3)
    played(model, 100, lambda bad, epoch: bad)
    assert len(model.running.trials) == {"constant": 1, "categorical": 2, "int": 3}[str(knobs["x"]["type"])]
    assert model.choose() == Choice()


def test_many_trials_at_once_are_all_different(prior: Prior) -> None:
    model = Model(SMALL, prior=prior)
    for number in range(60):
        choice = model.choose_new()
        assert choice.values is not None
        model.begin(str(number), choice.values)
    assert len(model.running.begun) == 60


def test_trials_that_end_without_a_word_are_passed_over(prior: Prior) -> None:
    model = Model(SMALL, prior=prior)
    for number in range(12):
        choice = model.choose()
        assert choice.values is not None
        model.begin(str(number), choice.values)
        model.end(str(number))
    assert len(model.running.begun) == 12
