"""Engine ray on a real Ray: what the contract of all engines does not say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import tune_lr
from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.journal import Journal

pytestmark = pytest.mark.ray

TRAINERS = Path(__file__).parent / "ray_trainers.py"
SPACE = {"name": "one", "knobs": {"lr": {"type": "float", "low": 0.01, "high": 1.0, "log": True}}}


def run(trainer: str, out: Path, **asked: Any) -> Experiment:
    what = {"trials": 4, "max_epochs": 3, "engine": "ray", "searcher": "random", "trial_scheduler": "none"}
    what["progress"] = False
    return tune_lr.tune(f"{TRAINERS}:{trainer}", SPACE, out=out, **{**what, **asked})


def free_cpus() -> float:
    """What Ray has to give, once it has counted again."""
    import ray

    until = time.monotonic() + 10
    while ray.available_resources().get("CPU") != 2 and time.monotonic() < until:
        time.sleep(0.05)
    return float(ray.available_resources()["CPU"])


def test_a_ray_that_is_there_is_used_and_left_as_it_was(local_ray: None, tmp_path: Path) -> None:
    import ray

    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    environment = dict(os.environ)
    run("good", tmp_path / "x")
    assert ray.is_initialized()
    assert free_cpus() == 2
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == handlers
    assert dict(os.environ) == environment
    names = {file.name for file in (tmp_path / "x").iterdir()} - {".lock"}
    assert names == {"experiment.json", "journal.jsonl", "reports.parquet", "trials.parquet", "trials"}


def test_what_a_trial_prints_is_in_its_folder_and_paths_mean_the_same(
    local_ray: None, tmp_path: Path
) -> None:
    experiment = run("good", tmp_path / "x", trials=2)
    for trial_id in experiment.record().trials:
        lines = (tmp_path / "x" / "trials" / trial_id / "output.log").read_text().splitlines()
        said = [line for epoch in (1, 2, 3) for line in (f"epoch {epoch} in {os.getcwd()}", "from below")]
        assert lines == said


def test_promotion_with_two_workers_trains_no_epoch_twice(local_ray: None, tmp_path: Path) -> None:
    experiment = run(
        "good", tmp_path / "x", trials=9, max_epochs=9, workers=2, trial_scheduler="asha-promote"
    )
    trials = experiment.record().trials.values()
    assert len(trials) == 9
    assert any(event["event"] == "resume" for event in experiment.journal.read())
    for trial in trials:
        assert [report.metrics["seen"] for report in trial.reports] == list(range(1, trial.epochs + 1))


def test_a_trainer_that_catches_everything_stalls_nothing(local_ray: None, tmp_path: Path) -> None:
    begin = time.monotonic()
    experiment = run("catches_everything", tmp_path / "x", trials=8, max_epochs=9, trial_scheduler="asha")
    statuses = [trial.status for trial in experiment.record().trials.values()]
    assert len(statuses) == 8
    assert "stopped" in statuses
    assert time.monotonic() - begin < 30


def test_a_worker_that_ends_itself_costs_one_trial(local_ray: None, tmp_path: Path) -> None:
    trials = run("dies_at_the_start", tmp_path / "x", trials=3, workers=2).trials()
    assert list(trials.status) == ["completed", "failed", "completed"]
    assert "worker died" in trials.error[1]


def test_code_after_the_loop_may_exit(local_ray: None, tmp_path: Path) -> None:
    trials = run("exits_and_lingers", tmp_path / "x", trials=3).trials()
    assert list(trials.status) == ["completed"] * 3


def test_an_experiment_in_memory(local_ray: None, tmp_path: Path) -> None:
    from tune_lr.engines.on_ray.launch import RayEngine
    from tune_lr.job import Job
    from tune_lr.trials.trainer import Trainer

    trainer = f"{TRAINERS}:slow"
    what = {"engine": "ray", "searcher": "random", "trials": 3, "max_epochs": 2}
    job = Job.make({"trainer": trainer, "space": SPACE, **what})
    experiment = Experiment.open(None, job)
    with experiment.drive() as driver:
        RayEngine().run(driver, Trainer.from_text(trainer))
    assert [trial.epochs for trial in experiment.record().trials.values()] == [2, 2, 2]


def test_ctrl_c_ends_at_once_and_keeps_everything(local_ray: None, tmp_path: Path) -> None:
    def press(event: Any, record: Any) -> None:
        if event["event"] == "report" and event["epoch"] == 3:
            os.kill(os.getpid(), signal.SIGINT)

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run("slow", tmp_path / "x", workers=2, max_epochs=1000, listeners=(press,))
    assert time.monotonic() - begin < 20
    record = Experiment.open(tmp_path / "x").record()
    assert record.status == "interrupted"
    assert {trial.status for trial in record.trials.values()} == {"paused"}
    assert max(trial.epochs for trial in record.trials.values()) >= 3
    assert free_cpus() == 2


def test_an_error_in_the_driver_comes_out_as_it_is(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Journal.append

    def full(journal: Journal, event: Any) -> None:
        if event.get("event") == "report" and event["epoch"] == 2:
            raise OSError("no space left on device")
        append(journal, event)

    monkeypatch.setattr(Journal, "append", full)
    with pytest.raises(OSError, match="no space left"):
        run("slow", tmp_path / "x", max_epochs=1000)


def test_from_a_thread(local_ray: None, tmp_path: Path) -> None:
    done: list[Experiment] = []
    thread = threading.Thread(target=lambda: done.append(run("good", tmp_path / "x", trials=2)))
    thread.start()
    thread.join(60)
    assert done[0].record().epochs == 6


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"cpus_per_trial": 64}, "cpus_per_trial: 64 .* at most 2"),
        ({"gpus_per_trial": 0.5}, "gpus_per_trial: 0.5 .* at most 0"),
    ],
)
def test_what_no_node_can_hold_is_refused(
    local_ray: None, asked: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=said):
        run("good", tmp_path / "x", **asked)
    assert not (tmp_path / "x").exists()


def test_a_folder_that_a_node_does_not_see_is_named(local_ray: None, tmp_path: Path) -> None:
    import json

    from tune_lr.engines.on_ray.worker import LEG, OUTCOME, Plan, bound
    from tune_lr.trials.trainer import Trainer

    plan = Plan(Trainer(file=str(TRAINERS), function="good"), str(tmp_path / "elsewhere"), os.getcwd())
    runner = bound(plan)({LEG: "{}"})
    result = runner.train()
    assert result["done"]
    outcome = json.loads(result[OUTCOME])
    assert outcome["fatal"] == "always"
    assert "elsewhere" in outcome["error"]


ALONE = """
import os, signal, sys
import tune_lr

