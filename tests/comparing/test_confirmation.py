"""What training the best again says."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from tune_lr import Objective
from tune_lr.comparing.confirmation import Confirmation, confirmation_of

LOSS = Objective("loss")
FIRST, SECOND, THIRD = (
    ("0007", {"lr": 0.1}, 0.5, 9),
    ("0003", {"lr": 0.2}, 0.6, 9),
    ("0001", {"lr": 0.3}, 0.7, 3),
)


def made(*losses: list[float], objective: Objective = LOSS) -> Confirmation:
    searched = (FIRST, SECOND, THIRD)[: len(losses)]
    return confirmation_of(searched, dict(zip(("0007", "0003", "0001"), losses, strict=False)), objective)


def test_the_best_mean_is_best_and_the_search_may_have_been_wrong() -> None:
    found = made([0.9, 0.95, 0.92, 0.94, 0.93], [0.7, 0.71, 0.72, 0.73, 0.74], [0.71, 0.7, 0.73, 0.74, 0.72])
    assert found.best.trial_id == "0003"
    assert found.best.mean == pytest.approx(0.72)
    assert found.best.optimism == pytest.approx(0.12)
    assert found.doubts["0007"] == pytest.approx(2 * 2 / 252)
    assert found.doubts["0001"] > 0.5
    assert found.sentence == (
        "trial 0003 is best: loss 0.72 (0.7004 to 0.7396) over 5 fresh seeds; better than 0007; not told "
        "apart from 0001; the search had 0007 in front; the search had seen 0.6 there, too good by 0.12."
    )


def test_the_interval_is_students() -> None:
    losses = np.random.default_rng(0).normal(size=7).tolist()
    expected = stats.t.interval(0.95, 6, np.mean(losses), stats.sem(losses))
    assert made(losses).best.interval == pytest.approx(expected)
    assert made([1.0]).best.interval == (-math.inf, math.inf)


def test_a_training_that_is_lost_counts_against_its_configuration() -> None:
    found = made([0.1, 0.1, math.nan], [0.8, 0.9, 0.7])
    assert found.best.trial_id == "0003"
    assert found.candidates[0].mean == math.inf
    assert found.candidates[0].optimism == pytest.approx(-0.4)
    nothing = made([math.nan, math.nan])
    assert "none is confirmed" in nothing.sentence
    json.dumps(nothing.to_dict(), allow_nan=False)


def test_where_large_is_good() -> None:
    score = Objective("accuracy", "max")
    searched = [("0001", {}, -0.95, 9), ("0002", {}, -0.93, 9)]
    found = confirmation_of(searched, {"0001": [-0.9, -0.91], "0002": [-0.8, -0.7]}, score)
    assert found.best.trial_id == "0001"
    assert "accuracy 0.905" in found.sentence
    assert "seen 0.95 there, too good by 0.045" in found.sentence
    assert found.to_pandas()["accuracy"].tolist() == [0.9, 0.91, 0.8, 0.7]


def test_the_search_is_too_good_where_all_are_the_same() -> None:
    """Of 20 equals the luckiest leads; trained again it is like the others, and said to have been lucky."""
    draws = np.random.default_rng(3)
    lucky = [made(draws.normal(1.0, 0.1, 5).tolist()).best.mean - 0.5 for _ in range(50)]
    optimism = [made(draws.normal(1.0, 0.1, 5).tolist()).best.optimism for _ in range(50)]
    assert np.mean(optimism) == pytest.approx(np.mean(lucky), abs=0.05)


def test_as_json() -> None:
    told = made([0.9, 0.95], [0.7, 0.71]).to_dict()
    assert [one["trial_id"] for one in told["candidates"]] == ["0003", "0007"]
    assert told["candidates"][0]["p"] is None
    assert json.loads(json.dumps(told, allow_nan=False)) == told
