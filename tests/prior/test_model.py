"""What the model decides, call by call: where it begins, what it holds on to, and what it never does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.samples.past import bowls, past, trial
from tests.samples.spaces import SMALL
from tune_lr import Prior
from tune_lr.errors import BadInput
from tune_lr.prior.model import Choice, Model, rungs
from tune_lr.space import SearchSpace


@pytest.fixture(scope="module")
def prior() -> Prior:
    return Prior.fit(bowls([0.45, 0.5, 0.55, 0.5], trials=40, epochs=27), SMALL)


def first(values: dict[str, Any]) -> float:
    return SMALL.knobs["lr"].to_unit(values["lr"])


def loss(values: dict[str, Any], epoch: int) -> float:
    return abs(first(values) - 0.5) + float(np.exp(-(epoch - 1) / 3.0))


def begun(model: Model, choice: Choice) -> str:
    """Do what was chosen; the trial's name."""
    if choice.trial_id is not None:
        model.go_on(choice.trial_id)
        return choice.trial_id
    assert choice.values is not None
    trial_id = f"{len(model.running.trials):04d}"
    model.begin(trial_id, choice.values)
    return trial_id


def played(model: Model, choices: int) -> list[tuple[str, str]]:
    """Follow the model, every trial to its next rung; (trial, where the choice came from)."""
    made = []
    for _ in range(choices):
        choice = model.choose()
        if choice == Choice():
            break
        trial_id = begun(model, choice)
        trained = model.running.trials[trial_id]
        values = model._pool.values[trained.place]
        until = next(rung for rung in model.rungs if rung > trained.epochs)
        for epoch in range(trained.epochs + 1, until + 1):
            model.observe(trial_id, epoch, loss(values, epoch))
        (model.end if until == model.running.max_epochs else model.pause)(trial_id)
        made.append((trial_id, choice.why["source"]))
    return made


@pytest.mark.parametrize(
    ("most", "expected"),
    [(1, [1]), (2, [1, 2]), (3, [1, 3]), (9, [1, 3, 9]), (20, [1, 3, 9, 20]), (27, [1, 3, 9, 27])],
)
def test_rungs_lie_at_powers_of_three_and_at_the_end(most: int, expected: list[int]) -> None:
    assert rungs(most) == expected


def test_the_favourite_is_first_and_held_as_long_as_it_goes_well(prior: Prior) -> None:
    model = Model(SMALL, prior=prior)
    choice = model.choose()
    assert choice.why["source"] == "prior"
    assert choice.why["trust"] == 0.5
    assert choice.values is not None
    assert abs(first(choice.values) - 0.5) < 0.1
    made = played(model, 6)
    assert [trial for trial, _ in made[:3]] == ["0000"] * 3
    assert model.running.trials["0000"].epochs == 27 or made[3][0] == "0000"


def test_then_some_are_tried_at_random_to_see_whether_the_history_lies(prior: Prior) -> None:
    sources = [source for _, source in played(Model(SMALL, prior=prior), 12)]
    assert sources.count("control") == 3
    last = max(i for i, source in enumerate(sources) if source == "control")
    assert set(sources[last + 1 :]) <= {"prior", "model"}


def test_the_favourite_is_let_go_when_its_curve_disappoints() -> None:
    # The good fall to a thousandth; the rest hardly at all.
    points, history = SMALL.sample(40, 0), {}
    for task in range(8):
        far = [abs(first(one) - 0.5) for one in points]
        good = set(np.argsort(far)[:4].tolist())
        history[f"t{task}"] = [
            trial(
                SMALL.config(one), [2.0 * (0.5 if i in good else 0.97 - 0.1 * far[i]) ** e for e in range(27)]
            )
            for i, one in enumerate(points)
        ]
    made = Prior.fit(past(**history), SMALL)

    def second(fall: float) -> Choice:
        model = Model(SMALL, prior=made)
        trial_id = begun(model, model.choose())
        for epoch in (1, 2, 3):
            model.observe(trial_id, epoch, 2.0 * fall ** (epoch - 1))
        model.pause(trial_id)
        return model.choose()

    assert second(0.5).trial_id == "0000"
    let_go = second(1.0)
    assert let_go.trial_id is None
    assert let_go.why["source"] == "control"


@pytest.mark.parametrize("what", ["ruined", "ended", "half"])
def test_the_favourite_is_let_go_too_when(what: str, prior: Prior) -> None:
    model = Model(SMALL, prior=prior)
    trial_id = begun(model, model.choose())
    model.observe(trial_id, 1, 1e30 if what == "ruined" else 1.0)
    if what == "half":
        for epoch in range(2, 28):
            model.observe(trial_id, epoch, 1.0 / epoch)
    (model.end if what == "ended" else model.pause)(trial_id)
    assert model.choose().trial_id is None


def test_a_first_trial_of_another_is_not_held(prior: Prior) -> None:
    model = Model(SMALL, prior=prior)
    model.begin("0000", SMALL.sample(1, 77)[0])
    model.observe("0000", 1, 1.0)
    model.pause("0000")
    assert model.choose().why["source"] == "control"


def test_without_a_history_the_default_is_first_and_then_some_at_random() -> None:
    model = Model(SMALL)
    assert model.choose().values == SMALL.default()
    made = played(model, 12)
    assert [source for _, source in made[:6]] == ["start"] * 6
    assert {source for _, source in made[6:]} == {"model"}
    assert "trust" not in model.choose().why


