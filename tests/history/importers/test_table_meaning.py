"""Columns whose names may mean two things, other tools' words of how a trial ended, and empty cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tune_lr.history.history import History
from tune_lr.history.importers.table import Table
from tune_lr.history.log import Asked, Log, Skipped


def read(path: Path, text: str, **asked: Any) -> tuple[Log, Skipped]:
    path.write_text(text)
    skipped = Skipped()
    (log,) = Table().read(path, Asked(**asked), skipped)
    return log, skipped


_WORDS = {
    "completed": "complete Completed COMPLETE done success succeeded FINISHED TERMINATED",
    "failed": "FAIL failed error Errored crashed",
    "stopped": "PRUNED killed early_stopped Early-Stopped preempted stopped",
    "running": "RUNNING InProgress",
    "paused": "PAUSED",
}


@pytest.mark.parametrize(
    ("word", "status"),
    [
        *((word, status) for status, words in _WORDS.items() for word in words.split()),
        *(("in progress", "running"), (" early stopped ", "stopped")),
    ],
)
def test_other_tools_words_of_how_a_trial_ended(tmp_path: Path, word: str, status: str) -> None:
    log, skipped = read(tmp_path / "a.csv", f"trial_id,config/lr,loss,status\na,0.1,,{word}\n")
    assert log.trials["status"].tolist() == [status]
    assert not skipped


def test_the_words_of_a_mapping_win(tmp_path: Path) -> None:
    columns = {
        "knobs": ["lr"],
        "status": {"column": "status", "values": {"failed": "stopped", "Ok": "failed"}},
    }
    text = "trial_id,lr,loss,status\na,1,1,failed\nb,1,1,FAILED\nc,1,1,ok\nd,1,1,odd\ne,1,1,odd\nf,1,1,done\n"
    log, skipped = read(tmp_path / "a.csv", text, columns=columns)
    assert log.trials["status"].tolist() == ["stopped", "stopped", "failed", None, None, "completed"]
    ((why, times),) = skipped.counts.items()
    assert (why[1][:13], times) == ("status 'odd',", 2)


def test_an_empty_cell_is_no_other_value_of_a_knob(tmp_path: Path) -> None:
    text = "trial_id,epoch,loss,lr,patience\na,1,1,,3\na,2,1,0.5,3\na,3,1,,\nb,1,1,0.25,4\nc,1,1,,5\n"
    log, _ = read(tmp_path / "a.csv", text)
    assert set(log.reports) == {"trial", "epoch", "loss"}
    assert log.trials["config/lr"].tolist()[:2] == [0.5, 0.25]
    assert log.trials["config/lr"].isna().tolist() == [False, False, True]
    assert log.trials["config/patience"].tolist() == [3, 4, 5]
    assert log.trials["config/patience"].dtype.kind == "i"


def test_a_schedule_with_an_empty_cell_is_a_metric(tmp_path: Path) -> None:
    log, _ = read(tmp_path / "a.csv", "trial_id,epoch,loss,lr\na,1,1,\na,2,1,0.5\na,3,1,0.25\n")
    assert "config/lr" not in log.trials
    assert log.reports["lr"].tolist()[1:] == [0.5, 0.25]


@pytest.mark.parametrize("asked", [{}, {"metric": "error", "mode": "min"}])
@pytest.mark.parametrize("columns", ["epoch,lr", "config/lr,config/k"])
def test_an_error_of_numbers_is_a_metric(tmp_path: Path, columns: str, asked: dict[str, Any]) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"trial_id,{columns},error\na,1,0.1,0.5\nb,1,0.2,0.25\n")
    (found,) = History(tmp_path / "store").add(path, **asked).imported
    assert (found.info.metric, found.info.mode, found.info.best) == ("error_", "min", 0.25)


def test_an_error_of_numbers_has_the_name_that_a_person_gives_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("trial_id,config/lr,error\na,1,0.5\nb,1,0.25\n")
    (found,) = History(tmp_path / "store").add(path, rename={"error": "err"}, metric="err").imported
    assert (found.info.metric, found.info.best) == ("err", 0.25)


@pytest.mark.parametrize("errors", [["boom", ""], ["", ""]])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_error_of_text_is_none(tmp_path: Path, errors: list[str], suffix: str) -> None:
    import pandas as pd

    told = [error or None for error in errors]
    path = tmp_path / f"a.{suffix}"
    frame = pd.DataFrame({"trial_id": ["a", "b"], "config/lr": [1, 2], "loss": [1.0, 2.0], "error": told})
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, index=False)
    (log,) = Table().read(path, Asked(), Skipped())
    assert log.trials["error"].tolist() == told
    assert "error_" not in log.trials


def test_an_error_that_comes_late_is_no_metric(tmp_path: Path) -> None:
    rows = [f"t{row},0.5,1,{'' if row < 99_999 else 'boom'}" for row in range(100_000)]
    log, skipped = read(tmp_path / "a.csv", "\n".join(["trial_id,config/lr,loss,error", *rows]))
    assert log.trials["error"].iloc[-1] == "boom"
    assert not skipped


@pytest.mark.parametrize("columns", ["epoch,lr", "config/lr,config/k"])
def test_status_and_seed_are_no_metrics(tmp_path: Path, columns: str) -> None:
    mapping = {"status": "state", "seed": "s", "knobs": [], "metric": "loss"}
    text = f"trial_id,{columns},loss,status,seed,state,s\na,1,0.1,0.5,7,8,done,9\n"
    for asked in ({}, {"columns": mapping}):
        log, _ = read(tmp_path / "a.csv", text, **asked)
        assert not {"status", "seed"} & set(log.reports)
        assert log.trials["seed"].tolist() == ([9] if asked else [8])
        assert log.trials["status"].tolist() == (["completed"] if asked else [None])
