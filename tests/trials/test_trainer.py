"""Naming a trainer by path, module or function, and what is said of one that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tune_lr.errors import BadInput, UnknownName
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
