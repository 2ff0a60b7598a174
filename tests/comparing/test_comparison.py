"""Runs of several methods side by side."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from tests.comparing.samples import many, run
from tune_lr import Objective
from tune_lr.comparing.comparison import AGAIN, Comparison, compare_runs
from tune_lr.comparing.document import document
from tune_lr.comparing.words import sentence
from tune_lr.errors import BadInput

LOSS = Objective("loss")


def compared(*runs: list, budget: float = 30) -> Comparison:  # type: ignore[type-arg]
    return compare_runs([one for some in runs for one in some], LOSS, budget={"epochs": budget})


def test_a_difference_is_found_and_said_in_its_direction() -> None:
    found = compared(many("old"), many("new", shift=-0.5, noise=1))
    quality, spent = found.findings
    assert (quality.about, quality.found, spent.about, spent.found) == ("best", True, "seconds", False)
    assert quality.test.effect == -1.0
    assert quality.test.low < -0.5 + 0.2
    assert "new against old, after 30 epochs: better (median loss " in sentence(found)
    other = compared(many("old"), many("new", shift=0.5, noise=1))
    assert ": worse (median loss " in sentence(other)


def test_where_large_is_good_better_is_larger() -> None:
    score = Objective("accuracy", "max")
    runs = [*many("old"), *many("new", shift=-0.5, noise=1)]
    found = compare_runs(runs, score, budget={"epochs": 30})
    assert ": better (median accuracy -" in sentence(found)
    table = found.to_pandas().groupby("method")["best"].median()
    assert table["new"] > table["old"]
    curves = found.curves()
    assert (curves["lower"] <= curves["median"]).all()
    assert (curves["median"] <= curves["upper"]).all()


def test_no_difference_is_no_finding_and_the_same_is_said_to_be() -> None:
    found = compared(many("old"), many("new", noise=1))
    assert "no difference in quality was found" in sentence(found)
    same = compared(many("old"), many("new"))
    assert "the same loss with every seed; the same time with every seed" in sentence(same)


def test_time_is_a_question_of_its_own() -> None:
    found = compared(many("old"), many("new", noise=1, slow=1.2))
    assert [one.found for one in found.findings] == [False, True]
    assert "20% more time for the same epochs" in sentence(found)


def test_too_few_seeds_are_told_and_find_nothing() -> None:
    found = compared(many("old", 5), many("new", 5, shift=-9, noise=1, slow=7))
    assert not any(one.found for one in found.findings)
    assert "too few seeds to tell (5; with fewer than 7 no difference could be found)" in sentence(found)


def test_more_methods_ask_for_more() -> None:
    others = [many(f"new {n}", noise=n) for n in range(1, 5)]
    found = compared(many("old"), *others)
    assert {one.needed for one in found.findings} == {9}
    assert [one.p for one in found.findings] >= [one.test.p for one in found.findings]


def test_only_seeds_that_both_have_are_paired() -> None:
    found = compared(many("old"), many("new", 8, noise=1))
    assert {one.test.pairs for one in found.findings} == {8}


def test_a_speed_is_claimed_where_the_neutral_row_cannot_do_it() -> None:
    again = many("old" + AGAIN, noise=3)
    found = compared(many("old"), many("new", shift=-0.8, noise=1), again)
    (new, neutral) = [one for one in found.speeds if one.unit == "epochs"]
    assert new.ratio > 1.5
    assert found.claimed(new)
    assert not found.claimed(neutral)
    assert neutral.low <= 1 <= neutral.high
    assert "times as fast in epochs to where the other ended" in sentence(found)
    assert found.methods == ["old", "new"]
    alone = compared(many("old"), many("new", shift=-0.8, noise=1))
    assert not alone.claimed(alone.speeds[0])


def test_what_never_arrives_gets_no_number() -> None:
    found = compared(many("old"), many("new", shift=5.0, noise=1), many("old" + AGAIN, noise=3))
    slow = found.speeds[0]
    assert (slow.ratio, slow.reached) == (0.0, math.inf)
    assert 0.7 < slow.least <= 0.75  # 30 epochs of at least 40
    assert f"below {slow.least:.2f} times as fast" in sentence(found)


def test_a_method_is_followed_beyond_the_budget() -> None:
    found = compared(many("old"), many("new", shift=0.2))
    assert 30 < found.speeds[0].reached <= 40


def test_a_target_of_the_callers_own() -> None:
    runs = [*many("old"), *many("new", shift=-0.5)]
    found = compare_runs(runs, LOSS, budget={"epochs": 30}, target=1.7)
    assert found.speeds[0].ratio > 1.5
    assert found.speeds[0].wanted < 30


def test_the_speed_in_seconds_has_the_same_goal_and_its_own_noise() -> None:
    found = compared(
        many("old"), many("new", shift=-0.8, noise=1, slow=100.0), many("old" + AGAIN, noise=3), budget=30
    )
    epochs, _, seconds, neutral = found.speeds
    assert (epochs.unit, seconds.unit, neutral.method) == ("epochs", "seconds", "old" + AGAIN)
    assert epochs.ratio > 1 > seconds.ratio > 0
    assert seconds.reached == pytest.approx(100 * epochs.reached, rel=0.2)
    assert found.claimed(seconds)
    assert "times as fast in seconds" in sentence(found)


def test_a_budget_in_seconds_leaves_the_epochs_open() -> None:
    runs = [*many("old"), *many("new", slow=2.0, noise=1)]
    found = compare_runs(runs, LOSS, budget={"seconds": 20})
    assert [one.about for one in found.findings] == ["best", "epochs"]
    assert "fewer epochs trained" in sentence(found)
    assert found.curves("epochs").columns.tolist() == ["method", "epochs", "lower", "median", "upper"]


def test_a_run_that_never_had_a_loss_is_the_worst() -> None:
    lost = [run("new", seed, [math.nan] * 40) for seed in range(10)]
    found = compared(many("old"), lost)
    assert found.findings[0].found
    assert found.findings[0].test.effect == 1.0
    json.dumps(document(found), allow_nan=False)


def test_without_a_budget_it_is_as_far_as_all_have_come() -> None:
    short = [run("new", seed, np.linspace(2, 1, 25)) for seed in range(10)]
    assert compare_runs([*many("old"), *short], LOSS).budget == 25


def test_as_tables_and_as_json() -> None:
    found = compared(many("old"), many("new", noise=1))
    table = found.to_pandas()
    assert len(table) == 20
    assert set(table["method"]) == {"old", "new"}
    assert (table["begun"] == 6).all()
    told = document(found)
    assert told["sentence"] == sentence(found)
    assert told["medians"]["old"]["best"] == pytest.approx(table[table["method"] == "old"]["best"].median())
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    agreement = found.agreement()
    assert agreement["rung"].tolist() == [1, 2, 1, 2]
    assert isinstance(agreement, pd.DataFrame)


def test_what_cannot_be_compared() -> None:
    one, two = many("old", 3), many("new", 3)
    for runs, options, message in (
        (one, {}, "at least two methods"),
        ([], {}, "baseline"),
        ([*one, *one, *two], {}, "seed"),
        ([*one, *two], {"baseline": "x"}, "one of old, new"),
        ([*one, run("new", 0, [])], {}, "something was reported"),
        ([*one, *many("old" + AGAIN, 3)], {}, "at least two methods"),
    ):
        with pytest.raises(BadInput, match=message):
            compare_runs(runs, LOSS, **options)  # type: ignore[arg-type]
