"""The commands as a person types them; what they print, leave behind and exit with."""

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

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import tune_lr as package
from tune_lr.cli import app, options
from tune_lr.experiment import Experiment
from tune_lr.job import Job

Invoke = Callable[[str], Result]

TRAINER = """
import time

def train(config, trial):
    for epoch in trial.epochs():
        time.sleep(config.get("nap", 0.0))
        val_loss = abs(config["lr"] - 0.1) + 1 / epoch
        trial.report(val_loss=val_loss, accuracy=epoch / 10, lr=config["lr"] / epoch)

def other(config, trial):
    train(config, trial)
"""
LINE = {"name": "line", "knobs": {"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}}}
SPACE = "name: line\nknobs:\n  lr: {type: float, low: 1e-4, high: 1.0, log: true}\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "trainer.py").write_text(TRAINER)
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "slow.yaml").write_text(SPACE + "  nap: {type: constant, value: 0.1}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tune_lr() -> Invoke:
    runner = CliRunner()

    def invoke(line: str) -> Result:
        return runner.invoke(app, shlex.split(line))

    return invoke


RUN = "run trainer.py --space space.yaml --max-epochs 3 --searcher random "


def asked(folder: str | Path) -> Job:
    job = Job.read(Path(folder) / "experiment.json")
    assert job is not None
    return job


# run


def test_run_tunes_and_says_what_came_out(tune_lr: Invoke, place: Path) -> None:
    done = tune_lr(RUN + "--trials 8 --seed 3 --out out")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    best = Experiment.open("out").best
    assert best is not None
    assert "8 trials of at most 3 epochs" in done.stdout
    assert f"Best: trial {best.trial_id}, val_loss {best.value:.4g}" in done.stdout
    assert f"config = {best.config!r}" in done.stdout
    assert "tune-lr show out" in done.stdout
    assert len(pd.read_parquet("out/trials.parquet")) == 8
    assert "\x1b" not in done.output


def test_every_option_reaches_the_job(tune_lr: Invoke) -> None:
    line = (
        "run trainer.py:other --space space.yaml --searcher random --trial-scheduler asha "
        "--trial-scheduler-option reduction_factor=4 --trial-scheduler-option grace=2 --metric accuracy "
        "--mode max --scope avg-2 --seed 5 --trials 3 --max-epochs 4 --budget 20epochs --engine inline "
        "--workers 1 --out out --device cpu --cpus-per-trial 1 --gpus-per-trial 0 --keep-checkpoints 2 "
        "--describe data=digits --describe 'note=two words, a = sign'"
    )
    assert tune_lr(line).exit_code == 0
    job = asked("out")
    assert job.trainer.endswith("trainer.py:other")
    assert job.trial_scheduler_options == {"reduction_factor": 4, "grace": 2}
    assert (job.metric, job.mode, job.scope, job.seed) == ("accuracy", "max", "avg-2", 5)
    assert (job.trials, job.max_epochs, job.budget, job.keep_checkpoints) == (3, 4, "20epochs", 2)
    assert job.task == {"data": "digits", "note": "two words, a = sign"}
    given = set(job.model_fields_set) | {"task"}
    assert given >= {"trials", "device", "cpus_per_trial", "gpus_per_trial", "workers", "engine", "searcher"}


def test_what_help_says_of_defaults_is_true() -> None:
    made = {
        name: Job.make({"trainer": "x.py", "space": LINE, "searcher": name}) for name in ("prior", "random")
    }
    rules = [
        f"{made['prior'].trial_scheduler} with searcher prior",
        f"{made['random'].trial_scheduler} with others",
    ]
    fields = {name: str(field.default) for name, field in Job.model_fields.items()}
    told = {**fields, "trial_scheduler": ", ".join(rules)}
    assert {name: told[name] for name in options.DEFAULTS} == options.DEFAULTS
    assert Job.make({"trainer": "x.py", "space": LINE, "trials": 20, "max_epochs": 27}).limits.epochs == 180
    assert made["random"].limits.epochs is None


def test_help_of_resume_tells_no_default_of_run(tune_lr: Invoke) -> None:
    said = " ".join(tune_lr("resume --help").stdout.replace("│", " ").split())
    assert "Default" not in said
    assert "Unlimited" not in said
    assert said.count(options.KEPT) == 10
    assert "a total, with those that are there" in said
    assert "Default: 20." in tune_lr("run --help").stdout


def test_without_out_a_new_folder_is_made_under_runs(tune_lr: Invoke, place: Path) -> None:
    for _ in range(2):
        assert tune_lr(RUN + "--trials 1").exit_code == 0
    assert len(list((place / "runs").glob("trainer-*/trials.parquet"))) == 2


def test_a_job_from_an_experiment_file(tune_lr: Invoke, place: Path) -> None:
    (place / "jobs").mkdir()
    (place / "jobs/mine.yaml").write_text(
        "trainer: trainer.py:other\nspace: space.yaml\ntrials: 4\nmax_epochs: 2\nout: from_file\n"
        "trial_scheduler: median\ntask: {data: digits}\n"
    )
    assert tune_lr("run jobs/mine.yaml").exit_code == 0
    assert (asked("from_file").trials, asked("from_file").trial_scheduler) == (4, "median")
    assert tune_lr("run jobs/mine.yaml --trials 2 --out elsewhere").exit_code == 0
    assert (asked("elsewhere").trials, asked("elsewhere").max_epochs) == (2, 2)
    # Beside the file comes first.
    (place / "jobs/space.yaml").write_text(SPACE.replace("line", "beside"))
    assert tune_lr("run jobs/mine.yaml --out third").exit_code == 0
    assert asked("third").space["name"] == "beside"


def test_an_experiment_file_may_hold_the_space_itself(tune_lr: Invoke, place: Path) -> None:
    (place / "mine.yml").write_text(
        "trainer: trainer.py\ntrials: 1\nmax_epochs: 1\nout: out\n"
        "space:\n  name: inside\n  knobs:\n    lr: {type: float, low: 1e-3, high: 1.0, log: true}\n"
    )
    assert tune_lr("run mine.yml").exit_code == 0
    assert asked("out").search_space.name == "inside"


# resume


def test_resume_extends_a_finished_experiment(tune_lr: Invoke) -> None:
    assert tune_lr(RUN + "--trials 3 --out out").exit_code == 0
    before = pd.read_parquet("out/reports.parquet")
    done = tune_lr("resume out --trials 5")
    assert done.exit_code == 0, done.output
    after = pd.read_parquet("out/reports.parquet")
    assert after["trial_id"].nunique() == 5
    assert len(after.merge(before)) == len(before)


def test_resuming_what_is_finished_changes_nothing(tune_lr: Invoke, place: Path) -> None:
    assert tune_lr(RUN + "--trials 2 --out out").exit_code == 0
    journal = (place / "out/journal.jsonl").read_bytes()
    for line in ("resume out", "resume out --trials 2"):
        done = tune_lr(line)
        assert done.exit_code == 0
        assert "out is finished" in done.stdout
        assert "--trials N" in done.stdout
    assert (place / "out/journal.jsonl").read_bytes() == journal


# show, plot, spaces


def test_show(tune_lr: Invoke) -> None:
    assert tune_lr(RUN + "--trials 12 --out out").exit_code == 0
    done = tune_lr("show out")
    assert done.exit_code == 0, done.output
    assert "out: finished, 12 trials" in done.stdout
    assert "2 more trials" in done.stdout
    assert "pandas.read_parquet('out/reports.parquet')" in done.stdout
    best = Experiment.open("out").best
    assert best is not None
    rows = [line for line in done.stdout.splitlines() if line.startswith("  00")]
    assert len(rows) == 10
    assert rows[0].split()[:2] == [best.trial_id, best.status]
    assert (
        len([line for line in tune_lr("show out --top 3").stdout.splitlines() if line.startswith("  00")])
        == 3
    )
    one = tune_lr(f"show out --trial {best.trial_id}").stdout
    assert "accuracy" in one
    assert tune_lr("show out --trial 9999").exit_code == 2


def test_plot_writes_a_picture_and_a_page(tune_lr: Invoke, place: Path) -> None:
    assert tune_lr(RUN + "--trials 3 --out out").exit_code == 0
    done = tune_lr("plot out")
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == ["out/curves.png", "out/curves.html"]
    assert (place / "out/curves.png").read_bytes().startswith(b"\x89PNG")
    assert tune_lr("plot out --out pictures/a.svg").exit_code == 0
    assert "<svg" in (place / "pictures/a.svg").read_text()
    assert tune_lr("plot out --out a.jpeg").exit_code == 2
    left = [file.name for file in place.rglob(".*") if file.is_file() and file.name != ".lock"]
    assert left == []


GREEDY = """
import torch
from tune_lr import GreedyLR

def train(config, trial):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config["lr"])
    schedule = GreedyLR(optimizer, patience=1, factor=0.5, min_lr=1e-6, max_lr=10.0, warmup=2)
    trial.resume(optimizer=optimizer, schedule=schedule)
    for epoch in trial.epochs():
        for loss in (3.0, 2.0, 1.0, 5.0, 0.5, 4.0, 4.0, 4.0):
            schedule.step(loss)
        trial.save()
        trial.report(val_loss=1 / epoch)
"""


def test_what_the_schedule_of_a_trial_decided_is_told_and_drawn(tune_lr: Invoke, place: Path) -> None:
    (place / "trainer.py").write_text(GREEDY)
    assert tune_lr(RUN + "--trials 1 --out out").exit_code == 0
    told = tune_lr("show out --trial 0000").stdout
    assert "1 raise, " in told
    assert "in 24 steps" in told
    done = tune_lr("plot out --trial 0")
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == ["out/trial-0000.png", "out/trial-0000.html"]
    assert (place / "out/trial-0000.png").read_bytes().startswith(b"\x89PNG")
    assert tune_lr("plot out --trial 0 --out one.svg").exit_code == 0
    (place / "out/trials/0000/decisions.jsonl").unlink()
    done = tune_lr("plot out --trial 0")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "decisions of trial: '0000' is not usable" in done.stderr
    assert tune_lr("plot out --trial 5").exit_code == 2


def test_spaces(tune_lr: Invoke) -> None:
    done = tune_lr("spaces")
    assert done.exit_code == 0
    assert "greedy_lr" in done.stdout
    shown = tune_lr("spaces greedy_lr").stdout
    assert "window_size" in shown
    assert "smooth is true" in shown
    text = tune_lr("spaces greedy_lr --yaml").stdout
    Path("copy.yaml").write_text(text)
    assert package.load_space(Path("copy.yaml")) == package.load_space("greedy_lr")


@pytest.mark.parametrize(
    "line", ["--help", "run --help", "resume -h", "show --help", "plot --help", "spaces --help"]
)
def test_help(tune_lr: Invoke, line: str) -> None:
    done = tune_lr(line)
    assert done.exit_code == 0
    assert done.stderr == ""
    assert "Usage" in done.stdout


def test_version(tune_lr: Invoke) -> None:
    assert tune_lr("--version").stdout == f"tune-lr {package.__version__}\n"


# As a process of its own.


def start(line: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from tune_lr.cli import main; main()", *shlex.split(line)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_reports(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    journal = folder / "journal.jsonl"
    while not journal.exists() or journal.read_text().count('"event":"report"') < count:
        assert time.monotonic() < deadline, "no reports came"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_cleanly_keeps_everything_and_says_how_to_go_on(
    place: Path, tune_lr: Invoke, number: int
) -> None:
    process = start(
        "run trainer.py --space slow.yaml --searcher random --trial-scheduler none --max-epochs 5 "
        "--trials 40 --out out"
    )
    wait_for_reports(place / "out", 7)
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error == "interrupted; everything is kept. To go on: tune-lr resume out\n"
    assert "out: interrupted, 2 trials (1 completed, 1 paused)" in out
    assert "\x1b" not in out
    assert json.loads((place / "out/experiment.json").read_text())["status"] == "interrupted"
    reports = pd.read_parquet("out/reports.parquet")
    assert len(reports) >= 7
    assert tune_lr("show out").exit_code == 0
    done = tune_lr("resume out --trials 3")
    assert done.exit_code == 0, done.output
    after = pd.read_parquet("out/trials.parquet")
    assert list(after["status"]) == ["completed"] * 3
    assert list(after["epochs"]) == [5, 5, 5]


def test_show_tells_a_killed_driver_from_one_that_runs(
    place: Path, tune_lr: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    process = start(
        "run trainer.py --space slow.yaml --searcher random --max-epochs 50 --trials 40 --out out"
    )
    wait_for_reports(place / "out", 2)
    assert "out: running, " in tune_lr("show out").stdout
    process.kill()
    process.communicate(timeout=60)
    shown = tune_lr("show out")
    assert shown.exit_code == 0, shown.output
    head = shown.stdout.splitlines()[0]
    assert "out: interrupted (no driver is running it), 1 trial (1 paused)" in head
    assert "; to go on: tune-lr resume " in head
    assert head.endswith("out")
    assert tune_lr("show out --trial 0000").stdout.startswith("trial 0000: paused (interrupted) after ")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:  # a read-only folder
        patch.setattr(FileLock, "acquire", refuse)
        shown = tune_lr("show out")
    assert shown.exit_code == 0
    assert "out: running (or killed: " in shown.stdout
    (place / "out/.lock").unlink()  # a copy of the folder
    assert "no driver is running it" in tune_lr("show out").stdout
    assert not (place / "out/.lock").exists()


def test_a_reader_that_goes_away_is_no_error(place: Path, tune_lr: Invoke) -> None:
    assert tune_lr(RUN + "--trials 1 --out out").exit_code == 0
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", "from tune_lr.cli import main; main()", "show", "out"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert "Traceback" not in done.stderr


# The same from Python.


def test_python_finds_what_the_command_left_and_the_other_way_round(tune_lr: Invoke, place: Path) -> None:
    from tune_lr.views.progress import Progress

    made = package.tune(
        "trainer.py",
        "./space.yaml",
        searcher="random",
        trials=3,
        max_epochs=2,
        out="out",
        listeners=(Progress(),),
    )
    assert made.best is not None
    assert f"trial {made.best.trial_id}" in tune_lr("show out").stdout
    assert tune_lr("resume out --trials 4").exit_code == 0
    assert len(made.trials()) == 4
    assert made.plot().axes