if __name__ == "__main__":
    trainer, out = sys.argv[1:]
    space = {"name": "one", "knobs": {"lr": {"type": "float", "low": 0.01, "high": 1.0}}}
    for address in ("auto", "127.0.0.1:9", "ray://here:10001"):
        try:
            tune_lr.tune(
                trainer, space, out=out, engine="ray", searcher="random", address=address, progress=False
            )
        except tune_lr.errors.BadInput as error:
            assert "ray start --head" in str(error), error
    before, handlers = dict(os.environ), [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    asked = {"trials": 3, "max_epochs": 2, "searcher": "random", "trial_scheduler": "none", "progress": False}
    tune_lr.tune(trainer, space, out=out, engine="ray", **asked)
    gone = {"RAY_CLIENT_MODE"}  # Ray sets it where it is imported
    assert set(dict(os.environ)) - gone == set(before) - gone
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    import ray
    assert not ray.is_initialized()
"""


def test_a_ray_of_its_own_says_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "t"
    home.mkdir()
    temporary.mkdir()
    script = tmp_path / "alone.py"
    script.write_text(ALONE)
    variables = {**os.environ, "HOME": str(home), "TMPDIR": str(temporary)}
    for name in ("RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        variables.pop(name, None)
    ran = subprocess.run(
        [sys.executable, str(script), f"{TRAINERS}:good", str(tmp_path / "x")],
        env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert [file for file in home.rglob("*") if file.is_file() and "matplotlib" not in str(file)] == []
    assert list(temporary.iterdir()) == []
    assert Experiment.open(tmp_path / "x").record().epochs == 6