def test_it_finds_what_is_good(prior: Prior) -> None:
    for history, legs, near in ((None, 70, 0.1), (prior, 40, 0.06)):
        model = Model(SMALL, prior=history)
        played(model, legs)
        best = min(model.running.trials.values(), key=lambda trial: min(trial.curve))
        assert abs(first(model._pool.values[best.place]) - 0.5) < near


@pytest.mark.parametrize("history", [True, False])
def test_hearing_of_a_thing_again_changes_nothing(history: bool, prior: Prior) -> None:
    once, twice = (Model(SMALL, prior=prior if history else None) for _ in range(2))
    for step in range(25):
        assert once.choose() == twice.choose()
        trial_id = begun(once, once.choose())
        values = once._pool.values[once.running.trials[trial_id].place]
        epoch = once.running.trials[trial_id].epochs + 1
        once.observe(trial_id, epoch, loss(values, epoch))
        once.pause(trial_id)
        for _ in range(2):
            twice.begin(trial_id, values)
            twice.go_on(trial_id)
        for earlier in (epoch, epoch, 1):
            twice.observe(trial_id, earlier, loss(values, epoch))
        twice.pause(trial_id)
        twice.pause(trial_id)
        twice.observe("nobody", 1, 0.0)
        twice.end("nobody")
        assert len(twice.running.trials) == len(once.running.trials), step


def test_asking_changes_nothing(prior: Prior) -> None:
    asked, quiet = Model(SMALL, prior=prior), Model(SMALL, prior=prior)
    for _ in range(20):
        for _ in range(3):
            assert asked.choose() is asked.choose()
            asked.choose_new()
        played(asked, 1)
        played(quiet, 1)
    assert asked.choose() == quiet.choose()
    assert asked.choose_new() == quiet.choose_new()


def test_an_ended_trial_stays_so(prior: Prior) -> None:
    model = Model(SMALL, prior=prior)
    trial_id = begun(model, model.choose())
    model.observe(trial_id, 1, 0.1)
    model.end(trial_id)
    model.pause(trial_id)
    model.go_on(trial_id)
    assert model.running.trials[trial_id].state == "ended"


@pytest.mark.parametrize("history", [True, False])
def test_there_are_no_more_trials_than_there_may_be(history: bool, prior: Prior) -> None:
    model = Model(SMALL, prior=prior if history else None, trials=7)
    made = played(model, 1000)
    assert len(model.running.trials) == 7
    assert len(made) == 7 * 4, "each is trained to its end at last"
    assert all(trial.epochs == 27 for trial in model.running.trials.values())
    assert model.choose() == Choice()
    assert model.choose_new() == Choice()


def test_where_none_can_be_tried_the_paused_go_on(prior: Prior) -> None:
    model = Model(SMALL, prior=prior)
    played(model, 9)
    model.close()
    count = len(model.running.trials)
    assert model.choose().trial_id is not None
    assert model.choose_new() == Choice()
    played(model, 1000)
    assert len(model.running.trials) == count
    assert model.choose() == Choice()
    fresh = Model(SMALL, prior=prior)
    fresh.close()
    assert fresh.choose() == Choice()


@pytest.mark.parametrize("history", [True, False])
def test_trials_under_way_are_not_proposed_again(history: bool, prior: Prior) -> None:
    model = Model(SMALL, prior=prior if history else None)
    played(model, 10)
    places = []
    for _ in range(4):
        choice = model.choose_new()
        places.append(model._pool.place(choice.values or {}))
        begun(model, choice)
    assert len(set(places)) == 4
    under_way = {t.trial_id for t in model.running.trials.values() if t.state == "running"}
    assert len(under_way) == 4
    for _ in range(12):
        trial_id = begun(model, model.choose())
        assert trial_id not in under_way
        under_way.add(trial_id)


@pytest.mark.parametrize("history", [True, False])
def test_only_candidates_are_proposed_each_once(history: bool, prior: Prior) -> None:
    candidates = [SMALL.normalize(point) for point in SMALL.sample(20, 4)]
    model = Model(SMALL, prior=prior if history else None, candidates=candidates)
    chosen = []
    while (choice := model.choose_new()).values is not None:
        chosen.append(candidates.index(choice.values))
        trial_id = begun(model, choice)
        model.observe(trial_id, 1, loss(choice.values, 1))
        model.end(trial_id)
    assert sorted(chosen) == list(range(20))
    with pytest.raises(BadInput):
        Model(SMALL, candidates=[{"lr": 7.0}])


def test_the_seed_decides(prior: Prior) -> None:
    def places(seed: int) -> list[int]:
        model = Model(SMALL, prior=prior, seed=seed)
        played(model, 15)
        return [trial.place for trial in model.running.trials.values()]

    assert places(1) == places(1)
    assert places(1) != places(2)


def test_a_prior_of_another_space_and_what_is_none_are_refused(prior: Prior) -> None:
    other = SearchSpace.from_dict(
        {"name": "other", "knobs": {"lr": {"type": "float", "low": 0.1, "high": 1.0}}}
    )
    with pytest.raises(BadInput, match="prior"):
        Model(other, prior=prior)
    with pytest.raises(BadInput, match="prior"):
        Model(SMALL, prior="starter")  # type: ignore[arg-type]
