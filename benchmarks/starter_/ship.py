"""The packed data set as it travels with the package: a store of the history, and the prior of its space.

Of each report only the loss by which it is judged, since a prior learns from nothing else; the packed file
X
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pyarrow.parquet as pq
from starter_ import pack
from starter_.record import space

from tune_lr.history.entry import make_entry
from tune_lr.history.history import History
from tune_lr.history.log import Asked, Skipped
from tune_lr.history.store import Store
from tune_lr.prior.prior import Prior
from tune_lr.prior.starter import DATA, PRIOR, TASKS

_KEPT = "val_loss"


def ship(packed: Path, folder: Path = DATA) -> Prior:
    """Write what the package brings, in place of what it brought before; the prior.

    Args:
        packed: the data set, as ``pack.write`` has it.
        folder: where the package looks for it.
    """
    frame, told = pack.read(packed)
    if told["space"] == space().to_dict():
        told["space"] = space().to_dict()  # the footer's has lost the order of the knobs
    frame = frame.drop(columns=[name for name in pack.METRICS if name != _KEPT])
    origin = f"{packed.name}, SHA-256 {hashlib.sha256(packed.read_bytes()).hexdigest()}"
    for old in (folder / TASKS, folder / PRIOR):
        shutil.rmtree(old, ignore_errors=True)
    for task in dict.fromkeys(frame["task"]):
        log = pack.log_of(task, frame[frame["task"] == task], told)
        Store(folder / TASKS).write(make_entry(log, Asked(), origin, Skipped()))
    for file in (folder / TASKS).glob("*.parquet"):
        _tighten(file)
    prior = Prior.fit(History(folder / TASKS), space())
    prior.save(folder / PRIOR)
    return prior


def _tighten(file: Path) -> None:
    """The same table in fewer bytes: slower to write, as fast to read."""
    table = pq.read_table(file)
    others = [name for name in table.column_names if name != _KEPT]
    temporary = file.with_name(f".{file.name}.new")
    pq.write_table(
        table, temporary, compression="zstd", compression_level=19, use_dictionary=others,
        use_byte_stream_split=[_KEPT], write_statistics=False,
    )  # fmt: skip
    temporary.replace(file)
