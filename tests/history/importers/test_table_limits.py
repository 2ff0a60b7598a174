"""What tables may hold, files that are no logs, and that no thread reads on when a table is done with."""

from __future__ import annotations

import gzip
import io
import json
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from tune_lr.errors import BadInput
from tune_lr.history.history import History
from tune_lr.history.importers import table_csv, table_files, table_rows, table_stream, wandb
from tune_lr.history.importers.table import Table
from tune_lr.history.importers.wandb import WandB
from tune_lr.history.log import Asked, Log, Skipped


def read(path: Path, **asked: Any) -> tuple[list[Log], Skipped]:
    assert Table().claims(path)
    skipped = Skipped()
    return list(Table().read(path, Asked(**asked), skipped)), skipped


def long(header: str, rows: int, row: str) -> str:
    return "\n".join([header, *(row.format(place) for place in range(1, rows + 1))]) + "\n"


class _Slow(io.BytesIO):
    """A file whose every read takes a while; ``by`` has the thread of each."""

    def __init__(self, content: bytes, by: list[threading.Thread]) -> None:
        super().__init__(content)
        self.by = by

    def read(self, size: int | None = -1) -> bytes:
        self.by.append(threading.current_thread())
        time.sleep(0.005)
        return super().read(size)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_no_thread_reads_a_file_that_is_done_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    content = long("trial_id,epoch,loss", 20_000, "ä,{},0.5").encode(encoding)
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    by: list[threading.Thread] = []
    for module in (table_csv, table_stream):
        monkeypatch.setattr(module, "open_text", lambda path: _Slow(content, by))
    monkeypatch.setattr(table_csv, "BLOCK", 10_000)
    monkeypatch.setattr(table_csv.CsvFile._reader, "__defaults__", (10_000,))
    file = table_csv.CsvFile(path, Skipped())
    assert {*by} == {threading.current_thread()}
    with closing(file.batches({"epoch", "loss"}, set())) as batches:
        assert next(batches)["loss"][0].as_py() == 0.5
    times = len(by)
    time.sleep(0.1)
    assert len(by) == times
    assert sum(len(batch["loss"]) for batch in file.batches({"loss"}, set())) == 20_000


def test_a_table_of_too_many_cells_is_refused_in_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_rows, "MOST_CELLS", 400_000)
    text = long("trial_id,epoch," + ",".join(f"m{place}" for place in range(50)), 20_000, "a,{}" + "," * 50)
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(BadInput, match=r"a\.csv\.gz: expected a table of at most .*here 52"):
        read(packed)
    wide = tmp_path / "b.parquet"
    columns = {f"m{place}": pa.nulls(20_000) for place in range(50)}
    pyarrow.parquet.write_table(pa.table({"config/lr": pa.nulls(20_000, pa.float64()), **columns}), wide)
    with pytest.raises(BadInput, match=r"b\.parquet: expected a table of at most"):
        read(wide)
    curves = tmp_path / "c.csv"
    names = [f"loss{place}@{epoch}" for place in range(20) for epoch in (2 * place, 2 * place + 1)]
    curves.write_text(long(",".join(["trial_id", *names]), 1000, "{}" + ",1" * 40))
    with pytest.raises(BadInput, match="at most"):
        read(curves)


def test_what_is_told_once_takes_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_rows, "MOST_CELLS", 40_000)
    knobs = ",".join(f"config/k{place}" for place in range(50))
    path = tmp_path / "a.csv"
    path.write_text(long(f"trial_id,epoch,loss,{knobs}", 10_000, "a,{},1" + ",3" * 50))
    ((log,), _) = read(path)
    assert len(log.reports) == 10_000


def test_a_batch_of_parquet_has_as_many_rows_as_its_columns_let(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    columns = {f"m{place}": pa.nulls(20_000) for place in range(1000)}
    pyarrow.parquet.write_table(pa.table(columns), path)
    file = table_files.ParquetFile(path, Skipped())
    by: list[threading.Thread] = []
    monkeypatch.setattr("tune_lr.history.files.open_plain", lambda path: _Slow(path.read_bytes(), by))
    with closing(file.batches({*columns}, set())) as batches:
        assert len(next(batches)["m0"]) == 4000
    assert {*by} == {threading.current_thread()}


def test_a_text_that_very_many_rows_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["x" * 10_000]))
    numbers = pa.array([0.5] * 1000)
    pyarrow.parquet.write_table(pa.table({"config/lr": numbers, "loss": numbers, "config/t": shared}), path)
    assert len(read(path)[0][0].trials) == 1000
    monkeypatch.setattr("tune_lr.history.files.LARGEST_VALUE", 9_000_000)
    with pytest.raises(BadInput, match="bytes of text"):
        read(path)


