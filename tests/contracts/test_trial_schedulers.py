"""What holds for every trial scheduler of ours, found through the registry."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_lr import registry
from tune_lr.errors import BadInput, UnknownName
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.journal import Decision
from tune_lr.objective import WORST_LOSS
from tune_lr.space import SearchSpace
from tune_lr.stopping.base import TrialScheduler

MAX_EPOCHS = 9
SCHEDULERS = registry.names("trial_schedulers")


SPACE = SearchSpace.from_dict({"name": "x", "knobs": {"lr": {"type": "float", "low": 0.0, "high": 99.0}}})


def make(name: str, seed: int = 0) -> TrialScheduler:
    part = registry.load("trial_schedulers", name)
    asked = {"space": SPACE} if "space" in inspect.signature(part).parameters else {}
    rule: TrialScheduler = part(max_epochs=MAX_EPOCHS, seed=seed, **asked)
    return rule


def options(name: str) -> dict[str, inspect.Parameter]:
    """What a person may ask of a rule, beside what every job gives it."""
    known = inspect.signature(registry.load("trial_schedulers", name)).parameters
    return {
        key: found
        for key, found in known.items()
        if key not in ("max_epochs", "seed", "space", "trials", "prior", "candidates", "model")
    }


OPTIONS = [(name, option) for name in SCHEDULERS for option in options(name)]


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
                rule.started(running[-1], {"lr": float(running[-1])})
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
    rule.started("0000", {"lr": 0.0})
    rule.done("0000", "failed")
    rule.started("0001", {"lr": 1.0})
    assert rule.decide("0001", 1, 0.5) in ("continue", "pause")


@pytest.mark.parametrize("name", SCHEDULERS)
@given(curves=curves, other=values)
def test_a_report_that_is_repeated_changes_nothing(
    name: str, curves: list[list[float]], other: float
) -> None:
    repeating = make(name)
    plain = repeating.decide

    def again(trial_id: str, epoch: int, value: float) -> Decision:
        decision = plain(trial_id, epoch, value)
        plain(trial_id, epoch, value)
        plain(trial_id, max(1, epoch - 1), other)
        plain(trial_id, epoch, other)
        return decision

    repeating.decide = again  # type: ignore[method-assign]
    assert play(repeating, curves, 2) == play(make(name), curves, 2)


def drive(name: str, **asked: Any) -> None:
    """Build the rule as a job does."""
    space = {"name": "line", "knobs": {"lr": {"type": "float", "low": 0.1, "high": 1.0}}}
    job = Job.make(
        {"trainer": "x.py:train", "space": space, "trial_scheduler": name, "trial_scheduler_options": asked}
    )
    with Experiment.open(None, job).drive():
        pass


@pytest.mark.parametrize("name", SCHEDULERS)
def test_an_option_that_is_not_the_rules_is_named(name: str) -> None:
    with pytest.raises(UnknownName, match="no_such_option"):
        drive(name, no_such_option=4)


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_a_near_miss_of_an_option_is_told(name: str, option: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean {option}"):
        drive(name, **{option[:-1]: 4})


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 0, -1, "two", None, True, [3]])
@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_an_unusable_value_is_named(name: str, option: str, value: Any) -> None:
    with pytest.raises(BadInput, match=f"{name} option {option}"):
        drive(name, **{option: value})


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_what_counts_must_be_whole(name: str, option: str) -> None:
    counts = options(name)[option].annotation in ("int", int)
    if not counts:
        drive(name, **{option: 2.5})
        return
    with pytest.raises(BadInput, match=rf"{name} option {option}: 2.5 .*whole number"):
        drive(name, **{option: 2.5})
    drive(name, **{option: 10**400})  # of no use, but nothing breaks
