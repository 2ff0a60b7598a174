"""Every bad use prints one message that names what is wrong, without a traceback, and loses nothing."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from tune_lr.cli import app

Invoke = Callable[[str], Result]

FILES = {
    "good.py": """
        def train(config, trial):
            for epoch in trial.epochs():
                trial.report(val_loss=abs(config["lr"] - 0.1) + 1 / epoch, lr=config["lr"])
        """,
    "syntax.py": "def train(config, trial:\n    pass",
    "missing_import.py": "import no_such_library\ndef train(config, trial): pass",
    "leaves.py": "import sys\nsys.exit(3)",
    "near.py": "def trian(config, trial): pass",
    "one_argument.py": "def train(config): pass",
    "other_metric.py": """
        def train(config, trial):
            for epoch in trial.epochs():
                trial.report(loss=1.0, accuracy=2.0)
        """,
    "silent.py": "def train(config, trial): pass",
    "always.py": "def train(config, trial): raise ValueError('boom [red] \"quoted\"')",
    "sometimes.py": """
        def train(config, trial):
            if int(trial.id) % 3 == 1:
                raise ValueError("boom\\nand more of it")
            if int(trial.id) % 3 == 2:
                raise SystemExit(4)
            for epoch in trial.epochs():
                trial.report(val_loss=1 / epoch)
        """,
    "not_finite.py": """
        import math
        def train(config, trial):
            for epoch in trial.epochs():
                trial.report(val_loss=[math.nan, math.inf, None, 1 / epoch][int(trial.id) % 4])
        """,
    "no_number.py": """
        def train(config, trial):
            for epoch in trial.epochs():
                trial.report(val_loss="low")
        """,
    "space.yaml": "name: s\nknobs:\n  lr: {type: float, low: 1e-4, high: 1.0, log: true}",
    "swapped.yaml": "name: s\nknobs:\n  lr: {type: float, low: 1.0, high: 0.1}",
    "unknown_kind.yaml": "name: s\nknobs:\n  lr: {type: flaot, low: 0.1, high: 1.0}",
    "unknown_knob.yaml": "name: s\nknobs:\n  lr: {type: int, low: 1, high: 9, when: {smoth: true}}\n"
    "  smooth: {type: categorical, values: [true, false]}",
    "tag.yaml": "name: s\nknobs: !!python/object/apply:os.system ['touch hacked']",
    "bomb.yaml": "a: &a [x, x]\nb: &b [*a, *a]\nknobs: *b",
    "broken.yaml": "name: [",
    "job.yaml": "trainer: good.py\nspace: space.yaml\nsearcher: random\ntrials: 3\nmax_epochs: 2",
    "job_key.yaml": "trainer: good.py\nspace: space.yaml\ntrails: 3",
    "job_type.yaml": "trainer: good.py\nspace: space.yaml\ntrials: three",
    "job_true.yaml": "trainer: good.py\nspace: space.yaml\ntrials: true",
    "job_tag.yaml": "trainer: !!python/name:os.system",
    "job_list.yaml": "[1, 2]",
    "job_empty.yaml": "space: space.yaml",
    "a_file": "",
    "others/notes.txt": "mine",
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with trainers, spaces and experiment files, most of them bad."""
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        lines = text.strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
        file.write_text("\n".join(line[indent:] for line in lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tune_lr() -> Invoke:
    runner = CliRunner()

    def invoke(line: str) -> Result:
        return runner.invoke(app, shlex.split(line))

    return invoke


def assert_one_message(done: Result, code: int, *words: str) -> None:
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("error: ") == 1
    for word in words:
        assert word in done.stderr


GOOD = "run good.py --space space.yaml "


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run good.py", ["--space"]),
        ("run good.py --space greedy_lrr", ["greedy_lrr", "did you mean greedy_lr?"]),
        ("run good.py --space nothing.yaml", ["nothing.yaml"]),
        ("run good.py --space swapped.yaml", ["swapped.yaml", "'lr'", "1.0", "less than high"]),
        ("run good.py --space unknown_kind.yaml", ["unknown_kind.yaml", "'lr'", "flaot", "float"]),
        ("run good.py --space unknown_knob.yaml", ["unknown_knob.yaml", "smoth", "smooth"]),
        ("run good.py --space tag.yaml", ["tag.yaml", "line 2", "os.system", "no tag"]),
        ("run good.py --space bomb.yaml", ["bomb.yaml", "line 1", "no anchors"]),
        ("run good.py --space broken.yaml", ["broken.yaml"]),
        (GOOD + "--engine rayy", ["rayy", "did you mean ray?", "syne-tune"]),
        (GOOD + "--searcher randm", ["randm", "did you mean random?"]),
        (GOOD + "--trial-scheduler ahsa", ["ahsa", "did you mean asha?"]),
        (GOOD + "--trial-scheduler hyperband", ["hyperband", "inline"]),
        (GOOD + "--searcher-option temperature=1", ["temperature"]),
        (GOOD + "--searcher-option temperature", ["--searcher-option", "key=value"]),
        (
            GOOD + "--searcher random --trial-scheduler-option reduction_facto=3",
            ["did you mean reduction_factor?"],
        ),
        (
            GOOD + "--searcher random --trial-scheduler-option reduction_factor=many",
            ["reduction_factor", "many"],
        ),
        (GOOD + "--prior nowhere", ["prior", "nowhere", "a path that exists"]),
        (GOOD + "--prior good.py", ["prior", "good.py", "a saved prior, or an experiment or log"]),
        (GOOD + "--prior others", ["prior", "others", "space 's'"]),
        (GOOD + "--prior ''", ["prior", "auto, starter, none, or one path or several"]),
        (GOOD + "--prior none --prior others", ["prior", "alone"]),
        (GOOD + "--prior nosuch://store/x", ["nosuch"]),
        (GOOD + "--searcher random --prior starter", ["prior", "random", "takes no prior"]),
        (GOOD + "--device cda", ["cda", "did you mean cuda?"]),
        (GOOD + "--device cuda:99", ["device", "cuda:99", "one of this machine: auto, cpu"]),
        ("run nothing.py --space space.yaml", ["nothing.py"]),
        ("run no.such.module --space space.yaml", ["no.such.module", "ModuleNotFoundError"]),
        ("run syntax.py --space space.yaml", ["syntax.py", "SyntaxError", "line 1"]),
        ("run missing_import.py --space space.yaml", ["missing_import.py", "no_such_library"]),
        ("run leaves.py --space space.yaml", ["leaves.py", "SystemExit"]),
        ("run near.py --space space.yaml", ["near.py", "'train'", "did you mean trian?"]),
        ("run good.py:trian --space space.yaml", ["good.py", "'trian'", "did you mean train?"]),
        ("run one_argument.py --space space.yaml", ["train(config)", "train(config, trial)"]),
        (GOOD + "--trials 0", ["trials", "0", "at least 1"]),
        (GOOD + "--max-epochs -1", ["max_epochs", "-1", "at least 1"]),
        (GOOD + "--max-epochs 99999999999999999999", ["max_epochs", "below 2147483648"]),
        (GOOD + "--cpus-per-trial 99999999999999999999", ["cpus_per_trial", "at most 4096"]),
        (GOOD + "--workers 0", ["workers", "at least 1"]),
        (GOOD + "--workers 2", ["workers", "inline"]),
        (GOOD + "--cpus-per-trial 0", ["cpus_per_trial", "at least 1"]),
        (GOOD + "--gpus-per-trial -1", ["gpus_per_trial", "at least 0"]),
        (GOOD + "--seed -1", ["seed", "at least 0"]),
        (GOOD + "--trials many", ["trials", "many", "a whole number"]),
        (GOOD + "--trials 2.5", ["trials", "2.5", "a whole number"]),
        (GOOD + "--mode mni", ["mode", "mni", "'min' or 'max'"]),
        (GOOD + "--scope avg-0", ["scope", "avg-0", "avg-K"]),
        (GOOD + "--budget lots", ["budget", "lots", "500epochs"]),
        (GOOD + "--budget 0epochs", ["budget", "positive"]),
        (GOOD + "--keep-checkpoints few", ["keep_checkpoints", "few", "best"]),
        (GOOD + "--out a_file", ["out", "a_file", "a folder"]),
        (GOOD + "--out a_file/inside", ["out", "a_file"]),
        (GOOD + "--out others", ["out", "others", "empty"]),
        (GOOD + "--out /proc/nobody/may", ["out", "/proc/nobody/may"]),
        (GOOD + "--out nosuch://store/x", ["out", "nosuch"]),
        ("run nothing.yaml", ["nothing.yaml"]),
        ("run job_key.yaml", ["job_key.yaml", "trails", "did you mean trials"]),
        ("run job_type.yaml", ["trials", "three", "a whole number"]),
        ("run job_true.yaml", ["trials", "True", "a number"]),
        ("run job_tag.yaml", ["job_tag.yaml", "line 1", "no tag"]),
        ("run job_list.yaml", ["job_list.yaml", "a mapping"]),
        ("run job_empty.yaml", ["job_empty.yaml", "trainer"]),
        ("run job.yaml --trials 0", ["trials", "at least 1"]),
        (GOOD + "--bogus", ["--bogus"]),
        (GOOD + "--out", ["--out"]),
        ("runn good.py", ["runn", "run"]),
        ("run", ["TRAINER"]),
        ("show nothing", ["nothing", "experiment.json"]),
        ("show a_file", ["a_file"]),
        ("show others --top 0", ["--top", "at least 1"]),
        ("plot others", ["others", "experiment.json"]),
        ("resume nothing", ["nothing", "experiment.json"]),
        ("spaces greedy", ["greedy", "did you mean greedy_lr?"]),
        ("spaces swapped.yaml", ["swapped.yaml", "less than high"]),
        ("spaces --yaml", ["NAME"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_use(tune_lr: Invoke, place: Path, line: str, words: list[str]) -> None:
    before = sorted(path for path in place.rglob("*") if "__pycache__" not in path.parts)
    assert_one_message(tune_lr(line), 2, *words)
    after = sorted(path for path in place.rglob("*") if "__pycache__" not in path.parts)
    assert [path for path in after if path not in before and path.name != "runs"] == []
    assert (place / "others/notes.txt").read_text() == "mine\n"


def test_a_folder_that_was_there_keeps_what_is_in_it(tune_lr: Invoke, place: Path) -> None:
    (place / "mine/.git").mkdir(parents=True)
    assert_one_message(tune_lr("run near.py --space space.yaml --out mine"), 2, "near.py")
    assert (place / "mine/.git").is_dir()


def test_an_experiment_that_is_there_is_refused_with_the_way_to_go_on(tune_lr: Invoke, place: Path) -> None:
    assert tune_lr("run job.yaml --out 'my runs/it'").exit_code == 0
    journal = (place / "my runs/it/journal.jsonl").read_bytes()
    done = tune_lr("run job.yaml --out 'my runs/it'")
    assert_one_message(done, 2, "my runs/it", "tune-lr resume 'my runs/it'")
    done = tune_lr(GOOD + "--trials 9 --out 'my runs/it'")
    assert_one_message(done, 2, "tune-lr resume")
    assert (place / "my runs/it/journal.jsonl").read_bytes() == journal


# Trainers that fail while they train.


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        ("other_metric.py", ["val_loss", "it reported: accuracy, loss"]),
        ("silent.py", ["trial.report(val_loss=...)"]),
        ("always.py", ["every trial failed", 'ValueError: boom [red] "quoted"']),
        ("no_number.py", ["every trial failed", "val_loss", "'low'", "a number"]),
    ],
)
def test_a_trainer_that_cannot_work_ends_the_job_with_the_reason(
    tune_lr: Invoke, trainer: str, words: list[str]
) -> None:
    done = tune_lr(f"run {trainer} --space space.yaml --trials 30 --out out")
    assert_one_message(done, 1, *words, "tune-lr show out")
    shown = tune_lr("show out")
    assert shown.exit_code == 0
    assert "failed" in shown.stdout
    assert len(pd.read_parquet("out/trials.parquet")) <= 3


def test_verbose_shows_where_a_trainer_failed(tune_lr: Invoke) -> None:
    done = tune_lr("run always.py --space space.yaml --out out --verbose")
    assert done.exit_code == 1
    assert 'always.py", line 1, in train' in done.stderr


def test_a_trial_that_raises_or_leaves_fails_alone(tune_lr: Invoke) -> None:
    done = tune_lr(
        "run sometimes.py --space space.yaml --trials 6 --max-epochs 2 --trial-scheduler none --out out"
    )
    assert done.exit_code == 0, done.output
    assert "trial 0001 failed: ValueError: boom" in done.stdout
    assert "Traceback" not in done.output
    trials = pd.read_parquet("out/trials.parquet").set_index("trial_id")
    assert list(trials["status"]) == ["completed", "failed", "failed"] * 2
    assert "Traceback" in trials.loc["0001", "error"]
    assert "and more of it" in trials.loc["0001", "error"]
    shown = tune_lr("show out").stdout
    assert "trial 0001 failed: ValueError: boom" in shown
    assert "trial 0002 failed: the trainer left with sys.exit(4)" in shown
    assert "and more of it" in tune_lr("show out --trial 0001").stdout


def test_a_loss_that_is_not_finite_is_a_diverged_trial(tune_lr: Invoke) -> None:
    done = tune_lr(
        "run not_finite.py --space space.yaml --trials 8 --max-epochs 3 --trial-scheduler none --out out"
    )
    assert done.exit_code == 0, done.output
    trials = pd.read_parquet("out/trials.parquet")
    assert list(trials["status"]) == ["diverged"] * 3 + ["completed"] + ["diverged"] * 3 + ["completed"]
    assert list(trials["epochs"]) == [1, 1, 1, 3] * 2
    assert "6 diverged" in tune_lr("show out").stdout
    assert tune_lr("plot out --out curves.html").exit_code == 0


# Folders that somebody damaged.


@pytest.fixture
def folder(tune_lr: Invoke, place: Path) -> Path:
    assert tune_lr("run job.yaml --out out").exit_code == 0
    return place / "out"


def ruin(folder: Path, how: str) -> None:
    journal, described = folder / "journal.jsonl", folder / "experiment.json"
    lines = journal.read_text().splitlines(keepends=True)
    if how == "journal is no JSON":
        journal.write_text("".join([*lines[:2], "{nonsense\n", *lines[2:]]))
    elif how == "journal is binary":
        journal.write_bytes(os.urandom(64) + b"\n" + os.urandom(64) + b"\n")
    elif how == "journal is a folder":
        journal.unlink()
        journal.mkdir()
    elif how == "an event lacks a field":
        journal.write_text("".join([*lines, '{"event":"ask","time":1.0}\n']))
    elif how == "an event has no time":
        journal.write_text("".join([*lines, '{"event":"close","status":"finished"}\n']))
    elif how == "an event is of a wrong type":
        journal.write_text("".join(['{"event":"session","time":"noon"}\n', *lines]))
    elif how == "experiment.json is cut off":
        described.write_text(described.read_text()[:100])
    elif how == "experiment.json is empty":
        described.write_text("")
    elif how == "experiment.json is a list":
        described.write_text("[]")
    elif how == "experiment.json asks nonsense":
        content = json.loads(described.read_text())
        content["job"]["trials"] = -3
        described.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ("journal is no JSON", "journal.jsonl, line 3"),
        ("journal is binary", "journal.jsonl"),
        ("journal is a folder", "journal.jsonl"),
        ("an event lacks a field", "trial_id"),
        ("an event has no time", "time"),
        ("an event is of a wrong type", "noon"),
        ("experiment.json is cut off", "experiment.json"),
        ("experiment.json is empty", "experiment.json"),
        ("experiment.json is a list", "experiment.json"),
        ("experiment.json asks nonsense", "trials"),
    ],
)
def test_a_damaged_experiment_is_named_and_left_alone(
    tune_lr: Invoke, folder: Path, how: str, word: str
) -> None:
    ruin(folder, how)
    journal = folder / "journal.jsonl"
    before = journal.read_bytes() if journal.is_file() else b""
    for line in ("show out", "plot out", "resume out --trials 5"):
        assert_one_message(tune_lr(line), 2, word)
    assert (journal.read_bytes() if journal.is_file() else b"") == before


