"""The median rule against cases worked by hand, and against the same rule without any bookkeeping."""

from __future__ import annotations

from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from tune_lr.stopping.median import Median


def test_median_compares_the_best_with_running_averages() -> None:
    rule = Median(max_epochs=10, min_trials=3)
    for trial, value in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        assert rule.decide(trial, 1, value) == "continue"
        assert rule.decide(trial, 2, value) == "continue"
    assert rule.decide("d", 1, 1.5) == "continue"  # the others' median is 2
    assert rule.decide("e", 1, 2.5) == "stop"
    assert rule.decide("d", 2, 9.0) == "continue"  # its best is still 1.5


def test_the_first_values_count_in_the_averages() -> None:
    rule = Median(max_epochs=10, min_trials=1)
    assert rule.decide("a", 1, 3.0) == "continue"
    assert rule.decide("a", 2, 1.0) == "continue"
    assert rule.decide("b", 1, 2.5) == "continue"
    assert rule.decide("b", 2, 2.5) == "stop"  # a's average is 2
    assert rule.decide("c", 2, 2.25) == "continue"  # a's and b's averages are 2 and 2.5


def test_equal_curves_are_never_stopped_by_rounding() -> None:
    rule = Median(max_epochs=200)
    for epoch in range(1, 200):  # ten times 0.1, added up and divided by ten, is less than 0.1
        for trial in "abcdefgh":
            assert rule.decide(trial, epoch, 0.1) == "continue"


def test_one_that_skipped_an_epoch_is_compared_by_its_average_there() -> None:
    rule = Median(max_epochs=10, min_trials=1)
    rule.decide("a", 1, 1.0)
    rule.decide("a", 4, 9.0)
    assert rule.decide("b", 3, 2.0) == "stop"  # a got past epoch 3, with an average of 1 there
    assert rule.decide("c", 3, 1.0) == "continue"
    rule.decide("d", 1, 0.0)
    assert rule.decide("e", 3, 1.25) == "stop"  # d did not get there: 1, 1 and 2
    rule.decide("d", 4, 0.0)
    rule.decide("f", 2, 0.75)
    assert rule.decide("g", 3, 1.1) == "stop"  # 0, 1, 1, 1.25 and 2; f did not get there


# Multiples of 60, so that the averages of up to six of them are whole numbers and no rounding decides.
curves = st.lists(
    st.dictionaries(st.integers(1, 9), st.integers(0, 6).map(lambda n: 60.0 * n), min_size=1, max_size=6),
    min_size=1,
    max_size=9,
)


@given(curves=curves, chance=st.randoms(use_true_random=False), grace=st.integers(1, 3))
def test_the_rule_as_it_is_defined(curves: list[dict[int, float]], chance: object, grace: int) -> None:
    rule = Median(max_epochs=9, min_trials=2, grace=grace)
    left = {str(number): sorted(curve) for number, curve in enumerate(curves)}
    seen: dict[str, dict[int, float]] = {}
    while left:
        trial = chance.choice(sorted(left))  # type: ignore[attr-defined]
        epoch = left[trial].pop(0)
        if not left[trial]:
            del left[trial]
        own = seen.setdefault(trial, {})
        own[epoch] = curves[int(trial)][epoch]
        averages = [
            sum(value for at, value in other.items() if at <= epoch) / sum(at <= epoch for at in other)
            for name, other in seen.items()
            if name != trial and max(other) >= epoch and min(other) <= epoch
        ]
        compared = grace <= epoch < 9 and len(averages) >= 2
        worse = compared and min(own.values()) > median(averages)
        assert rule.decide(trial, epoch, own[epoch]) == ("stop" if worse else "continue")
