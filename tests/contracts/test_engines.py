"""What holds for every engine, found through the registry. ``inline`` is the measure of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import tune_lr
from tune_lr import registry
from tune_lr.errors import BadInput, JobFailed
from tune_lr.experiment import Experiment

ENGINES = registry.names("engines")
OTHERS = [name for name in ENGINES if name != "inline"]
TRAINERS = Path(__file__).resolve().parents[1] / "samples" / "trainers.py"


pytestmark = pytest.mark.usefixtures("local_ray")


def run(engine: str, trainer: str, out: Path, **asked: Any) -> Experiment:
    what = {"searcher": "random", "trials": 9, "max_epochs": 9, "seed": 5, **asked}
    return tune_lr.tune(f"{TRAINERS}:{trainer}", "greedy_lr", engine=engine, out=out, **what)


def told(experiment: Experiment) -> list[tuple[Any, ...]]:
    """All that must not depend on the engine: configurations, curves, decisions."""
    return [
        (t.trial_id, t.config, t.status, [(r.epoch, r.metrics) for r in t.reports])
        for t in experiment.record().trials.values()
    ]


@pytest.fixture(scope="module")
def measure(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What engine inline makes of a job; each is run once."""
    done: dict[tuple[str, str], Experiment] = {}

    def get(trainer: str, scheduler: str) -> Experiment:
        if (trainer, scheduler) not in done:
            out = tmp_path_factory.mktemp("inline") / "x"
            done[trainer, scheduler] = run("inline", trainer, out, trial_scheduler=scheduler)
        return done[trainer, scheduler]

    return get


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("trainer", "scheduler"),
    [("good", "asha"), ("good", "asha-promote"), ("saves_after_reporting", "asha-promote")],
)
def test_one_worker_gives_the_same_everywhere(
    engine: str, trainer: str, scheduler: str, tmp_path: Path, measure: Any
) -> None:
    experiment = run(engine, trainer, tmp_path / "x", trial_scheduler=scheduler)
    expected = measure(trainer, scheduler)
    assert told(experiment) == told(expected)
    reports, as_inline = experiment.to_pandas(), expected.to_pandas()
    assert list(reports.columns) == list(as_inline.columns)
    pd.testing.assert_frame_equal(reports.drop(columns="seconds"), as_inline.drop(columns="seconds"))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "x" / "reports.parquet"), reports)


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("scheduler", ["asha-promote", "median"])
def test_two_workers_account_for_every_trial_and_epoch(engine: str, scheduler: str, tmp_path: Path) -> None:
    experiment = run(
        engine, "good", tmp_path / "x", trials=12, workers=2, trial_scheduler=scheduler, budget="24epochs"
    )
    record = experiment.record()
    assert record.epochs == 24
    assert {trial.status for trial in record.trials.values()} <= {"completed", "stopped", "paused"}
    for trial in record.trials.values():
        assert [report.epoch for report in trial.reports] == list(range(1, trial.epochs + 1))


@pytest.mark.parametrize("engine", OTHERS)
def test_a_trial_that_goes_wrong_never_costs_another(engine: str, tmp_path: Path) -> None:
    experiment = run(engine, "some_go_wrong", tmp_path / "x", trial_scheduler="none", max_epochs=3)
    trials = experiment.trials().set_index("trial_id")
    expected = ["completed", *["failed"] * 3, *["diverged"] * 3, *["completed"] * 2]
    assert list(trials.status) == expected
    assert list(trials.epochs) == [3, 1, 1, 1, 2, 2, 2, 3, 3]
    assert "RuntimeError: out of luck" in trials.error["0001"]
    assert "3" in trials.error["0002"]
    assert "kill" in trials.error["0003"].lower() or "died" in trials.error["0003"].lower()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("trainer", "asked", "said"),
    [
        ("never_reports", {}, "without ever calling trial.report"),
        ("reports_another_metric", {}, "accuracy, loss"),
        ("never_saves", {"trial_scheduler": "asha-promote"}, "never calls"),
    ],
)
def test_a_trainer_that_cannot_work_ends_the_job_with_the_reason(
    engine: str, trainer: str, asked: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(JobFailed, match=said):
        run(engine, trainer, tmp_path / "x", **asked)
    assert Experiment.open(tmp_path / "x").record().status == "failed"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_trainer_that_cannot_be_loaded_is_named_and_leaves_nothing(engine: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_library\n")
    with pytest.raises(BadInput, match="no_such_library"):
        tune_lr.tune(f"{broken}:train", "greedy_lr", searcher="random", engine=engine, out=tmp_path / "x")
    with pytest.raises(BadInput, match="goood"):
        run(engine, "goood", tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_function_without_a_file_travels_by_value(engine: str, tmp_path: Path) -> None:
    offset = 0.5

    def train(config: dict[str, Any], trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(val_loss=offset / epoch, quote=len(config["note"]))

    space = {
        "name": "n",
        "knobs": {"note": {"type": "categorical", "values": ['it\'s "quoted"', "two words", "ü"]}},
    }
    what = {"searcher": "random", "trials": 3, "max_epochs": 2}
    experiment = tune_lr.tune(train, space, engine=engine, out=tmp_path / "x", **what)
    assert experiment.best is not None
    assert experiment.best.value == 0.25
    assert set(experiment.trials()["config/note"]) == {'it\'s "quoted"', "two words", "ü"}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_healthy_job_says_nothing(engine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(engine, "good", tmp_path / "x", trials=3, progress=False)
    out, err = capfd.readouterr()
    lines = [line for line in (out + err).splitlines() if "a brace in the output" not in line]
    assert lines == []
