"""The examples: each trains, importing one costs nothing, and GreedyLR is alive in each."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.optim import Optimizer

import tune_lr
from tune_lr.engines.wire import environment
from tune_lr.journal import CONTINUE, STOP, Decision, Report
from tune_lr.schedules.greedy import GreedyLR
from tune_lr.trials.run import Leg, Outcome, run_leg
from tune_lr.trials.trainer import Trainer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TRAINERS = ["digits_mlp", "digits_cnn", "diabetes_mlp", "char_lm", "lightning_module", "accelerate_loop"]
TRAINERS += ["prior_speedup"]
#: A step of Trainer's takes so long that it is left out where many are needed.
ALL_TRAINERS = [*TRAINERS, "huggingface_trainer"]


def load(name: str) -> Any:
    return Trainer.from_text(str(EXAMPLES / f"{name}.py")).load()


def leg(config: dict[str, Any], max_epochs: int, folder: Path | None = None) -> Leg:
    return Leg("t", config, 0, max_epochs, "val_loss", str(folder) if folder else None, device="cpu")


def default_config() -> dict[str, Any]:
    space = tune_lr.load_space("greedy_lr")
    return space.config(space.default())


@pytest.mark.parametrize("name", ALL_TRAINERS)
def test_it_learns_and_goes_on_after_a_kill_as_if_there_was_none(tmp_path: Path, name: str) -> None:
    train, config = load(name), default_config()

    def curve(epochs: int, folder: Path) -> dict[int, dict[str, Any]]:
        rows: dict[int, dict[str, Any]] = {}

        def channel(report: Report) -> Decision:
            rows[report.epoch] = report.metrics
            return CONTINUE

        assert run_leg(leg(config, epochs, folder), train, channel) == Outcome("completed")
        return rows

    whole = curve(2, tmp_path / "whole")
    assert sorted(whole) == [1, 2]
    assert whole[2]["val_loss"] < whole[1]["val_loss"]
    assert math.isfinite(whole[2]["lr"])
    assert {**curve(1, tmp_path / "cut"), **curve(2, tmp_path / "cut")} == whole


_IMPORT = """
import os, sys
import torch, tune_lr.schedules, tune_lr.spacefile, tune_lr.trials.loop
from tune_lr.trials.trainer import Trainer

def threads():
    return len(os.listdir("/proc/self/task"))

before = threads()
Trainer.from_text(sys.argv[1]).load()
assert threads() == before, f"{before} threads became {threads()}"
assert not torch.cuda.is_initialized()
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc")
@pytest.mark.parametrize("name", ALL_TRAINERS)
def test_importing_it_starts_no_thread_and_touches_no_gpu(name: str) -> None:
    as_a_nursery = environment(1, PYTHONPATH=str(EXAMPLES.parent))
    command = [sys.executable, "-c", _IMPORT, str(EXAMPLES / f"{name}.py")]
    subprocess.run(command, check=True, env=as_a_nursery, timeout=120)


@pytest.mark.parametrize("name", TRAINERS)
def test_greedy_is_alive_in_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least half of the configurations change the LR five times or more within 27 epochs."""
    changes = 0
    real_step = GreedyLR.step

    def counting_step(self: GreedyLR, *loss: Any) -> None:
        nonlocal changes
        before = _lrs(self.optimizer)
        real_step(self, *loss)
        changes += before != _lrs(self.optimizer)

    def channel(report: Report) -> Decision:
        return STOP if changes >= 5 else CONTINUE  # seen enough

    monkeypatch.setattr(GreedyLR, "step", counting_step)
    train, space = load(name), tune_lr.load_space("greedy_lr")
    counts = []
    for values in space.sample(12, seed=0):
        changes = 0
        outcome = run_leg(leg(space.config(values), 27), train, channel)
        assert outcome.status in ("completed", "ended"), outcome.error
        counts.append(changes)
    assert sum(count >= 5 for count in counts) >= 6, counts


def _lrs(optimizer: Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


# Scripts, run as a person runs them


@pytest.fixture
def home() -> Iterator[dict[str, str]]:
    """An environment whose home is a folder of its own, with a path short enough for Ray's sockets."""
    folder = tempfile.mkdtemp(prefix="tl", dir="/tmp")
    own = {
        "HOME": folder,
        "SYNETUNE_FOLDER": f"{folder}/syne",
        "RAY_TMPDIR": folder,
        "RAY_ADDRESS": "local",
        "PYTHONPATH": str(EXAMPLES.parent),
        "TMPDIR": folder,
    }
    yield {**os.environ, **own}
    shutil.rmtree(folder, ignore_errors=True)


def run_script(name: str, env: dict[str, str]) -> str:
    """What the script prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        env=env, cwd=env["HOME"], capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_trainer_runs_alone_for_debugging(home: dict[str, str]) -> None:
    lines = run_script("digits_mlp", home).splitlines()
    assert [line.split()[:3] for line in lines] == [["epoch", str(i), "val_loss"] for i in (1, 2, 3)]


@pytest.mark.syne
def test_a_plain_syne_tune_script_adopts_space_and_schedule(home: dict[str, str]) -> None:
    pytest.importorskip("syne_tune")
    assert "best configuration, of trial" in run_script("plain_syne_tune", home)
    assert list(Path(home["SYNETUNE_FOLDER"]).glob("*/results.csv.zip"))


@pytest.mark.ray
def test_a_plain_ray_script_adopts_space_and_schedule(home: dict[str, str]) -> None:
    pytest.importorskip("ray")
    assert "best val_loss" in run_script("plain_ray", home)


@pytest.mark.parametrize("name", ["plain_ray", "plain_syne_tune"])
def test_two_lines_are_marked(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text()
    assert text.count("# tune-lr, in place of") == 2
