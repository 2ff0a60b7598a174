"""What holds for every trial scheduler of ours, found through the registry."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_lr import registry
from tune_lr.objective import WORST_LOSS
from tune_lr.stopping.base import TrialScheduler

MAX_EPOCHS = 9
SCHEDULERS = registry.names("trial_schedulers")


def make(name: str, seed: int = 0) -> TrialScheduler:
    rule: TrialScheduler = registry.load("trial_schedulers", name)(max_epochs=MAX_EPOCHS, seed=seed)
    return rule


def play(rule: TrialScheduler, curves: list[list[float]], workers: int) -> list[tuple[Any, ...]]:
    """Run made-up trials as an engine would, and note everything that the rule says."""
    said: list[tuple[Any, ...]] = []
    reached = dict.fromkeys((f"{n:04d}" for n in range(len(curves))), 0)
    fresh, running, paused = list(reached), [], set()
    while True:
        while len(running) < workers:
            promoted = rule.resume()
            if promoted is not None:
                assert promoted in paused, "only what this rule paused may be resumed"
                paused.discard(promoted)
                said.append(("resume", promoted))
                running.append(promoted)
            elif fresh:
                running.append(fresh.pop(0))
                rule.started(running[-1], {})
            else:
                break
        if not running:
            return said
        trial = running.pop(0)
        reached[trial] += 1
        decision = rule.decide(trial, reached[trial], curves[int(trial)][reached[trial] - 1])
        said.append((trial, reached[trial], decision))
        assert decision in ("continue", "pause", "stop")
        assert decision != "pause" or rule.pauses
        if decision == "continue" and reached[trial] < MAX_EPOCHS:
            running.append(trial)
        elif decision == "pause":
            paused.add(trial)
        else:
            rule.done(trial, "stopped" if decision == "stop" else "completed")


values = st.one_of(st.floats(-10, 10), st.just(WORST_LOSS), st.just(-WORST_LOSS))
curves = st.lists(st.lists(values, min_size=MAX_EPOCHS, max_size=MAX_EPOCHS), min_size=1, max_size=14)


@pytest.mark.parametrize("name", SCHEDULERS)
@given(curves=curves, workers=st.integers(1, 4), seed=st.integers(0, 3))
def test_the_same_calls_give_the_same_decisions(
    name: str, curves: list[list[float]], workers: int, seed: int
) -> None:
    assert play(make(name, seed), curves, workers) == play(make(name, seed), curves, workers)


@pytest.mark.parametrize("name", SCHEDULERS)
@given(curves=curves)
def test_a_resume_that_names_nobody_changes_nothing(name: str, curves: list[list[float]]) -> None:
    asked_often = make(name)
    plain = asked_often.resume

    def often() -> str | None:
        for _ in range(3):
            answer = plain()
            if answer is not None:
                return answer
        return None

    asked_often.resume = often  # type: ignore[method-assign]
    assert play(asked_often, curves, 2) == play(make(name), curves, 2)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_no_trial_is_stopped_before_it_reported(name: str) -> None:
    rule = make(name)
    rule.started("0000", {})
    rule.done("0000", "failed")
    rule.started("0001", {})
    assert rule.decide("0001", 1, 0.5) in ("continue", "pause")
