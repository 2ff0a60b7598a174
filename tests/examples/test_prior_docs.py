"""docs/prior.md and the README: what they say of the prior's use is run, over a small history."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import tune_lr
from tune_lr.cli import app
from tune_lr.experiment import Experiment

ROOT = Path(__file__).resolve().parents[2]
TRAINER = """
def train(config, trial):
    for epoch in trial.epochs():
        trial.save({"epoch": epoch})
        trial.report(val_loss=1 / epoch + abs(config["lr"] - 0.1))
"""


def blocks(page: str, heading: str, language: str) -> list[str]:
    section = (ROOT / page).read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def commands(block: str) -> list[list[str]]:
    lines = [line.partition(" #")[0] for line in block.splitlines()]
    return [shlex.split(line.removeprefix("$ tune-lr ")) for line in lines]


def call(arguments: list[str]) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tune_lr.SearchSpace:
    """A folder with a trainer, and a history of a dozen trials of GreedyLR."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNE_LR_HISTORY", str(tmp_path / "store"))
    Path("train.py").write_text(TRAINER)
    space = tune_lr.load_space("greedy_lr")
    rows = [
        {"task": "old", "trial_id": str(at), "epoch": epoch, "val_loss": 1 / epoch + abs(config["lr"] - 0.1)}
        | {f"config/{name}": value for name, value in config.items()}
        for at, config in enumerate(space.config(values) for values in space.sample(12, seed=0))
        for epoch in (1, 2, 3)
    ]
    pd.DataFrame(rows).to_csv("old.csv", index=False)
    tune_lr.History().add("old.csv", metric="val_loss", mode="min")
    return space


def test_each_way_to_name_a_prior() -> None:
    (block,) = blocks("docs/prior.md", "Use it", "console")
    told = []
    for command in commands(block):
        call([*command, "--max-epochs", "3", "--budget", "7epochs"])
        told.append(Experiment.open(command[command.index("--out") + 1]).prior_told)
    assert told == ["history: 1 task", "none", "starter, 21 tasks", "runs/third: 1 task"]


def test_the_python_is_run(place: tune_lr.SearchSpace) -> None:
    first, ray, syne, replayed = blocks("docs/prior.md", "Use it", "python")
    names: dict[str, Any] = {"train": lambda config: None}
    exec(first, names)
    assert len(names["experiment"].to_pandas()) == 12
    assert names["experiment"].prior_told == "given, 1 task"
    pytest.importorskip("ray")
    exec(ray, names)
    names["searcher"].set_search_properties("val_loss", "min", {})
    assert names["searcher"].suggest("a")["lr"] > 0
    pytest.importorskip("syne_tune")
    exec(syne, names)
    assert names["scheduler"].suggest().config["lr"] > 0
    exec(replayed, names)
    assert len(names["paid"]) == 60
    assert set(names["paid"]) == {"trial_id", "config_index", "epoch", "value", "time"}


def test_the_readme_has_it_right() -> None:
    (block,) = blocks("README.md", "The prior", "console")
    call(shlex.split("run train.py --space greedy_lr --max-epochs 3 --budget 9epochs --out runs/first"))
    for command in commands(block):
        call([*command, *["--budget", "60epochs"] * (command[0] == "run")])
    assert Experiment.open("runs/fourth").prior_told == "runs/first: 1 task"
    assert Path("mine.png").stat().st_size > 1000
    (python,) = blocks("README.md", "The prior", "python")
    namespace: dict[str, Any] = {}
    exec(TRAINER, namespace)
    small = python.replace("trials=40, max_epochs=27", "trials=3, max_epochs=3")
    exec(small, {"tune_lr": tune_lr, "train": namespace["train"]})
    assert Experiment.open("runs/fifth").prior_told == "given, 1 task"
