"""What every registered importer must do with its own sample, a damaged one, and what is nobody's."""

from __future__ import annotations

import importlib
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from tune_lr import registry
from tune_lr.errors import TuneLRError
from tune_lr.history.finder import find
from tune_lr.history.history import History
from tune_lr.history.importers.base import Importer
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.journal import Status
from tune_lr.space import SearchSpace

IMPORTERS = list(registry.PARTS["importers"])
#: Names that make some importer look closer.
NAMES = [
    *("journal.jsonl", "experiment.json", "metadata.json", "results.csv.zip", "result.json", "params.json"),
    *(
        "progress.csv",
        "experiment_state-2026-01-01_00-00-00.json",
        "optuna.db",
        "optuna.sqlite3",
        "optuna.log",
    ),
    *("meta.yaml", "mlflow.db", "trainer_state.json", "events.out.tfevents.1.a.1.0", "hparams.yaml"),
    *("metrics.csv", "wandb-summary.json", "x.csv", "x.tsv", "x.json", "x.jsonl", "x.parquet", "x.csv.gz"),
    *("reports.parquet", "trials.parquet", "x.txt", "x"),
]

opened: list[str] | None = None


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if opened is not None and event in ("open", "os.scandir", "os.listdir", "sqlite3.connect"):
        first = arguments[0]
        if isinstance(first, (str, bytes, os.PathLike)):
            opened.append(os.fsdecode(first))


sys.addaudithook(_listen)


@contextmanager
def listening() -> Iterator[list[str]]:
    """Every path that is opened or listed meanwhile."""
    global opened
    opened = []
    try:
        yield opened
    finally:
        opened = None


def sample(name: str) -> Any:
    return importlib.import_module(f"tests.samples.history.{name.replace('-', '_')}")


@pytest.fixture
def copied(made_sample: Any, tmp_path: Path) -> Callable[..., Path]:
    """A fresh copy of a sample: the path to import."""

    def get(name: str, folder: Path = tmp_path / "copy") -> Path:
        source, path = made_sample(name)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder, symlinks=True)
        return folder / path

    return get


def read(path: Path) -> tuple[list[Log], Skipped]:
    """Everything found at a path; what is refused altogether counts as skipped."""
    logs, skipped = [], Skipped()
    try:
        for importer, claimed in find(path, skipped):
            try:
                logs += list(importer.read(claimed, Asked(), skipped))
            except TuneLRError as error:
                skipped.add(claimed.name, str(error))
    except TuneLRError as error:
        skipped.add(path.name, str(error))
    return logs, skipped


def seen(folder: Path) -> dict[str, Any]:
    """All of a folder that reading must leave as it is."""
    every = [folder, *folder.rglob("*")]
    return {
        str(p): ((s := p.lstat()).st_mode, s.st_mtime_ns, s.st_size, s.st_ino, p.is_file() and p.read_bytes())
        for p in every
    }


def inside(folder: Path) -> list[Path]:
    """The files of a folder, relative to it."""
    return sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())


def check(log: Log, importer: str) -> None:
    """That a log is what the docstring of ``Log`` says."""
    assert log.source == importer
    assert isinstance(log.name, str)
    assert isinstance(log.part, str)
    trials, reports = log.trials, log.reports
    assert trials.columns.is_unique
    assert reports.columns.is_unique
    assert all(isinstance(name, str) for name in [*trials.columns, *reports.columns])
    ids = trials["trial_id"].tolist()
    assert all(isinstance(one, str) for one in ids)
    assert len(set(ids)) == len(ids)
    for name in trials:
        _check_column(str(name), trials[name])
    assert pd.api.types.is_integer_dtype(reports["trial"].dtype) or reports.empty
    assert reports["trial"].between(0, len(trials) - 1).all()
    assert pd.api.types.is_numeric_dtype(reports["epoch"].dtype) or reports.empty
    for name in reports.columns.drop(["trial", "epoch"]):
        assert pd.api.types.is_numeric_dtype(reports[name].dtype), name
        assert not pd.api.types.is_bool_dtype(reports[name].dtype), name
    assert log.mode in (None, "min", "max")
    assert log.fidelity in (None, "epochs", "steps")
    assert log.counts_from in (None, 0, 1)
    if log.metric is not None:
        assert log.metric in reports or log.metric in trials
    if log.space is not None:
        SearchSpace.from_dict(log.space)
    for facts in (log.descriptors, log.versions):
        assert all(isinstance(key, str) and isinstance(value, str) for key, value in facts.items())


