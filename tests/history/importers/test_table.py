from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples.history import table as sample
from tune_lr.errors import BadInput, TuneLRError
from tune_lr.history.importers.table import Table
from tune_lr.history.log import Asked, Log, Skipped


def read(path: Path, **asked: Any) -> tuple[list[Log], Skipped]:
    assert Table().claims(path)
    skipped = Skipped()
    return list(Table().read(path, Asked(**asked), skipped)), skipped


def only(path: Path, **asked: Any) -> Log:
    logs, skipped = read(path, **asked)
    assert not skipped, skipped.counts
    assert len(logs) == 1
    return logs[0]


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def curve(log: Log, trial: int, metric: str) -> dict[int, float]:
    rows = log.reports[log.reports["trial"] == trial]
    return dict(zip(rows["epoch"].tolist(), rows[metric].tolist(), strict=True))


def knobs(log: Log) -> set[str]:
    return {name.removeprefix("config/") for name in log.trials if name.startswith("config/")}


def check_sample(log: Log) -> None:
    assert len(log.trials) == sample.EXPECTED["trials"]
    assert len(log.reports) == sample.EXPECTED["reports"]
    assert log.metric == sample.EXPECTED["metric"]
    assert knobs(log) == sample.EXPECTED["knobs"]
    assert curve(log, 0, "val_loss") == sample.EXPECTED["first"]
    assert curve(log, 1, "val_loss") == {1: 0.75, 2: 0.25, 3: 0.125}
    assert log.trials["trial_id"].tolist() == ["007", "1"]
    assert log.trials["status"].tolist() == ["completed", "stopped"]
    assert log.trials["seed"].tolist() == [3, 4]
    assert log.trials["config/lr"].tolist() == [0.1, 0.01]
    assert log.trials["config/patience"].tolist() == [3, 5]
    assert log.trials["config/patience"].dtype.kind == "i"
    assert log.trials["config/smooth"].tolist() == [True, False]
    assert log.trials["config/optimizer"].tolist() == ["adam", "sgd"]
    assert log.reports["seconds"].tolist() == [1.0, 2.0, 1.5, 2.5, 3.5]
    assert (log.source, log.name, log.fidelity, log.counts_from) == ("table", "runs", "epochs", None)


def test_a_table_under_the_names_of_the_schema(tmp_path: Path) -> None:
    check_sample(only(sample.make(tmp_path)))


@pytest.mark.parametrize("suffix", ["csv.gz", "tsv", "jsonl", "ndjson", "parquet", "tsv.gz"])
def test_every_format_says_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"runs.{suffix}"
    if suffix == "parquet":
        sample.LONG.to_parquet(path, index=False)
    elif "json" in suffix:
        sample.LONG.to_json(path, orient="records", lines=True)
    else:
        sample.LONG.to_csv(path, index=False, sep="\t" if "tsv" in suffix else ",")
    check_sample(only(path))


def test_a_configuration_may_be_an_object_of_its_own(tmp_path: Path) -> None:
    lines = [
        {"trial_id": 1, "epoch": 0, "acc": 0.5, "config": {"lr": 0.1, "net": {"act": "relu"}}},
        {"trial_id": 1, "epoch": 1, "acc": math.nan, "config": {"lr": 0.1, "net": {"act": "relu"}}},
    ]
    log = only(written(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines))))
    assert log.trials.iloc[0].to_dict() == {"trial_id": "1", "config/lr": 0.1, "config/net.act": "relu"}
    assert math.isnan(curve(log, 0, "acc")[1])


def test_several_tasks_are_several_logs(tmp_path: Path) -> None:
    text = "task,trial_id,epoch,acc,loss\na,1,1,0.1,\nb,1,1,,0.7\na,2,1,0.3,\nb,1,2,,0.6\n"
    logs, skipped = read(written(tmp_path / "t.csv", text))
    assert not skipped
    assert [(log.name, log.part, len(log.trials), len(log.reports)) for log in logs] == [
        ("a", "a", 2, 2),
        ("b", "b", 1, 2),
    ]
    assert curve(logs[0], 1, "acc") == {1: 0.3}
    assert curve(logs[1], 0, "loss") == {1: 0.7, 2: 0.6}
    assert "acc" not in logs[1].reports


def test_a_sweep_with_one_row_a_trial(tmp_path: Path) -> None:
    logs, skipped = read(sample.make_wide(tmp_path), rename={"learning_rate": "lr"})
    (log,) = logs
    assert log.metric == "val_loss"
    assert knobs(log) == {"learning_rate", "patience"}
    assert curve(log, 0, "val_loss") == {1: 0.9, 2: 0.6, 3: 0.3}
    assert curve(log, 2, "val_loss") == {1: 0.7}
    assert log.trials["test_accuracy"].tolist() == [0.7, 0.8, 0.9]
    assert list(skipped.counts) == [("sweep.csv", "column 'remark', which is neither metric nor knob")]


