from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tune_lr.errors import BadInput, JobFailed
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.jobs import resume, tune
from tune_lr.journal import Journal

SPACE = {
    "name": "mixed",
    "knobs": {
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "max_lr_ratio": {"type": "float", "low": 1.0, "high": 10.0},
        "smooth": {"type": "categorical", "values": [True, False]},
        "window_size": {"type": "int", "low": 2, "high": 50, "when": {"smooth": True}},
        "note": {"type": "categorical", "values": ["plain", "with 'quotes' and spaces"]},
    },
}


def train(config: dict[str, Any], trial: Any) -> None:
    trial.load()
    for epoch in trial.epochs():
        trial.save({"epoch": epoch})
        trial.report(val_loss=(config["lr"] - 0.1) ** 2 + 1 / epoch, accuracy=epoch / 10, lr=config["lr"])


def broken(config: dict[str, Any], trial: Any) -> None:
    for epoch in trial.epochs():
        trial.report(val_loss=1.0)
        raise RuntimeError(f"no luck in epoch {epoch}")


def test_a_folder_is_read_with_one_line_of_pandas(tmp_path: Path) -> None:
    experiment = tune(train, SPACE, out=tmp_path / "x", trials=8, max_epochs=9, seed=1)
    reports = pd.read_parquet(tmp_path / "x" / "reports.parquet")
    assert list(reports.columns[:6]) == ["trial_id", "epoch", "seconds", "val_loss", "accuracy", "lr"]
    assert {"config/lr", "config/max_lr", "config/smooth", "config/note"} < set(reports.columns)
    assert (reports["config/max_lr"] >= reports["config/lr"]).all()
    assert reports["epoch"].min() == 1
    pd.testing.assert_frame_equal(reports, experiment.to_pandas())
    trials = pd.read_parquet(tmp_path / "x" / "trials.parquet")
    assert list(trials.columns[:4]) == ["trial_id", "status", "epochs", "best"]
    assert trials.columns[-1] == "error"
    assert experiment.best is not None
    assert trials.set_index("trial_id").loc[experiment.best.trial_id, "best"] == trials["best"].min()


def test_the_same_call_goes_on_and_another_job_is_refused(tmp_path: Path) -> None:
    what: dict[str, Any] = {"searcher": "random", "max_epochs": 3}
    first = tune(train, SPACE, out=tmp_path / "x", trials=3, **what)
    more = tune(train, SPACE, out=tmp_path / "x", trials=5, **what)
    assert len(first.record().trials) == len(more.record().trials) == 5
    with pytest.raises(BadInput, match="seed"):
        tune(train, SPACE, out=tmp_path / "x", trials=5, seed=9, **what)
    with pytest.raises(BadInput, match="max_epochs"):
        resume(tmp_path / "x", train, max_epochs=9)


def test_extending_keeps_what_was_there(tmp_path: Path) -> None:
    experiment = tune(train, SPACE, out=tmp_path / "x", trials=4, max_epochs=9, searcher="random")
    before = experiment.to_pandas()
    after = resume(tmp_path / "x", train, trials=9).to_pandas()
    pd.testing.assert_frame_equal(after[after.trial_id.isin(before.trial_id)].reset_index(drop=True), before)
    assert after.trial_id.nunique() == 9
    whole = tune(train, SPACE, out=tmp_path / "y", trials=9, max_epochs=9, searcher="random").to_pandas()
    pd.testing.assert_frame_equal(after.drop(columns="seconds"), whole.drop(columns="seconds"))


def test_a_failed_trial_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match=r"every trial failed.*no luck in epoch 1"):
        tune(broken, SPACE, out=tmp_path / "x", trials=4, trial_scheduler="none")
    trials = Experiment.open(tmp_path / "x").trials()
    assert set(trials.status) == {"failed"}
    assert trials.error.str.contains("no luck in epoch 1").all()


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    experiment = tune(train, SPACE, out=tmp_path / "x", trials=1, max_epochs=1)
    program = (
        "import sys; from tune_lr.experiment import Experiment; from tune_lr.errors import BadInput\n"
        "try:\n"
        "    with Experiment.open(sys.argv[1]).drive(): print('driving')\n"
        "except BadInput as error: print('refused:', error)\n"
    )
    with experiment.drive():
        said = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "x")], capture_output=True, text=True, check=True
        )
    assert said.stdout.startswith("refused:")
    assert "no other process" in said.stdout


