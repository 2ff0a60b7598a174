"""The same replay through Syne Tune's simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.engines.test_replay import CURVES, run
from tune_lr import registry
from tune_lr.errors import BadInput, UnknownName

#: No two reports at the same time, or their order would be a matter of taste.
COST = np.random.default_rng(0).uniform(0.5, 2.0, CURVES.shape)


def both(**asked: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    return run(**asked), run(**asked, engine="syne-tune")


def assert_alike(own: pd.DataFrame, theirs: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(own, theirs, rtol=1e-9)
    assert len(own)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("rule", registry.names("trial_schedulers"))
def test_every_trial_scheduler_decides_alike(rule: str, workers: int) -> None:
    assert_alike(*both(trial_scheduler=rule, budget=90, workers=workers, cost=COST))


def test_the_prior_and_freeze_thaw() -> None:
    assert_alike(*both(searcher="prior", trial_scheduler="freeze-thaw", budget=90, workers=2, cost=COST))


def test_a_budget_of_simulated_seconds() -> None:
    own, theirs = both(budget="50s", workers=2, cost=COST)
    assert_alike(own, theirs)
    assert theirs["time"].iloc[-3] < 50


def test_everything_is_tried_and_then_it_ends() -> None:
    own, theirs = both(trial_scheduler="none", budget=10_000, workers=4, cost=COST)
    assert_alike(own, theirs)
    assert len(theirs) == CURVES.size


def test_losses_that_are_no_numbers_end_a_trial() -> None:
    curves = CURVES.copy()
    curves[::2, 4:] = np.nan
    own, theirs = both(curves=curves, budget=10_000, workers=2, cost=COST)
    assert_alike(own, theirs)
    assert theirs["value"].isna().any()


def test_large_values_may_be_good() -> None:
    assert_alike(*both(mode="max", curves=-CURVES, cost=COST))


def test_with_one_worker_epochs_may_take_no_time() -> None:
    assert_alike(*both(cost=0.0))


def test_reports_at_the_same_time_are_all_taken_in() -> None:
    own, theirs = both(budget=90, workers=3)
    assert len(own) == len(theirs) == 90
    assert theirs["value"].tolist() == CURVES[theirs["config_index"], theirs["epoch"] - 1].tolist()
    assert theirs["time"].is_monotonic_increasing


def test_an_engine_without_a_simulator_is_told() -> None:
    with pytest.raises(BadInput, match="syne-tune"):
        run(engine="ray")
    with pytest.raises(UnknownName, match="syne-tune"):
        run(engine="syne-tun")
