"""Freeze-thaw over recorded curves: it pauses at rungs alone and keeps to its limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.samples.past import bowls
from tests.samples.spaces import SMALL
from tune_lr import Prior
from tune_lr.errors import BadInput
from tune_lr.jobs.replaying import replay
from tune_lr.journal import CONTINUE, PAUSE
from tune_lr.prior.model import Model
from tune_lr.searchers.prior import PriorSearcher
from tune_lr.stopping.freeze_thaw import FreezeThaw

EPOCHS = 27
CONFIGS = SMALL.sample(60, 5)
FAR = np.array([abs(SMALL.encode(config)[0] - 0.5) for config in CONFIGS])
CURVES = FAR[:, np.newaxis] + np.exp(-np.arange(EPOCHS) / 5.0)
RUNGS = {1, 3, 9, 27}


@pytest.fixture(scope="module")
def prior() -> Prior:
    return Prior.fit(bowls([0.45, 0.5, 0.55], trials=30, epochs=EPOCHS), SMALL)


def run(**changes: Any) -> pd.DataFrame:
    asked: dict[str, Any] = {"searcher": "prior", "trial_scheduler": "freeze-thaw", "budget": 150} | changes
    return replay(SMALL, asked.pop("configs", CONFIGS), asked.pop("curves", CURVES), **asked)


def legs(found: pd.DataFrame) -> list[int]:
    """Of each time that a trial is trained on without another in between, the last epoch; one worker."""
    ends = found["trial_id"] != found["trial_id"].shift(-1)
    return [int(epoch) for epoch in found["epoch"][ends]]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("searcher", ["random", "prior"])
def test_the_budget_is_met_to_the_epoch_and_epochs_come_in_order(searcher: str, workers: int) -> None:
    found = run(searcher=searcher, workers=workers)
    assert len(found) == 150
    for _, trial in found.groupby("trial_id"):
        assert trial["epoch"].tolist() == list(range(1, len(trial) + 1))
        assert trial["config_index"].nunique() == 1
    assert found.groupby("config_index")["trial_id"].nunique().max() == 1


@pytest.mark.parametrize("searcher", ["random", "prior"])
def test_trials_pause_at_rungs_only(searcher: str) -> None:
    found = run(searcher=searcher)
    assert set(legs(found)[:-1]) <= RUNGS
    assert len(set(found["trial_id"])) > 5


@pytest.mark.parametrize("searcher", ["random", "prior"])
def test_some_trials_reach_the_end_and_they_are_good_ones(searcher: str) -> None:
    found = run(searcher=searcher, budget=200)
    whole = found.loc[found["epoch"] == EPOCHS, "config_index"]
    assert len(whole) >= 1
    assert np.sort(FAR[whole])[0] <= np.quantile(FAR[found["config_index"].unique()], 0.2)


def test_a_history_that_helps_gets_there_sooner(prior: Prior) -> None:
    target = np.quantile(CURVES[:, -1], 0.05)

    def epochs(history: Prior | None, seed: int) -> int:
        values = run(prior=history, seed=seed)["value"].to_numpy()
        return int(np.argmax(values <= target)) if (values <= target).any() else 150

    helped = [epochs(prior, seed) for seed in range(5)]
    alone = [epochs(None, seed) for seed in range(5)]
    assert np.median(helped) < np.median(alone)


def test_a_history_that_lies_does_not_keep_it_from_the_best(prior: Prior) -> None:
    turned = 0.6 - FAR[:, np.newaxis] + np.exp(-np.arange(EPOCHS) / 5.0)
    best = [run(curves=turned, prior=prior, seed=seed, budget=260)["value"].min() for seed in range(3)]
    assert np.median(best) < np.quantile(turned[:, -1], 0.15)


def test_when_trials_are_used_up_the_paused_go_on() -> None:
    found = run(configs=CONFIGS[:8], curves=CURVES[:8], budget=10_000)
    assert len(found) == 8 * EPOCHS
    assert sorted(found["config_index"].unique()) == list(range(8))


@pytest.mark.parametrize("workers", [1, 4])
def test_there_are_no_more_trials_than_the_table_has_rows(workers: int) -> None:
    found = run(configs=CONFIGS[:8], curves=CURVES[:8], budget=100, workers=workers)
    assert len(found) == 100
    assert found["trial_id"].nunique() <= 8


def test_more_is_better_where_that_is_asked() -> None:
    same = run()["config_index"]
    pd.testing.assert_series_equal(run(mode="max", curves=-CURVES)["config_index"], same)


def test_what_diverges_is_left_there() -> None:
    curves = CURVES.copy()
    curves[::2, 1:] = np.nan
    found = run(curves=curves)
    assert len(found) == 150
    assert found.loc[found["config_index"] % 2 == 0, "epoch"].max() <= 2
    assert found["epoch"].max() == EPOCHS


@pytest.mark.parametrize("epochs", [1, 2])
def test_short_trainings(epochs: int) -> None:
    found = run(curves=CURVES[:, :epochs], budget=40)
    assert len(found) == 40
    assert found["config_index"].nunique() >= 40 // epochs


def test_a_seed_makes_it_repeatable(prior: Prior) -> None:
    pd.testing.assert_frame_equal(run(prior=prior, seed=2), run(prior=prior, seed=2))


# Call by call -----------------------------------------------------------------------------------------


def made(**options: Any) -> FreezeThaw:
    return FreezeThaw(**{"space": SMALL, "max_epochs": 9} | options)


def test_decisions_fall_at_rungs_and_the_end_is_the_end() -> None:
    rule = made(trials=1)
    rule.started("0000", SMALL.config(CONFIGS[0]))
    decisions = [rule.decide("0000", epoch, 1.0 / epoch) for epoch in range(1, 10)]
    assert decisions == [CONTINUE] * 9, "there is no other trial to go on with"
    rule = made()
    for i in range(2):
        rule.started(f"000{i}", SMALL.config(CONFIGS[i]))
    assert rule.decide("0000", 1, 1.0) == PAUSE
    assert rule.decide("0001", 2, 1.0) == PAUSE, "the first report at or after a rung"


def test_epochs_between_rungs_always_go_on() -> None:
    rule = made(trials=2)
    for i in range(2):
        rule.started(f"000{i}", SMALL.config(CONFIGS[i]))
    found = {epoch: rule.decide("0000", epoch, 5.0) for epoch in range(1, 10)}
    assert all(found[epoch] == CONTINUE for epoch in (2, 4, 5, 6, 7, 8, 9))


def test_what_is_resumed_was_paused_and_is_resumed_once() -> None:
    rule = made(trials=3)
    for i in range(3):
        rule.started(f"000{i}", SMALL.config(CONFIGS[i]))
    paused = {f"000{i}" for i in range(3) if rule.decide(f"000{i}", 1, float(i)) == PAUSE}
    resumed = []
    while (trial_id := rule.resume()) is not None:
        resumed.append(trial_id)
    assert set(resumed) == paused
    assert len(resumed) == len(paused)
    assert rule.resume() is None


def test_nothing_new_brings_the_paused_back() -> None:
    rule = made()
    for i in range(8):
        rule.started(f"000{i}", SMALL.config(CONFIGS[i]))
        rule.decide(f"000{i}", 1, float(i))
    rule.nothing_new()
    assert rule.resume() is not None


def test_a_journal_rebuilds_it() -> None:
    first, second = made(seed=4), made(seed=4)
    for i in range(6):
        name, value = f"000{i}", float(FAR[i])
        for rule in (first, second):
            rule.started(name, SMALL.config(CONFIGS[i]))
        second.repeat(name, 1, value, first.decide(name, 1, value))
    while (trial_id := first.resume()) is not None:
        second.resumed(trial_id)
        decision = first.decide(trial_id, 3, 0.5)
        second.repeat(trial_id, 3, 0.5, decision)
        if decision == PAUSE:
            break
    assert first.model.choose() == second.model.choose()
    assert first.resume() == second.resume()


def test_with_a_searcher_it_shares_one_model(prior: Prior) -> None:
    model = Model(SMALL, prior=prior, max_epochs=9)
    searcher, rule = PriorSearcher(SMALL, model=model, max_epochs=9), made(model=model)
    suggestion = searcher.ask()
    assert suggestion is not None
    rule.started(suggestion.trial_id, suggestion.config)
    searcher.tell(suggestion.trial_id, 1, 0.1)
    assert rule.decide(suggestion.trial_id, 1, 0.1) == CONTINUE, "the favourite is held"
    assert len(model.running.trials) == 1
    rule.done(suggestion.trial_id, "completed")
    assert model.running.trials[suggestion.trial_id].state == "ended"


def test_a_prior_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="prior"):
        made(prior="starter")