def _check_column(name: str, column: pd.Series[Any]) -> None:
    values = [value for value in column.tolist() if not (value is None or value is pd.NA or value != value)]
    if name == "status":
        assert set(values) <= set(get_args(Status))
    elif name == "seed":
        assert all(float(value).is_integer() for value in values)
    elif name == "error":
        assert all(isinstance(value, str) for value in values)
    elif name.startswith("config/"):
        for value in values:
            assert isinstance(value, (str, bool, int, float, np.number, np.bool_)), (name, value)
            assert isinstance(value, str) or math.isfinite(value), (name, value)
    elif name != "trial_id":
        assert pd.api.types.is_numeric_dtype(column.dtype), name


def same(logs: list[Log], others: list[Log]) -> None:
    assert len(logs) == len(others)
    for log, other in zip(logs, others, strict=True):
        pd.testing.assert_frame_equal(log.trials, other.trials)
        pd.testing.assert_frame_equal(log.reports, other.reports)
        assert {**vars(log), "trials": 0, "reports": 0} == {**vars(other), "trials": 0, "reports": 0}


# Its own sample -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMPORTERS)
def test_the_first_to_claim_a_sample_is_its_own_importer(name: str, copied: Any) -> None:
    path = copied(name)
    found = list(find(path, Skipped()))
    assert [(importer.name, claimed) for importer, claimed in found] == [(name, path)]


@pytest.mark.parametrize("name", IMPORTERS)
def test_a_sample_is_a_log_as_it_should_be(name: str, copied: Any) -> None:
    expected = sample(name).EXPECTED
    logs, _ = read(copied(name))
    assert logs
    for log in logs:
        check(log, name)
        epochs = log.reports["epoch"].tolist()
        assert all(epoch == int(epoch) for epoch in epochs)
        assert min(epochs, default=0) >= (log.counts_from or 0)
    assert sum(len(log.trials) for log in logs) == expected["trials"]
    knobs = {str(c)[7:] for log in logs for c in log.trials if str(c).startswith("config/")}
    assert knobs == expected["knobs"]


@pytest.mark.parametrize("name", IMPORTERS)
def test_reading_twice_gives_the_same_and_changes_nothing(name: str, copied: Any) -> None:
    path = copied(name)
    root = path if path.is_dir() else path.parent
    before = seen(root)
    logs, skipped = read(path)
    again, skipped_again = read(path)
    same(logs, again)
    assert skipped == skipped_again
    assert seen(root) == before


@pytest.mark.parametrize("name", IMPORTERS)
def test_one_importer_object_reads_twice(name: str, copied: Any) -> None:
    importer: Importer = registry.load("importers", name)()
    path = copied(name)
    assert importer.claims(path)
    same(*(list(importer.read(path, Asked(), Skipped())) for _ in range(2)))
    assert importer.name == name


@pytest.mark.parametrize("name", IMPORTERS)
def test_a_sample_under_another_folder_is_the_same_log(name: str, copied: Any, tmp_path: Path) -> None:
    logs, _ = read(copied(name))
    moved, _ = read(copied(name, tmp_path / "a place [with] *odd* ünames" / "copy"))
    same(logs, moved)