def test_a_torn_last_line_is_no_damage(tune_lr: Invoke, folder: Path) -> None:
    with open(folder / "journal.jsonl", "a") as journal:
        journal.write('{"event":"report","trial_id":"0000","ep')
    assert tune_lr("show out").exit_code == 0
    assert tune_lr("resume out --trials 4").exit_code == 0
    assert len(pd.read_parquet("out/trials.parquet")) == 4


def test_resuming_asks_for_what_can_be_changed(tune_lr: Invoke, folder: Path) -> None:
    assert_one_message(tune_lr("resume out --engine rayy"), 2, "rayy", "ray")
    assert_one_message(tune_lr("resume out --trials 0"), 2, "trials")
    assert_one_message(tune_lr("resume out --seed 3"), 2, "--seed")
    assert json.loads((folder / "experiment.json").read_text())["job"]["engine"] == "inline"


def test_resuming_asks_for_no_fewer_trials_than_there_are(tune_lr: Invoke, folder: Path) -> None:
    before = (folder / "journal.jsonl").read_bytes()
    done = tune_lr("resume out --trials 2")
    assert_one_message(done, 2, "trials: 2", "a total of at least 3, the trials that are there")
    assert (folder / "journal.jsonl").read_bytes() == before
    assert json.loads((folder / "experiment.json").read_text())["job"]["trials"] == 3


