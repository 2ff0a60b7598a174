"""What Ray brings: Optuna's TPE, and Ray's own trial schedulers, with trials of ours."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray import tune
from ray.tune.schedulers import HyperBandScheduler

import tune_lr
from tune_lr.engines.on_ray.native import HyperBand, NativeAsha, NativeMedian, Pbt, Tpe
from tune_lr.errors import BadInput, UnknownName
from tune_lr.experiment import Experiment
from tune_lr.objective import WORST_LOSS
from tune_lr.searchers.base import Suggestion
from tune_lr.space import ConstantKnob, SearchSpace
from tune_lr.spacefile import load_space

TRAINERS = Path(__file__).parent / "ray_trainers.py"
SMALL = {
    "name": "small",
    "knobs": {
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "patience": {"type": "int", "low": 0, "high": 20},
        "kind": {"type": "categorical", "values": ["one", "two words", "3"]},
        "width": {"type": "int", "low": 1, "high": 9, "when": {"kind": "one"}},
        "momentum": {"type": "constant", "value": 0.9},
    },
}
SPACE = SearchSpace.from_dict(SMALL)

# Tpe -------------------------------------------------------------------------------------------------


def value_of(suggestion: Suggestion) -> float:
    return abs(math.log10(suggestion.values["lr"]) + 2) + suggestion.values["patience"] / 20


def play(searcher: Tpe, count: int, ended: bool = True) -> list[Suggestion]:
    asked = []
    for _ in range(count):
        suggestion = searcher.ask()
        assert isinstance(suggestion, Suggestion)
        asked.append(suggestion)
        for epoch in (1, 2):
            searcher.tell(suggestion.trial_id, epoch, value_of(suggestion) + 1 / epoch)
        if ended:
            searcher.done(suggestion.trial_id, "completed" if len(asked) % 2 else "stopped")
    return asked


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "paused"])
def test_the_model_proposes_and_learns(ended: bool) -> None:
    asked = play(Tpe(SPACE, seed=1, max_epochs=9), 40, ended)
    assert [suggestion.why["source"] for suggestion in asked] == ["random"] * 10 + ["tpe"] * 30
    values = [value_of(suggestion) for suggestion in asked]
    assert np.mean(values[-15:]) < 0.7 * np.mean(values[:10])
    assert all(("width" in s.values) == (s.values["kind"] == "one") for s in asked)


def test_after_a_replay_it_goes_on_as_if_it_had_never_stopped() -> None:
    first, second = Tpe(SPACE, seed=2), Tpe(SPACE, seed=2)
    for number, suggestion in enumerate(play(first, 14), start=1):
        second.replay(suggestion)
        for epoch in (1, 2):
            second.tell(suggestion.trial_id, epoch, value_of(suggestion) + 1 / epoch)
        second.done(suggestion.trial_id, "completed" if number % 2 else "stopped")
    assert play(second, 3) == play(first, 3)


def test_diverged_and_failed_trials_do_not_blind_the_model() -> None:
    searcher = Tpe(load_space("greedy_lr"), seed=0)
    for number in range(14):
        suggestion = searcher.ask()
        assert isinstance(suggestion, Suggestion)
        if number % 4:
            diverged = number % 4 == 1
            searcher.tell(suggestion.trial_id, 1, WORST_LOSS if diverged else suggestion.values["lr"])
            searcher.done(suggestion.trial_id, "diverged" if diverged else "completed")
        else:
            searcher.done(suggestion.trial_id, "failed")
    found = searcher.ask()
    assert isinstance(found, Suggestion)
    assert found.why["source"] == "tpe"


# Rules -----------------------------------------------------------------------------------------------


def curves(count: int = 30, epochs: int = 9) -> Any:
    return np.random.default_rng(0).random((count, epochs)) + np.linspace(1, 0, epochs)


def decisions(rule: Any) -> list[str]:
    said = []
    for number, curve in enumerate(curves()):
        trial_id = f"{number:04d}"
        rule.started(trial_id, {})
        for epoch, value in enumerate(curve, start=1):
            said.append(rule.decide(trial_id, epoch, float(value)))
            if said[-1] != "continue":
                break
        rule.done(trial_id, "stopped" if said[-1] == "stop" else "completed")
    return said


@pytest.mark.parametrize("made", [NativeAsha, lambda **o: NativeAsha(brackets=3, **o), NativeMedian])
def test_native_rules_decide_by_the_seed_alone(made: Any) -> None:
    np.random.seed(5)
    random.seed(5)
    before = np.random.get_state(legacy=False)["state"]["pos"], random.getstate()
    first = decisions(made(max_epochs=9, seed=1))
    assert (np.random.get_state(legacy=False)["state"]["pos"], random.getstate()) == before
    np.random.seed(6)
    assert decisions(made(max_epochs=9, seed=1)) == first
    assert {"stop", "continue"} == set(first)


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (NativeAsha, {"grace": 0}),
        (NativeAsha, {"reduction_factor": 1}),
        (NativeMedian, {"min_trials": 0}),
        (HyperBand, {"reduction_factor": 1, "trials": 3}),
        (Pbt, {"interval": 0, "space": SPACE}),
        (Pbt, {"quantile_fraction": 0.8, "space": SPACE}),
        (Pbt, {"resample_probability": 1.1, "space": SPACE}),
    ],
)
def test_options_out_of_range_are_named(rule: Any, options: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="option"):
        rule(max_epochs=9, **options)


def test_native_rules_belong_to_their_engine(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="engine inline"):
        tune_lr.tune(f"{TRAINERS}:good", SMALL, out=tmp_path / "x", trial_scheduler="hyperband")
    with pytest.raises(UnknownName, match="reduction_factor"):
        run(tmp_path / "y", "hyperband", trial_scheduler_options={"trials": 3})


# On the engine ---------------------------------------------------------------------------------------


def run(out: Path, scheduler: str, space: Any = SPACE, **asked: Any) -> Experiment:
    what = {"trials": 9, "max_epochs": 9, "seed": 3, "searcher": "random", "trial_scheduler": scheduler}
    what |= {"progress": False, **asked}
    return tune_lr.tune(f"{TRAINERS}:good", space, engine="ray", out=out, **what)


@pytest.mark.ray
@pytest.mark.parametrize("scheduler", ["native-asha", "native-median"])
def test_native_rules_stop_trials_on_the_engine(local_ray: None, scheduler: str, tmp_path: Path) -> None:
    record = run(tmp_path / "x", scheduler, searcher="tpe", workers=2).record()
    assert {trial.status for trial in record.trials.values()} == {"completed", "stopped"}


class Plain(tune.Trainable):
    """What the trainer ``good`` does, as a plain Ray trainable that Ray can pause."""

    def setup(self, config: dict[str, Any]) -> None:
        self.lr = config["lr"]

    def step(self) -> dict[str, Any]:
        return {"loss": abs(self.lr - 0.3) + 1 / (self.iteration + 1)}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        return {"lr": self.lr}

    def load_checkpoint(self, checkpoint: Any) -> None:
        self.lr = checkpoint["lr"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.lr = new_config["lr"]
        return True


def in_places(events: list[dict[str, Any]], trials: int) -> list[str]:
    """Our trials in the order of their places in Ray's brackets."""
    rule = HyperBand(max_epochs=9, trials=trials)
    for event in events:
        if event["event"] == "ask":
            rule.started(event["trial_id"], {})
        elif event["event"] == "resume":
            assert rule.resume() == event["trial_id"]
        elif event["event"] == "report":
            rule.decide(event["trial_id"], event["epoch"], event["metrics"]["val_loss"])
        if event["event"] in ("report", "end") and event.get("status") in ("stopped", "completed"):
            rule.done(event["trial_id"], event["status"])
    return sorted(rule._trials, key=lambda name: int(rule._trials[name].trial_id.split()[1]))


