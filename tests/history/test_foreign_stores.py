"""Files in a store that a stranger wrote, or that are damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tune_lr.history.history import History
from tune_lr.history.store import _FOOTER

CSV = "trial_id,epoch,val_loss,config/lr\na,1,2.0,0.1\na,2,1.0,0.1\nb,1,3.0,0.2\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(CSV)
    return path


@pytest.fixture
def history(tmp_path: Path, log: Path) -> History:
    history = History(tmp_path / "store")
    history.add(log)
    return history


def forge(history: History, name: str, **facts: Any) -> Path:
    """A copy of the store's one file under another name, whose footer says other things."""
    (info,) = history.tasks()
    table = pq.read_table(Path(history._store.where) / f"{info.id}.parquet")  # type: ignore[union-attr]
    footer = json.loads(table.schema.metadata[_FOOTER]) | {"id": name} | facts
    path = Path(history._store.where) / f"{name}.parquet"  # type: ignore[union-attr]
    pq.write_table(table.replace_schema_metadata({_FOOTER: json.dumps(footer)}), path)
    return path


@pytest.mark.parametrize(
    "facts",
    [
        {"task": 5},
        {"replaces": None},
        {"trials": "x", "best": "q"},
        {"id": "../../victim"},
        {"id": "b" * 16},
        {"replaces": ["../victim/x"]},
    ],
)
def test_a_footer_that_tune_lr_would_not_write_is_told_of(history: History, facts: Any) -> None:
    forge(history, "a" * 16, **facts)
    with pytest.warns(UserWarning, match="aaaa.* is no import of tune-lr"):
        (kept,) = history.tasks()
    assert kept.task == "log"


def test_no_footer_has_anything_removed_outside(history: History, tmp_path: Path) -> None:
    victim = tmp_path / "victim.parquet"
    victim.write_text("mine")
    forge(history, "a" * 16, task="evil", replaces=["../victim"])
    with pytest.warns(UserWarning, match="no import"), pytest.raises(ValueError, match="evil"):
        history.remove("evil")
    assert victim.exists()


def test_a_copy_under_another_name_is_no_second_import(history: History) -> None:
    (info,) = history.tasks()
    folder = Path(history._store.where)  # type: ignore[union-attr]
    shutil.copy(folder / f"{info.id}.parquet", folder / "copy.parquet")
    with pytest.warns(UserWarning, match="copy"):
        assert len(history.trials()) == 2


def test_a_damaged_file_is_mended_by_adding_the_log_again(history: History, log: Path) -> None:
    (info,) = history.tasks()
    file = Path(history._store.where) / f"{info.id}.parquet"  # type: ignore[union-attr]
    file.write_bytes(b"")
    with pytest.warns(UserWarning, match="no import"):
        (again,) = history.add(log).imported
    assert again.outcome == "new"
    assert len(history.to_pandas()) == 3


def test_a_log_that_has_grown_is_taken_though_its_earlier_file_is_damaged(
    history: History, log: Path
) -> None:
    (info,) = history.tasks()
    file = Path(history._store.where) / f"{info.id}.parquet"  # type: ignore[union-attr]
    whole = file.read_bytes()
    file.write_bytes(whole[:4] + b"\xff" * 64 + whole[68:])
    log.write_text(CSV + "b,2,2.5,0.2\n")
    (grown,) = history.add(log).imported
    assert (grown.outcome, grown.info.reports) == ("new", 4)
