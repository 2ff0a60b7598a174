"""A few hundred damaged logs, in seconds; ``benchmarks/history_fuzz.py`` takes ten thousand."""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
FORMATS = [
    *(
        "tune-lr journal",
        "syne-tune",
        "ray result.json",
        "ray progress.csv",
        "optuna sqlite",
        "optuna journal",
    ),
    *("huggingface", "mlflow", "tensorboard", "csv long", "csv wide", "jsonl", "parquet", "wandb"),
]
GOOD = ("imported", "imported, some skipped", "refused")

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 3)
    | st.floats()
    | st.floats(-1, 1)
    | st.text(max_size=5)
    | st.sampled_from(["NaN", "1", "1e5", "\ud800", "a.b", "", "adam", 2**63, -(2**63) - 1, 10**30, 1e308]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("history_fuzz", ROOT / "benchmarks/history_fuzz.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def logs(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder with a small log of a format; each is made once."""
    assert list(script.FORMATS) == FORMATS
    made: dict[str, Path] = {}

    def get(form: str) -> Path:
        if form not in made:
            made[form] = tmp_path_factory.mktemp("log")
            script.FORMATS[form](made[form], 3, 4)
        return made[form]

    return get


@pytest.fixture
def outcome(script: ModuleType, logs: Any, tmp_path: Path) -> Callable[..., str]:
    """How the import of a log ends that was damaged by ``damage``."""

    def get(form: str, damage: Callable[[Path], Any]) -> str:
        log, store = tmp_path / "log", tmp_path / "store"
        for folder in (log, store):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(logs(form), log)
        damage(log)
        return script.imported(log, store)

    return get


@pytest.mark.parametrize("form", FORMATS)
def test_a_log_without_damage_is_imported(form: str, outcome: Any) -> None:
    assert outcome(form, lambda log: None) in GOOD[:2]


@pytest.mark.parametrize("form", FORMATS)
def test_whatever_is_damaged_the_import_ends_well(form: str, outcome: Any) -> None:
    mutate = sys.modules["history_.mutate"].mutate

    @settings(max_examples=20)
    @given(st.integers(0, 2**32))
    def damaged(seed: int) -> None:
        assert outcome(form, lambda log: mutate(log, random.Random(seed))) in GOOD

    damaged()


def files_of(log: Path, *names: str) -> list[Path]:
    return sorted(path for path in log.rglob("*") if path.name in names)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("tune-lr journal", "journal.jsonl"),
        ("ray result.json", "result.json"),
        ("optuna journal", "optuna.log"),
        ("jsonl", "runs.jsonl"),
    ],
)
def test_whatever_value_stands_in_a_line_the_import_ends_well(form: str, name: str, outcome: Any) -> None:
    @settings(max_examples=30)
    @given(st.data())
    def odd(data: st.DataObject) -> None:
        def damage(log: Path) -> None:
            file = data.draw(st.sampled_from(files_of(log, name)))
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            for _ in range(data.draw(st.integers(1, 3))):
                put(data, data.draw(st.sampled_from(lines)))
            file.write_text("\n".join(map(json.dumps, lines)))

        assert outcome(form, damage) in GOOD

    odd()


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("tune-lr journal", "experiment.json"),
        ("syne-tune", "metadata.json"),
        ("ray result.json", "params.json"),
        ("huggingface", "trainer_state.json"),
    ],
)
def test_whatever_value_stands_in_a_file_the_import_ends_well(form: str, name: str, outcome: Any) -> None:
    @settings(max_examples=30)
    @given(st.data())
    def odd(data: st.DataObject) -> None:
        def damage(log: Path) -> None:
            file = data.draw(st.sampled_from(files_of(log, name)))
            content = json.loads(file.read_text())
            for _ in range(data.draw(st.integers(1, 3))):
                put(data, content)
            file.write_text(json.dumps(content))

        assert outcome(form, damage) in GOOD

    odd()


def put(data: st.DataObject, into: Any) -> None:
    """An odd value in the place of some value, at any depth."""
    while True:
        keys = list(into) if isinstance(into, dict) else list(range(len(into)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(into[key], (dict, list)) and into[key] and data.draw(st.booleans()):
            into = into[key]
            continue
        into[key] = data.draw(VALUES)
        return