@pytest.mark.ray
def test_hyperband_gives_the_epochs_that_it_gives_in_a_plain_tuner(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = run(tmp_path / "x", "hyperband", trials=12)
    record, places = experiment.record(), in_places(experiment.journal.read(), 12)
    ours = record.trials.values()
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    results = tune.Tuner(
        tune.with_resources(Plain, {"cpu": 2}),
        param_space={"lr": tune.grid_search([record.trials[name].config["lr"] for name in places])},
        tune_config=tune.TuneConfig(
            scheduler=HyperBandScheduler(metric="loss", mode="min", max_t=9, reduction_factor=3),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="plain", storage_path=str(tmp_path), verbose=0),
    ).fit()
    theirs = {result.config["lr"]: result.metrics["training_iteration"] for result in results}
    assert {trial.config["lr"]: trial.epochs for trial in ours} == theirs
    assert {1, 3, 9} >= set(theirs.values())
    assert {trial.status for trial in ours} == {"completed", "stopped"}
    for trial in ours:
        assert [report.metrics["seen"] for report in trial.reports] == list(range(1, trial.epochs + 1))


@pytest.mark.ray
def test_hyperband_with_two_workers_goes_on_after_an_interrupt(local_ray: None, tmp_path: Path) -> None:
    def press(event: Any, record: Any) -> None:
        if event["event"] == "report" and record.epochs == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "x", "hyperband", workers=2, trials=12, listeners=(press,))
    with pytest.warns(UserWarning, match="hyperband keeps state of its own"):
        record = tune_lr.resume(tmp_path / "x", progress=False).record()
    assert len(record.trials) == 12
    assert {trial.status for trial in record.trials.values()} <= {"completed", "stopped"}
    for trial in record.trials.values():
        assert [report.metrics["seen"] for report in trial.reports] == list(range(1, trial.epochs + 1))


