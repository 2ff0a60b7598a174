"""``PriorSearcher``: what it proposes, alone and with a trial scheduler that shares its model."""

from __future__ import annotations

from typing import Any

import pytest

from tests.samples.past import bowls
from tests.samples.spaces import SMALL
from tune_lr import Prior, PriorSearcher
from tune_lr.errors import BadInput
from tune_lr.prior.model import Model
from tune_lr.searchers.base import Suggestion
from tune_lr.space import SearchSpace

CANDIDATES = SMALL.sample(12, 8)


@pytest.fixture(scope="module")
def prior() -> Prior:
    return Prior.fit(bowls([0.45, 0.5, 0.55], trials=30), SMALL)


def first(suggestion: Suggestion) -> float:
    return SMALL.knobs["lr"].to_unit(suggestion.values["lr"])


def asked(searcher: PriorSearcher, sign: float = 1.0, pending: int = 1) -> Suggestion:
    """Ask, and train three epochs."""
    suggestion = searcher.ask()
    assert suggestion is not None
    for epoch in (1, 2, 3):
        searcher.tell(suggestion.trial_id, epoch, sign * (abs(first(suggestion) - 0.5) + 1.0 / epoch))
    searcher.done(suggestion.trial_id, "stopped")
    return suggestion


@pytest.mark.parametrize("history", [True, False])
def test_nothing_is_proposed_twice(history: bool, prior: Prior) -> None:
    searcher = PriorSearcher(SMALL, prior if history else None, max_epochs=9)
    made = [asked(searcher) for _ in range(50)]
    assert len({SMALL.key(one.values) for one in made}) == 50
    assert [one.trial_id for one in made] == [f"{i:04d}" for i in range(50)]
    for one in made:
        SMALL.validate(one.values)
        assert one.config == SMALL.config(one.values)
        assert one.config["min_lr"] <= one.config["lr"]


def test_it_begins_with_what_the_past_recommends_and_says_so(prior: Prior) -> None:
    searcher = PriorSearcher(SMALL, prior, max_epochs=9)
    made = [asked(searcher) for _ in range(10)]
    assert made[0].why["source"] == "prior"
    assert abs(first(made[0]) - 0.5) < 0.1
    assert [one.why["source"] for one in made[1:4]] == ["control"] * 3
    assert 0.0 <= made[-1].why["trust"] <= 1.0
    assert set(made[-1].why["tasks"]) <= {"bowl0", "bowl1", "bowl2"}


@pytest.mark.parametrize("history", [True, False])
def test_large_values_are_good_where_that_is_said(history: bool, prior: Prior) -> None:
    low = PriorSearcher(SMALL, prior if history else None, mode="min", max_epochs=9)
    high = PriorSearcher(SMALL, prior if history else None, mode="max", max_epochs=9)
    for _ in range(20):
        assert asked(low, 1.0).values == asked(high, -1.0).values


@pytest.mark.parametrize("history", [True, False])
def test_candidates_are_used_up_and_then_it_ends(history: bool, prior: Prior) -> None:
    configs = [SMALL.config(point) for point in CANDIDATES]
    searcher = PriorSearcher(SMALL, prior if history else None, max_epochs=9, candidates=configs)
    made = [asked(searcher) for _ in range(12)]
    found = sorted(SMALL.key(one.values) for one in made)
    assert found == sorted(SMALL.key(SMALL.normalize(point)) for point in CANDIDATES)
    assert searcher.ask() is None
    assert searcher.ask() is None


def test_candidates_may_have_ratios_or_bounds_and_repeat() -> None:
    given = [*CANDIDATES, *(SMALL.config(point) for point in CANDIDATES)]
    searcher = PriorSearcher(SMALL, candidates=given)
    for _ in range(12):
        asked(searcher)
    assert searcher.ask() is None


@pytest.mark.parametrize("history", [True, False])
def test_four_at_a_time_are_four(history: bool, prior: Prior) -> None:
    searcher = PriorSearcher(SMALL, prior if history else None, max_epochs=9)
    under_way: list[Suggestion] = []
    keys = set()
    for _ in range(40):
        suggestion = searcher.ask()
        assert suggestion is not None
        keys.add(SMALL.key(suggestion.values))
        under_way.append(suggestion)
        if len(under_way) == 4:
            ended = under_way.pop(0)
            searcher.tell(ended.trial_id, 1, abs(first(ended) - 0.5))
            searcher.done(ended.trial_id, "stopped")
    assert len(keys) == 40


def test_what_others_begin_is_learned_from(prior: Prior) -> None:
    searcher = PriorSearcher(SMALL, prior)
    other = SMALL.normalize(SMALL.sample(1, 99)[0])
    searcher.replay(Suggestion("0000", other, SMALL.config(other)))
    searcher.tell("0000", 1, 0.5)
    second = searcher.ask()
    assert second is not None
    assert second.trial_id == "0001"
    assert second.why["source"] == "control"
    assert searcher.model.running.trials["0000"].curve == [0.5]


def test_values_of_unknown_trials_are_passed_over(prior: Prior) -> None:
    searcher, other = PriorSearcher(SMALL, prior), PriorSearcher(SMALL, prior)
    for _ in range(6):
        searcher.tell("9999", 1, 0.0)
        searcher.done("9999", "failed")
        assert asked(searcher) == asked(other)


def test_with_a_shared_model_it_proposes_although_a_paused_one_promises_more(prior: Prior) -> None:
    model = Model(SMALL, prior=prior)
    searcher = PriorSearcher(SMALL, model=model)
    begun = searcher.ask()
    assert begun is not None
    model.observe(begun.trial_id, 1, 0.1)
    model.pause(begun.trial_id)
    assert model.choose().trial_id == begun.trial_id
    assert searcher.ask() is not None
    model.close()
    assert searcher.ask() is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mode": "up"}, "mode"),
        ({"mode": None}, "mode"),
        ({"prior": "starter"}, "prior"),
        ({"prior": {}}, "prior"),
        ({"candidates": [{"lr": 9.0}]}, "candidates"),
        ({"candidates": [{"lr": "fast"}]}, "candidates"),
        ({"candidates": [{"no knob": 1}]}, "candidates"),
    ],
)
def test_what_cannot_be_used_is_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        PriorSearcher(SMALL, **arguments)


def test_a_prior_of_another_space_is_refused(prior: Prior) -> None:
    other = SearchSpace.from_dict(
        {"name": "other", "knobs": {"lr": {"type": "float", "low": 0.1, "high": 1.0}}}
    )
    with pytest.raises(BadInput, match=r"prior.*small.*other"):
        PriorSearcher(other, prior)


@pytest.mark.parametrize("max_epochs", [0, -3, 2.5, True, "9"])
def test_epochs_that_are_none_are_refused(max_epochs: Any) -> None:
    with pytest.raises(BadInput, match="max_epochs"):
        PriorSearcher(SMALL, max_epochs=max_epochs)


def test_no_candidates_are_refused() -> None:
    with pytest.raises(BadInput, match="candidates"):
        PriorSearcher(SMALL, candidates=[])
