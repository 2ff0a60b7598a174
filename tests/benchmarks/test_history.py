"""The benchmarks of the history: what they make is what the importers read, and damage is repeatable."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tune_lr.history.finder import find
from tune_lr.history.history import History
from tune_lr.history.log import Skipped

ROOT = Path(__file__).resolve().parents[2]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_script", ROOT / f"benchmarks/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = script("history")
SOURCES = {form: form.split()[0] for form in BENCHMARK.FORMATS} | dict.fromkeys(
    ("csv long", "csv wide", "jsonl", "parquet"), "table"
)


@pytest.mark.parametrize("form", BENCHMARK.FORMATS)
def test_a_log_that_is_made_is_one_of_its_format(form: str, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    path = BENCHMARK.FORMATS[form](tmp_path / "log", 3, 4)
    assert [importer.name for importer, _ in find(path, Skipped())] == [SOURCES[form]]
    history = History(tmp_path / "store")
    (one,) = history.add(path).imported
    assert (one.info.trials, one.info.reports, one.info.epochs) == (3, 12, 4)
    *_, (_, config, curve) = sys.modules["history_.generate"].trials_of(3, 4)
    last = history.to_pandas().iloc[-4:]
    assert last[one.info.metric].tolist() == pytest.approx(curve)
    if form != "tensorboard":  # its runs have no configuration
        assert set(config) <= {name[7:] for name in last.columns if name.startswith("config/")}


@pytest.mark.parametrize("form", BENCHMARK.FORMATS)
def test_the_measure_parses_the_same_log(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "1")
    BENCHMARK.PARSERS[form](BENCHMARK.FORMATS[form](tmp_path, 3, 4))


def test_the_benchmark_runs(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/history.py"), "--trials", "20", "--epochs", "3"]
    done = subprocess.run(
        [*command, "--rounds", "1", "--format", "jsonl"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode in (0, 1), done.stderr  # so small a log takes longer than parsing it
    assert "jsonl" in done.stdout
    assert "lost" not in done.stdout


def test_damage_is_the_same_for_one_seed(tmp_path: Path) -> None:
    mutate = sys.modules.get("history_.mutate") or importlib.import_module("history_.mutate")
    told = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        BENCHMARK.FORMATS["ray result.json"](tmp_path / name, 3, 4)
        told.append([mutate.mutate(tmp_path / name, random.Random(f"1-{seed}")) for seed in range(20)])
    assert told[0] == told[1]


def test_the_fuzzing_tells_good_from_bad(tmp_path: Path) -> None:
    fuzz = script("history_fuzz")
    (tmp_path / "log").mkdir()
    path = BENCHMARK.FORMATS["csv long"](tmp_path / "log", 3, 4)
    assert fuzz.imported(tmp_path / "log", tmp_path / "store") == "imported"
    path.write_text("nothing\n")
    assert fuzz.imported(tmp_path / "log", tmp_path / "other") == "refused"
    (tmp_path / "store" / ".x.parquet.1.tmp").write_text("half")
    assert "was left in the store" in fuzz.imported(tmp_path / "log", tmp_path / "store")
