"""The statistics, on samples whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tune_lr.bench import verdicts
from tune_lr.bench.paired import clipped, compare, diverged
from tune_lr.bench.verdicts import Case, as_in_paper, judge, over_tunings, shares
from tune_lr.comparing.ranks import holm, signed_rank

NAN = math.nan


def runs(**losses: list[float]) -> pd.DataFrame:
    """Trainings of contenders by name, on one task with SGD."""
    rows = [
        {"task": "t", "optimizer": "sgd", "contender": name, "setting": "tuned", "seed": i, "val_loss": loss}
        for name, listed in losses.items()
        for i, loss in enumerate(listed)
    ]
    return pd.DataFrame(rows)


def case(ratio: float, p: float = 0.01, rival: str = "cosine") -> Case:
    return Case("t", "sgd", rival, ratio, p, p)


def test_the_ratio_is_a_geometric_mean_over_pairs() -> None:
    ratio, _ = compare([1.0, 8.0], [2.0, 4.0], chance=1.0)
    assert ratio == pytest.approx(math.sqrt(0.5 * 2.0))


def test_p_is_that_of_a_paired_t_test_on_logarithms() -> None:
    ours, theirs = [0.9, 1.1, 0.7, 1.3, 0.8], [1.0, 1.4, 0.9, 1.2, 1.1]
    _, p = compare(ours, theirs, chance=1.0)
    assert p == pytest.approx(stats.ttest_rel(np.log(ours), np.log(theirs)).pvalue)


def test_pairs_and_not_groups_are_compared() -> None:
    theirs = [0.1, 1.0, 10.0, 50.0]
    ours = [loss * factor for loss, factor in zip(theirs, (0.96, 0.97, 0.96, 0.97), strict=True)]
    assert compare(ours, theirs, chance=1.0)[1] < 0.01
    assert stats.ttest_ind(ours, theirs).pvalue > 0.9


def test_no_difference_at_all_is_equal_and_the_same_difference_each_time_is_real() -> None:
    assert compare([1.0, 2.0], [1.0, 2.0], chance=1.0) == (1.0, 1.0)
    ratio, p = compare([0.5, 1.0, 2.0], [1.0, 2.0, 4.0], chance=1.0)
    assert (ratio, p) == (pytest.approx(0.5), 0.0)
    assert compare([], [], chance=1.0) == (1.0, 1.0)
    assert compare([1.0], [2.0], chance=1.0)[1] == 1.0


def test_what_diverged_counts_as_worst() -> None:
    assert clipped([NAN, math.inf, 1e9, 1.5, 0.0], chance=2.0).tolist() == [200.0, 200.0, 200.0, 1.5, 1e-9]
    assert diverged([NAN, 1e9, 199.0], chance=2.0).tolist() == [True, True, False]
    ratio, p = compare([NAN] * 6, [1.0, 1.1, 0.9, 1.2, 1.0, 0.8], chance=1.0)
    assert ratio > 50
    assert p == pytest.approx(2 * 2 / 924)  # Fisher's: 6 of 6 against 0 of 6, one of 924 tables, two-sided
    assert compare([NAN, NAN], [NAN, NAN], chance=1.0) == (1.0, 1.0)


BASE = [1.0, 1.1, 0.9, 1.2, 1.05, 0.8, 0.95, 1.15, 1.02, 0.98]
NOISE = [0.97, 1.02, 1.01, 0.98, 1.03, 0.99, 1.02, 0.97, 1.01, 0.99]
NEARLY = [a * b for a, b in zip(BASE, NOISE, strict=True)]


def test_a_rival_that_diverges_in_part_is_found_by_tests_for_two_heaps() -> None:
    half = [NAN] * 6 + NEARLY[6:]
    p = compare(BASE, half, chance=1.0)[1]
    counts = [[0, 10], [6, 4]]
    logs = np.log(clipped(BASE, 1.0)) - np.log(clipped(half, 1.0))
    assert p == pytest.approx(2 * min(stats.fisher_exact(counts)[1], signed_rank(logs)[1]))
    assert p < 0.05
    (one,) = judge(runs(greedy=BASE, cosine=half), "tuned", {"t": 1.0})
    assert (one.verdict, one.only_ours, one.only_theirs) == ("better", 0, 6)
    (other,) = judge(runs(greedy=half, cosine=BASE), "tuned", {"t": 1.0})
    assert (other.verdict, other.only_ours, other.only_theirs) == ("worse", 6, 0)


def test_all_against_none_stands_a_correction_over_hundreds_and_one_proves_nothing() -> None:
    assert compare(BASE, [NAN] * 10, chance=1.0)[1] * 255 < 0.05
    assert compare(BASE, [NAN, *NEARLY[1:]], chance=1.0)[1] > 0.05


def test_who_diverges_once_and_is_lower_else_is_not_shown_to_be_anything() -> None:
    lower = [0.9 * loss for loss in BASE]
    ratio, p = compare([NAN, *lower[1:]], BASE, chance=1.0)
    assert ratio > 1
    assert p == 1.0  # the ranks point one way and the mean the other


def test_pairs_that_diverge_together_leave_the_t_test() -> None:
    ours, theirs = [NAN, 0.9, 1.1, 0.7, 1.3], [NAN, 1.0, 1.4, 0.9, 1.2]
    expected = stats.ttest_rel(np.log(clipped(ours, 1.0)), np.log(clipped(theirs, 1.0))).pvalue
    assert compare(ours, theirs, chance=1.0)[1] == pytest.approx(expected)


@given(st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=1, max_size=12, unique_by=abs))
def test_signed_ranks_are_those_of_scipy(sample: list[float]) -> None:
    where, p = signed_rank(np.array(sample))
    nonzero = [one for one in sample if one]
    if len(nonzero) == len(sample):
        assert p == pytest.approx(stats.wilcoxon(sample, method="exact").pvalue)
    assert signed_rank(-np.array(sample)) == (-where, p)


def test_signed_ranks_of_many_are_those_of_the_normal_law() -> None:
    sample = np.random.default_rng(0).normal(0.3, 1, 40)
    expected = stats.wilcoxon(sample, correction=False, method="asymptotic").pvalue
    assert signed_rank(sample)[1] == pytest.approx(expected)


def test_over_the_tunings_each_case_counts_once() -> None:
    cases = [case(0.9, rival="cosine") for _ in range(8)] + [case(1.1, rival="step"), case(0.9, rival="step")]
    cases[0] = Case("t", "sgd", "cosine", 0.9, 1.0, 1.0, only_ours=0, only_theirs=8)
    cosine, step = over_tunings(cases)
    assert (cosine.rival, cosine.cases, cosine.lower) == ("cosine", 8, 8)
    assert cosine.ratio == pytest.approx(0.9)
    assert cosine.p == pytest.approx(2 * 2 / 2**8)  # all eight on one side; Holm over two rivals
    assert cosine.p_diverged == pytest.approx(2 * 2 / 2**8)
    assert (step.lower, step.p, step.p_diverged) == (1, 1.0, 1.0)
    assert over_tunings([]) == []


@given(
    pairs=st.lists(
        st.tuples(*[st.one_of(st.just(NAN), st.floats(0))] * 2),
        max_size=8,
    )
)
def test_any_losses_give_a_verdict_and_the_other_side_the_opposite(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    ratio, p = compare(ours, theirs, chance=1.0)
    back, p_back = compare(theirs, ours, chance=1.0)
    assert 0 <= p <= 1
    assert p == pytest.approx(p_back)
    assert ratio * back == pytest.approx(1.0)


def test_holm_by_hand() -> None:
    # Sorted: 0.01 x 4 = 0.04; 0.02 x 3 = 0.06; 0.03 x 2 = 0.06; 0.5 x 1 = 0.5; none below the one before.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([]) == []


def test_better_equal_and_worse() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.9, 1.1, 10)
    noise = rng.uniform(0.99, 1.01, (4, 10))
    frame = runs(
        greedy=list(base * noise[0]),
        cosine=list(base * noise[1] * 2),
        linear=list(base * noise[2] / 2),
        step=list(base * noise[3]),
    )
    found = {one.rival: one.verdict for one in judge(frame, "tuned", {"t": 1.0})}
    assert found == {"cosine": "better", "linear": "worse", "step": "equal"}
    assert judge(frame, "default", {"t": 1.0}) == []


def test_correction_takes_away_what_many_cases_bring_by_chance() -> None:
    rng = np.random.default_rng(1)
    ours = rng.normal(1, 0.1, 10)
    frame = runs(greedy=list(ours), **{f"rival{i}": list(rng.normal(1, 0.1, 10)) for i in range(60)})
    cases = judge(frame, "tuned", {"t": 1.0})
    assert any(one.uncorrected != "equal" for one in cases)
    assert all(one.verdict == "equal" for one in cases)


def test_seeds_are_paired_by_number_and_not_by_place() -> None:
    frame = runs(greedy=[1.0, 2.0, 3.0], cosine=[2.0, 4.0, 6.0]).sample(frac=1, random_state=0)
    (one,) = judge(frame, "tuned", {"t": 1.0})
    assert one.ratio == pytest.approx(0.5)
    (fewer,) = judge(frame[(frame["contender"] != "greedy") | (frame["seed"] > 0)], "tuned", {"t": 1.0})
    assert fewer.ratio == pytest.approx(0.5)


def test_an_optimizer_that_needs_no_schedule_is_compared_beside_another() -> None:
    frame = runs(greedy=[1.0, 1.0], prodigy=[2.0, 2.0])
    frame.loc[frame["contender"] == "greedy", "optimizer"] = "adamw"
    frame.loc[frame["contender"] == "prodigy", "optimizer"] = "prodigy"
    (one,) = judge(frame, "tuned", {"t": 1.0})
    assert (one.optimizer, one.rival) == ("adamw", "prodigy")


def test_without_a_greedy_to_compare_with_there_is_no_case() -> None:
    assert judge(runs(cosine=[1.0, 2.0]), "tuned", {"t": 1.0}) == []


def test_shares_and_the_count_without_a_test() -> None:
    cases = [case(0.5), case(0.97), case(1.03), case(1.2, p=0.9)]
    assert shares(one.verdict for one in cases) == {"better": 2, "equal": 1, "worse": 1}
    assert as_in_paper(cases) == (0.75, 0.25)
    assert all(map(math.isnan, as_in_paper([])))
    assert verdicts.LEVEL == 0.05
