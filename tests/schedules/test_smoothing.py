"""The running mean: the published rounding in short runs, the true mean in long and in wild ones."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tune_lr.schedules.smoothing import LONG_RUN, RunningMean

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


def true_mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


@pytest.mark.parametrize("window", [2, 50])
def test_a_million_steps_leave_the_mean_exact_to_rounding(window: int) -> None:
    rng, mean, seen = random.Random(window), RunningMean(window), []
    noise = [rng.random() for _ in range(4096)]
    for age in range(1, 1_000_001):
        value = noise[(age * 7) % 4096] * (1e6 if age < 500_000 else 1e-3)
        got = mean.add(value, age)
        if age > 999_900:
            seen.append(value)
        if len(seen) >= window:
            expected = true_mean(seen[-window:])
            assert abs(got - expected) <= 5 * 2.0**-52 * expected


@given(st.lists(FINITE, min_size=1, max_size=60), st.integers(1, 10))
@example([8e31, 2.0**53, 0.0, 0.0, 0.0, 1.0, 0.0], 5)  # the second spike swallows the 1 in the drift's sum
@example([2.0**53, 1.0, 1.5e-19, 0.0], 2)  # a fresh sum rounds too
def test_the_mean_is_the_true_one_within_its_tolerance(values: list[float], window: int) -> None:
    for age in (0, LONG_RUN + 1):
        mean = RunningMean(window)
        for i, value in enumerate(values):
            inside = values[max(0, i + 1 - window) : i + 1]
            scale = math.fsum(map(abs, inside)) / len(inside)
            allowed = 5 * 2.0**-52 * scale if age else 2.0**-39 * (scale + 1)
            assert abs(mean.add(value, age) - true_mean(inside)) <= allowed


@pytest.mark.parametrize("spike", [1e8, 1e16, 1e300])
def test_a_spike_leaves_no_trace_behind(spike: float) -> None:
    mean = RunningMean(3)
    for value in (0.1, spike, 0.2, 0.3):
        mean.add(value)
    assert mean.add(0.4) == pytest.approx(0.3, rel=1e-11)


def test_values_whose_sum_overflows_have_a_mean() -> None:
    mean = RunningMean(3)
    got = [mean.add(value) for value in (1.5e308, 1.5e308, 1.2e308, 1.0, 2.0, 3.0)]
    assert got[1:3] == pytest.approx([1.5e308, 1.4e308])
    assert got[-1] == 2.0


def test_states_are_copies_and_keep_the_rounding() -> None:
    rng, mean = random.Random(0), RunningMean(5)
    for _ in range(20):
        mean.add(rng.random())
    state = mean.state_dict()
    other = RunningMean(1)
    other.load_state_dict(state)
    state["values"].clear()
    values = [rng.random() for _ in range(50)]
    assert [mean.add(value) for value in values] == [other.add(value) for value in values]