def test_a_wide_table_with_only_final_values(tmp_path: Path) -> None:
    log = only(written(tmp_path / "w.csv", "lr,patience,f1\n0.1,3,0.5\n0.2,4,0.75\n"), metric="f1")
    assert log.trials.to_dict("list") == {
        "trial_id": ["0", "1"],
        "f1": [0.5, 0.75],
        "config/lr": [0.1, 0.2],
        "config/patience": [3, 4],
    }
    assert len(log.reports) == 0
    assert {"trial", "epoch"} <= set(log.reports)


def test_a_mapping_says_what_columns_mean(tmp_path: Path) -> None:
    text = "run;it;hp_lr;loss;state;t;dataset\nx;0;0.1;3;ok;1;d\nx;1;0.1;2;ok;2;d\ny;0;0.2;4;killed;1;d\n"
    columns = {
        "task": "dataset",
        "trial": "run",
        "epoch": "it",
        "counts_from": 0,
        "fidelity": "steps",
        "seconds": "t",
        "status": {"column": "state", "values": {"ok": "completed", "killed": "stopped"}},
        "metric": "loss",
        "mode": "min",
        "knobs": {"hp_lr": "lr"},
    }
    log = only(written(tmp_path / "m.csv", text), columns=columns)
    assert (log.name, log.metric, log.mode, log.fidelity, log.counts_from) == ("d", "loss", "min", "steps", 0)
    assert log.trials.to_dict("list") == {
        "trial_id": ["x", "y"],
        "status": ["completed", "stopped"],
        "config/lr": [0.1, 0.2],
    }
    assert log.reports.to_dict("list") == {
        "trial": [0, 0, 1],
        "epoch": [0, 1, 0],
        "seconds": [1.0, 2.0, 1.0],
        "loss": [3.0, 2.0, 4.0],
    }


def test_a_mapping_finds_the_columns_of_a_curve(tmp_path: Path) -> None:
    path = written(tmp_path / "m.csv", "n,a,ep0_q,ep1_q\nx,1,0.5,0.25\ny,2,0.75,\n")
    log = only(path, columns={"trial": "n", "knobs": ["a"], "wide_curves": "ep{epoch}_q", "metric": "q"})
    assert log.metric == "q"
    assert curve(log, 0, "q") == {0: 0.5, 1: 0.25}
    assert curve(log, 1, "q") == {0: 0.75}


def test_a_mapping_of_columns_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="did you mean run"):
        read(written(tmp_path / "m.csv", "run,epoch,loss\n1,1,1\n"), columns={"trial": "runs"})


def test_knobs_by_their_names_only_where_a_trial_has_one_value(tmp_path: Path) -> None:
    text = "trial_id,epoch,loss,lr,momentum\na,1,1,0.5,0.9\na,2,1,0.25,0.9\nb,1,1,0.5,0.8\n"
    log = only(written(tmp_path / "t.csv", text))
    assert knobs(log) == {"momentum"}
    assert curve(log, 0, "lr") == {1: 0.5, 2: 0.25}


def test_a_lone_curve_is_a_trial(tmp_path: Path) -> None:
    log = only(written(tmp_path / "run.csv", "epoch,loss,val_loss\n0,1,2\n1,0.5,1\n"))
    assert log.trials["trial_id"].tolist() == ["0"]
    assert curve(log, 0, "val_loss") == {0: 2.0, 1: 1.0}


