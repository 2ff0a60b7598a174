"""``prior`` behind both engines' own searcher classes, call by call and under Syne Tune's own ASHA."""

from __future__ import annotations

import copy
from datetime import datetime
from pathlib import Path
from typing import Any

import dill
import pytest
from ray.tune.search import ConcurrencyLimiter, Searcher
from syne_tune.backend.trial_status import Trial
from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving

from tests.samples.past import bowls
from tests.samples.spaces import SMALL
from tune_lr import Prior, PriorSearcher
from tune_lr.engines.on_ray import RaySearcher, to_ray
from tune_lr.engines.on_syne import SyneSearcher, to_syne
from tune_lr.errors import BadInput

CONFIG_SPACE = to_syne(SMALL)


@pytest.fixture(scope="module")
def prior() -> Prior:
    return Prior.fit(bowls([0.45, 0.5, 0.55], trials=30), SMALL)


def far(config: dict[str, Any]) -> float:
    return abs(SMALL.knobs["lr"].to_unit(config["lr"]) - 0.5)


def ray_searcher(searcher: Any = "prior", **options: Any) -> RaySearcher:
    return RaySearcher(searcher, metric="loss", mode="min", max_epochs=9, **options)


def driven(searcher: Any, begin: int, end: int) -> list[dict[str, Any]]:
    """Ray's calls for some trials of three epochs; what was suggested."""
    made = []
    for number in range(begin, end):
        config = searcher.suggest(f"r{number}")
        made.append(config)
        result: dict[str, Any] = {}
        for epoch in (1, 2, 3):
            result = {"training_iteration": epoch, "loss": far(config) + 1.0 / epoch}
            searcher.on_trial_result(f"r{number}", result)
        searcher.on_trial_complete(f"r{number}", result)
    return made


@pytest.mark.parametrize("history", [True, False])
def test_ray_gets_what_the_searcher_alone_proposes(history: bool, prior: Prior) -> None:
    options = {"prior": prior} if history else {}
    made = driven(ray_searcher(space=SMALL, seed=2, **options), 0, 14)
    ours = PriorSearcher(SMALL, prior if history else None, seed=2, max_epochs=9)
    for config in made:
        suggestion = ours.ask()
        assert suggestion is not None
        assert config == suggestion.config
        for epoch in (1, 2, 3):
            ours.tell(suggestion.trial_id, epoch, far(config) + 1.0 / epoch)
        ours.done(suggestion.trial_id, "stopped")


def test_ray_may_give_the_space_and_a_searcher_that_was_made(prior: Prior) -> None:
    named = ray_searcher(prior=prior)
    assert named.set_search_properties("loss", "min", to_ray(SMALL))
    given = ray_searcher(PriorSearcher(SMALL, prior, max_epochs=9))
    first, second = driven(named, 0, 6), driven(given, 0, 6)
    assert [config["lr"] for config in first] == [config["lr"] for config in second]
    assert far(first[0]) < 0.1


def test_ray_s_limiter_keeps_what_is_under_way_apart(prior: Prior) -> None:
    limited = ConcurrencyLimiter(ray_searcher(space=SMALL, prior=prior), max_concurrent=4)
    configs = [limited.suggest(f"r{number}") for number in range(4)]
    assert len({str(config) for config in configs}) == 4
    assert limited.suggest("r4") is None
    limited.on_trial_complete("r0", {"training_iteration": 1, "loss": 1.0})
    assert limited.suggest("r4") not in [None, Searcher.FINISHED, *configs]


@pytest.mark.parametrize("history", [True, False])
def test_ray_s_saved_state_brings_it_back(history: bool, prior: Prior, tmp_path: Path) -> None:
    options = {"prior": prior} if history else {}
    whole = driven(ray_searcher(space=SMALL, **options), 0, 16)
    first = ray_searcher(space=SMALL, **options)
    driven(first, 0, 11)
    first.save(str(tmp_path / "state"))
    again = ray_searcher(space=SMALL, **options)
    again.restore(str(tmp_path / "state"))
    assert driven(again, 11, 16) == whole[11:]


def test_copies_go_on_as_the_first_does(prior: Prior) -> None:
    searcher = ray_searcher(space=SMALL, prior=prior)
    driven(searcher, 0, 10)
    one, other = copy.deepcopy(searcher), dill.loads(dill.dumps(searcher))
    expected = driven(searcher, 10, 14)
    assert driven(one, 10, 14) == expected
    assert driven(other, 10, 14) == expected


@pytest.mark.parametrize("history", [True, False])
def test_under_syne_tunes_asha_it_learns_and_never_repeats(history: bool, prior: Prior) -> None:
    options = {"prior": prior} if history else {}
    searcher = SyneSearcher(CONFIG_SPACE, random_seed=0, searcher="prior", max_epochs=9, **options)
    scheduler = AsynchronousSuccessiveHalving(
        CONFIG_SPACE, metric="loss", searcher=searcher, time_attr="epoch", max_t=9, random_seed=0
    )
    configs, under_way, epochs = [], list[tuple[Trial, int]](), 0
    while epochs < 120:
        while len(under_way) < 3:
            suggestion = scheduler.suggest()
            assert suggestion is not None
            trial = Trial(len(configs), suggestion.config, datetime.now())
            configs.append(suggestion.config)
            scheduler.on_trial_add(trial)
            under_way.append((trial, 0))
        trial, epoch = under_way.pop(0)
        epochs += 1
        result = {"loss": far(trial.config) + 1.0 / (epoch + 1), "epoch": epoch + 1}
        if epoch + 1 == 9:
            scheduler.on_trial_complete(trial, result)
        elif scheduler.on_trial_result(trial, result) == "CONTINUE":
            under_way.append((trial, epoch + 1))
        else:
            scheduler.on_trial_remove(trial)
    points = {SMALL.key(SMALL.normalize(SMALL.values(config))) for config in configs}
    assert len(points) == len(configs) > 15
    trials = searcher._searcher.model.running.trials  # type: ignore[attr-defined]
    assert sum(trial.epochs for trial in trials.values()) == 120
    assert min(far(config) for config in configs) < 0.05
    if history:
        assert far(configs[0]) < 0.1


def test_syne_tunes_first_points_come_first_and_are_learned_from(prior: Prior) -> None:
    points = prior.points(2)
    searcher = SyneSearcher(CONFIG_SPACE, points, random_seed=0, searcher="prior", max_epochs=9)
    configs = [searcher.suggest() for _ in range(4)]
    assert [config["lr"] for config in configs[:2] if config] == [point["lr"] for point in points]
    assert len({str(config) for config in configs}) == 4
    for number, config in enumerate(configs):
        assert config is not None
        searcher.on_trial_result(number, config, far(config), resource_level=1)
    trials = searcher._searcher.model.running.trials  # type: ignore[attr-defined]
    assert [trial.curve for trial in trials.values()] == [[far(config)] for config in configs if config]


def test_syne_tunes_pickle_keeps_it(prior: Prior) -> None:
    searcher = SyneSearcher(CONFIG_SPACE, random_seed=0, searcher="prior", prior=prior)
    for number in range(9):
        config = searcher.suggest()
        assert config is not None
        searcher.on_trial_result(number, config, far(config), resource_level=1)
    again = dill.loads(dill.dumps(searcher))
    assert again.suggest() == searcher.suggest()


def test_both_refuse_what_is_no_prior_of_the_space() -> None:
    with pytest.raises(BadInput, match="prior"):
        ray_searcher(space=SMALL, prior="starter")
    with pytest.raises(BadInput, match="prior"):
        SyneSearcher(CONFIG_SPACE, random_seed=0, searcher="prior", prior={})
