"""``tune-lr history`` as a person types it: what it prints, keeps and exits with."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tune_lr.cli import app
from tune_lr.history.history import History

Invoke = Callable[[str], Result]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNE_LR_HISTORY", str(tmp_path / "store"))
    return tmp_path


@pytest.fixture
def history() -> Invoke:
    runner = CliRunner()

    def invoke(line: str) -> Result:
        return runner.invoke(app, ["history", *shlex.split(line)])

    return invoke


def table(name: str = "digits", trials: int = 4, epochs: int = 3, offset: float = 0.0) -> Path:
    """A log of GreedyLR trials as a CSV file, whose columns bear the schema's names."""
    rows = ["trial_id,epoch,val_loss,lr,config/lr,config/factor,config/patience,config/batch"]
    for i in range(trials):
        for epoch in range(1, epochs + 1):
            loss = offset + 1 / epoch + i / 10
            rows.append(f"t{i},{epoch},{loss:.4f},{0.1 / epoch:.4f},{10.0 ** -(i + 1)},0.9,{i},{16 << i}")
    file = Path(f"{name}.csv")
    file.write_text("\n".join(rows) + "\n")
    return file


# add


def test_add_tells_what_was_taken(history: Invoke) -> None:
    table()
    done = history("add digits.csv --metric val_loss --mode min --describe dataset=digits")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    assert done.stdout.startswith("digits.csv: 1 imported\n")
    for said in (
        "digits",
        "table",
        "4 trials",
        "12 reports, up to 3 epochs",
        "val_loss (min)",
        "best 0.3333",
    ):
        assert said in done.stdout
    (info,) = History().tasks()
    assert (info.task, info.trials, info.reports) == ("digits", 4, 12)
    assert info.descriptors["dataset"] == "digits"


def test_what_was_guessed_is_told(history: Invoke) -> None:
    table()
    assert (
        "guessed from names: metric, mode; if that is wrong: --metric and --mode"
        in history("add digits.csv").stdout
    )
    assert "guessed" not in history("add digits.csv --metric val_loss --mode min").stdout


def test_a_uri_is_taken(history: Invoke, place: Path) -> None:
    table()
    done = history(f"add file://{place}/digits.csv --store file://{place}/far")
    assert done.exit_code == 0, done.output
    assert [info.task for info in History(place / "far").tasks()] == ["digits"]


def test_the_same_again_changes_nothing(history: Invoke, place: Path) -> None:
    table()
    history("add digits.csv")
    before = {file: file.stat().st_mtime_ns for file in (place / "store").rglob("*") if file.is_file()}
    done = history("add digits.csv")
    assert done.exit_code == 0
    assert "1 known already, unchanged" in done.stdout
    assert before == {
        file: file.stat().st_mtime_ns for file in (place / "store").rglob("*") if file.is_file()
    }


def test_a_dry_run_keeps_nothing(history: Invoke, place: Path) -> None:
    table()
    done = history("add digits.csv --dry-run")
    assert done.exit_code == 0, done.output
    assert "1 would be added" in done.stdout
    assert "4 trials" in done.stdout
    assert not [file for file in (place / "store").rglob("*") if file.is_file()]


def test_names_are_given_and_taken(history: Invoke) -> None:
    table()
    done = history("add digits.csv --task mine --rename batch=batch_size --space greedy_lr --store other")
    assert done.exit_code == 0, done.output
    assert "greedy_lr: 3 of 18 knobs found" in done.stdout
    assert "no knob of it: batch_size" in done.stdout
    assert [info.task for info in History("other").tasks()] == ["mine"]
    assert History().tasks() == []


def test_a_mapping_says_what_columns_mean(history: Invoke) -> None:
    Path("odd.csv").write_text("run,it,score,rate\n" + "".join(f"a,{i},{i / 10},0.1\n" for i in range(5)))
    Path("map.yaml").write_text(
        "trial: run\nepoch: it\ncounts_from: 0\nknobs: {rate: lr}\nmetric: score\nmode: max\n"
    )
    done = history("add odd.csv --mapping map.yaml")
    assert done.exit_code == 0, done.output
    (info,) = History().tasks()
    assert (info.metric, info.mode, info.epochs, info.best) == ("score", "max", 5, 0.4)


def test_what_nothing_came_of_is_said_and_the_rest_is_imported(history: Invoke) -> None:
    table()
    Path("empty").mkdir()
    Path("noise.bin").write_bytes(b"\x00\x01" * 99)
    done = history("add empty digits.csv noise.bin")
    assert done.exit_code == 1
    assert "digits.csv: 1 imported" in done.stdout
    assert "empty" in done.output
    assert "noise.bin" in done.output
    assert "Traceback" not in done.output
    assert len(History().tasks()) == 1


