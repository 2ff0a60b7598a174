"""A history's trials as points for Ray's own searchers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from tests.samples.spaces import SMALL as SPACE
from tune_lr.engines.on_ray import to_ray
from tune_lr.engines.on_ray.points import points
from tune_lr.errors import BadInput
from tune_lr.history.history import History
from tune_lr.space import SearchSpace
from tune_lr.spacefile import load_space


def trials(**columns: Any) -> pd.DataFrame:
    found = {
        "trial_id": ["a", "b", "c"],
        "status": ["completed", "stopped", "completed"],
        "best": [0.5, 0.25, 0.75],
        "config/lr": [0.1, 0.2, 0.4],
        "config/min_lr": [0.01, 0.02, 0.2],
        "config/smooth": pd.array([True, False, True], "boolean"),
        "config/window": pd.array([3, None, 5], "Int64"),
        "config/other": ["x", "y", "z"],
    }
    return pd.DataFrame({**found, **{name.replace("__", "/"): value for name, value in columns.items()}})


def test_points_have_the_domains_of_the_space_and_nothing_else() -> None:
    found, rewards = points(trials(), SPACE, "min")
    assert found == [
        {"lr": 0.1, "min_lr_ratio": pytest.approx(0.1), "smooth": True, "window": 3},
        {"lr": 0.2, "min_lr_ratio": pytest.approx(0.1), "smooth": False, "window": 4},
        {"lr": 0.4, "min_lr_ratio": 0.5, "smooth": True, "window": 5},
    ]
    assert [type(value) for value in found[0].values()] == [float, float, bool, int]
    assert rewards == [0.5, 0.25, 0.75]


def test_what_is_no_point_of_the_space_is_left_out() -> None:
    assert points(trials(config__lr=[0.1, 2.0, np.nan]), SPACE, "min")[1] == [0.5]
    assert points(trials(config__momentum=[0.9, 0.5, np.nan]), SPACE, "min")[1] == [0.5, 0.75]
    assert points(trials(best=[np.nan, math.inf, 1.0]), SPACE, "min")[1] == [1.0]
    assert points(trials().iloc[:0], SPACE, "min") == ([], [])


@pytest.mark.parametrize(("mode", "worst"), [("min", 0.75), ("max", 0.5)])
def test_a_trial_that_diverged_is_as_bad_as_the_worst(mode: Any, worst: float) -> None:
    told = trials(status=["completed", "diverged", "completed"], best=[0.5, np.nan, 0.75])
    assert points(told, SPACE, mode)[1] == [0.5, worst, 0.75]
    assert points(trials(status=["diverged"] * 3), SPACE, mode) == ([], [])


@pytest.mark.parametrize("smooth", [["True", "false", "TRUE"], [1.0, 0.0, 1.0]])
def test_true_and_false_are_known_in_a_tables_spelling(smooth: list[Any]) -> None:
    found, _ = points(trials(config__smooth=smooth), SPACE, "min")
    assert [one["smooth"] for one in found] == [True, False, True]


def test_bad_use_is_told() -> None:
    with pytest.raises(BadInput, match="best"):
        points(trials().drop(columns="best"), SPACE, "min")
    with pytest.raises(BadInput, match="mode"):
        points(trials(), SPACE, "least")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_optuna_in_ray_knows_them(mode: Any) -> None:
    known, rewards = points(trials(), SPACE, mode)
    searcher = OptunaSearch(points_to_evaluate=known, evaluated_rewards=rewards, seed=0)
    assert searcher.set_search_properties("val_loss", mode, to_ray(SPACE))
    assert [trial.value for trial in searcher._ot_study.trials] == rewards
    assert searcher._ot_study.best_value == (min if mode == "min" else max)(rewards)
    assert searcher._ot_study.best_params["smooth"] is (mode == "max")
    suggested = searcher.suggest("next")
    assert set(to_ray(SPACE)) - {"momentum"} <= set(suggested)


@pytest.mark.parametrize("name", ["greedy_lr"])
def test_a_shipped_space_goes_through_the_history_and_back(name: str, tmp_path: Path) -> None:
    space = load_space(name)
    values = space.sample(20, 0)
    rows = pd.DataFrame([{f"config/{k}": v for k, v in space.config(one).items()} for one in values])
    rows = rows.assign(trial_id=[str(n) for n in range(20)], epoch=1, val_loss=np.arange(20) / 20)
    found, rewards = points(History.from_pandas(rows, "val_loss", "min").trials(), space, "min")
    assert rewards == pytest.approx(np.arange(20) / 20)
    for one, point in zip(values, found, strict=True):
        flat = space.flat(one)
        assert set(point) == {k for k, domain in to_ray(space).items() if hasattr(domain, "sample")}
        for knob, value in point.items():
            assert value == pytest.approx(flat[knob]) if isinstance(value, float) else value == flat[knob]


@pytest.mark.ray
def test_a_tuner_begins_where_the_history_ends(local_ray: None, tmp_path: Path) -> None:
    known, rewards = points(trials(), SPACE, "min")
    searcher = OptunaSearch(points_to_evaluate=known, evaluated_rewards=rewards, seed=0)

    def train(config: dict[str, Any]) -> None:
        tune.report({"val_loss": config["lr"]})

    results = tune.Tuner(
        train,
        param_space=to_ray(SPACE),
        tune_config=tune.TuneConfig(metric="val_loss", mode="min", num_samples=2, search_alg=searcher),
        run_config=tune.RunConfig(name="known", storage_path=str(tmp_path), verbose=0),
    ).fit()
    assert len(results) == 2
    assert not results.errors
    assert len(searcher._ot_study.trials) == 5


def test_trials_of_several_metrics_are_refused() -> None:
    trials = pd.DataFrame({"best": [0.5, 0.9], "metric": ["loss", "acc"], "config/lr": [0.1, 0.2]})
    with pytest.raises(BadInput, match="acc, loss"):
        points(trials, SPACE, "min")


def test_a_number_that_a_table_made_text_of_is_a_number() -> None:
    knobs = {"lr": {"type": "float", "low": 0.01, "high": 1.0}, "n": {"type": "int", "low": 1, "high": 9}}
    space = SearchSpace.from_dict({"name": "two", "knobs": knobs})
    trials = pd.DataFrame({"best": [0.5, 0.9], "config/lr": ["0.1", "auto"], "config/n": ["3.0", "4"]})
    assert points(trials, space, "min") == ([{"lr": 0.1, "n": 3}], [0.5])
