"""What holds for every searcher, found through the registry."""

from __future__ import annotations

from typing import Any

import pytest

from tune_lr import registry
from tune_lr.searchers.base import WAIT, Searcher, Suggestion
from tune_lr.space import SearchSpace

SEARCHERS = registry.names("searchers")
SPACE = {
    "name": "contract",
    "knobs": {
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True, "default": 0.01},
        "max_lr_ratio": {"type": "float", "low": 1.0, "high": 10.0},
        "patience": {"type": "int", "low": 0, "high": 20},
        "smooth": {"type": "categorical", "values": [True, False]},
        "window_size": {"type": "int", "low": 2, "high": 50, "log": True, "when": {"smooth": True}},
        "momentum": {"type": "constant", "value": 0.9},
    },
}


def make(name: str, seed: int = 3, space: dict[str, Any] = SPACE) -> Searcher:
    searcher: Searcher = registry.load("searchers", name)(
        SearchSpace.from_dict(space), seed=seed, max_epochs=9
    )
    return searcher


def value_of(suggestion: Suggestion, epoch: int) -> float:
    return abs(suggestion.values["lr"] - 0.03) + 1.0 / epoch


def play(searcher: Searcher, count: int, repeat: int = 1) -> list[Suggestion]:
    """Ask, and train each three epochs before the next."""
    asked = []
    for _ in range(count):
        suggestion = searcher.ask()
        assert isinstance(suggestion, Suggestion)
        asked.append(suggestion)
        for epoch in (1, 2, 3):
            for _ in range(repeat):
                searcher.tell(suggestion.trial_id, epoch, value_of(suggestion, epoch))
        searcher.done(suggestion.trial_id, "stopped")
    return asked


@pytest.mark.parametrize("name", SEARCHERS)
def test_proposals_lie_in_the_space_and_are_numbered(name: str) -> None:
    searcher = make(name)
    for number, suggestion in enumerate(play(searcher, 12)):
        searcher.space.validate(suggestion.values)
        assert suggestion.config == searcher.space.config(suggestion.values)
        assert suggestion.trial_id == f"{number:04d}"
        assert suggestion.config["lr"] <= suggestion.config["max_lr"]


@pytest.mark.parametrize("name", SEARCHERS)
def test_the_seed_decides(name: str) -> None:
    first, again, other = (play(make(name, seed), 12) for seed in (3, 3, 4))
    assert first == again
    assert [s.values for s in first] != [s.values for s in other]


@pytest.mark.parametrize("name", SEARCHERS)
def test_hearing_a_report_twice_changes_nothing(name: str) -> None:
    assert play(make(name), 12, repeat=2) == play(make(name), 12)


@pytest.mark.parametrize("name", SEARCHERS)
def test_nothing_is_proposed_twice_and_a_used_up_space_ends(name: str) -> None:
    knobs = {
        "a": {"type": "int", "low": 1, "high": 3},
        "b": {"type": "categorical", "values": ["x", "y y", 'z"']},
    }
    searcher = make(name, space={"name": "small", "knobs": knobs})
    seen = set()
    for _ in range(9):
        suggestion = searcher.ask()
        assert isinstance(suggestion, Suggestion)
        seen.add(tuple(sorted(suggestion.values.items())))
        searcher.tell(suggestion.trial_id, 1, float(suggestion.values["a"]))
        searcher.done(suggestion.trial_id, "completed")
    assert len(seen) == 9
    assert searcher.ask() is None
    assert searcher.ask() is None


@pytest.mark.parametrize("name", SEARCHERS)
def test_pending_trials_do_not_stop_it(name: str) -> None:
    searcher = make(name)
    pending = [searcher.ask() for _ in range(8)]
    assert all(isinstance(suggestion, Suggestion) for suggestion in pending)
    assert WAIT not in pending


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_replayed_searcher_goes_on_as_the_first_did(name: str) -> None:
    # More trials than any searcher draws at random before it has a model, and three under way at a time.
    first, second = make(name), make(name)
    pending: list[Suggestion] = []
    for _ in range(14):
        suggestion = first.ask()
        assert isinstance(suggestion, Suggestion)
        second.replay(suggestion)
        pending.append(suggestion)
        if len(pending) == 3:
            ended = pending.pop(0)
            for searcher in (first, second):
                for epoch in (1, 2, 3):
                    searcher.tell(ended.trial_id, epoch, value_of(ended, epoch))
                searcher.done(ended.trial_id, "stopped")
    following = [first.ask() for _ in range(3)]
    assert [s.trial_id for s in following if isinstance(s, Suggestion)] == ["0014", "0015", "0016"]
    assert [second.ask() for _ in range(3)] == following
