"""The store: whole files, named by content, that say themselves what they are."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pandas as pd
import pytest

from tune_lr import History
from tune_lr.errors import BadInput

FRAME = pd.DataFrame(
    {
        "task": ["one", "one", "two"],
        "trial_id": ["a", "a", "b"],
        "epoch": [1, 2, 1],
        "val_loss": [2.0, 1.0, 3.0],
        "config/lr": [0.1, 0.1, 0.2],
        "config/smooth": [True, True, False],
    }
)


def write(path: Path, frame: pd.DataFrame = FRAME) -> Path:
    frame.to_csv(path, index=False)
    return path


def test_what_went_in_comes_out(tmp_path: Path) -> None:
    history = History(tmp_path / "store")
    history.add(write(tmp_path / "log.csv"))
    found = history.to_pandas()
    assert found[["task", "trial_id", "epoch"]].values.tolist() == [
        ["one", "a", 1],
        ["one", "a", 2],
        ["two", "b", 1],
    ]
    assert found["val_loss"].tolist() == [2.0, 1.0, 3.0]
    assert found["config/smooth"].tolist() == [True, True, False]
    in_memory = History.from_pandas(FRAME, metric="val_loss", mode="min")
    told = in_memory.to_pandas().drop(columns="experiment")  # of which the source is a part
    pd.testing.assert_frame_equal(found.drop(columns="experiment"), told, check_dtype=False)
    again = History.from_pandas(found, metric="val_loss", mode="min").to_pandas()
    pd.testing.assert_frame_equal(again.drop(columns="experiment"), told, check_dtype=False)


def test_the_same_twice_changes_nothing(tmp_path: Path) -> None:
    history, log = History(tmp_path / "store"), write(tmp_path / "log.csv")
    history.add(log)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "store").iterdir()}
    assert {one.outcome for one in history.add(log).imported} == {"known"}
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "store").iterdir()} == before


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    added = History(tmp_path / "store").add(write(tmp_path / "log.csv"), dry_run=True)
    assert [one.outcome for one in added.imported] == ["would be added"] * 2
    assert not (tmp_path / "store").exists()


def test_a_log_that_has_grown_takes_its_earlier_place(tmp_path: Path) -> None:
    history, log = History(tmp_path / "store"), tmp_path / "log.csv"
    history.add(write(log, FRAME.iloc[:1]))
    (grown,) = history.add(write(log, FRAME.iloc[:2])).imported
    assert grown.outcome == "replaces"
    assert [info.reports for info in history.tasks()] == [2]
    history.remove(grown.info.id)
    assert history.tasks() == []


def test_another_log_in_the_same_place_takes_nobodys(tmp_path: Path) -> None:
    history, log = History(tmp_path / "store"), tmp_path / "log.csv"
    history.add(write(log, FRAME.iloc[:2]))
    history.add(write(log, FRAME.iloc[2:]))
    assert [info.task for info in history.tasks()] == ["one", "two"]


def test_an_earlier_name_can_be_had_again(tmp_path: Path) -> None:
    history, log = History(tmp_path / "store"), write(tmp_path / "log.csv", FRAME.iloc[:2])
    for name in ("a", "b", "c", "a", "b", "a"):
        (one,) = history.add(log, task=name, dry_run=True).imported
        assert one.outcome == "would be added"
        history.add(log, task=name)
        assert [info.task for info in history.tasks()] == [name]
    (one,) = history.add(log, task="a").imported
    assert one.outcome == "known"
    history.remove("a")
    assert history.tasks() == []


def test_another_metric_takes_the_place_of_the_first(tmp_path: Path) -> None:
    history, log = History(tmp_path / "store"), write(tmp_path / "log.csv", FRAME.iloc[:2].assign(acc=0.5))
    history.add(log)
    (one,) = history.add(log, metric="acc").imported
    assert one.outcome == "replaces"
    assert [info.metric for info in history.tasks()] == ["acc"]


def test_one_experiment_of_a_file_that_cannot_be_used_costs_no_other(tmp_path: Path) -> None:
    frame = pd.concat([FRAME.iloc[:2], FRAME.iloc[2:].rename(columns={"val_loss": "score"})])
    history = History(tmp_path / "store")
    added = history.add(write(tmp_path / "log.csv", frame), metric="score", mode="max")
    assert [one.info.task for one in added.imported] == ["two"]
    assert [where for where, _ in added.skipped.counts] == ["one"]


def test_what_is_passed_over_is_told_of_its_own_experiment(tmp_path: Path) -> None:
    frame = FRAME.assign(status=["completed", "completed", "odd"])
    one, two = History(tmp_path / "store").add(write(tmp_path / "log.csv", frame)).imported
    assert len(one.skipped.counts) + len(two.skipped.counts) == 1


def test_an_older_state_of_a_log_is_known(tmp_path: Path) -> None:
    history, log = History(tmp_path / "store"), tmp_path / "log.csv"
    history.add(write(log, FRAME.iloc[:1]))
    history.add(write(log, FRAME.iloc[:2]))
    (one,) = history.add(write(log, FRAME.iloc[:1])).imported
    assert one.outcome == "known"
    assert [info.reports for info in history.tasks()] == [2]


def test_filters_read_only_what_they_need(tmp_path: Path) -> None:
    history = History(tmp_path / "store")
    history.add(write(tmp_path / "log.csv"))
    (gone,) = history.filter(task="two").tasks()
    kept = history.filter(task="one", knob="lr", metric="val_loss")
    path = tmp_path / "store" / f"{gone.id}.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * 64 + whole[68:])  # the footer is whole, the data are not
    assert len(kept.to_pandas()) == 2
    assert history.filter(knob="momentum").tasks() == []
    assert history.filter(space="nothing").to_pandas().empty


def test_a_file_of_another_kind_is_told_of_and_passed_over(tmp_path: Path) -> None:
    history = History(tmp_path / "store")
    history.add(write(tmp_path / "log.csv"))
    (tmp_path / "store" / "rubbish.parquet").write_bytes(b"no table")
    with pytest.warns(UserWarning, match=r"rubbish\.parquet"):
        assert len(history.tasks()) == 2


def test_a_store_at_a_uri(tmp_path: Path) -> None:
    history = History("memory://history-of-a-test")
    history.add(write(tmp_path / "log.csv"))
    assert len(History("memory://history-of-a-test").to_pandas()) == 3
    for info in history.tasks():
        history.remove(info.id)
    assert history.tasks() == []


def test_a_log_at_a_uri(tmp_path: Path) -> None:
    import fsspec

    content = write(tmp_path / "log.csv").read_bytes()
    fsspec.filesystem("memory").pipe_file("/logs-of-a-test/log.csv", content)
    added = History(tmp_path / "store").add("memory://logs-of-a-test")
    assert added.imported[0].info.origin.startswith("memory://logs-of-a-test/log.csv")


def test_a_store_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(BadInput, match="--store"):
        History(tmp_path / "store")


def _add(store: Path, log: Path) -> None:
    History(store).add(log)


def test_two_importers_at_once(tmp_path: Path) -> None:
    logs = [write(tmp_path / f"log{i % 2}.csv", FRAME.assign(val_loss=[i % 2, 1.0, 2.0])) for i in range(4)]
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_add, args=(tmp_path / "store", log)) for log in logs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert {info.reports for info in History(tmp_path / "store").tasks()} == {1, 2}
    assert not [p for p in (tmp_path / "store").iterdir() if p.name.startswith(".")]
