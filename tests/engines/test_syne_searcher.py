"""``SyneSearcher``: tune-lr's searchers inside Syne Tune's own schedulers."""

from __future__ import annotations

import contextlib
import io
from datetime import datetime
from pathlib import Path
from typing import Any

import dill
import pytest
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, loguniform, randint
from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving
from syne_tune.optimizer.schedulers.single_objective_scheduler import SingleObjectiveScheduler
from syne_tune.results_callback import StoreResultsCallback

from tune_lr import load_space
from tune_lr.engines.on_syne import SyneSearcher, WarmBackend, to_syne
from tune_lr.errors import BadInput
from tune_lr.searchers.base import Suggestion
from tune_lr.searchers.random import RandomSearcher

SPACE = {"lr": loguniform(1e-3, 1.0), "steps": randint(1, 9), "kind": choice(["a b", 'c"']), "fixed": 7}


class Hearing(RandomSearcher):
    """Writes down what it is told."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.heard: list[tuple[Any, ...]] = []

    def tell(self, trial_id: str, epoch: int, value: float) -> None:
        self.heard.append((trial_id, epoch, value))

    def done(self, trial_id: str, status: Any) -> None:
        self.heard.append((trial_id, status))


class Adopting(Hearing):
    """Takes over proposals that are not its own."""

    def replay(self, suggestion: Suggestion) -> None:
        self._asked += 1
        self.heard.append(("adopted", suggestion.trial_id, suggestion.values["steps"]))


def hearing(kind: type[Hearing] = Hearing, **options: Any) -> tuple[SyneSearcher, Hearing]:
    from tune_lr.engines.on_syne import from_syne

    inner = kind(from_syne(SPACE), seed=0)
    return SyneSearcher(SPACE, searcher=inner, **options), inner


def test_the_seed_decides_and_configurations_are_complete() -> None:
    draws = [
        [SyneSearcher(SPACE, random_seed=seed).suggest() for _ in range(1)] + [None] for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert draws[0][0] is not None
    assert set(draws[0][0]) == set(SPACE)
    assert draws[0][0]["fixed"] == 7


def test_first_points_come_first_with_defaults_filled_in() -> None:
    points = [{"lr": 0.5, "steps": 3, "kind": "a b"}, {"lr": 0.25}]
    searcher = SyneSearcher(SPACE, points_to_evaluate=points, random_seed=0)
    first, second, third = (searcher.suggest() for _ in range(3))
    assert first == {"lr": 0.5, "steps": 3, "kind": "a b", "fixed": 7}
    assert second is not None
    assert second["lr"] == 0.25
    assert third is not None
    assert third["lr"] not in (0.5, 0.25)
    with pytest.raises(BadInput, match="points_to_evaluate"):
        SyneSearcher(SPACE, points_to_evaluate=[{"lr": 5.0}])


def test_a_used_up_space_ends() -> None:
    searcher = SyneSearcher({"kind": choice(["a", "b", "c"])}, [{"kind": "b"}], random_seed=0)
    proposed = []
    while (config := searcher.suggest()) is not None:
        proposed.append(config["kind"])
    assert sorted(proposed) == ["a", "b", "c"]


@pytest.mark.parametrize("better", ["less", "more"])
def test_under_asha_it_hears_each_epoch_once(better: str) -> None:
    searcher, inner = hearing()
    scheduler = AsynchronousSuccessiveHalving(
        SPACE,
        metric="score",
        searcher=searcher,
        time_attr="epoch",
        max_t=9,
        do_minimize=better == "less",
        random_seed=0,
    )
    sign = 1 if better == "less" else -1
    trials = []
    for number in (0, 1):
        suggestion = scheduler.suggest()
        assert suggestion is not None
        trials.append(Trial(number, suggestion.config, datetime.now()))
        scheduler.on_trial_add(trials[-1])
    for number, epoch, value in [(1, 1, 0.5), (0, 1, 0.4), (1, 2, 0.3), (0, 2, float("nan"))]:
        scheduler.on_trial_result(trials[number], {"score": sign * value, "epoch": epoch})
    scheduler.on_trial_complete(trials[1], {"score": sign * 0.3, "epoch": 2})
    scheduler.on_trial_error(trials[0])
    assert inner.heard == [
        ("0001", 1, 0.5),
        ("0000", 1, 0.4),
        ("0001", 2, 0.3),
        ("0000", 2, 0.4),
        ("0000", "failed"),
    ]


def test_under_a_single_fidelity_scheduler_results_count_as_epochs() -> None:
    searcher, inner = hearing()
    scheduler = SingleObjectiveScheduler(SPACE, metric="loss", searcher=searcher, random_seed=0)
    suggestion = scheduler.suggest()
    assert suggestion is not None
    trial = Trial(0, suggestion.config, datetime.now())
    for loss in (0.5, 0.4):
        scheduler.on_trial_result(trial, {"loss": loss})
    scheduler.on_trial_complete(trial, {"loss": 0.4})
    assert inner.heard == [("0000", 1, 0.5), ("0000", 2, 0.4), ("0000", "completed")]


def test_a_searcher_that_adopts_learns_from_the_first_points() -> None:
    searcher, inner = hearing(Adopting, points_to_evaluate=[{"steps": 2}])
    config = searcher.suggest()
    assert config is not None
    searcher.on_trial_result(5, config, 0.25, resource_level=3)
    assert inner.heard == [("adopted", "0000", 2), ("0000", 3, 0.25)]
    other, inner = hearing(Hearing, points_to_evaluate=[{"steps": 2}])
    config = other.suggest()
    assert config is not None
    other.on_trial_result(5, config, 0.25, resource_level=3)
    assert inner.heard == []


def test_it_survives_the_tuners_pickle() -> None:
    searcher = SyneSearcher(SPACE, random_seed=3)
    searcher.suggest()
    copy = dill.loads(dill.dumps(searcher))
    assert copy.suggest() == searcher.suggest()


@pytest.mark.syne
def test_the_real_tuner_runs_it_over_a_shipped_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))
    config_space = to_syne(load_space("greedy_lr"))
    searcher = SyneSearcher(config_space, random_seed=0)
    backend = WarmBackend(
        f"{Path(__file__).with_name('trainers.py')}:steady", metric="val_loss", max_epochs=3
    )
    scheduler = AsynchronousSuccessiveHalving(
        config_space, metric="val_loss", searcher=searcher, time_attr="epoch", max_t=3, random_seed=0
    )
    with contextlib.redirect_stdout(io.StringIO()):
        tuner = Tuner(
            backend,
            scheduler,
            stop_criterion=StoppingCriterion(max_num_trials_finished=5),
            n_workers=2,
            callbacks=[backend.callback(), StoreResultsCallback()],
            save_tuner=False,
        )
        tuner.run()
    assert tuner.tuning_status.num_trials_finished >= 5
    assert tuner.tuning_status.num_trials_failed == 0
    assert {name for name in searcher._names.values() if name} >= {"0000", "0001", "0002"}
