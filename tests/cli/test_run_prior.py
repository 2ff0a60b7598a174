"""``tune-lr run --prior``: what a person says, what is said back, and what is left behind."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.samples.past import bowls
from tune_lr.cli import app
from tune_lr.experiment import Experiment
from tune_lr.prior.prior import Prior
from tune_lr.space import SearchSpace

Invoke = Callable[[str], Result]

TRAINER = """
import time

def train(config, trial):
    trial.load()
    for epoch in trial.epochs():
        time.sleep(config.get("nap", 0.0))
        trial.save({"epoch": epoch})
        trial.report(val_loss=abs(config["lr"] - 0.1) + 1 / epoch)
"""
SPACE = "name: line\nknobs:\n  lr: {type: float, low: 1e-4, high: 1.0, log: true}\n"
DEPTH = "  depth: {type: int, low: 1, high: 9}\n  width: {type: int, low: 1, high: 9}\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "trainer.py").write_text(TRAINER)
    (tmp_path / "space.yaml").write_text(SPACE + DEPTH)
    (tmp_path / "slow.yaml").write_text(SPACE + DEPTH + "  nap: {type: constant, value: 0.05}\n")
    monkeypatch.setenv("TUNE_LR_HISTORY", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tune_lr() -> Invoke:
    runner = CliRunner()

    def invoke(line: str) -> Result:
        return runner.invoke(app, shlex.split(line))

    return invoke


def told(done: Result) -> list[str]:
    """What a run says of its prior at the beginning."""
    assert done.exit_code == 0, done.output
    return [line for line in done.stdout.splitlines()[:3] if line.startswith("prior: ")]


RUN = "run trainer.py --trials 4 --max-epochs 3 "


def test_with_an_empty_history_the_starter_is_used_and_told(tune_lr: Invoke) -> None:
    done = tune_lr(RUN + "--space greedy_lr --out out")
    assert told(done) == ["prior: starter, 21 tasks"]
    assert done.stderr == ""
    job = json.loads(Path("out/experiment.json").read_text())["job"]
    assert (job["searcher"], job["trial_scheduler"], job["prior"]) == ("prior", "freeze-thaw", "auto")
    assert Experiment.open("out").record().epochs <= 4


def test_it_can_be_switched_off(tune_lr: Invoke) -> None:
    assert told(tune_lr(RUN + "--space greedy_lr --prior none --out out")) == ["prior: none"]
    assert not Path("out/prior").exists()


def test_an_old_experiment_is_one_and_then_the_history_is(tune_lr: Invoke) -> None:
    first = tune_lr(RUN + "--space space.yaml --searcher random --out first")
    assert told(first) == []
    assert told(tune_lr(RUN + "--space space.yaml --out second")) == ["prior: none"]
    assert told(tune_lr(RUN + "--space space.yaml --prior first --out third")) == ["prior: first: 1 task"]
    both = tune_lr(RUN + "--space space.yaml --prior first --prior second --out fourth")
    assert told(both) == ["prior: first, second: 1 task"]
    assert tune_lr("history add first").exit_code == 0
    assert told(tune_lr(RUN + "--space space.yaml --out fifth")) == ["prior: history: 1 task"]


def test_an_experiment_file_names_it_beside_itself(tune_lr: Invoke, place: Path) -> None:
    (place / "jobs").mkdir()
    content = "trainer: trainer.py\nspace: space.yaml\ntrials: 2\nmax_epochs: 2\n"
    space = SearchSpace.from_dict(
        {
            "name": "line",
            "knobs": {
                "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
                "depth": {"type": "int", "low": 1, "high": 9},
                "width": {"type": "int", "low": 1, "high": 9},
            },
        }
    )
    Prior.fit(bowls([0.2, 0.6], space=space), space).save(place / "jobs/mine")
    (place / "jobs/one.yaml").write_text(content + "prior: mine/\nout: one\n")
    (place / "jobs/two.yaml").write_text(content + "prior: [./mine, one]\nout: two\n")
    (place / "jobs/off.yaml").write_text(content + "prior: none\nout: three\n")
    assert told(tune_lr("run jobs/one.yaml"))[0].endswith("mine: 2 tasks")
    assert told(tune_lr("run jobs/two.yaml"))[0].endswith("mine, one: 3 tasks")
    assert told(tune_lr("run jobs/off.yaml")) == ["prior: none"]
    assert told(tune_lr("run jobs/off.yaml --prior jobs/mine --out four")) == ["prior: jobs/mine: 2 tasks"]


def test_a_word_of_warning_is_no_traceback(tune_lr: Invoke) -> None:
    done = tune_lr(RUN + "--space space.yaml --trial-scheduler asha --out out")
    assert done.exit_code == 0, done.output
    said = "searcher prior is at its best under trial scheduler freeze-thaw"
    assert done.stderr.startswith(f"warning: {said}")
    assert len(done.stderr.splitlines()) == 1
    assert tune_lr("resume out --trials 5").stderr == ""


@pytest.mark.kill
def test_killed_and_resumed_it_has_the_same_prior_though_the_history_is_gone(
    tune_lr: Invoke, place: Path
) -> None:
    assert tune_lr(RUN + "--space space.yaml --searcher random --out first").exit_code == 0
    assert tune_lr("history add first").exit_code == 0
    command = "run trainer.py --space slow.yaml --trials 12 --max-epochs 9 --seed 1 --out "
    assert tune_lr(command + "peace").exit_code == 0
    script = [sys.executable, "-c", "from tune_lr.cli import main; main()", *shlex.split(command + "out")]
    with subprocess.Popen(script, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 60
        journal = place / "out/journal.jsonl"
        while not journal.exists() or journal.read_text().count('"event":"report"') < 5:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGKILL)
    (store,) = (place / "store").glob("*.parquet")
    store.unlink()
    assert told(tune_lr("resume out")) == ["prior: history: 1 task"]

    def asked(folder: str) -> list[Any]:
        return [trial.config for trial in Experiment.open(folder).record().trials.values()]

    assert asked("out") == asked("peace")
