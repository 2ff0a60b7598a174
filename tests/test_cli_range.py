"""``tune-lr range`` as a person types it: what it prints, leaves behind and exits with."""

from __future__ import annotations

import inspect
import os
import random
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from tune_lr.cli import app
from tune_lr.cli.range import DEFAULTS
from tune_lr.jobs import lr_range
from tune_lr.space import FloatKnob, SearchSpace
from tune_lr.views.lr_range import written

Invoke = Callable[[str], Result]

TRAINERS = '''
import math
import torch, tune_lr
from torch import nn

def _train(config, trial, length=True, report=True, scale=1.0, fail_at=None):
    """Gradient descent on a quadratic with curvature 4 in 10 directions, 20 steps an epoch."""
    torch.manual_seed(trial.seed)
    x = nn.Parameter(torch.ones(10))
    optimizer = torch.optim.SGD([x], lr=config["lr"])
    given = (trial.max_epochs, 20) if length else ()
    schedule = tune_lr.build_schedule(config, optimizer, *given)
    trial.resume(optimizer=optimizer, schedule=schedule)
    for _ in trial.epochs():
        for step in range(20):
            loss = 2 * scale * (x + 0.05 * torch.randn(10)).square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step(loss.item())
            if fail_at is not None and schedule.get_last_lr()[0] > fail_at:
                raise ValueError("no such column: 'age'")
        trial.save()
        if report:
            trial.report(accuracy=0.5)

def train(config, trial):
    _train(config, trial)

def unsaid(config, trial):
    _train(config, trial, length=False)

def silent(config, trial):
    _train(config, trial, length=False, report=False)

def flat(config, trial):
    _train(config, trial, scale=1e-9)

def wild(config, trial):
    _train(config, trial, scale=1e12)

def failing(config, trial):
    _train(config, trial, fail_at=0.01)

def broken(config, trial):
    raise KeyError("age")

def quitting(config, trial):
    raise SystemExit(3)

def deaf(config, trial):
    for _ in trial.epochs():
        trial.report(val_loss=1.0)

def stubborn(config, trial):
    """Catches whatever there is to catch, and goes on."""
    x = nn.Parameter(torch.ones(10))
    optimizer = torch.optim.SGD([x], lr=config["lr"])
    schedule = tune_lr.build_schedule(config, optimizer, trial.max_epochs, 20)
    for _ in trial.epochs():
        for _ in range(20):
            try:
                loss = 2 * x.square().sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step(loss.item())
            except BaseException:
                pass
        trial.report(val_loss=1.0)

def scribbling(config, trial):
    x = nn.Parameter(torch.ones(1))
    schedule = tune_lr.build_schedule(config, torch.optim.SGD([x], lr=config["lr"]), trial.max_epochs, 20)
    for _ in trial.epochs():
        for _ in range(20):
            schedule.step(1.0)
        with open(config["sweep_trace"], "a") as file:
            file.write("and so on")
        trial.report(val_loss=1.0)

def twofold(config, trial):
    optimizers = [torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=config["lr"]) for _ in range(2)]
    schedules = [tune_lr.build_schedule(config, each, trial.max_epochs, 20) for each in optimizers]
    for _ in trial.epochs():
        for _ in range(20):
            for schedule in schedules:
                schedule.step(1.0)
        trial.report(val_loss=1.0)

def by_epoch(config, trial):
    x = nn.Parameter(torch.ones(1))
    schedule = tune_lr.build_schedule(config, torch.optim.SGD([x], lr=config["lr"]), trial.max_epochs)
    for _ in trial.epochs():
        schedule.step(1.0)
        trial.report(val_loss=1.0)

def _fit(config, trial, loss=nn.functional.mse_loss):
    torch.manual_seed(trial.seed)
    x = torch.randn(160, 4)
    batches = [(part, part.sum(dim=1, keepdim=True)) for part in x.split(8)]
    tune_lr.fit(trial, config, model=nn.Linear(4, 1), train=batches, validate=batches, loss=loss)

def ready(config, trial):
    _fit(config, trial)

def to_nan(config, trial):
    """Its loss is NaN once it has grown, which the ready loop keeps to itself."""
    def loss(outputs, targets):
        value = nn.functional.mse_loss(outputs, targets)
        return value if value < 14 else value * math.nan
    _fit(config, trial, loss)

def nan_at_once(config, trial):
    _fit(config, trial, lambda outputs, targets: outputs.sum() * math.nan)
'''


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "trainer.py").write_text(TRAINERS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tune_lr() -> Invoke:
    runner = CliRunner()

    def invoke(line: str) -> Result:
        return runner.invoke(app, shlex.split(line))

    return invoke


def proposed(result: Result) -> FloatKnob:
    """The knob in the line to copy."""
    (line,) = (line for line in result.stdout.splitlines() if line.strip().startswith("lr: {"))
    space = SearchSpace.from_dict({"name": "x", "knobs": yaml.safe_load(line)})
    knob = space.knobs["lr"]
    assert isinstance(knob, FloatKnob)
    assert knob.log
    return knob


def test_it_proposes_bounds_with_a_picture_and_a_table(tune_lr: Invoke) -> None:
    done = tune_lr("range trainer.py --out out")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    knob = proposed(done)
    assert 0.4 < knob.high < 0.75  # 2 over the curvature is 0.5
    assert knob.low < 0.02
    assert knob.default == pytest.approx(knob.high / 10, rel=0.06)
    assert "the loss blew up at lr" in done.stdout
    frame = pd.read_csv("out/range.csv")
    assert list(frame.columns) == ["lr", "loss", "smoothed"]
    assert frame["lr"].is_monotonic_increasing
    assert frame["lr"][0] == 1e-6
    assert Path("out/range.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(os.listdir("out")) == ["range.csv", "range.png"]


def test_the_same_seed_gives_the_same_and_another_another(tune_lr: Invoke) -> None:
    for out, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert tune_lr(f"range trainer.py --seed {seed} --out {out}").exit_code == 0
    a, b, c = (Path(f"{out}/range.csv").read_text() for out in "abc")
    assert a == b != c


@pytest.mark.parametrize("name", ["unsaid", "silent"])
def test_steps_are_counted_where_the_trainer_does_not_say_how_many(tune_lr: Invoke, name: str) -> None:
    said, counted = tune_lr("range trainer.py --out a"), tune_lr(f"range trainer.py:{name} --out b")
    assert counted.exit_code == 0, counted.output
    assert "of 200 steps" in counted.stdout
    if name == "unsaid":
        assert Path("a/range.csv").read_text() == Path("b/range.csv").read_text()
    assert proposed(said) == proposed(counted)


@pytest.mark.parametrize("space", ["greedy_lr", "adamw_finetune", "schedule_free_sgd", "plateau"])
def test_the_ready_loop_and_any_space(tune_lr: Invoke, space: str) -> None:
    done = tune_lr(f"range trainer.py:ready --space {space} --out out")
    assert done.exit_code == 0, done.output
    assert proposed(done).low >= 1e-6


def test_a_loss_that_ends_the_training_itself_ends_the_sweep(tune_lr: Invoke) -> None:
    done = tune_lr("range trainer.py:to_nan --out out")
    assert done.exit_code == 0, done.output
    assert "the loss was not finite after step" in done.stdout
    assert proposed(done).high < 3


def test_a_trainer_that_will_not_stop_does_no_harm(tune_lr: Invoke) -> None:
    done = tune_lr("range trainer.py:stubborn --out out")
    assert done.exit_code == 0, done.output
    assert 0.4 < proposed(done).high < 0.75


def test_without_out_it_goes_to_a_new_folder_under_runs(tune_lr: Invoke) -> None:
    for _ in range(2):
        assert tune_lr("range trainer.py").exit_code == 0
    made = sorted(os.listdir("runs"))
    assert len(made) == 2
    assert all(name.startswith("range-trainer-") for name in made)


def test_nothing_else_stays_behind(place: Path) -> None:
    torch.manual_seed(7)
    random.seed(7)
    before = torch.get_rng_state(), random.getstate(), sorted(os.listdir())
    assert lr_range("trainer.py").bounds is not None
    assert os.getcwd() == str(place)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert [name for name in sorted(os.listdir()) if name != "__pycache__"] == before[2]


def test_without_matplotlib_the_proposal_is_made_and_the_extra_named(
    tune_lr: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = tune_lr("range trainer.py --out out")
    assert done.exit_code == 0
    assert proposed(done)
    assert "pip install 'tune-lr[plot]'" in done.stderr
    assert os.listdir("out") == ["range.csv"]


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("trainer.py:flat", 1, "no bounds of lr to propose: the loss stays as it is"),
        ("trainer.py:wild", 1, "no bounds of lr to propose: the loss blew up within"),
        ("trainer.py:nan_at_once", 1, "not finite at the very first"),
        ("trainer.py:failing", 1, "ValueError: no such column: 'age'"),
        ("trainer.py:failing", 1, "the trainer failed after step"),
        ("trainer.py:broken", 1, "the trainer failed before its schedule's second step: KeyError: 'age'"),
        ("trainer.py:quitting", 1, "SystemExit: 3"),
        ("trainer.py:deaf", 1, "never stepped its schedule: build it with tune_lr.build_schedule"),
        ("trainer.py:scribbling", 1, "something else than the sweep has written to its table, trace.csv"),
        ("trainer.py:twofold", 1, "steps several schedules"),
        ("trainer.py:by_epoch", 2, "epochs: 10 is not usable; expected 30 or more"),
        ("trainer.py --epochs 1", 2, "epochs: 1 is not usable; expected 2 or more"),
        ("trainer.py:unsaid --epochs 1", 2, "epochs: 1 is not usable; expected 2 or more"),
        ("trainer.py --epochs 0", 2, "epochs: 0 is not usable"),
        ("trainer.py --epochs 99999999999999999999", 2, "epochs: 99999999999999999999 is not usable"),
        ("trainer.py --seed 99999999999999999999999", 2, "expected a number below 2147483648"),
        ("trainer.py --seed -1", 2, "seed: -1 is not usable; expected a number of at least 0"),
        (
            "trainer.py --cpus 999999999999",
            2,
            "cpus: 999999999999 is not usable; expected a number of at most",
        ),
        ("trainer.py --device nope", 2, "device: unknown name 'nope'; known: auto, cpu, cuda"),
        ("trainer.py --device cuda:99", 2, "device: 'cuda:99' is not usable; expected one of this machine"),
        ("trainer.py --low 1 --high 0.1", 2, "high: 0.1 is not usable; expected a number above 1"),
        ("trainer.py --low 0", 2, "low: 0.0 is not usable"),
        ("trainer.py --space grredy", 2, "did you mean greedy_lr"),
        ("trainer.py --space prodigy", 2, "a space in which lr has a range"),
        ("trainer.py:tain", 2, "did you mean"),
        ("nowhere.py", 2, "a Python file that exists"),
        ("trainer.py --low x", 2, "--low"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(tune_lr: Invoke, line: str, code: int, said: str) -> None:
    done = tune_lr(f"range {line} --out out")
    assert said in done.stderr.replace("\n", " ")
    assert (done.exit_code, "Traceback" in done.output) == (code, False), done.output
    assert code == 1 or not Path("out").exists()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("trainer.py", "Not a directory"),
        ("trainer.py/under", "Not a directory"),
        ("/proc/nothing", "No such file"),
        ("x" * 300, "name too long"),
        ("a\0b", "null"),
        ("full", "Is a directory"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_the_training(out: str, said: str) -> None:
    Path("full/range.csv").mkdir(parents=True)
    done = CliRunner().invoke(app, ["range", "trainer.py", "--out", out])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "error: out: " in done.stderr
    assert said.lower() in done.stderr.lower()
    assert "Traceback" not in done.output


def test_a_folder_that_stays_empty_is_removed_again(tune_lr: Invoke) -> None:
    Path("there").mkdir()
    for out in ("new/and/deep", "there"):
        assert tune_lr(f"range trainer.py:broken --out {out}").exit_code == 1
    assert Path("there").is_dir()
    assert not Path("new").exists()


@pytest.mark.parametrize(("how", "code"), [("| head -1", 1), (">&-", 0), (">&- 2>&-", 0)])
def test_the_files_are_written_where_nobody_reads_what_is_printed(place: Path, how: str, code: int) -> None:
    command = (
        f"{Path(sys.executable).parent}/tune-lr range trainer.py --out out {how}; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", command], timeout=120, capture_output=True, text=True, cwd=place)
    assert (done.returncode, done.stderr) == (code, "")
    assert sorted(os.listdir("out")) == ["range.csv", "range.png"]


def test_verbose_shows_where_the_trainer_failed(tune_lr: Invoke) -> None:
    done = tune_lr("range trainer.py:broken --verbose")
    assert "in broken" in done.stderr


def test_a_flat_curve_is_drawn_all_the_same(tune_lr: Invoke) -> None:
    tune_lr("range trainer.py:flat --out out")
    assert sorted(os.listdir("out")) == ["range.csv", "range.png"]


def test_what_help_says_of_defaults_is_true() -> None:
    signature: dict[str, Any] = {
        name: parameter.default
        for name, parameter in inspect.signature(lr_range).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    assert signature == DEFAULTS


@pytest.mark.parametrize(
    ("lr", "text"),
    [(0.01, "0.01"), (1.0, "1.0"), (12.0, "12.0"), (1e-5, "1.0e-5"), (2.34e-5, "2.3e-5"), (3e7, "3.0e+7")],
)
def test_numbers_are_numbers_to_any_reader_of_yaml(lr: float, text: str) -> None:
    assert written(lr) == text
    assert isinstance(yaml.safe_load(text), float)
