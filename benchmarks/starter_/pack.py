"""All parts as one Parquet file: one row a report, with each task's facts and the space in its footer.

Its columns bear the names of the history's schema (docs/history.md), so that ``History.add`` reads the file
as it is. A configuration's values stand in every row of it; the file holds each value once and in the rows
its number, in runs, which is next to nothing. ``write_history`` writes the same as a history's store, with
the facts as descriptors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from starter_.record import METRICS, seed_of, space, values

from tune_lr.bench.code import versions
from tune_lr.history.entry import make_entry
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.history.store import Store

#: Of the file's footer.
KEY = b"tune_lr_starter"
Curves = Mapping[str, Mapping[int, NDArray[np.float32]]]


def table(curves: Curves, facts: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    """Curves by task and seed, shape ``(configurations, metrics, epochs)``, as rows in that order."""
    parts = [_rows(task, seed, found) for task, of_task in curves.items() for seed, found in of_task.items()]
    told = {"tasks": facts, "space": space().to_dict(), "metric": "val_loss", "mode": "min"}
    told |= {"trained_with": "seed 10000 * seed + the configuration's number, which trial_id begins with"}
    told |= {"versions": versions()}
    footer = {KEY: json.dumps(told, sort_keys=True).encode()}
    return pa.concat_tables(parts).unify_dictionaries().replace_schema_metadata(footer)


def _rows(task: str, seed: int, curves: NDArray[np.float32]) -> pa.Table:
    count, _, epochs = curves.shape
    trial, epoch = np.repeat(np.arange(count), epochs), np.tile(np.arange(1, epochs + 1), count)
    ids = pa.array([f"{number:03}-{seed}" for number in range(count)])
    columns: dict[str, Any] = {
        "task": pa.DictionaryArray.from_arrays(np.zeros(len(trial), np.int32), [task]),
        "trial_id": pa.DictionaryArray.from_arrays(trial.astype(np.int32), ids),
        "seed": np.full(len(trial), seed, np.int16),
        "epoch": epoch.astype(np.int16),
    }
    for i, name in enumerate(METRICS):
        flat = curves[:, i].flatten()
        columns[name] = pa.array(flat, mask=np.isnan(flat))  # NaN, which many readers count as a number
    configs = pd.DataFrame([space().config(point) for point in values(count)])
    for name in configs:
        column = pa.array(configs[name].astype(object).where(configs[name].notna(), None).tolist())
        columns[f"config/{name}"] = column.take(pa.array(trial))
    return pa.table(columns)


def write(path: Path, made: pa.Table) -> None:
    """Write the file compactly, and always the same; floats that hardly repeat are split into their bytes."""
    floats = [one.name for one in made.schema if one.name in METRICS and one.name != "val_accuracy"]
    others = [one.name for one in made.schema if one.name not in floats]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    plain = made.schema.remove_metadata()
    with pq.ParquetWriter(
        temporary, plain, compression="zstd", compression_level=19, use_dictionary=others,
        use_byte_stream_split=floats, write_statistics=False, store_schema=False,
    ) as writer:  # fmt: skip
        writer.write_table(made.replace_schema_metadata(None), row_group_size=len(made))
        writer.add_key_value_metadata(made.schema.metadata)
    temporary.replace(path)


def read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The rows and what the footer says."""
    return pq.read_table(path).to_pandas(), json.loads(pq.read_metadata(path).metadata[KEY])


def write_history(path: Path, store: Path) -> list[str]:
    """Put every task of a packed file into a history's store; the tasks' names."""
    frame, told = read(path)
    tasks = list(dict.fromkeys(frame["task"]))
    for task in tasks:
        rows = frame[frame["task"] == task]
        Store(store).write(make_entry(log_of(task, rows, told), Asked(), path.name, Skipped()))
    return tasks


def log_of(task: str, rows: pd.DataFrame, told: Mapping[str, Any]) -> Log:
    """The rows of one task as an importer would hand them on, with the task's facts as descriptors."""
    names = [name for name in rows if name.startswith("config/")]
    first = rows.drop_duplicates("trial_id")
    trials = first[["trial_id", *names]].assign(
        seed=[
            seed_of(seed, int(i.partition("-")[0]))
            for seed, i in zip(first["seed"], first["trial_id"], strict=True)
        ]
    )
    reports = rows[["epoch", *_reported(rows)]].assign(trial=pd.factorize(rows["trial_id"])[0])
    facts = {name: str(value) for name, value in told["tasks"][task].items()}
    return Log(
        "tune-lr", task, trials.reset_index(drop=True), reports.reset_index(drop=True), metric="val_loss",
        mode="min", fidelity="epochs", counts_from=1, space=told["space"], descriptors=facts,
        versions=told["versions"],
    )  # fmt: skip


def _reported(rows: pd.DataFrame) -> Sequence[str]:
    return [name for name in METRICS if name in rows and rows[name].notna().any()]
