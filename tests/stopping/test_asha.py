"""ASHA against cases worked by hand, and against the same rules written without any bookkeeping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_lr.stopping.asha import Asha, AshaPromote


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


def test_rungs_that_would_coincide_are_one() -> None:
    rule = Asha(max_epochs=10, reduction_factor=1.5)  # 1, 1.5, 2.25, 3.4, 5.1, 7.6
    good, fair, bad = started(rule, 3)
    stops = []
    for epoch in range(1, 11):
        rule.decide(good, epoch, 0.0)
        rule.decide(fair, epoch, 0.5)
        if rule.decide(bad, epoch, 1.0) == "stop":
            stops.append(epoch)
    assert stops == [1, 2, 3, 5, 8]


@pytest.mark.parametrize("factor", [1.5, 2, 2.5, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 9, 40])
def test_of_equal_values_one_in_so_many_goes_on(factor: float, count: int) -> None:
    rule = Asha(max_epochs=27, reduction_factor=factor)
    decisions = [rule.decide(trial, 1, 0.5) for trial in started(rule, count)]
    assert decisions[0] == "continue"
    assert decisions.count("continue") == -(-count // factor)


def test_equal_values_by_hand() -> None:
    rule = Asha(max_epochs=27)
    # Nine times the same: the first, and each time that another three have come. Then a worse one (tenth of
    # ten), and the same again: of eleven four may go on, and three of its equals did.
    values = [0.5] * 9 + [0.6, 0.5, 0.5]
    decisions = [rule.decide(trial, 1, value) for trial, value in zip(started(rule, 12), values, strict=True)]
    assert [n for n, decision in enumerate(decisions) if decision == "continue"] == [0, 3, 6, 10]


def test_a_plateau_below_better_ones_takes_what_they_leave() -> None:
    rule = Asha(max_epochs=27)
    trials = started(rule, 12)
    for trial, value in zip(trials[:2], (0.2, 0.1), strict=True):
        assert rule.decide(trial, 1, value) == "continue"
    decisions = [rule.decide(trial, 1, 0.5) for trial in trials[2:]]
    # Two are better, so the first of the equals needs seven at the rung (2 * 3 < 7), the next one ten.
    assert [n for n, decision in enumerate(decisions, start=3) if decision == "continue"] == [7, 10]


def test_of_equal_values_one_in_so_many_is_promoted() -> None:
    rule = AshaPromote(max_epochs=27)
    trials = started(rule, 9)
    assert [rule.decide(trial, 1, 0.5) for trial in trials] == ["pause"] * 9
    assert [rule.resume() for _ in range(4)] == [*trials[:3], None]


def test_equal_values_are_promoted_in_the_order_of_entering() -> None:
    rule = AshaPromote(max_epochs=27)
    trials = [str(number) for number in (10000, 9999, 10001)]  # as text, 10000 comes before 9999
    for trial in trials:
        rule.started(trial, {})
        assert rule.decide(trial, 1, 0.5) == "pause"
    assert rule.resume() == "10000"
    rule = AshaPromote(max_epochs=27)
    for trial in reversed(trials):
        rule.decide(trial, 1, 0.5)
    assert rule.resume() == "10001"


def test_one_that_ended_while_it_waited_is_not_promoted() -> None:
    rule = AshaPromote(max_epochs=27)
    trials = started(rule, 6)
    for trial in trials:
        assert rule.decide(trial, 1, 0.5) == "pause"
    rule.done(trials[0], "failed")
    rule.done("nobody", "failed")
    assert [rule.resume(), rule.resume()] == [trials[1], None]


def test_one_that_trained_on_while_it_waited_waits_once() -> None:
    rule = AshaPromote(max_epochs=27)
    trials = started(rule, 3)
    for trial in trials:
        rule.decide(trial, 1, 0.5)
    assert rule.decide(trials[0], 3, 0.5) == "pause"
    assert rule.resume() is None


# The same rules without bookkeeping -----------------------------------------------------------------

LEVELS = (1, 3, 9)
few_values = st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.0, 1e30])
happenings = st.lists(
    st.tuples(
        st.sampled_from(["report", "report", "report", "resume", "done"]), st.integers(0, 7), few_values
    ),
    max_size=60,
)


@given(happenings=happenings)
def test_stopping_as_it_is_defined(happenings: list[tuple[str, int, float]]) -> None:
    rule = Asha(max_epochs=27)
    reached: dict[int, int] = {}
    seen: dict[int, list[tuple[float, str]]] = {level: [] for level in LEVELS}
    for _, number, value in happenings:
        epoch = reached[number] = reached.get(number, 0) + 1
        expected = "continue"
        if epoch in LEVELS:
            rung = seen[epoch]
            better = sum(other < value for other, _ in rung)
            equal = sum(other == value and decision == "continue" for other, decision in rung)
            ahead, among = better + equal, len(rung) + 1
            expected = "continue" if ahead == 0 or ahead * 3 < among else "stop"
            rung.append((value, expected))
        assert rule.decide(str(number), epoch, value) == expected


@given(happenings=happenings)
def test_promoting_as_it_is_defined(happenings: list[tuple[str, int, float]]) -> None:
    rule = AshaPromote(max_epochs=27)
    reached: dict[str, int] = {}
    entered: dict[int, list[tuple[float, int, str]]] = {level: [] for level in LEVELS}
    waiting: dict[str, int] = {}

    def best(level: int) -> list[str]:
        rung = sorted(entered[level], key=lambda entry: entry[:2])
        return [trial for _, _, trial in rung[: len(rung) // 3]]

    for kind, number, value in happenings:
        trial = str(number)
        if kind == "report":
            epoch = reached[trial] = reached.get(trial, 0) + 1
            expected = "continue"
            if epoch in LEVELS:
                waiting.pop(trial, None)
                entered[epoch].append((value, len(entered[epoch]), trial))
                if trial not in best(epoch):
                    expected, waiting[trial] = "pause", epoch
            assert rule.decide(trial, epoch, value) == expected
        elif kind == "done":
            waiting.pop(trial, None)
            rule.done(trial, "failed")
        else:
            deserving = [t for level in (9, 3, 1) for t in best(level) if waiting.get(t) == level]
            assert rule.resume() == (deserving[0] if deserving else None)
            if deserving:
                del waiting[deserving[0]]