@pytest.mark.parametrize("name", IMPORTERS)
def test_a_sample_becomes_history_once(name: str, copied: Any, tmp_path: Path) -> None:
    path, history = copied(name), History(tmp_path / "store")
    dry = history.add(path, dry_run=True)
    assert {one.outcome for one in dry.imported} == {"would be added"}
    assert not (tmp_path / "store").exists()
    added = history.add(path)
    assert {one.outcome for one in added.imported} == {"new"}
    assert len(history.trials()) == sample(name).EXPECTED["trials"]
    assert len(history.to_pandas()) == sum(one.info.reports for one in added.imported)
    assert set(history.to_pandas().get("epoch", pd.Series([1]))) >= {1}
    before = seen(tmp_path / "store")
    again = history.add(path)
    assert {one.outcome for one in again.imported} == {"known"}
    assert seen(tmp_path / "store") == before


# Damage ---------------------------------------------------------------------------------------------------


def cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def cut_in_a_line(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def overwrite(file: Path) -> None:
    file.write_bytes(bytes(range(256)) * 20)


def nothing(file: Path) -> None:
    file.write_bytes(b"")


def zeroes(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def gone(file: Path) -> None:
    file.unlink()


def circle(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


def another_encoding(file: Path) -> None:
    file.write_bytes(file.read_bytes().decode("latin-1").encode("utf-16"))


def deep(file: Path) -> None:
    file.write_bytes(b'{"a":' * 100_000)


def old_numbers(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"0.", b"NaN").replace(b"1", b"9" * 400))


DAMAGE = [
    *(cut, cut_in_a_line, overwrite, nothing, zeroes, pipe, folder, gone, circle),
    *(another_encoding, deep, old_numbers),
]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", IMPORTERS)
def test_damage_to_one_file_is_told_of_and_the_rest_is_read(
    name: str, damage: Callable[[Path], None], copied: Any, made_sample: Any
) -> None:
    source, path = made_sample(name)
    found = inside(source)
    # One of each kind of name and then some; there may be hundreds.
    kinds = {file.name if file.suffix in (".json", ".csv") else file.suffix: file for file in found}
    for file in sorted({*kinds.values(), *found[:3]}):
        start = copied(name)
        damage(start.parents[len(path.parts) - 1] / file)
        logs, _ = read(start)
        for log in logs:
            check(log, log.source)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", IMPORTERS)
def test_damage_to_every_file_is_told_of(name: str, damage: Callable[[Path], None], copied: Any) -> None:
    path = copied(name)
    root = path if path.is_dir() else path.parent
    for file in inside(root):
        damage(root / file)
    logs, skipped = read(path)
    for log in logs:
        check(log, log.source)
    if path.is_dir() and damage in (nothing, overwrite, zeroes):
        assert skipped or not logs


@pytest.mark.parametrize("damage", [cut, overwrite, nothing, zeroes, deep, another_encoding])
@pytest.mark.parametrize("name", IMPORTERS)
def test_the_store_stays_whole(
    name: str, damage: Callable[[Path], None], copied: Any, tmp_path: Path
) -> None:
    path = copied(name)
    root = path if path.is_dir() else path.parent
    for file in inside(root)[::2]:
        damage(root / file)
    store = tmp_path / "store"
    added = History(store).add(path)
    left = sorted(store.iterdir()) if store.exists() else []
    assert [file.suffix for file in left] == [".parquet"] * len(added.imported)
    assert len(History(store).trials()) == sum(one.info.trials for one in added.imported)


# Strangers ------------------------------------------------------------------------------------------------


def shapes(root: Path) -> dict[str, Path]:
    """A path of each kind that an importer may be asked about."""
    (root / "empty").mkdir(parents=True)
    (root / "circle").symlink_to("circle")
    (root / "nowhere").symlink_to("gone")
    os.mkfifo(root / "pipe")
    found = {name: root / name for name in ("empty", "circle", "nowhere", "pipe", "gone")}
    for kind in ("nothing", "rubbish", "folders", "pipes", "json", "list", "text"):
        (root / kind).mkdir()
        for name in NAMES:
            path = root / kind / name
            found[f"{kind}/{name}"] = path
            if kind == "folders":
                path.mkdir()
            elif kind == "pipes":
                os.mkfifo(path)
            else:
                content = {
                    "rubbish": bytes(range(256)),
                    "json": b"{}",
                    "list": b"[1, null]\n",
                    "text": b"a b\n",
                }
                path.write_bytes(content.get(kind, b""))
        found[kind] = root / kind
    return found


@pytest.mark.parametrize("name", IMPORTERS)
def test_what_is_nobodys_is_answered_without_a_word(name: str, tmp_path: Path) -> None:
    importer: Importer = registry.load("importers", name)()
    found = shapes(tmp_path / "shapes")
    before = seen_names(tmp_path)
    for shown, path in found.items():
        assert importer.claims(path) in (True, False), shown
        assert importer.claims(Path(os.path.relpath(path))) in (True, False), shown
    assert seen_names(tmp_path) == before


@pytest.mark.parametrize("name", IMPORTERS)
def test_what_is_claimed_in_error_is_refused_in_order(name: str, tmp_path: Path) -> None:
    importer: Importer = registry.load("importers", name)()
    for path in shapes(tmp_path / "shapes").values():
        skipped = Skipped()
        try:
            logs = list(importer.read(path, Asked(), skipped))
        except TuneLRError as error:
            said = str(error)
        else:
            said = ""
            for log in logs:
                check(log, name)
        assert len(said) < 2000


def seen_names(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(p), p.lstat().st_mode, p.lstat().st_mtime_ns) for p in folder.rglob("*"))


@pytest.mark.parametrize("name", IMPORTERS)
def test_a_claim_reads_no_more_than_heads(name: str, copied: Any, tmp_path: Path) -> None:
    importer: Importer = registry.load("importers", name)()
    path = copied(name)
    importer.claims(path)  # with what it imports
    root = path if path.is_dir() else path.parent
    for file in inside(root):
        with (root / file).open("r+b") as grown:
            grown.truncate(1024**3)
    (tmp_path / "others").mkdir()
    for other in NAMES:
        with (tmp_path / "others" / other).open("wb") as grown:
            grown.truncate(1024**3)
    began = time.monotonic()
    for asked in (path, tmp_path / "others", *sorted((tmp_path / "others").iterdir())):
        importer.claims(asked)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("name", IMPORTERS)
def test_no_link_out_is_followed(name: str, copied: Any, made_sample: Any, tmp_path: Path) -> None:
    source, path = made_sample(name)
    if (source / path).is_file():  # a file that a person names is read, one that only lies there is not
        path = path.parent
    outside = tmp_path / "outside"
    parts = [p.relative_to(source / path) for p in (source / path).rglob("*") if p.is_file() or p.is_dir()]
    kinds = {(len(p.parts), p.suffix or p.name if (source / path / p).is_file() else "/"): p for p in parts}
    assert kinds
    for part in kinds.values():
        copied(name)
        start = tmp_path / "copy" / path
        shutil.rmtree(outside, ignore_errors=True)
        outside.mkdir()
        (start / part).rename(outside / "secret")
        (start / part).symlink_to(outside / "secret")
        with listening() as paths:
            read(start)
        real = {os.path.realpath(one) for one in paths}
        assert [one for one in real if one.startswith(f"{outside}/")] == [], part


@pytest.mark.parametrize("name", IMPORTERS)
def test_what_may_not_be_looked_into_is_passed_over(name: str, copied: Any) -> None:
    read(copied(name))  # with all that is imported by then
    scratch = Path(tempfile.mkdtemp(dir="/tmp"))
    scratch.chmod(0o755)
    root = os.geteuid() == 0
    try:
        for mode in (0o000, 0o444, 0o111):
            path = copied(name, scratch / "copy")
            every = sorted([scratch / "copy", *(scratch / "copy").rglob("*")], reverse=True)
            for changed in (
                [scratch / "copy"],
                [p for p in every if p.is_dir()],
                [p for p in every if p.is_file()],
            ):
                for one in every:
                    one.chmod(0o755)
                for one in changed:
                    one.chmod(mode)
                if root:
                    os.seteuid(65534)
                try:
                    logs, _ = read(path)
                finally:
                    if root:
                        os.seteuid(0)
                    for one in reversed(every):
                        one.chmod(0o755)
                for log in logs:
                    check(log, log.source)
    finally:
        shutil.rmtree(scratch)
