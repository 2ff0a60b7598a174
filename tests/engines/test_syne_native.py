"""Syne Tune's own searchers and trial schedulers, on any engine that tune-lr has."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tune_lr
from tune_lr import load_space, registry
from tune_lr.engines.on_syne.native import NativeAsha, NativeMedian, Pbt
from tune_lr.errors import BadInput, UnknownName
from tune_lr.experiment import Experiment
from tune_lr.objective import WORST_LOSS
from tune_lr.searchers.base import Searcher, Suggestion
from tune_lr.space import SearchSpace

TRAINERS = Path(__file__).with_name("trainers.py")
SMALL = {
    "name": "small",
    "knobs": {
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "patience": {"type": "int", "low": 0, "high": 20},
    },
}
SEARCHERS = ["cqr", "bore", "bohb"]


def make(name: str, space: SearchSpace, seed: int = 0) -> Searcher:
    searcher: Searcher = registry.load("searchers", name)(space, seed=seed, max_epochs=9)
    return searcher


def value_of(suggestion: Suggestion) -> float:
    return abs(math.log10(suggestion.values["lr"]) + 2) + suggestion.values["patience"] / 20


def play(searcher: Searcher, count: int) -> list[Suggestion]:
    asked = []
    for _ in range(count):
        suggestion = searcher.ask()
        assert isinstance(suggestion, Suggestion)
        asked.append(suggestion)
        for epoch in (1, 2):
            searcher.tell(suggestion.trial_id, epoch, value_of(suggestion) + 1 / epoch)
    return asked


@pytest.mark.parametrize("name", SEARCHERS)
def test_the_model_proposes_and_learns(name: str) -> None:
    asked = play(make(name, SearchSpace.from_dict(SMALL)), 40 if name == "bohb" else 20)
    sources = [suggestion.why["source"] for suggestion in asked]
    assert sources[0] == "random"
    assert sources.count(name) >= 5
    values = [value_of(suggestion) for suggestion in asked]
    assert np.mean(values[-8:]) < np.mean(values[:8])


@pytest.mark.parametrize("name", SEARCHERS)
def test_numpys_generator_is_left_alone_and_has_no_say(name: str) -> None:
    space = SearchSpace.from_dict(SMALL)
    np.random.seed(1)
    before = np.random.get_state(legacy=False)
    first = play(make(name, space), 9)
    after = np.random.get_state(legacy=False)
    assert (before["state"]["key"] == after["state"]["key"]).all()
    assert before["state"]["pos"] == after["state"]["pos"]
    np.random.seed(2)
    assert play(make(name, space), 9) == first


@pytest.mark.parametrize("name", SEARCHERS)
def test_after_a_replay_it_goes_on_as_if_it_had_never_stopped(name: str) -> None:
    space = SearchSpace.from_dict(SMALL)
    first = make(name, space)
    asked = play(first, 10)
    second = make(name, space)
    for suggestion in asked:
        second.replay(suggestion)
        for epoch in (1, 2):
            second.tell(suggestion.trial_id, epoch, value_of(suggestion) + 1 / epoch)
    assert play(second, 2) == play(first, 2)


@pytest.mark.parametrize("name", SEARCHERS)
def test_diverged_trials_do_not_blind_the_model(name: str) -> None:
    searcher = make(name, load_space("greedy_lr"))
    for number in range(12):
        suggestion = searcher.ask()
        assert isinstance(suggestion, Suggestion)
        searcher.tell(suggestion.trial_id, 1, WORST_LOSS if number % 3 == 0 else suggestion.values["lr"])
    told = [value for values in searcher._inner.trial_results.values() for value in values]  # type: ignore[attr-defined]
    assert max(told) <= 1.0


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_searcher_runs_on_another_engine(name: str, tmp_path: Path) -> None:
    experiment = tune_lr.tune(
        f"{TRAINERS}:steady", SMALL, out=tmp_path / "x", searcher=name, trials=8, max_epochs=3
    )
    assert len(experiment.trials()) == 8
    assert {trial.why["source"] for trial in experiment.record().trials.values()} <= {"random", name}


def curves(count: int = 30, epochs: int = 9, seed: int = 0) -> Any:
    return np.random.default_rng(seed).random((count, epochs)) + np.linspace(1, 0, epochs)


def decisions(rule: Any, values: Any) -> list[str]:
    said = []
    for number, curve in enumerate(values):
        trial_id = f"{number:04d}"
        rule.started(trial_id, {"lr": 0.1, "patience": 3})
        for epoch, value in enumerate(curve, start=1):
            said.append(rule.decide(trial_id, epoch, float(value)))
            if said[-1] != "continue":
                rule.done(trial_id, "stopped")
                break
        else:
            rule.done(trial_id, "completed")
    return said


@pytest.mark.parametrize("made", [NativeAsha, lambda **o: NativeAsha(brackets=3, **o), NativeMedian])
def test_native_rules_decide_by_the_seed_alone(made: Any) -> None:
    np.random.seed(5)
    before = np.random.get_state(legacy=False)["state"]["pos"]
    first = decisions(made(max_epochs=9, seed=1), curves())
    assert np.random.get_state(legacy=False)["state"]["pos"] == before
    np.random.seed(6)
    assert decisions(made(max_epochs=9, seed=1), curves()) == first
    assert "stop" in first
    assert "continue" in first


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (NativeAsha, {"grace": 0}),
        (NativeAsha, {"reduction_factor": 1}),
        (NativeMedian, {"min_trials": 0}),
        (Pbt, {"interval": 0, "space": SearchSpace.from_dict(SMALL)}),
        (Pbt, {"quantile_fraction": 0.8, "space": SearchSpace.from_dict(SMALL)}),
    ],
)
def test_options_out_of_range_are_named(rule: Any, options: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="option"):
        rule(max_epochs=9, **options)


def run(out: Path, scheduler: str, **asked: Any) -> Experiment:
    what = {"trials": 9, "max_epochs": 9, "seed": 3, "searcher": "random", "trial_scheduler": scheduler}
    what |= {"progress": False, **asked}
    return tune_lr.tune(f"{TRAINERS}:slow", SMALL, engine="syne-tune", out=out, **what)


@pytest.mark.syne
@pytest.mark.parametrize("scheduler", ["native-asha", "native-median"])
def test_native_rules_stop_trials_on_the_engine(scheduler: str, tmp_path: Path) -> None:
    options = {"min_trials": 3} if scheduler == "native-median" else {}
    record = run(tmp_path / "x", scheduler, workers=2, trial_scheduler_options=options).record()
    assert {trial.status for trial in record.trials.values()} == {"completed", "stopped"}


@pytest.mark.syne
def test_population_based_training_copies_and_goes_on(tmp_path: Path) -> None:
    record = run(tmp_path / "x", "pbt", workers=3, trials=12).record()
    copies = [trial for trial in record.trials.values() if "checkpoint_of" in trial.why]
    assert copies
    trained = [trial for trial in copies if trial.reports]
    assert any(trial.reports[0].epoch > 1 for trial in trained)
    for trial in trained:
        source = record.trials[trial.why["checkpoint_of"]]
        first, inherited = trial.reports[0], trial.reports[0].epoch - 1
        if inherited:
            at = {report.epoch: report.metrics["val_loss"] for report in source.reports}
            assert inherited in at or source.why.get("checkpoint_of")
            if inherited in at:
                assert first.metrics["val_loss"] <= at[inherited]
        assert [r.epoch for r in trial.reports] == list(range(first.epoch, trial.epochs + 1))


@pytest.mark.syne
def test_a_copied_member_trains_with_its_own_knobs(tmp_path: Path) -> None:
    knobs = {
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "momentum": {"type": "float", "low": 0.0, "high": 0.9},
        "schedule": {"type": "constant", "value": "cosine"},
        "pause": {"type": "constant", "value": 0.04},
    }
    what: dict[str, Any] = {"trials": 12, "max_epochs": 9, "seed": 3, "workers": 3, "progress": False}
    space = {"name": "cosines", "knobs": knobs}
    job = {"engine": "syne-tune", "trial_scheduler": "pbt", "out": tmp_path / "x", **what}
    record = tune_lr.tune(f"{TRAINERS}:scheduled", space, **job).record()
    copies = [trial for trial in record.trials.values() if "checkpoint_of" in trial.why and trial.reports]
    assert any(trial.reports[0].epoch > 1 for trial in copies)
    for trial in record.trials.values():
        for report in trial.reports:
            own = trial.values["lr"] * (1 + math.cos(math.pi * (report.epoch - 1) / 9)) / 2
            assert report.metrics["lr"] == pytest.approx(own)
            assert report.metrics["momentum"] == pytest.approx(trial.values["momentum"])


@pytest.mark.syne
def test_going_on_under_a_native_rule_is_said_to_be_inexact(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(tmp_path / "x", "native-asha", trials=3, max_epochs=3)
    with pytest.warns(UserWarning, match="native-asha keeps state of its own"):
        experiment = tune_lr.resume(tmp_path / "x", trials=5, progress=False)
    assert len(experiment.trials()) == 5


def test_native_rules_belong_to_their_engine(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="engine inline"):
        tune_lr.tune(f"{TRAINERS}:slow", SMALL, out=tmp_path / "x", trial_scheduler="native-asha")
