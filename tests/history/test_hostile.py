"""Booby-trapped logs: nothing of a log is ever loaded, run or imported, and all of its text still counts."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tune_lr import registry
from tune_lr.history.history import Added, History

IMPORTERS = list(registry.PARTS["importers"])
#: What tools write as pickles, under the names that they give them.
PICKLES = [
    *(
        "params.pkl",
        "error.pkl",
        "tuner.pkl",
        "tuner.dill",
        "trainer.pkl",
        "searcher-state-1.pkl",
        "model.pkl",
    ),
    *("search_gen_state-2026-01-01_00-00-00.json", "training_args.bin", "optimizer.pt", "scheduler.pt"),
    *("rng_state.pth", "pytorch_model.bin", "results.pickle", "study.joblib", "state.npy", "data.npz"),
    *("checkpoint.ckpt", "snapshot", "x.pkl.gz", "x.feather", "x.h5"),
]
#: Names that Python runs where it finds them.
CODE = ["trainer.py", "__init__.py", "conftest.py", "sitecustomize.py", "pandas.py", "train.py", "setup.py"]


class Trap:
    """Whoever unpickles it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({self.mark!r}, 'w').close()",)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "it-was-run"


@pytest.fixture
def trap(mark: Path) -> bytes:
    return pickle.dumps(Trap(mark))


@pytest.fixture
def copied(made_sample: Any, tmp_path: Path) -> Callable[[str, str], tuple[Path, Path]]:
    """A fresh copy of a sample: its folder, and the path to import."""

    def get(name: str, under: str) -> tuple[Path, Path]:
        source, path = made_sample(name)
        # The same last name, which a task may be called by.
        folder = tmp_path / under / source.name
        shutil.copytree(source, folder, symlinks=True)
        return folder, folder / path

    return get


def add(path: Path, store: Path) -> tuple[Added, History]:
    return History(store).add(path), History(store)


def same(one: History, other: History) -> None:
    pd.testing.assert_frame_equal(one.trials(), other.trials())
    pd.testing.assert_frame_equal(one.to_pandas(), other.to_pandas())


def is_pickle(path: Path) -> bool:
    return (
        path.suffix in (".pkl", ".dill", ".bin", ".pt", ".pth", ".pickle", ".joblib", ".ckpt")
        or path.name.startswith(("search_gen_state", "searcher-state"))
        or path.name == "snapshot"
    )


def folders(path: Path) -> list[Path]:
    """Where something can be planted; in some of MLflow's folders every file is a parameter by its name."""
    if path.is_file():
        return [path.parent]
    return [path, *(p for p in path.rglob("*") if p.is_dir() and p.name not in ("params", "metrics", "tags"))]


def test_the_trap_works(trap: bytes, mark: Path) -> None:
    assert not mark.exists()
    pickle.loads(trap)
    assert mark.exists()


@pytest.mark.parametrize("name", IMPORTERS)
def test_a_pickle_in_a_log_is_never_loaded(
    name: str, copied: Any, tmp_path: Path, trap: bytes, mark: Path
) -> None:
    folder, path = copied(name, "trapped")
    for file in folder.rglob("*"):
        if file.is_file() and is_pickle(file):
            file.write_bytes(trap)
    added, trapped = add(path, tmp_path / "store")
    assert not mark.exists()
    assert added.imported
    same(trapped, add(copied(name, "whole")[1], tmp_path / "whole-store")[1])


@pytest.mark.parametrize("name", IMPORTERS)
def test_a_pickle_beside_a_log_is_never_loaded(
    name: str, copied: Any, tmp_path: Path, trap: bytes, mark: Path
) -> None:
    _, path = copied(name, "trapped")
    for folder in folders(path):
        for planted in PICKLES:
            if not (folder / planted).exists():
                (folder / planted).write_bytes(trap)
    added, trapped = add(path, tmp_path / "store")
    assert not mark.exists()
    assert added.imported
    same(trapped, add(copied(name, "whole")[1], tmp_path / "whole-store")[1])


@pytest.mark.parametrize("name", IMPORTERS)
def test_a_pickle_in_the_place_of_any_file_is_never_loaded(
    name: str, copied: Any, made_sample: Any, tmp_path: Path, trap: bytes, mark: Path
) -> None:
    source, path = made_sample(name)
    files = sorted(p.relative_to(source) for p in source.rglob("*") if p.is_file())
    kinds = {file.name if file.suffix in (".json", ".csv", "") else file.suffix: file for file in files}
    for number, file in enumerate(kinds.values()):
        folder, _ = copied(name, f"trapped-{number}")
        (folder / file).write_bytes(trap)
        add(folder / path, tmp_path / f"store-{number}")
        assert not mark.exists(), file
    folder, _ = copied(name, "all")
    for file in files:
        (folder / file).write_bytes(trap)
    add(folder / path, tmp_path / "store-all")
    assert not mark.exists()