def test_columns_that_nobody_explains(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read(written(tmp_path / "x.csv", "a,b\n1,2\n"))
    assert "The columns are: a, b" in str(caught.value)
    assert "wide_curves" not in str(caught.value)
    assert "trial: run" in str(caught.value)
    assert only(tmp_path / "x.csv", metric="b").trials["b"].tolist() == [2.0]


@pytest.mark.parametrize("header", ["units_1,units_2,units_3", "loss_1,loss_2", "loss_2,loss_3,loss_4"])
def test_what_may_be_something_else_is_no_curve(tmp_path: Path, header: str) -> None:
    values = ",".join("1" for _ in header.split(","))
    (log,), _ = read(written(tmp_path / "x.csv", f"trial_id,{header}\n1,{values}\n"))
    assert len(log.reports) == 0


def test_rows_and_cells_that_are_wrong_are_counted(tmp_path: Path) -> None:
    text = (
        "trial_id,epoch,loss,status,loss,config/k,seed\n"
        "a,1,0.5,weird,9,3,1\na,2,oops,,9,3,1\na,x,1,,9,3,1\na,1.5,1,,9,3,1\n,3,1,,9,3,1\na,4\nb,1,inf,,9,none,x\n"
    )
    (log,), skipped = read(written(tmp_path / "t.csv", text))
    assert curve(log, 0, "loss")[1] == 0.5
    assert math.isnan(curve(log, 0, "loss")[2])
    assert curve(log, 1, "loss") == {1: math.inf}
    assert log.trials["config/k"].tolist() == [3, "none"]
    assert log.trials["seed"].tolist() == [1, pd.NA]
    assert log.trials["status"].isna().all()
    assert {why: times for (_, why), times in skipped.counts.items()} == {
        "column 'loss', which stands there twice": 1,
        "a row with more or fewer values than columns": 1,
        "a value of 'loss' that is no number": 1,
        "a value of 'seed' that is no number": 1,
        "a row whose epoch is no whole number": 2,
        "a row that names no trial": 1,
        "status 'weird', which is none of running, completed, stopped, paused, failed, diverged": 1,
    }


def test_a_column_that_turns_out_as_numbers_or_text_late(tmp_path: Path) -> None:
    rows = 200_000
    frame = pd.DataFrame({"trial_id": np.arange(rows) // 100, "epoch": np.arange(rows) % 100})
    frame["loss"] = frame["epoch"].astype(object)
    frame["config/k"] = frame["trial_id"].astype(object)
    frame.loc[rows - 1, "loss"] = 0.5
    frame.loc[rows - 2, "loss"] = "late"
    frame.loc[frame["trial_id"] == 1999, "config/k"] = "other"
    frame.to_csv(tmp_path / "t.csv", index=False)
    (log,), skipped = read(tmp_path / "t.csv")
    assert log.trials["config/k"].tolist() == [*range(1999), "other"]
    assert log.reports["loss"].iloc[-1] == 0.5
    assert math.isnan(log.reports["loss"].iloc[-2])
    assert dict(skipped.counts) == {("t.csv", "a value of 'loss' that is no number"): 1}


def test_other_encodings(tmp_path: Path) -> None:
    text = "trial_id,epoch,loss\nö,1,0.5\n"
    assert only(written(tmp_path / "a.csv", text, "utf-16")).trials["trial_id"].tolist() == ["ö"]
    assert only(written(tmp_path / "b.csv", text, "utf-8-sig")).trials["trial_id"].tolist() == ["ö"]
    (log,), skipped = read(written(tmp_path / "c.csv", text, "latin-1"))
    assert log.trials["trial_id"].tolist() == ["ö"]
    assert dict(skipped.counts) == {("c.csv", "text that is not UTF-8, read as Latin-1"): 1}


def test_text_with_line_breaks(tmp_path: Path) -> None:
    frame = pd.DataFrame({"trial_id": ["a", "b"], "loss": [1.0, 2.0], "error": ["Trace\n  a,b", None]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert only(tmp_path / "t.csv").trials["error"].tolist() == ["Trace\n  a,b", None]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"trial_id,epoch,loss\n"),
        ("a.csv", b"\n\n"),
        ("a.csv", b"1,2,3\n4,5,6\n"),
        ("a.csv", b"trial_id,epoch\0"),
        ("a.csv.gz", b"no gzip"),
        ("a.csv.gz", gzip.compress(b"trial_id,epoch,loss\n", mtime=0)),
        ("a.jsonl", b"[]"),
        ("a.jsonl", b"{}"),
        ("a.jsonl", b'{"a": {' * 5000),
        ("a.parquet", b"PAR1"),
        ("a.parquet", b"PAR1" + bytes(100) + b"PAR1"),
        ("a.parquet", b""),
    ],
)
def test_what_is_no_table_is_said(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    Table().claims(path)
    with pytest.raises(BadInput, match=name):
        list(Table().read(path, Asked(), Skipped()))


def test_of_a_torn_gzip_file_what_stands_before(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    rows = "".join(f"a,{epoch},{math.sin(epoch)}\n" for epoch in range(5000))
    path.write_bytes(gzip.compress(b"trial_id,epoch,loss\n" + rows.encode())[:-2000])
    (log,), skipped = read(path)
    assert 100 < len(log.reports) < 5000
    assert ("a.csv.gz", "the torn end of a gzip file") in skipped.counts


def test_a_ragged_row_that_is_no_utf8_deep_in_a_file(tmp_path: Path) -> None:
    good = b"".join(b"%d,1,0.5,0.1\n" % number for number in range(9000))
    path = tmp_path / "r.csv"
    path.write_bytes(b"trial_id,epoch,loss,config/lr\n" + good + b"1,\xff,3,4,5,6\nlast,1,0.5,0.1\n")
    (log,), skipped = read(path)
    assert len(log.trials) == 9001
    assert dict(skipped.counts) == {
        ("r.csv", "text that is not UTF-8, read as Latin-1"): 1,
        ("r.csv", "a row with more or fewer values than columns"): 1,
    }


def test_lines_that_each_name_other_things(tmp_path: Path) -> None:
    lines = [json.dumps({"trial_id": "a", "epoch": epoch, f"m{epoch}": 0.5}) for epoch in range(3000)]
    (log,), _ = read(written(tmp_path / "a.jsonl", "\n".join(lines)))
    assert log.reports["m2999"].notna().sum() == 1
    many = written(tmp_path / "b.jsonl", "\n".join(json.dumps({f"m{line}": 0.5}) for line in range(21_000)))
    with pytest.raises(BadInput, match="columns"):
        read(many)


def test_a_file_that_expands_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_lr.history.files.LARGEST_VALUE", 10 * 1024**2)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"trial_id,epoch,loss\n" + b"1,1,1\n" * 3_000_000))
    (log,), skipped = read(path)
    assert len(log.reports) < 3_000_000
    assert any("expands" in why for _, why in skipped.counts)


def test_the_tables_of_an_experiment_without_its_journal(tmp_path: Path) -> None:
    path = sample.make_experiment(tmp_path)
    log = only(path)
    assert log.trials["trial_id"].tolist() == pd.read_parquet(path / "trials.parquet")["trial_id"].tolist()
    assert set(log.trials["status"]) == {"completed"}
    assert {"best", "epochs"} & set(log.trials) == set()
    assert "lr" in knobs(log)
    assert len(log.reports) == 12
    assert (log.counts_from, log.fidelity, log.name) == (1, "epochs", "experiment")
    lr = log.trials["config/lr"][2]
    assert curve(log, 2, "val_loss") == pytest.approx({epoch: lr * epoch for epoch in (1, 2, 3, 4)})
    (path / "trials.parquet").write_bytes(b"PAR1")
    (again,), skipped = read(path)
    assert len(again.reports) == 12
    assert [where for where, _ in skipped.counts] == ["trials.parquet"]


def test_a_folder_with_a_journal_is_not_claimed(tmp_path: Path) -> None:
    path = sample.make_experiment(tmp_path)
    (path / "journal.jsonl").touch()
    assert not Table().claims(path)
    assert not Table().claims(tmp_path)
    assert not Table().claims(tmp_path / "none.csv")
    assert not Table().claims(path / "experiment.json")


_MARKS = st.sampled_from(list(b"\0\n\r,;\t\"'{}[]:eENa1-.\xff\xc3"))


@given(data=st.data(), suffix=st.sampled_from(["csv", "csv.gz", "jsonl", "parquet"]))
def test_whatever_the_bytes_are_only_our_errors_come_out(
    data: st.DataObject, suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / f"a.{suffix}"
    if suffix == "parquet":
        sample.LONG.to_parquet(path, index=False)
    elif suffix == "jsonl":
        sample.LONG.to_json(path, orient="records", lines=True)
    else:
        sample.LONG.to_csv(path, index=False)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.integers(0, 3))
        if kind == 0:
            content[at] = data.draw(_MARKS)
        elif kind == 1:
            del content[at : at + data.draw(st.integers(1, 40))]
        elif kind == 2:
            content[at:at] = content[at // 2 : at]
        else:
            content = content[: at + 1]
        content = content or bytearray(b"x")
    path.write_bytes(bytes(content))
    Table().claims(path)
    try:
        for log in Table().read(path, Asked(), Skipped()):
            assert log.trials["trial_id"].is_unique
            assert log.reports["trial"].between(0, len(log.trials) - 1).all()
            assert log.reports["epoch"].dtype == "int64"
    except TuneLRError:
        pass


def test_a_knob_that_is_a_list_in_every_row_is_no_knob(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    row = {"trial_id": "0", "val_loss": 0.5, "config/lr": 0.1, "config/layers": [1, 2]}
    path.write_text("\n".join(json.dumps(row | {"epoch": epoch}) for epoch in (1, 2)))
    skipped = Skipped()
    (log,) = Table().read(path, Asked(), skipped)
    assert [name for name in log.trials if name.startswith("config/")] == ["config/lr"]
    assert ("x.jsonl", "column 'config/layers', which is neither metric nor knob") in skipped.counts
