"""RaySearcher in plain Ray Tune scripts, and call by call."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter, Searcher

from tune_lr.engines.on_ray import RaySearcher, to_ray
from tune_lr.errors import BadInput
from tune_lr.objective import WORST_LOSS
from tune_lr.searchers.base import WAIT, Suggestion
from tune_lr.searchers.base import Searcher as OurSearcher
from tune_lr.searchers.random import RandomSearcher
from tune_lr.space import SearchSpace
from tune_lr.spacefile import load_space

SPACE = SearchSpace.from_dict(
    {
        "name": "small",
        "knobs": {
            "lr": {"type": "float", "low": 0.01, "high": 1.0, "log": True},
            "min_lr_ratio": {"type": "float", "low": 0.01, "high": 0.5, "log": True},
            "smooth": {"type": "categorical", "values": [True, False]},
            "window": {"type": "int", "low": 2, "high": 9, "when": {"smooth": True}},
            "momentum": {"type": "constant", "value": 0.9},
        },
    }
)


class Listening(OurSearcher):
    """Three configurations, and whatever it hears."""

    def __init__(self) -> None:
        super().__init__(SPACE, max_epochs=4)
        self.heard: list[tuple[Any, ...]] = []
        self.wait = False

    def ask(self) -> Any:
        if self.wait:
            return WAIT
        if self._asked == 3:
            return None
        return self._suggest(self.space.sample(3, 0)[self._asked], source="test")

    def tell(self, trial_id: str, epoch: int, value: float) -> None:
        self.heard.append(("tell", trial_id, epoch, value))

    def done(self, trial_id: str, status: Any) -> None:
        self.heard.append(("done", trial_id, status))


def test_it_is_what_ray_expects() -> None:
    searcher = RaySearcher(Listening(), metric="acc", mode="max")
    assert isinstance(searcher, Searcher)
    assert (searcher.metric, searcher.mode) == ("acc", "max")
    assert not hasattr(searcher, "searcher")  # Ray would take it for a wrapper of another


def test_suggestions_are_what_a_trial_of_ours_gets() -> None:
    ours, searcher = Listening(), RaySearcher(Listening(), metric="loss", mode="min")
    expected = [ours.ask().config for _ in range(3)]
    assert [searcher.suggest(f"r{n}") for n in range(3)] == expected
    assert all("min_lr" in config and "min_lr_ratio" not in config for config in expected)
    assert searcher.suggest("r3") == Searcher.FINISHED
    waiting = Listening()
    waiting.wait = True
    assert RaySearcher(waiting, metric="loss", mode="min").suggest("r0") is None


def test_what_ray_says_reaches_the_searcher_once_and_as_losses() -> None:
    ours = Listening()
    searcher = RaySearcher(ours, metric="acc", mode="max")
    for ray_id in ("a", "b", "c"):
        searcher.suggest(ray_id)

    def result(epoch: int, value: Any) -> dict[str, Any]:
        return {"training_iteration": epoch, "acc": value, "config": {}}

    searcher.on_trial_result("a", result(1, 0.5))
    searcher.on_trial_result("a", result(1, 0.5))
    searcher.on_trial_result("a", result(2, 0.4))  # the best so far decides
    searcher.on_trial_result("b", result(1, math.nan))
    searcher.on_trial_result("nobody", result(1, 0.1))
    searcher.on_trial_complete(trial_id="a", result=result(3, 0.7), error=False)  # stopped: only here
    searcher.on_trial_complete(trial_id="a", result=result(3, 0.7), error=False)
    searcher.on_trial_complete("b", result(1, math.nan))
    searcher.on_trial_complete("c", error=True)
    assert ours.heard == [
        ("tell", "0000", 1, -0.5),
        ("tell", "0000", 2, -0.5),
        ("tell", "0001", 1, WORST_LOSS),
        ("tell", "0000", 3, -0.7),
        ("done", "0000", "stopped"),
        ("done", "0001", "diverged"),
        ("done", "0002", "failed"),
    ]


def test_it_begins_again_where_it_was_saved(tmp_path: Path) -> None:
    def drive(searcher: RaySearcher, begin: int, end: int) -> list[Any]:
        said = []
        for number in range(begin, end):
            said.append(searcher.suggest(f"r{number}"))
            searcher.on_trial_result(f"r{number}", {"training_iteration": 1, "loss": number / 7})
            if number % 2:
                searcher.on_trial_complete(f"r{number}", {"training_iteration": 2, "loss": math.inf})
        return said

    def new() -> RaySearcher:
        return RaySearcher("random", metric="loss", mode="min", space=SPACE, seed=3)

    whole = drive(new(), 0, 12)
    first = new()
    drive(first, 0, 5)
    first.save(str(tmp_path / "state"))
    assert (tmp_path / "state").read_text().startswith("{")  # text, not a pickle
    for again in (new(), first):
        again.restore(str(tmp_path / "state"))
        again.save(str(tmp_path / "again"))
        assert (tmp_path / "again").read_text() == (tmp_path / "state").read_text()
        assert drive(again, 5, 12) == whole[5:]
    (tmp_path / "torn").write_text("{")
    with pytest.raises(BadInput, match="RaySearcher"):
        new().restore(str(tmp_path / "torn"))


def test_a_given_searcher_begins_again_too(tmp_path: Path) -> None:
    ours = Listening()
    searcher = RaySearcher(ours, metric="loss", mode="min")
    configs = [searcher.suggest("a"), searcher.suggest("b")]
    searcher.on_trial_result("a", {"training_iteration": 1, "loss": 1.0})
    searcher.save(str(tmp_path / "state"))
    again = RaySearcher(Listening(), metric="loss", mode="min")
    again.restore(str(tmp_path / "state"))
    again.on_trial_complete("b", error=True)
    assert again.suggest("c") not in configs
    assert again.suggest("d") == Searcher.FINISHED


def test_what_is_missing_or_said_twice_is_named() -> None:
    with pytest.raises(BadInput, match="param_space"):
        RaySearcher(metric="loss", mode="min").suggest("a")
    with pytest.raises(BadInput, match="metric and mode"):
        RaySearcher(space=SPACE).suggest("a")
    with pytest.raises(BadInput, match="metric: 'acc'"):
        RaySearcher(space=SPACE, metric="loss").set_search_properties("acc", "max", {})
    with pytest.raises(BadInput, match="depth"):
        RaySearcher(space=SPACE).set_search_properties("acc", "max", {"depth": tune.randint(1, 5)})


def train(config: dict[str, Any]) -> None:
    for epoch in range(1, 10):
        bad = config["lr"] > 0.5
        tune.report({"val_loss": math.nan if bad else abs(config["lr"] - 0.2) + 1 / epoch})


@pytest.mark.ray
def test_a_plain_tuner_with_rays_own_scheduler_and_limiter(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    space = load_space("greedy_lr")
    heard: list[Suggestion] = []

    class Remembering(RandomSearcher):
        def ask(self) -> Suggestion | None:
            suggestion = super().ask()
            heard.extend([suggestion] if suggestion else [])
            return suggestion

    results = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={**to_ray(space), "batch_size": 32},
        tune_config=tune.TuneConfig(
            metric="val_loss",
            mode="min",
            search_alg=ConcurrencyLimiter(RaySearcher(Remembering(space, seed=1)), max_concurrent=2),
            scheduler=ASHAScheduler(max_t=9, grace_period=1, reduction_factor=3),
            num_samples=7,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="plain", storage_path=str(tmp_path), verbose=0),
    ).fit()
    configs = [result.config for result in results]
    assert len(configs) == 7
    assert not results.errors
    for config, suggestion in zip(configs, heard, strict=True):
        assert suggestion.config.items() <= config.items()
        assert config["batch_size"] == 32
        assert set(config) - set(suggestion.config) <= {"batch_size", *space.knobs}
        assert config["min_lr"] <= config["lr"] <= config["max_lr"]
    assert list((tmp_path / "plain").glob("searcher-state-*"))


@pytest.mark.ray
def test_the_space_is_read_from_the_tuner(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    results = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={"lr": tune.loguniform(0.01, 0.4), "depth": tune.choice([2, 3]), "note": "it's \"so\""},
        tune_config=tune.TuneConfig(
            metric="val_loss", mode="min", search_alg=RaySearcher("random", seed=4), num_samples=3,
            max_concurrent_trials=2, reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="read", storage_path=str(tmp_path), verbose=0),
    ).fit()  # fmt: skip
    configs = [result.config for result in results]
    assert len({config["lr"] for config in configs}) == 3
    assert all(0.01 <= config["lr"] <= 0.4 and config["depth"] in (2, 3) for config in configs)
    assert {config["note"] for config in configs} == {'it\'s "so"'}