@pytest.mark.parametrize("name", IMPORTERS)
def test_code_beside_a_log_is_never_run(
    name: str, copied: Any, tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = copied(name, "trapped")
    for folder in folders(path):
        for planted in CODE:
            if not (folder / planted).exists():
                (folder / planted).write_text(f"open({str(mark)!r}, 'w').close()\n")
    monkeypatch.chdir(folders(path)[0])
    added, trapped = add(path, tmp_path / "store")
    assert not mark.exists()
    assert added.imported
    same(trapped, add(copied(name, "whole")[1], tmp_path / "whole-store")[1])


@pytest.mark.parametrize("name", IMPORTERS)
def test_yaml_that_asks_for_python_gets_none(name: str, copied: Any, tmp_path: Path, mark: Path) -> None:
    asks = (
        f"a: !!python/object/apply:builtins.exec [\"open({str(mark)!r}, 'w').close()\"]\n",
        f"!!python/object/new:type\nargs: ['x', !!python/tuple [], {{'extend': !!python/name:exec }}]\n"
        f"listitems: \"open({str(mark)!r}, 'w').close()\"\n",
    )
    for number, text in enumerate(asks):
        folder, path = copied(name, f"trapped-{number}")
        for file in folder.rglob("*.y*ml"):
            file.write_text(text)
        for place in folders(path):
            for planted in ("hparams.yaml", "config.yaml", "params.yaml", "meta.yaml", "conda.yml"):
                if not (place / planted).exists():
                    (place / planted).write_text(text)
        add(path, tmp_path / f"store-{number}")
        assert not mark.exists()


def test_the_yaml_is_a_trap(mark: Path) -> None:
    yaml.unsafe_load(f"a: !!python/object/apply:builtins.exec [\"open({str(mark)!r}, 'w').close()\"]\n")
    assert mark.exists()


def test_pickles_in_json_stay_text(tmp_path: Path, copied: Any, trap: bytes, mark: Path) -> None:
    """Ray writes pickles as hex into the JSON of its experiment state."""
    _, path = copied("ray", "trapped")
    blob = {"_type": "CLOUDPICKLE_FALLBACK", "value": trap.hex()}
    trial = json.dumps({"trial_id": "x", "config": blob, "trainable_name": blob, "evaluated_params": blob})
    state = {"trial_data": [[trial, json.dumps(blob)]], "runner_data": blob, "stats": blob}
    (path / "experiment_state-2999-01-01_00-00-00.json").write_text(json.dumps(state))
    for file in path.rglob("params.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"callback": blob}))
    added, _ = add(path, tmp_path / "store")
    assert added.imported
    assert not mark.exists()


def test_pickles_in_parquet_stay_bytes(tmp_path: Path, trap: bytes, mark: Path) -> None:
    """Arrow has known types of columns that Python unpickled; pandas keeps facts in the file's own."""
    told = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": trap}
    fields = [
        *(
            pa.field("trial_id", pa.string()),
            pa.field("epoch", pa.int64()),
            pa.field("val_loss", pa.float64()),
        ),
        pa.field("config/lr", pa.float64(), metadata=told),
        pa.field("config/blob", pa.binary()),
    ]
    schema = pa.schema(fields, metadata={b"pandas": trap, b"tune_lr": trap})
    columns = [["0", "0"], [1, 2], [0.5, 0.25], [0.1, 0.1], [trap, trap]]
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, fields, strict=True)], schema=schema)
    pq.write_table(table, tmp_path / "x.parquet")
    added, history = add(tmp_path / "x.parquet", tmp_path / "store")
    assert not mark.exists()
    assert added.imported
    assert history.to_pandas()["val_loss"].tolist() == [0.5, 0.25]


def test_pickles_in_numpys_files_stay_bytes(tmp_path: Path, mark: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap(mark)], dtype=object), allow_pickle=True)
    for name in ("x.npy", "x.csv", "results.csv.zip", "x.parquet", "optuna.db"):
        (tmp_path / name).write_bytes(buffer.getvalue())
        add(tmp_path / name, tmp_path / "store")
    assert not mark.exists()


def test_pickles_in_a_zip_stay_bytes(tmp_path: Path, copied: Any, trap: bytes, mark: Path) -> None:
    _, path = copied("syne-tune", "trapped")
    for file in path.rglob("*.zip"):
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("tuner.dill", trap)
            archive.writestr("../../../it-was-run", b"x")
    added, _ = add(path, tmp_path / "store")
    assert added.imported
    assert not mark.exists()


def test_a_database_runs_nothing_of_its_own(tmp_path: Path, copied: Any, mark: Path) -> None:
    """Views and triggers are code of the database's; a table may be a view."""
    folder, path = copied("optuna", "trapped")
    for file in (p for p in folder.rglob("*") if p.is_file() and p.read_bytes()[:15] == b"SQLite format 3"):
        base = sqlite3.connect(file)
        endless = (
            "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n AS trial_id FROM r"
        )
        base.executescript(
            f"ALTER TABLE trial_params RENAME TO gone; CREATE VIEW trial_params AS {endless};"
            f"CREATE TRIGGER t AFTER INSERT ON trials BEGIN SELECT writefile('{mark}', 'x'); END;"
        )
        base.close()
    add(path, tmp_path / "store")
    assert not mark.exists()