def test_folders_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    for out in (file, other, file / "below"):
        with pytest.raises(BadInput, match="out"):
            tune(train, SPACE, out=out, trials=1)
    assert file.read_text() == "mine"
    assert [entry.name for entry in other.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "content",
    ['{"format": 99, "job": {}}', "", "{", '{"job": 3}', '{"job": {"trials": "many"}}', "[" * 100_000],
)
def test_a_damaged_description_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "experiment.json").write_text(content)
    with pytest.raises(BadInput, match=r"experiment\.json"):
        Experiment.open(tmp_path)


def test_no_experiment_is_said() -> None:
    with pytest.raises(BadInput, match="nowhere"):
        Experiment.open("nowhere")


def test_in_memory_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = Job.make({"trainer": "x:train", "space": SPACE})
    with Experiment.open(None, job).drive() as driver:
        driver.next()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"trials": 0}, "trials"),
        ({"workers": -1}, "workers"),
        ({"max_epochs": "many"}, "max_epochs"),
        ({"seed": -1}, "seed"),
        ({"mode": "least"}, "mode"),
        ({"scope": "worst"}, "scope"),
        ({"budget": "five"}, "budget"),
        ({"budget": "0epochs"}, "budget"),
        ({"budget": "1.5epochs"}, "budget"),
        ({"keep_checkpoints": -1}, "keep_checkpoints"),
        ({"trails": 4}, "trials"),
        ({"engine": "rya"}, "ray"),
        ({"searcher": "randm"}, "random"),
        ({"trial_scheduler": "asah"}, "asha"),
        ({"workers": 2}, "inline"),
    ],
)
def test_what_cannot_be_asked_is_named(tmp_path: Path, asked: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        tune(train, SPACE, out=tmp_path / "x", **asked)
    assert not (tmp_path / "x").exists()


def wanders(config: dict[str, Any], trial: Any) -> None:
    os.chdir(tempfile.mkdtemp())
    train(config, trial)


def test_a_trainer_that_changes_the_folder_moves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = tune(wanders, SPACE, out="x", trials=3, max_epochs=2, searcher="random", progress=False)
    assert Path.cwd() == tmp_path
    assert {entry.name for entry in (tmp_path / "x").iterdir()} >= {
        "experiment.json",
        "trials.parquet",
        "trials",
    }
    assert len(experiment.record().trials) == 3
    assert experiment.where == "x"


def test_tables_that_a_kill_prevented_are_made_good(tmp_path: Path) -> None:
    experiment = tune(train, SPACE, out=tmp_path / "x", trials=3, max_epochs=2, progress=False)
    reports = pd.read_parquet(tmp_path / "x" / "reports.parquet")
    (tmp_path / "x" / "reports.parquet").unlink()
    experiment.repair()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "x" / "reports.parquet"), reports)


def test_bad_use_beside_a_driver_takes_nothing_from_it(tmp_path: Path) -> None:
    job = Job.make({"trainer": "x:train", "space": SPACE})
    first = Experiment.open(tmp_path / "x", job)
    second = Experiment.open(tmp_path / "x", job)
    second._new = True  # as where both began at the same instant
    with first.drive():
        second.discard_if_empty()
        assert (tmp_path / "x" / ".lock").exists()
        assert (tmp_path / "x" / "experiment.json").exists()


def odd(config: dict[str, Any], trial: Any) -> None:
    for _ in trial.epochs():
        trial.report(val_loss=1.0, **{"\udc80x": 1.0})
        if trial.id == "0001":
            raise ValueError("a file named \udc80" + "x" * 10**6)


def test_text_that_no_file_can_hold_costs_nothing(tmp_path: Path) -> None:
    tune(odd, SPACE, out=tmp_path / "x", trials=2, max_epochs=2, trial_scheduler="none", progress=False)
    trials = pd.read_parquet(tmp_path / "x" / "trials.parquet").set_index("trial_id")
    assert list(trials.status) == ["completed", "failed"]
    assert len(trials.error["0001"]) < 10**5
    assert "\\udc80x" in pd.read_parquet(tmp_path / "x" / "reports.parquet").columns


def test_an_error_of_the_driver_is_no_trials_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = Journal.append

    def full(journal: Journal, event: Any) -> None:
        if event.get("event") == "report" and event["epoch"] == 2:
            raise OSError("no space left on device")
        append(journal, event)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", full)
        with pytest.raises(OSError, match="no space left"):
            tune(train, SPACE, out=tmp_path / "x", trials=2, max_epochs=3, progress=False)
    experiment = resume(tmp_path / "x", train, progress=False)
    assert {trial.status for trial in experiment.record().trials.values()} <= {"completed", "stopped"}


def test_a_clock_that_jumps_spends_no_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job.make({"trainer": "x:train", "space": SPACE, "budget": "1h"})
    with Experiment.open(None, job).drive() as driver:
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 1e7)
        assert driver.next() is not None
        assert driver.seconds < 3600
