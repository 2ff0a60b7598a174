"""``tune-lr prior`` as a person types it: what it prints, keeps and exits with."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.samples.past import bowls
from tests.samples.spaces import SMALL
from tune_lr.cli import app
from tune_lr.experiment import Experiment
from tune_lr.history.history import History
from tune_lr.history.store import Store
from tune_lr.job import Job
from tune_lr.journal import Report
from tune_lr.prior.prior import Prior
from tune_lr.space import SearchSpace
from tune_lr.trials.run import Leg, Outcome

Invoke = Callable[[str], Result]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNE_LR_HISTORY", str(tmp_path / "own"))
    Path("small.yaml").write_text(json.dumps(SMALL.to_dict()))
    return tmp_path


@pytest.fixture
def prior() -> Invoke:
    runner = CliRunner()

    def invoke(line: str) -> Result:
        return runner.invoke(app, ["prior", *shlex.split(line)])

    return invoke


def kept(history: History, folder: str) -> None:
    """The history as a store in a folder."""
    store = Store(folder)
    for entry in history.entries():
        store.write(entry)


def saved(folder: str = "it", centers: tuple[float, ...] = (0.3, 0.35, 0.9)) -> Prior:
    made = Prior.fit(bowls(centers), SMALL)
    made.save(folder)
    return made


def log(name: str, knob: str = "lr") -> str:
    """A CSV file of six trials that vary in one knob, the middle ones the best."""
    rows = [f"trial_id,epoch,val_loss,config/{knob}"]
    rows += [f"t{i},{epoch},{abs(i - 3) + 1 / epoch},{0.02 * (i + 1)}" for i in range(6) for epoch in (1, 2)]
    Path(name).write_text("\n".join(rows) + "\n")
    return name


def experiment(best: float, folder: str | None = "run", trials: int = 8, **asked: Any) -> Experiment:
    """One whose loss is how far the first coordinate is from its best place."""
    asked = {"searcher": "random", "trial_scheduler": "none", "max_epochs": 2, "trials": trials, **asked}
    made = Experiment.open(folder, Job.make({"trainer": "x.py", "space": SMALL.to_dict(), **asked}))
    with made.drive() as driver:
        while isinstance(leg := driver.next(), Leg):
            values = made.record().trials[leg.trial_id].values
            for epoch in (1, 2):
                loss = abs(SMALL.encode(values)[0] - best) + 1 / epoch
                driver.report(leg.trial_id, Report(epoch, 1.0, {"val_loss": float(loss)}))
            driver.finish(leg.trial_id, Outcome("completed"))
    return made


# fit


def test_fit_learns_from_the_history_and_says_what_it_took(prior: Invoke) -> None:
    kept(bowls((0.2, 0.6)), "own")
    done = prior("fit --space small.yaml --out it")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    for said in (
        "prior of small: 2 tasks, 40 configurations, up to 9 epochs",
        "bowl0",
        "bowl1",
        "kept in it",
    ):
        assert said in done.stdout
    assert [task.name for task in Prior.load("it").tasks] == ["bowl0", "bowl1"]


def test_another_store_and_only_some_of_its_tasks(prior: Invoke) -> None:
    kept(bowls((0.2, 0.6, 0.7)), "other")
    done = prior("fit --space small.yaml --store other --task bowl0 --task bowl2 --out it")
    assert done.exit_code == 0, done.output
    assert [task.name for task in Prior.load("it").tasks] == ["bowl0", "bowl2"]


def test_what_is_passed_over_is_told_with_its_reason(prior: Invoke) -> None:
    log("good.csv")
    log("alien.csv", knob="batch")
    Path("far.csv").write_text(Path("good.csv").read_text() + "t9,1,0.5,77\n")
    done = prior("fit far.csv alien.csv --space small.yaml --out it")
    assert done.exit_code == 0, done.output
    assert "passed over:" in done.stdout
    assert "far: 1 trial, outside of the space" in done.stdout
    assert "alien: fewer than two configurations of the space with a value" in done.stdout


def test_logs_and_experiments_are_learned_from_without_being_kept(prior: Invoke, place: Path) -> None:
    log("digits.csv")
    experiment(0.5, "run", trials=4)
    before = set(os.listdir(place))
    done = prior("fit digits.csv run --space small.yaml --out it")
    assert done.exit_code == 0, done.output
    assert "digits.csv: 1 imported" in done.stdout
    assert len(Prior.load("it").tasks) == 2
    assert set(os.listdir(place)) == before | {"it"}  # the history among them: nothing was added to it


def test_what_a_log_optimized_may_be_said(prior: Invoke) -> None:
    Path("odd.csv").write_text(
        "trial_id,epoch,quality,config/lr\n" + "".join(f"t{i},1,{i},{0.02 * (i + 1)}\n" for i in range(6))
    )
    assert prior("fit odd.csv --metric quality --mode max --space small.yaml --out it").exit_code == 0
    (task,) = Prior.load("it").tasks
    assert (task.metric, task.mode) == ("quality", "max")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("fit --space small.yaml --out it", "it is empty"),
        ("fit --out it", "--space"),
        ("fit --space small.yaml", "--out"),
        ("fit --space smal --out it", "smal"),
        ("fit nowhere --space small.yaml --out it", "PATH: 'nowhere' is not usable"),
        ("fit small.yaml --space small.yaml --out it", "a log with a trial in it"),
        ("fit digits.csv --store other --space small.yaml --out it", "either PATHs or --store"),
        ("fit digits.csv --task digit --space small.yaml --out it", "did you mean digits?"),
        ("fit digits.csv --mode up --space small.yaml --out it", "min or max"),
        ("fit --metric a --space small.yaml --out it", "a PATH of a log"),
        ("fit alien.csv --space small.yaml --out it", "two configurations of the space"),
        ("fit digits.csv --space small.yaml --out full", "a new or empty folder"),
        ("show nowhere", "prior: 'nowhere' is not usable"),
        ("show full", "prior.json"),
        ("show broken", "prior.json"),
        ("show there --plot a.gif", ".png"),
        ("show there --prior there", "an experiment to compare with it"),
        ("show there --store own", "an experiment to compare with it"),
        ("show run", "--prior: not given"),
        ("show run --store own", "it is empty"),
        ("show run --prior there --store own", "either --prior or --store"),
        ("show run --prior broken", "prior.json"),
        ("show new --prior there", "3 configurations of space small with a value (there: 0)"),
        ("points nowhere", "prior: 'nowhere' is not usable"),
        ("points there -n 0", "-n: 0 is not usable"),
        ("points there -n many", "'-n'"),
        ("points there --json --csv", "either --json or --csv"),
    ],
)
def test_bad_use_is_one_message_and_leaves_nothing(prior: Invoke, line: str, said: str) -> None:
    log("digits.csv")
    log("alien.csv", knob="batch")
    saved("there")
    experiment(0.5, "run", trials=2)
    Experiment.open("new", Job.make({"trainer": "x.py", "space": SMALL.to_dict(), "searcher": "random"}))
    Path("full").mkdir()
    Path("full/file").write_text("mine")
    Path("broken").mkdir()
    Path("broken/prior.json").write_text('{"format": 1}')
    done = prior(line)
    assert done.exit_code == 2, done.output
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.output
    assert not Path("it").exists()
    assert os.listdir("full") == ["file"]


# show


def test_show_tells_tasks_knobs_and_relatives(prior: Invoke) -> None:
    saved()
    done = prior("show it")
    assert done.exit_code == 0, done.output
    rows = {row.split()[0]: row for row in done.stdout.splitlines() if row.strip()}
    assert "loss (min)" in rows["bowl0"]
    assert "bowl1" in rows["bowl0"].split("epochs")[0]
    assert {"lr", "min_lr_ratio", "smooth", "window"} <= set(rows)
    assert "momentum" not in rows
    assert "mean correlation of" in done.stdout


def test_show_as_json(prior: Invoke) -> None:
    saved()
    told = json.loads(prior("show it --json").stdout)
    assert [task["name"] for task in told["tasks"]] == ["bowl0", "bowl1", "bowl2"]
    assert told["tasks"][0]["relatives"][0]["task"] == "bowl1"
    assert [knob["name"] for knob in told["knobs"]] == ["lr", "min_lr_ratio", "smooth", "window"]
    assert told["knobs"][0]["matters"] > max(knob["matters"] for knob in told["knobs"][1:])


@pytest.mark.parametrize("suffix", ["png", "svg", "html"])
def test_show_draws(prior: Invoke, suffix: str) -> None:
    saved()
    experiment(0.3)
    for line, file in (("show it", f"a.{suffix}"), ("show run --prior it --json", f"deep/b.{suffix}")):
        done = prior(f"{line} --plot {file}")
        assert done.exit_code == 0, done.output
        assert Path(file).stat().st_size > 5000
        assert file in (done.stderr if "--json" in line else done.stdout)


def test_show_of_an_experiment_names_the_past_task_that_it_resembles(prior: Invoke) -> None:
    saved(centers=(0.1, 0.9))
    experiment(0.9)
    told = json.loads(prior("show run --prior it --json").stdout)
    assert told["configurations"] == 8
    assert [one["task"] for one in told["tasks"]] == ["bowl1", "bowl0"]
    assert told["tasks"][0]["correlation"] > 0.8
    assert told["tasks"][1]["correlation"] < 0
    done = prior("show run --prior it")
    assert done.exit_code == 0, done.output
    assert "resemblance to 2 past tasks, by 8 configurations" in done.stdout


def test_an_experiments_own_prior_comes_before_the_history(prior: Invoke) -> None:
    kept(bowls((0.5,)), "own")
    experiment(0.9)
    assert [one["task"] for one in json.loads(prior("show run --json").stdout)["tasks"]] == ["bowl0"]
    saved("run/prior", (0.1, 0.9))
    assert len(json.loads(prior("show run --json").stdout)["tasks"]) == 2
    assert len(json.loads(prior("show run --store own --json").stdout)["tasks"]) == 1


def test_uris_are_taken(prior: Invoke, place: Path) -> None:
    kept(bowls((0.2, 0.6)), "own")
    assert prior(f"fit --space small.yaml --out file://{place}/far").exit_code == 0
    assert "2 tasks" in prior(f"show file://{place}/far").stdout
    assert prior(f"show file://{place}/nowhere").exit_code == 2


# points


def test_points_are_lines_for_points_to_evaluate(prior: Invoke) -> None:
    made = saved()
    done = prior("points it -n 3 --json")
    assert done.exit_code == 0, done.output
    assert [json.loads(line) for line in done.stdout.splitlines()] == made.points(3)


def test_points_as_trials_get_them(prior: Invoke) -> None:
    made = saved()
    found = [json.loads(line) for line in prior("points it -n 3 --json --configs").stdout.splitlines()]
    assert found == made.configs(3)
    assert all(point["min_lr"] <= point["lr"] for point in found)


def test_points_with_commas(prior: Invoke) -> None:
    made = saved()
    rows = list(csv.DictReader(io.StringIO(prior("points it -n 40 --csv").stdout)))
    points = made.points(40)
    assert len(rows) == len(points) == 20  # all that there are
    assert [float(row["lr"]) for row in rows] == [point["lr"] for point in points]
    assert [row["smooth"] for row in rows] == [str(point["smooth"]).lower() for point in points]


def test_points_as_a_table(prior: Invoke) -> None:
    made = saved()
    done = prior("points it")
    rows = [row.split() for row in done.stdout.splitlines() if row.split()[:1] and row.split()[0].isdigit()]
    assert [int(row[0]) for row in rows] == list(range(1, 11))
    assert float(rows[0][1]) == pytest.approx(made.points(1)[0]["lr"], rel=1e-3)


def test_help_needs_no_library(prior: Invoke) -> None:
    for line in ("--help", "fit --help", "show --help", "points --help"):
        assert prior(line).exit_code == 0


def test_a_space_of_one_choice_and_a_single_task(prior: Invoke) -> None:
    space = SearchSpace.from_dict(
        {"name": "tiny", "knobs": {"smooth": {"type": "categorical", "values": [True, False]}}}
    )
    Path("tiny.yaml").write_text(json.dumps(space.to_dict()))
    Path("a.csv").write_text("trial_id,epoch,val_loss,config/smooth\nx,1,0.5,true\ny,1,0.7,false\n")
    assert prior("fit a.csv --space tiny.yaml --out it").exit_code == 0
    done = prior("show it --plot a.png")
    assert done.exit_code == 0, done.output
    assert "mean correlation" not in done.stdout
    assert prior("show it --plot a.html").exit_code == 0
