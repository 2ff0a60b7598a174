"""Naming a trainer by path, module or function, and what is said of one that cannot be used."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from tune_lr.cli.jobfile import read_jobfile
from tune_lr.errors import BadInput, UnknownName
from tune_lr.jobs import tune
from tune_lr.trials.trainer import Trainer

GOOD = "def train(config, trial):\n    return config['lr']\n\ndef other(config, trial):\n    return 2\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my trainer.py"
    path.write_text(GOOD)
    return path


def test_by_path(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer.from_text(str(file))
    assert (trainer.file, trainer.function) == (str(file), "train")
    assert trainer.load()({"lr": 3}, None) == 3
    assert Trainer.from_text(f"{file}:other").load()({}, None) == 2
    monkeypatch.chdir(file.parent)
    assert Trainer.from_text("my trainer.py") == trainer


def test_by_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "pack_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text(GOOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    trainer = Trainer.from_text("pack_of_mine.nets:other")
    assert (trainer.module, trainer.function) == ("pack_of_mine.nets", "other")
    function = trainer.load()
    assert function({}, None) == 2
    assert Trainer.from_callable(function) == trainer


@pytest.mark.parametrize(
    "text", ["no/such/file.py", "missing.py:train", "", ":train", "a b c", "x..y", "1net"]
)
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"trainer: .*path/to/file.py\[:function\]"):
        Trainer.from_text(text)


def test_a_module_that_is_not_there_is_refused_when_loaded() -> None:
    with pytest.raises(BadInput, match="no_such_module_here"):
        Trainer.from_text("no_such_module_here").load()


def test_a_missing_function_lists_near_ones(file: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean train"):
        Trainer.from_text(f"{file}:trian").load()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import no_such_library_at_all\n", "no_such_library_at_all"),
        ("def train(config, trial)\n", "SyntaxError"),
        ("raise RuntimeError('no data today')\n", "no data today"),
        ("import sys\nsys.exit(4)\n", "SystemExit: 4"),
        ("def train(config):\n    pass\n", "two arguments"),
        ("def train(a, b, c):\n    pass\n", "two arguments"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(content)
    with pytest.raises(BadInput, match=said):
        Trainer.from_text(str(path)).load()


def test_a_file_that_failed_is_read_again_once_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "mended.py"
    path.write_text("raise RuntimeError('half written')\n")
    with pytest.raises(BadInput, match="half written"):
        Trainer.from_text(str(path)).load()
    path.write_text(GOOD + "# and longer, for the cache of compiled files\n")
    assert Trainer.from_text(str(path)).load()({"lr": 3}, None) == 3


def test_more_arguments_with_defaults_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "more.py"
    path.write_text("def train(config, trial, extra=1, *rest, **more):\n    return extra\n")
    assert Trainer.from_text(str(path)).load()({}, None) == 1


def test_a_file_beside_the_trainer_shadows_no_library(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('shadowed')\n")
    (tmp_path / "beside.py").write_text("value = 11\n")
    path = tmp_path / "shadow.py"
    path.write_text("import json\nfrom beside import value\ndef train(config, trial):\n    return value\n")
    assert Trainer.from_text(str(path)).load()({}, None) == 11


def test_a_function_of_a_trainer_file_goes_back_to_its_file(file: Path) -> None:
    trainer = Trainer.from_text(str(file))
    assert Trainer.from_callable(trainer.load()) == trainer


def test_a_closure_travels_by_value() -> None:
    secret = 17

    def train(config: dict[str, Any], trial: Any) -> int:
        return secret

    trainer = Trainer.from_callable(train)
    assert trainer.pickled
    assert trainer.load()({}, None) == 17
    assert str(trainer).startswith("<function>:")


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(BadInput, match="a function train"):
        Trainer.from_callable(3)  # type: ignore[arg-type]


def test_a_file_that_was_edited_is_run_again(tmp_path: Path) -> None:
    path = tmp_path / "edited.py"
    path.write_text("def train(config, trial):\n    return 1\n")
    trainer = Trainer.from_text(str(path))
    first = trainer.load()
    assert trainer.load() is first
    state = path.stat()
    path.write_text("def train(config, trial):\n    return 2\n")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # as quick as an edit can be
    second = Trainer.from_text(str(path)).load()
    assert (first({}, None), second({}, None)) == (1, 2)
    assert Trainer.from_callable(second) == trainer
    assert Trainer.from_callable(first).pickled, "the file is no longer what the old function is"


def test_an_edited_file_forgets_what_it_no_longer_says(tmp_path: Path) -> None:
    path = tmp_path / "shorter.py"
    path.write_text(GOOD)
    Trainer.from_text(str(path)).load()
    path.write_text("def train(config, trial):\n    return 2\n")
    with pytest.raises(UnknownName):
        Trainer.from_text(f"{path}:other").load()


def test_an_edit_that_breaks_the_file_leaves_the_old_functions_whole(tmp_path: Path) -> None:
    path = tmp_path / "broken_later.py"
    path.write_text("class Net:\n    pass\n\ndef train(config, trial):\n    return Net()\n")
    train = Trainer.from_text(str(path)).load()
    path.write_text("def train(config, trial\n")
    for _ in range(2):
        with pytest.raises(BadInput, match="SyntaxError"):
            Trainer.from_text(str(path)).load()
    assert type(pickle.loads(pickle.dumps(train({}, None)))) is type(train({}, None))


def test_what_an_edited_file_pickled_before_can_be_read_after(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    source = "class Net:\n    size = 1\n\ndef train(config, trial):\n    return Net()\n"
    path.write_text(source)
    stored = pickle.dumps(Trainer.from_text(str(path)).load()({}, None))
    path.write_text(source.replace("1", "2"))
    Trainer.from_text(str(path)).load()
    assert pickle.loads(stored).size == 2


def test_tune_in_one_process_runs_the_edited_file(tmp_path: Path) -> None:
    path = tmp_path / "tr.py"
    space = {"name": "one", "knobs": {"lr": {"type": "float", "low": 0.1, "high": 1.0}}}
    for loss in (3.0, 4.0):
        path.write_text(
            f"def train(config, trial):\n    for _ in trial.epochs():\n        trial.report(loss={loss})\n"
        )
        asked: dict[str, Any] = {"trials": 1, "max_epochs": 1, "searcher": "random", "metric": "loss"}
        experiment = tune(str(path), space, out=tmp_path / str(loss), progress=False, **asked)
        best = experiment.best
        assert best is not None
        assert best.value == loss


@pytest.mark.parametrize(
    ("text", "where", "function", "is_path"),
    [
        ("train.py", "train.py", "train", True),
        ("train.py:other", "train.py", "other", True),
        (r"C:\me\train.py", r"C:\me\train.py", "train", True),
        (r"C:\me\train.py:other", r"C:\me\train.py", "other", True),
        ("C:/me/train.py", "C:/me/train.py", "train", True),
        ("a:b/train.py:other", "a:b/train.py", "other", True),
        ("train.py:", "train.py:", "train", False),
        ("pkg.nets:other", "pkg.nets", "other", False),
        ("pkg", "pkg", "train", False),
    ],
)
def test_where_a_text_is_split(text: str, where: str, function: str, is_path: bool) -> None:
    assert Trainer.split(text) == (where, function, is_path)


def test_a_drive_is_no_module() -> None:
    with pytest.raises(BadInput, match="a Python file that exists"):
        Trainer.from_text(r"C:\me\train.py")


def test_a_package_is_a_module_also_beside_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pack_here").mkdir()
    (tmp_path / "pack_here" / "__init__.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    trainer = Trainer.from_text("pack_here:other")
    assert (trainer.module, trainer.function) == ("pack_here", "other")
    assert trainer.load()({}, None) == 2
    assert Trainer.from_text("pack_here") == Trainer(module="pack_here")


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("train.py", "{}/train.py:train"),
        ("train.py:other", "{}/train.py:other"),
        ("odd:name.py:other", "{}/odd:name.py:other"),
        ("gone.py:other", "gone.py:other"),
        ("pack_here:other", "pack_here:other"),
        (r"C:\me\train.py", r"C:\me\train.py"),
    ],
)
def test_an_experiment_file_names_trainers_beside_it_in_the_same_way(
    tmp_path: Path, named: str, found: str
) -> None:
    for name in ("train.py", "odd:name.py"):
        (tmp_path / name).write_text(GOOD)
    (tmp_path / "pack_here").mkdir()
    (tmp_path / "job.yaml").write_text(f"trainer: '{named}'\n")
    assert read_jobfile(tmp_path / "job.yaml")["trainer"] == found.format(tmp_path)
