"""Recorded curves in simulated time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tune_lr import registry
from tune_lr.errors import BadInput
from tune_lr.jobs.replaying import replay
from tune_lr.searchers.random import RandomSearcher
from tune_lr.space import SearchSpace
from tune_lr.stopping.asha import Asha

SPACE = SearchSpace.from_dict(
    {
        "name": "two",
        "knobs": {
            "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
            "smooth": {"type": "categorical", "values": [True, False]},
            "window_size": {"type": "int", "low": 2, "high": 50, "log": True, "when": {"smooth": True}},
        },
    }
)
CONFIGS = SPACE.sample(40, 0)
LOSSES = (np.log10([config["lr"] for config in CONFIGS]) + 2) ** 2
CURVES = LOSSES[:, np.newaxis] + 1 / np.arange(1, 10)


def run(**changes: Any) -> pd.DataFrame:
    asked: dict[str, Any] = {"searcher": "random", "trial_scheduler": "asha", "budget": 100} | changes
    return replay(SPACE, asked.pop("configs", CONFIGS), asked.pop("curves", CURVES), **asked)


def test_what_is_paid_is_what_was_recorded_in_order() -> None:
    found = run()
    assert list(found.columns) == ["trial_id", "config_index", "epoch", "value", "time"]
    assert len(found) == 100
    assert found["value"].tolist() == CURVES[found["config_index"], found["epoch"] - 1].tolist()
    assert found["time"].tolist() == list(range(1, 101))
    for _, trial in found.groupby("trial_id"):
        assert trial["config_index"].nunique() == 1
        assert trial["epoch"].tolist() == list(range(1, len(trial) + 1))
    assert found.groupby("config_index")["trial_id"].nunique().max() == 1


def test_a_seed_makes_it_repeatable() -> None:
    pd.testing.assert_frame_equal(run(seed=3), run(seed=3))
    assert run(seed=3)["config_index"].tolist() != run(seed=4)["config_index"].tolist()


@pytest.mark.parametrize("rule", registry.names("trial_schedulers"))
def test_every_trial_scheduler(rule: str) -> None:
    found = run(trial_scheduler=rule, budget=90, workers=3)
    assert len(found) == 90
    assert found["value"].min() < np.median(CURVES[:, -1])


@pytest.mark.parametrize("name", [name for name in registry.names("searchers") if name != "cqr"])
def test_every_searcher_stays_in_the_table(name: str) -> None:
    found = run(searcher=name, trial_scheduler="none", budget="90epochs")
    assert found.groupby("trial_id")["config_index"].nunique().max() == 1
    assert found["config_index"].nunique() == 10


def test_parts_that_are_made_by_the_caller() -> None:
    made = run(
        searcher=RandomSearcher(SPACE, seed=5, max_epochs=9), trial_scheduler=Asha(max_epochs=9, seed=5)
    )
    pd.testing.assert_frame_equal(made, run(seed=5))


def test_everything_is_tried_and_then_it_ends() -> None:
    found = run(trial_scheduler="none", budget=10_000)
    assert len(found) == CURVES.size
    assert sorted(found["config_index"].unique()) == list(range(40))


def test_workers_share_the_time() -> None:
    found = run(trial_scheduler="none", budget=10_000, workers=4, cost=2.0)
    assert found["time"].max() == 2.0 * CURVES.size / 4
    assert found["time"].is_monotonic_increasing


def test_an_epoch_costs_what_the_table_says() -> None:
    cost = np.arange(1, 41)
    found = run(trial_scheduler="none", cost=cost, budget="200s")
    first = found[found["trial_id"] == "0000"]
    assert first["time"].tolist() == [cost[first["config_index"].iloc[0]] * e for e in range(1, 10)]
    assert found["time"].iloc[-2] < 200 <= found["time"].max() + cost.max()


def test_the_best_is_the_largest_where_that_is_asked() -> None:
    pd.testing.assert_series_equal(run(mode="max", curves=-CURVES)["config_index"], run()["config_index"])


def test_a_training_that_diverged_ends_there() -> None:
    curves = CURVES.copy()
    curves[:20, 3:] = np.nan
    found = run(curves=curves, trial_scheduler="none", budget=10_000)
    assert found.groupby("config_index")["epoch"].max().tolist() == [4] * 20 + [9] * 20


def test_configurations_as_trainers_get_them() -> None:
    space = SearchSpace.from_dict(
        {
            "name": "bounds",
            "knobs": {
                "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
                "min_lr_ratio": {"type": "float", "low": 1e-3, "high": 0.2, "log": True},
            },
        }
    )
    values = space.sample(5, 0)
    args: dict[str, Any] = {"searcher": "random", "trial_scheduler": "none", "budget": 10}
    told = replay(space, [space.config(one) for one in values], CURVES[:5], **args)
    pd.testing.assert_frame_equal(told, replay(space, values, CURVES[:5], **args))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"curves": CURVES[:5]}, "curves: .* expected .40, epochs."),
        ({"curves": CURVES[0]}, "curves"),
        ({"configs": [*CONFIGS[:39], CONFIGS[0]]}, "configs: 40 .* differ"),
        ({"configs": [*CONFIGS[:39], {"lr": 5.0}]}, "configs: .*lr"),
        ({"cost": [1.0, 2.0]}, "cost"),
        ({"cost": -1.0}, "cost: -1.0"),
        ({"cost": np.full(40, np.nan)}, "cost"),
        ({"budget": "a lot"}, "budget"),
        ({"budget": True}, "budget"),
        ({"budget": 0}, "budget"),
        ({"workers": 0}, "workers"),
        ({"mode": "up"}, "mode"),
        ({"searcher": "nope"}, "searcher.*nope"),
        ({"trial_scheduler": "nope"}, "nope"),
    ],
)
def test_what_cannot_be_replayed_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        run(**changes)
