"""A prior in the words of both engines and of Optuna, with their real searchers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from ray import tune
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.optuna import OptunaSearch
from syne_tune.optimizer.baselines import BORE, CQR, RandomSearch
from syne_tune.optimizer.schedulers.transfer_learning.bounding_box import BoundingBox

from tests.samples.past import bowls, past, trial
from tests.samples.spaces import SMALL
from tune_lr import Prior
from tune_lr.engines.on_ray import optuna_trials, to_ray
from tune_lr.engines.on_syne import of_prior, to_syne
from tune_lr.errors import BadInput
from tune_lr.spacefile import load_space


@pytest.fixture(scope="module")
def prior() -> Prior:
    return Prior.fit(bowls([0.45, 0.55], trials=30), SMALL)


def whole(point: dict[str, Any]) -> dict[str, Any]:
    return SMALL.values({**point, "momentum": 0.9})


@pytest.mark.parametrize("searcher", [RandomSearch, CQR, BORE])
def test_syne_tunes_searchers_begin_with_the_points(prior: Prior, searcher: Any) -> None:
    metric = {"metrics": ["loss"]} if searcher is RandomSearch else {"metric": "loss"}
    made = searcher(to_syne(SMALL), **metric, points_to_evaluate=prior.points(3), random_seed=0)
    found = [made.suggest().config for _ in range(4)]
    assert [SMALL.values(config) for config in found[:3]] == prior.values(3)
    SMALL.validate(SMALL.values(found[3]))


def test_rays_optuna_begins_with_the_points(prior: Prior) -> None:
    search = OptunaSearch(points_to_evaluate=prior.points(3), seed=0)
    assert search.set_search_properties("loss", "min", to_ray(SMALL))
    found = [whole(search.suggest(f"t{i}")) for i in range(4)]
    assert found[:3] == prior.values(3)
    SMALL.validate(found[3])


@pytest.mark.ray
def test_rays_own_searcher_begins_with_the_points(prior: Prior, local_ray: None, tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> None:
        tune.report({"loss": config["lr"]})

    results = tune.Tuner(
        train,
        param_space=to_ray(SMALL),
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            num_samples=3,
            search_alg=BasicVariantGenerator(points_to_evaluate=prior.points(2), random_state=0),
        ),
        run_config=tune.RunConfig(name="begin", storage_path=str(tmp_path), verbose=0),
    ).fit()
    assert not results.errors
    tried = [SMALL.values(result.config) for result in results]
    assert all(values in tried for values in prior.values(2))


def test_a_study_of_optuna_begins_with_them(prior: Prior) -> None:
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.add_trials(optuna_trials(prior, 3))
    tried = []

    def objective(trial: optuna.Trial) -> float:
        point: dict[str, Any] = {
            "lr": trial.suggest_float("lr", 0.01, 1.0, log=True),
            "min_lr_ratio": trial.suggest_float("min_lr_ratio", 0.01, 0.5, log=True),
            "smooth": trial.suggest_categorical("smooth", [True, False]),
        }
        if point["smooth"]:
            point["window"] = trial.suggest_int("window", 2, 9)
        tried.append(whole(point))
        return abs(math.log10(point["lr"]) + 1)

    study.optimize(objective, n_trials=5)
    assert tried[:3] == prior.values(3)
    assert study.trials[0].user_attrs == {"tune_lr": "portfolio 1 of the prior of small"}
    assert optuna_trials(prior, 0) == []
    with pytest.raises(BadInput, match="number of points"):
        optuna_trials(prior, -1)


def test_syne_tunes_bounding_box_is_made_of_the_past_tasks(prior: Prior) -> None:
    boxes = []

    def make(config_space: Any, metric: str, do_minimize: bool, random_seed: int) -> RandomSearch:
        boxes.append(config_space)
        return RandomSearch(config_space, [metric], do_minimize=do_minimize, random_seed=random_seed)

    known = of_prior(prior, "loss")
    made = BoundingBox(make, to_syne(SMALL), "loss", known, do_minimize=True, random_seed=0)
    suggested = SMALL.values(made.suggest().config)
    SMALL.validate(suggested)
    assert 0.35 < SMALL.knobs["lr"].to_unit(suggested["lr"]) < 0.65


def test_evaluations_are_the_best_losses_so_far() -> None:
    fixed = {"min_lr": 0.01, "smooth": False}
    history = past(
        "acc",
        "max",
        a=[
            trial({"lr": 0.1, **fixed}, [0.2, 0.6, 0.5]),
            trial({"lr": 0.2, **fixed}, [0.3, math.nan]),
            trial({"lr": 0.3, **fixed}, [0.1, 0.1, 0.9]),
        ],
        gone=[trial({"lr": lr, **fixed}, [math.nan]) for lr in (0.1, 0.2)],
    )
    found = of_prior(Prior.fit(history, SMALL))
    assert list(found) == ["a"]
    task = found["a"]
    assert task.objectives_names == ["val_loss"]
    assert task.objectives_evaluations.shape == (3, 1, 3, 1)
    assert task.objectives_evaluations[:, 0, :, 0] == pytest.approx(
        np.array([[-0.2, -0.6, -0.6], [-0.3, -0.1, -0.1], [-0.1, -0.1, -0.9]])
    )
    assert set(task.hyperparameters.columns) == set(to_syne(SMALL))
    assert task.hyperparameters["momentum"].tolist() == [0.9] * 3
    with pytest.raises(BadInput, match="metric"):
        of_prior(Prior.fit(history, SMALL), "")


def test_a_space_with_conditions_goes_through_both() -> None:
    space = load_space("any_schedule")
    made = Prior.fit(bowls([0.5], trials=30, space=space), space)
    search = OptunaSearch(points_to_evaluate=made.points(5), seed=0)
    assert search.set_search_properties("loss", "min", to_ray(space))
    scheduler = RandomSearch(
        to_syne(space), metrics=["loss"], points_to_evaluate=made.points(5), random_seed=0
    )
    for i, values in enumerate(made.values(5)):
        assert space.values(scheduler.suggest().config) == values
        assert space.normalize(space.values({**search.suggest(f"t{i}")})) == values