def test_what_is_skipped_is_told(history: Invoke) -> None:
    file = table()
    file.write_text(file.read_text() + "t9,three,0.1,0.1,0.1,0.9,1,16\n")
    done = history("add digits.csv")
    assert done.exit_code == 0, done.output
    assert "  skipped, " in done.stdout
    assert "1 x a row whose epoch is no whole number: digits.csv" in done.stdout
    assert "note" not in done.stdout
    assert "digits.csv" in done.stdout.partition("skipped, ")[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("gone.csv", "PATH: 'gone.csv' is not usable; expected a file or folder that is there"),
        ("--mode up", "--mode: 'up' is not usable; expected min or max"),
        ("--task ''", "--task: '' is not usable"),
        ("--describe digits", "--describe: 'digits' is not usable; expected key=value"),
        ("--rename a", "--rename: 'a' is not usable; expected key=value"),
        ("--rename a=", "--rename: 'a=' is not usable; expected old=new"),
        ("--space greedy", "did you mean greedy_lr"),
        ("--mapping gone.yaml", "gone.yaml"),
    ],
)
def test_bad_use_imports_nothing(history: Invoke, options: str, said: str) -> None:
    table()
    done = history(f"add digits.csv {options}")
    assert done.exit_code == 2
    assert said in done.stderr
    assert History().tasks() == []


# list, show, remove


def test_list(history: Invoke) -> None:
    assert "history add PATH" in history("list").stdout
    table()
    table("other", trials=2)
    history("add digits.csv other.csv --space greedy_lr")
    lines = history("list").stdout.splitlines()
    assert sum("greedy_lr" in line for line in lines) == 2
    assert any(line.startswith("2 experiments of 2 tasks: 6 trials, 18 reports") for line in lines)


def test_list_for_machines(history: Invoke) -> None:
    assert json.loads(history("list --json").stdout) == []
    table()
    history("add digits.csv --metric val_loss --mode min")
    (found,) = json.loads(history("list --json").stdout)
    assert (found["task"], found["metric"], found["trials"]) == ("digits", "val_loss", 4)
    assert found["id"] == History().tasks()[0].id


def test_show(history: Invoke) -> None:
    table()
    history("add digits.csv --space greedy_lr --describe dataset=digits")
    info = History().tasks()[0]
    texts = {history(f"show {name}").stdout for name in ("digits", info.id, info.id[:6])}
    assert len(texts) == 1
    text = texts.pop()
    for said in ("digits: 4 trials", info.id, "digits.csv", "greedy_lr", "dataset", "log float"):
        assert said in text


def test_show_draws(history: Invoke) -> None:
    table()
    history("add digits.csv --space greedy_lr")
    for file in ("a.png", "deep/a.html"):
        done = history(f"show digits --plot {file}")
        assert done.exit_code == 0, done.output
        assert done.stdout.splitlines()[-1] == file
        assert Path(file).stat().st_size > 5000
    done = history("show digits --plot a.jpg")
    assert done.exit_code == 2
    assert "--plot" in done.stderr


def two_of_one_task(history: Invoke) -> list[str]:
    table()
    table("again", offset=1.0)
    history("add digits.csv again.csv --task digits")
    return [info.id for info in History().tasks()]


def test_a_task_of_several_experiments_is_shown_whole(history: Invoke) -> None:
    ids = two_of_one_task(history)
    assert len(ids) == 2
    text = history("show digits").stdout
    assert all(one in text for one in ids)
    done = history("show digits --plot a.png")
    assert done.exit_code == 2
    assert all(one in done.stderr for one in ids)


def test_remove(history: Invoke, place: Path) -> None:
    table()
    history("add digits.csv")
    done = history("remove digits")
    assert done.exit_code == 2
    assert "--yes" in done.stderr
    assert len(History().tasks()) == 1
    done = history("remove digits --yes")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("removed digits (")
    assert History().tasks() == []
    assert (place / "digits.csv").exists()


def test_remove_refuses_what_is_not_one(history: Invoke) -> None:
    ids = two_of_one_task(history)
    done = history("remove digits --yes")
    assert done.exit_code == 2
    assert all(one in done.stderr for one in ids)
    assert history(f"remove {ids[0]} --yes").exit_code == 0
    assert [info.id for info in History().tasks()] == ids[1:]


@pytest.mark.parametrize("command", ["show", "remove --yes"])
def test_an_unknown_name_is_met_with_near_ones(history: Invoke, command: str) -> None:
    table()
    history("add digits.csv")
    done = history(f"{command} digit")
    assert done.exit_code == 2
    assert "did you mean digits" in done.stderr


def test_help_is_cheap(history: Invoke) -> None:
    code = (
        "import sys; from tune_lr.cli import app\n"
        "try: app(['history', 'add', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'pandas', 'pyarrow', 'numpy', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--mapping" in done.stdout