def test_lines_that_lack_what_one_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_lr.history.importers.table_lines.MOST_CELLS", 1_000_000)
    first = json.dumps({f"m{place}": 0.5 for place in range(150)})
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([first, *['{"m1": 1}'] * 10_000]))
    with pytest.raises(BadInput, match="one another's values"):
        read(path)


def test_a_chart_of_too_many_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb, "MOST_CELLS", 10_000)
    names = [f"run{place} - loss" for place in range(20)]
    header = ",".join(["Step", *(f"{name},{name}__MIN,{name}__MAX" for name in names)])
    path = tmp_path / "a.csv"
    path.write_text(long(header, 1000, "{}" + "," * 60))
    with pytest.raises(BadInput, match=r"a\.csv: expected a table of at most .*here 21"):
        list(WandB().read(path, Asked(), Skipped()))


def test_charts_with_a_metric_for_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_lr.history.columns.MOST_CELLS", 30_000)
    names = [f"run{place} - m{place}" for place in range(20)]
    header = ",".join(["Step", *(f"{name},{name}__MIN,{name}__MAX" for name in names)])
    path = tmp_path / "a.csv"
    path.write_text(long(header, 100, "{}" + ",1,1,1" * 20))
    skipped = Skipped()
    (log,) = WandB().read(path, Asked(), skipped)
    assert len(log.reports) == 2000
    assert len(log.reports.columns) == 2 + 15
    assert skipped.counts[("metrics", "a metric beside very many others")] == 5


def test_a_column_of_tasks_that_names_too_many(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(long("task,trial_id,epoch,loss", 1000, "t{0},a,1,0.5"))
    assert len(read(path)[0]) == 1000
    path.write_text(long("task,trial_id,epoch,loss", 1001, "t{0},a,1,0.5"))
    with pytest.raises(BadInput, match="at most 1000 tasks; it names 1001"):
        read(path)


@pytest.mark.parametrize("columns", ["task,trial_id,epoch,loss", "task,trial_id,config/lr,loss"])
def test_names_are_told_apart_whatever_stands_in_them(tmp_path: Path, columns: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{columns}\nA\x1fB,c,1,1\nA,B\x1fc,1,2\n3:é,:,1,3\n,x,1,4\n", "utf-8")
    logs, skipped = read(path)
    assert not skipped
    assert [(log.part, log.trials["trial_id"].tolist()) for log in logs] == [
        ("A\x1fB", ["c"]),
        ("A", ["B\x1fc"]),
        ("3:é", [":"]),
        ("", ["x"]),
    ]


def test_a_first_line_of_json_may_be_long(tmp_path: Path) -> None:
    line = {"trial_id": "a", "loss": 0.5, "config": {f"knob_{place}": place for place in range(10_000)}}
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(line | {"epoch": epoch}) for epoch in (1, 2)))
    assert len(json.dumps(line)) > 128 * 1024
    ((log,), _) = read(path)
    assert len(log.trials.columns) == 10_001


def test_a_file_of_a_store_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("trial_id,epoch,config/lr,loss\na,1,0.1,1\n")
    History(tmp_path / "store").add(tmp_path / "a.csv")
    own = History(tmp_path / "own")
    for path in (tmp_path / "store", *(tmp_path / "store").iterdir()):
        added = own.add(path)
        assert not added.imported
        (((_, why), _),) = added.skipped.counts.items()
        assert "Copy the file into" in why
        assert "--store" in why
    plain = pyarrow.parquet.read_table(path).replace_schema_metadata({"tune_lr": "x"}).drop_columns(["kind"])
    pyarrow.parquet.write_table(plain, tmp_path / "plain.parquet")
    assert read(tmp_path / "plain.parquet")[0]
