"""Engine ``syne-tune``: what the contract for all engines does not ask."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import syne_tune.tuner

import tune_lr
from tune_lr.driver import Driver
from tune_lr.engines.on_syne.launch import SyneTuneEngine
from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.journal import Journal
from tune_lr.searchers.random import RandomSearcher
from tune_lr.stopping.none import RunToTheEnd
from tune_lr.trials.trainer import Trainer

TRAINERS = Path(__file__).with_name("trainers.py")
SPACE = {"name": "one", "knobs": {"lr": {"type": "float", "low": 1e-3, "high": 1.0, "log": True}}}

pytestmark = pytest.mark.syne


def run(trainer: str, out: Path, space: Any = SPACE, **asked: Any) -> Experiment:
    what = {"engine": "syne-tune", "searcher": "random", "trials": 9, "max_epochs": 9, "seed": 2}
    what |= {"progress": False, **asked}
    return tune_lr.tune(f"{TRAINERS}:{trainer}", space, out=out, **what)


def told(experiment: Experiment) -> list[tuple[Any, ...]]:
    """All that must not depend on the engine or on kills."""
    return [
        (t.trial_id, t.config, t.status, [(r.epoch, r.metrics) for r in t.reports])
        for t in experiment.record().trials.values()
    ]


def decisions(experiment: Experiment) -> list[tuple[Any, ...]]:
    """What was asked, decided and resumed, in order."""
    kept = ("event", "trial_id", "epoch", "decision", "status", "by")
    events = experiment.journal.read()
    return [
        tuple(event.get(key) for key in kept)
        for event in events
        if event["event"] in ("ask", "report", "end", "resume")
    ]


@pytest.mark.parametrize("scheduler", ["asha-promote", "median"])
def test_every_event_is_as_on_engine_inline(tmp_path: Path, scheduler: str) -> None:
    here = run("steady", tmp_path / "a", trial_scheduler=scheduler)
    there = run("steady", tmp_path / "b", trial_scheduler=scheduler, engine="inline")
    assert told(here) == told(there)
    assert decisions(here) == decisions(there)


def test_pausing_with_two_workers_trains_no_epoch_twice(tmp_path: Path) -> None:
    record = run("slow", tmp_path / "x", trial_scheduler="asha-promote", workers=2).record()
    assert any(trial.status == "paused" for trial in record.trials.values())
    assert any(trial.epochs > 3 for trial in record.trials.values())
    for trial_id, trial in record.trials.items():
        assert [report.epoch for report in trial.reports] == list(range(1, trial.epochs + 1))
        output = (tmp_path / "x" / "trials" / trial_id / "output.log").read_text()
        assert [int(line.split()[-1]) for line in output.splitlines()] == list(range(1, trial.epochs + 1))


def test_values_travel_whole(tmp_path: Path) -> None:
    notes = ["two  words", 'it\'s "so"', "--flag", "{brace", "ünï\n", "", "$HOME `id`"]
    space = {"name": "notes", "knobs": {"note": {"type": "categorical", "values": notes}}}

    def train(config: dict[str, Any], trial: Any) -> None:
        for _ in trial.epochs():
            trial.report(val_loss=float(notes.index(config["note"])))

    experiment = tune_lr.tune(
        train,
        space,
        out=tmp_path / "x",
        engine="syne-tune",
        searcher="random",
        trials=7,
        max_epochs=1,
        workers=2,
        progress=False,
    )
    assert sorted(experiment.trials().best) == [0, 1, 2, 3, 4, 5, 6]


def test_nothing_is_printed_and_nothing_changed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SYNETUNE_FOLDER", raising=False)
    level, summary = logging.getLogger("syne_tune").level, syne_tune.tuner.print_best_metric_found
    run("slow", tmp_path / "x", trials=3)
    assert capfd.readouterr() == ("", "")
    assert list(home.iterdir()) == []
    assert "SYNETUNE_FOLDER" not in os.environ
    assert logging.getLogger("syne_tune").level == level
    assert syne_tune.tuner.print_best_metric_found is summary


def test_it_runs_in_memory() -> None:
    job = Job.make(
        {"trainer": f"{TRAINERS}:steady", "space": SPACE, "searcher": "random", "trials": 2, "max_epochs": 2}
    )
    driver = Driver(
        job,
        Journal(None),
        None,
        RandomSearcher(job.search_space, seed=0),
        RunToTheEnd(max_epochs=2),
    )
    SyneTuneEngine().run(driver, Trainer.from_text(job.trainer))
    assert [trial.status for trial in driver.record.trials.values()] == ["completed"] * 2


def test_parts_of_a_gpu_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="engine ray"):
        run("steady", tmp_path / "x", gpus_per_trial=0.5)
    assert not (tmp_path / "x").exists()


def start(out: Path, root: Path, trials: int = 9) -> subprocess.Popen[bytes]:
    script = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import tune_lr\n"
        f"tune_lr.tune({f'{TRAINERS}:slow'!r}, {SPACE!r}, out={str(out)!r}, engine='syne-tune',\n"
        f"    trials={trials}, max_epochs=9, seed=2, searcher='random', trial_scheduler='asha-promote',\n"
        f"    progress=False)\n"
    )
    return subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.DEVNULL)


def wait_for_reports(out: Path, count: int) -> None:
    deadline = time.monotonic() + 40
    journal = out / "journal.jsonl"
    while time.monotonic() < deadline:
        if journal.exists() and journal.read_text().count('"event":"report"') >= count:
            return
        time.sleep(0.01)
    raise AssertionError(f"fewer than {count} reports")


def workers_of(out: Path) -> set[int]:
    """The processes that trained there, as their output says, and still run."""
    outputs = [file.read_text() for file in out.glob("trials/*/output.log")]
    pids = {int(line.split()[1]) for output in outputs for line in output.splitlines() if "epoch" in line}
    return {pid for pid in pids if is_alive(pid)}


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.kill
def test_a_killed_job_goes_on_as_if_it_never_was(tmp_path: Path, root: Path) -> None:
    out = tmp_path / "x"
    for kills in (4, 12):
        driver = start(out, root)
        wait_for_reports(out, kills)
        driver.kill()
        driver.wait()
        deadline = time.monotonic() + 5
        while workers_of(out) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert workers_of(out) == set()
    experiment = tune_lr.resume(out, progress=False)
    expected = run("slow", tmp_path / "y", trial_scheduler="asha-promote", engine="inline")
    assert told(experiment) == told(expected)
    for trial in experiment.record().trials.values():
        lines = (out / "trials" / trial.trial_id / "reports.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, trial.epochs + 1))


@pytest.mark.kill
def test_an_interrupt_ends_workers_at_once_and_keeps_everything(tmp_path: Path, root: Path) -> None:
    out = tmp_path / "x"
    driver = start(out, root, trials=40)
    wait_for_reports(out, 3)
    driver.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert driver.wait(timeout=20) != 0
    assert time.monotonic() - began < 10
    assert workers_of(out) == set()
    experiment = Experiment.open(out)
    assert experiment.record().status == "interrupted"
    assert len(experiment.to_pandas()) >= 3
    assert not experiment.record().with_status("running")