@pytest.mark.ray
def test_population_based_training_copies_and_goes_on(local_ray: None, tmp_path: Path) -> None:
    # Epochs long enough that the members of the population train side by side.
    slowly = SearchSpace("slowly", {**SPACE.knobs, "pause": ConstantKnob(0.1)})
    record = run(tmp_path / "x", "pbt", slowly, workers=2, trials=8).record()
    copies = [trial for trial in record.trials.values() if "checkpoint_of" in trial.why]
    assert copies
    assert any(trial.reports[0].epoch > 1 for trial in copies)
    for trial in record.trials.values():
        first = trial.reports[0].epoch if trial.reports else 1
        assert [report.epoch for report in trial.reports] == list(range(first, trial.epochs + 1))
        # What was copied is another trial's state after as many epochs.
        assert [report.metrics["seen"] for report in trial.reports] == list(range(first, trial.epochs + 1))
        slowly.validate(trial.values)
        source = record.trials.get(trial.why.get("checkpoint_of", ""))
        assert first == 1 or (source is not None and source.values != trial.values)


@pytest.mark.ray
def test_a_copied_member_trains_with_its_own_knobs(local_ray: None, tmp_path: Path) -> None:
    space = {
        "name": "constants",
        "knobs": {
            "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
            "momentum": {"type": "float", "low": 0.0, "high": 0.9},
            "schedule": {"type": "constant", "value": "constant"},
            "pause": {"type": "constant", "value": 0.1},
        },
    }
    what: dict[str, Any] = {"trials": 8, "max_epochs": 9, "seed": 3, "workers": 2, "progress": False}
    job = {"engine": "ray", "trial_scheduler": "pbt", "out": tmp_path / "x", **what}
    trainer = Path(__file__).with_name("trainers.py")
    record = tune_lr.tune(f"{trainer}:scheduled", space, **job).record()
    copies = [trial for trial in record.trials.values() if "checkpoint_of" in trial.why and trial.reports]
    assert any(trial.reports[0].epoch > 1 for trial in copies)
    for trial in record.trials.values():
        for report in trial.reports:
            used = {name: report.metrics[name] for name in ("lr", "momentum")}
            assert used == pytest.approx({name: trial.values[name] for name in used})
