"""An experiment followed from outside."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import tune_lr
from tests.samples import trainers
from tests.samples.spaces import SMALL
from tune_lr.cli import app
from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.spacefile import dump_space
from tune_lr.views import watch as view
from tune_lr.views.following import Following
from tune_lr.views.watch import sparkline

TUNE_LR = str(Path(sys.executable).with_name("tune-lr"))
SLOW = """
import time
def train(config, trial):
    for epoch in trial.epochs():
        time.sleep(0.1)
        trial.report(val_loss=config["lr"] + 1 / epoch)
"""


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    out = tmp_path / "x"
    tune_lr.tune(trainers.good, SMALL, out=out, searcher="random", trials=4, max_epochs=4, progress=False)
    return out


def started(folder: Path, engine: str = "inline", trials: int = 6) -> subprocess.Popen[bytes]:
    """A job in a process of its own, once its first report is there."""
    (folder / "slow.py").write_text(SLOW)
    (folder / "small.yaml").write_text(dump_space(SMALL))
    command = [
        TUNE_LR, "run", "slow.py", "--space", "small.yaml", "--searcher", "random",
        "--trial-scheduler", "none", "--engine", engine, "--trials", str(trials), "--max-epochs", "5",
        "--out", "job",
    ]  # fmt: skip
    job = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = folder / "job" / "journal.jsonl"
    deadline = time.monotonic() + 60
    while not (journal.exists() and b'"report"' in journal.read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return job


@pytest.mark.parametrize("engine", ["inline", "syne-tune", "ray"])
def test_a_running_job_is_followed_to_its_end(engine: str, tmp_path: Path) -> None:
    job = started(tmp_path, engine, trials=14)
    said = subprocess.run(
        [TUNE_LR, "watch", "job", "--every", "0.1"],
        cwd=tmp_path, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert job.wait(30) == 0
    lines = said.stdout.splitlines()
    assert (said.returncode, said.stderr) == (0, "")
    assert any("of 14 trials" in line and "completed" in line for line in lines)
    assert lines[-1].startswith("job: finished, 14 trials (14 completed)")


def test_on_a_terminal_it_is_a_picture_and_ctrl_c_leaves_the_job_alone(tmp_path: Path) -> None:
    job = started(tmp_path, trials=60)
    ours, theirs = pty.openpty()
    watcher = subprocess.Popen(
        [TUNE_LR, "watch", "job", "--every", "0.1"],
        cwd=tmp_path, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    seen, deadline = b"", time.monotonic() + 60
    while b"best so far, trial by trial" not in seen and time.monotonic() < deadline:
        seen += os.read(ours, 65536)
    watcher.send_signal(signal.SIGINT)
    assert watcher.wait(10) == 0
    assert job.poll() is None
    job.send_signal(signal.SIGINT)
    job.wait(30)
    os.close(ours)
    os.close(theirs)


def test_a_driver_that_was_killed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = started(tmp_path)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    monkeypatch.setattr(view, "_SILENCE", 0.3)
    result = CliRunner().invoke(app, ["watch", str(tmp_path / "job"), "--every", "0.1"])
    assert result.exit_code == 0
    assert "interrupted (no driver is running it)" in " ".join(result.stdout.split())


def test_a_finished_one_is_shown_and_nothing_is_touched(finished: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in finished.rglob("*")}
    result = CliRunner().invoke(app, ["watch", str(finished), "--once"])
    assert result.exit_code == 0
    assert "4 of 20 trials" in result.stdout or "4 of 4 trials" in result.stdout
    assert "finished" in result.stdout.splitlines()[-1] + result.stdout.splitlines()[-2]
    assert {file: file.stat().st_mtime_ns for file in finished.rglob("*")} == before


def test_what_is_read_piece_by_piece_is_what_is_read_at_once(finished: Path, tmp_path: Path) -> None:
    whole = (finished / "journal.jsonl").read_bytes()
    torn = tmp_path / "journal.jsonl"
    following = Following(torn)
    assert following.news() == []
    events = []
    for end in range(0, len(whole) + 97, 97):
        torn.write_bytes(whole[:end])
        events += following.news()
    assert events == Experiment.open(finished).journal.read()
    assert following.record == Experiment.open(finished).record()
    torn.write_bytes(whole[: whole.index(b"\n") + 1])
    assert len(following.news()) == 1
    assert not following.record.trials


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"event": 3}', b'{"event": "ask"}', b"\xff", b"[" * 9999])
def test_damage_is_told_with_its_line(damage: bytes, finished: Path) -> None:
    with (finished / "journal.jsonl").open("ab") as file:
        file.write(damage + b"\n")
    with pytest.raises(BadInput, match="journal"):
        Following(finished / "journal.jsonl").news()
    result = CliRunner().invoke(app, ["watch", str(finished), "--once"])
    assert result.exit_code == 2


def test_what_is_no_experiment(tmp_path: Path) -> None:
    for arguments, message in (
        ([str(tmp_path / "nowhere")], "experiment"),
        ([str(tmp_path)], "experiment"),
        ([str(tmp_path), "--every", "0"], "--every"),
    ):
        result = CliRunner().invoke(app, ["watch", *arguments])
        assert (result.exit_code, message in result.stderr) == (2, True)


NUMBERS: Any = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=60)


@given(NUMBERS)
def test_any_numbers_have_bars(values: list[float]) -> None:
    bars = sparkline(values)
    assert len(bars) == min(len(values), 24)
    assert set(bars) <= set("▁▂▃▄▅▆▇█")


def test_the_lowest_bar_is_the_lowest_number() -> None:
    assert sparkline([3.0, 2.0, 1.0]) == "█▅▁"
    assert sparkline([1.0, 1.0]) == "▁▁"
    assert json.dumps(sparkline([]))
