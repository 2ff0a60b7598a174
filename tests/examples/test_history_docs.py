"""docs/history.md: every command of its first block, every block of Python, and the mapping file are run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tune_lr
from tune_lr import registry
from tune_lr.cli import app
from tune_lr.history.entry import TaskInfo
from tune_lr.history.importers.mapping import Columns

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "history.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def table(rows: list[str], name: str) -> None:
    Path(name).write_text("\n".join(rows) + "\n")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of GreedyLR trials, and a store with another, whose columns are not the same."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNE_LR_HISTORY", str(tmp_path / "mine"))
    rows = ["trial_id,epoch,val_loss,config/lr,config/factor,config/patience"]
    rows += [f"t{i},{e},{i + 1 / e},{0.1 / (i + 1)},0.9,{i}" for i in range(3) for e in (1, 2)]
    table(rows, "digits.csv")
    rows = ["trial_id,epoch,val_loss,config/lr,config/patience,config/batch"]
    rows += [f"{i},{e},{i + 2 / e},1,{i + 0.5},big" for i in range(2) for e in (1, 2, 3)]
    table(rows, "other.csv")
    tune_lr.History("store").add("other.csv")


def test_the_commands_are_run() -> None:
    for line in blocks("console")[0].splitlines():
        command = line.removeprefix("$ tune-lr ").partition(" #")[0]
        command = command.replace("PATH...", "digits.csv other.csv").replace("TASK", "digits")
        done = CliRunner().invoke(app, [*shlex.split(command), *["--yes"] * ("remove" in command)])
        assert done.exit_code == 0, done.output
    assert [info.task for info in tune_lr.History().tasks()] == ["other"]


def test_the_python_is_run() -> None:
    first, second, third, fourth = blocks("python")
    names: dict[str, Any] = {}
    exec(first, names)
    assert len(names["reports"]) == 6
    assert set(names["trials"]["task"]) == {"digits", "other"}
    assert set(names["trials"]["status"]) == {"completed"}
    exec(second, names)
    assert len(names["best"]) == 5
    assert names["best"]["best"].tolist() == sorted(names["best"]["best"])
    assert names["curves"]["epoch"].tolist() == [1, 2, 3]
    exec(third, names)
    assert {fact["task"] for fact in names["facts"]} == {"digits", "other"}
    assert names["trials"].num_rows == 5
    assert set(names["one"]["kind"]) == {"trial", "report"}
    exec(fourth, names)
    assert [point["patience"] for point in names["known"]] == [0, 1, 2]
    assert names["rewards"] == [0.5, 1.5, 2.5]
    assert names["tasks"]["digits"].objectives_evaluations.shape == (3, 1, 2, 1)


def test_the_mapping_file_is_used() -> None:
    (mapping,) = blocks("yaml")
    Path("map.yaml").write_text(mapping)
    rows = ["run,iteration,learning_rate,patience,score,state"]
    rows += [f"{i},{e},0.1,{i},{(i + e) / 9},{'ok' if i else 'killed'}" for i in range(2) for e in range(3)]
    table(rows, "runs.csv")
    history = tune_lr.History("mapped")
    history.add("runs.csv", mapping="map.yaml")
    (info,) = history.tasks()
    assert (info.metric, info.mode, info.epochs, info.guessed) == ("score", "max", 3, [])
    assert info.statuses == {"completed": 1, "stopped": 1}
    assert {"lr", "patience"} == set(info.knobs)


def test_nothing_is_left_out() -> None:
    def named(heading: str) -> set[str]:
        section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
        firsts = re.findall(r"^\| ([^|]*)\|", section, re.MULTILINE)
        return {name for first in firsts for name in re.findall(r"`([^`]+)`", first)}

    assert named("Sources") == set(registry.PARTS["importers"])
    assert set(TaskInfo.__dataclass_fields__) <= named("The schema")
    assert set(Columns.model_fields) <= named("Tables, and the mapping file")
    store = tune_lr.History("store")
    columns = {"config/<knob>" if n.startswith("config/") else n for n in store.trials().columns}
    assert columns - {"task"} <= named("The schema")
    assert blocks("console")[0].count("tune-lr history") == 4