def test_a_trainer_that_is_gone_is_named_and_can_be_given_anew(
    tune_lr: Invoke, folder: Path, place: Path
) -> None:
    (place / "good.py").rename(place / "moved.py")
    assert_one_message(tune_lr("resume out --trials 5"), 2, "good.py")
    assert tune_lr("resume out --trials 5 --trainer moved.py").exit_code == 0
    assert len(pd.read_parquet("out/trials.parquet")) == 5


def test_two_drivers_on_one_folder(tune_lr: Invoke, folder: Path) -> None:
    from tune_lr.experiment import Experiment

    with Experiment.open(folder).drive():
        code = "from tune_lr.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "resume", "out", "--trials", "9"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 2
        assert "no other process is running" in done.stderr
        assert done.stderr.count("\n") == 1
        assert tune_lr("show out").exit_code == 0  # looking is no driving
    assert json.loads((folder / "experiment.json").read_text())["job"]["trials"] == 3


def test_an_error_that_nobody_thought_of_is_one_line(
    tune_lr: Invoke, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the unexpected")

    monkeypatch.setattr("tune_lr.views.show.show", broken)
    assert_one_message(tune_lr("show out"), 1, "RuntimeError: the unexpected", "--verbose")
    assert "Traceback" in tune_lr("show out --verbose").stderr


def test_values_with_spaces_and_quotes_go_all_the_way(tune_lr: Invoke, place: Path) -> None:
    values = ["a b", "it's", 'say "hi"', "{x}", "[red]", "é\tz", "$HOME; `ls`"]
    listed = ", ".join(json.dumps(value) for value in values)
    (place / "quotes.yaml").write_text(
        f"name: quotes\nknobs:\n  lr: {{type: float, low: 0.1, high: 0.2}}\n"
        f"  odd: {{type: categorical, values: [{listed}]}}\n"
    )
    done = tune_lr("run good.py --space quotes.yaml --trials 25 --max-epochs 1 --out 'o u t'")
    assert done.exit_code == 0, done.output
    assert set(pd.read_parquet("o u t/trials.parquet")["config/odd"]) == set(values)
    shown = tune_lr("show 'o u t' --top 25").stdout
    assert "[red]" in shown
    assert "it's" in shown
    for suffix in ("png", "html"):
        assert tune_lr(f"plot 'o u t' --out 'p i c.{suffix}'").exit_code == 0
