"""ASHA against cases worked by hand."""

from __future__ import annotations

import pytest

from tune_lr.errors import BadInput
from tune_lr.stopping.asha import Asha, AshaPromote
from tune_lr.stopping.median import Median


def started(rule: Asha | AshaPromote, count: int) -> list[str]:
    trials = [f"{number:04d}" for number in range(count)]
    for trial in trials:
        rule.started(trial, {})
    return trials


def test_the_first_at_a_rung_goes_on_and_then_one_in_three() -> None:
    rule = Asha(max_epochs=27)
    trials = started(rule, 6)
    # At rung 1: 5.0 alone; 4.0 best of two; 6.0 third of three; 4.5 second of four (1 * 3 < 4); 4.6 third of
    # five (2 * 3 > 5); 3.9 best of six.
    values = [5.0, 4.0, 6.0, 4.5, 4.6, 3.9]
    decisions = [rule.decide(trial, 1, value) for trial, value in zip(trials, values, strict=True)]
    assert decisions == ["continue", "continue", "stop", "continue", "stop", "continue"]


def test_rungs_lie_at_powers_below_the_end() -> None:
    rule = Asha(max_epochs=27)
    good, bad = started(rule, 2)
    stops = []
    for epoch in range(1, 28):
        assert rule.decide(good, epoch, 0.0) == "continue"
        if rule.decide(bad, epoch, 1.0) == "stop":
            stops.append(epoch)
    assert stops == [1, 3, 9]


def test_a_report_that_skips_rungs_enters_the_highest_it_passed() -> None:
    rule = Asha(max_epochs=27)
    first, second = started(rule, 2)
    assert rule.decide(first, 4, 0.5) == "continue"  # enters rung 3 only
    assert rule.decide(second, 1, 0.9) == "continue"  # alone at rung 1
    assert rule.decide(second, 3, 0.9) == "stop"


def test_repeating_a_report_changes_nothing() -> None:
    rule = Asha(max_epochs=27)
    first, second, third = started(rule, 3)
    for _ in range(5):
        rule.decide(first, 1, 0.1)
    assert rule.decide(second, 1, 0.2) == "stop"  # second of two, not of six
    assert rule.decide(third, 1, 0.05) == "continue"


def test_promotion_waits_for_three_and_takes_the_best() -> None:
    rule = AshaPromote(max_epochs=27)
    a, b, c = started(rule, 3)
    assert rule.decide(a, 1, 0.3) == "pause"
    assert rule.resume() is None
    assert rule.decide(b, 1, 0.1) == "pause"
    assert rule.resume() is None
    assert rule.decide(c, 1, 0.2) == "pause"
    assert rule.resume() == b
    assert rule.resume() is None  # one in three, and it was


def test_one_that_deserves_it_at_once_is_not_paused() -> None:
    rule = AshaPromote(max_epochs=27)
    a, b, c = started(rule, 3)
    rule.decide(a, 1, 0.3)
    rule.decide(b, 1, 0.2)
    assert rule.decide(c, 1, 0.1) == "continue"


def test_higher_rungs_are_promoted_first() -> None:
    rule = AshaPromote(max_epochs=27)
    trials = started(rule, 12)
    for number, trial in enumerate(trials[:9]):
        rule.decide(trial, 1, float(number))
    promoted = [rule.resume() for _ in range(3)]
    assert promoted == trials[:3]
    for trial in trials[:3]:
        rule.decide(trial, 3, float(trials.index(trial)))
    for number, trial in enumerate(trials[9:]):
        rule.decide(trial, 1, 10.0 + number)
    assert rule.resume() == trials[0]  # from rung 3 to 9, before any from rung 1


def test_brackets_are_drawn_by_the_seed() -> None:
    def first_stops(seed: int) -> list[int]:
        rule = Asha(max_epochs=27, brackets=3, seed=seed)
        trials = started(rule, 30)
        stops = []
        for trial in trials:
            for epoch in range(1, 28):
                if rule.decide(trial, epoch, float(trials.index(trial))) == "stop":
                    stops.append(epoch)
                    break
        return stops

    assert first_stops(1) == first_stops(1) != first_stops(2)
    assert set(first_stops(1)) == {1, 3, 9}


@pytest.mark.parametrize(
    "options",
    [{"grace": 0}, {"reduction_factor": 1}, {"brackets": 0}, {"grace": "two"}, {"grace": float("nan")}],
)
def test_unusable_options_are_named(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(BadInput, match=name):
        Asha(max_epochs=27, **options)  # type: ignore[arg-type]


def test_median_compares_the_best_with_running_averages() -> None:
    rule = Median(max_epochs=10, min_trials=3)
    for trial, value in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        assert rule.decide(trial, 1, value) == "continue"
        assert rule.decide(trial, 2, value) == "continue"
    assert rule.decide("d", 1, 1.5) == "continue"  # the others' median is 2
    assert rule.decide("e", 1, 2.5) == "stop"
    assert rule.decide("d", 2, 9.0) == "continue"  # its best is still 1.5
