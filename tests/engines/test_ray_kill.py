"""A driver on Ray that is killed: nothing is lost, nobody is left, and the job ends as if in peace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tune_lr
from tune_lr import jobs
from tune_lr.experiment import Experiment

pytestmark = [pytest.mark.ray, pytest.mark.kill]

TRAINERS = Path(__file__).parent / "ray_trainers.py"
SPACE = {"name": "one", "knobs": {"lr": {"type": "float", "low": 0.01, "high": 1.0, "log": True}}}
ASKED: dict[str, Any] = {"trials": 9, "max_epochs": 9, "seed": 1}
ASKED |= {"searcher": "random", "trial_scheduler": "asha-promote"}

DRIVE = f"""
import sys
import tune_lr

if __name__ == "__main__":
    address = sys.argv[3] if len(sys.argv) > 3 else None
    tune_lr.tune(
        sys.argv[1], {SPACE!r}, out=sys.argv[2], engine="ray", address=address, progress=False, **{ASKED!r}
    )
"""


def told(experiment: Experiment) -> list[tuple[Any, ...]]:
    return [
        (t.trial_id, t.config, t.status, [(r.epoch, r.metrics) for r in t.reports])
        for t in experiment.record().trials.values()
    ]


def epochs_begun(log: Path) -> list[tuple[int, str, int]]:
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(int(pid), trial, int(epoch)) for pid, trial, epoch in lines]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def drive_and_kill(tmp_path: Path, *arguments: str) -> set[int]:
    """Drive a job until it has trained a few epochs, kill the driver, and say who trained for it."""
    script, log = tmp_path / "drive.py", tmp_path / "epochs.log"
    script.write_text(DRIVE)
    driver = subprocess.Popen([sys.executable, str(script), *arguments], start_new_session=True)
    until = time.monotonic() + 90
    while len(epochs_begun(log)) < 7 and time.monotonic() < until and driver.poll() is None:
        time.sleep(0.01)
    assert driver.poll() is None
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    return {pid for pid, _, _ in epochs_begun(log)}


def trainer_that_logs(log: Path) -> str:
    """A Ray that runs already has its own environment, not the driver's: the trainer's text says where."""
    file = log.with_suffix(".py")
    file.write_text(TRAINERS.read_text().replace('os.environ["EPOCHS_LOG"]', repr(str(log))))
    return f"{file}:leaves_its_pid"


def test_a_killed_driver_goes_on_as_if_never_killed(tmp_path: Path) -> None:
    log, out = tmp_path / "epochs.log", tmp_path / "x"
    peaceful = trainer_that_logs(tmp_path / "in-peace.log")
    peace = tune_lr.tune(peaceful, SPACE, out=tmp_path / "in-peace", engine="inline", progress=False, **ASKED)
    workers = drive_and_kill(tmp_path, trainer_that_logs(log), str(out))

    with pytest.raises(KeyboardInterrupt):
        jobs.resume(out, progress=False, listeners=(_interrupting(after=2),))  # and cut off once more
    experiment = jobs.resume(out, progress=False)
    assert not [pid for pid in workers if alive(pid)]
    assert told(experiment) == told(peace)
    begun = [(trial, epoch) for _, trial, epoch in epochs_begun(log)]
    assert len(begun) - len(set(begun)) <= 2
    assert experiment.record().status == "finished"
    for trial in experiment.record().trials.values():
        assert [report.metrics["seen"] for report in trial.reports] == list(range(1, trial.epochs + 1))


def test_a_driver_killed_on_a_cluster_leaves_its_workers_to_nobody(local_ray: None, tmp_path: Path) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    trainer = trainer_that_logs(tmp_path / "epochs.log")
    workers = drive_and_kill(tmp_path, trainer, str(tmp_path / "x"), address)
    record = jobs.resume(tmp_path / "x", progress=False).record()
    assert not [pid for pid in workers if alive(pid)]
    assert len(record.trials) == 9
    for trial in record.trials.values():
        assert [report.metrics["seen"] for report in trial.reports] == list(range(1, trial.epochs + 1))


def _interrupting(after: int) -> Any:
    """A listener that presses Ctrl-C at the n-th report."""
    seen: list[int] = []

    def listen(event: Any, record: Any) -> None:
        if event["event"] == "report":
            seen.append(event["epoch"])
            if len(seen) == after:
                os.kill(os.getpid(), signal.SIGINT)

    return listen
