"""Syne Tune's table of results: a row a report, and in each row its trial's configuration again."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from tune_lr.history.columns import LARGEST_WHOLE, MOST_COLUMNS
from tune_lr.history.files import HEAD, bad
from tune_lr.history.importers.table_files import first_line
from tune_lr.history.log import Skipped

#: Names under which trainers count their epochs, the likeliest first; and those among them that count steps.
RESOURCES = ("epoch", "epochs", "training_iteration", "iteration", "step", "steps", "batch")
STEPS = ("step", "steps", "batch")
_CONFIG = "config_"
_SECONDS = "st_worker_time"
_TRIAL, _STATUS, _DECISION = "trial_id", "st_status", "st_decision"
_BLOCK = 4 * 1024**2
_LARGEST_BLOCK = 2**31 - 1


@dataclass(frozen=True)
class Results:
    """The table as columns. ``trial`` of a report is a position in ``ids``.

    Args:
        ids: the trials, in the order in which they first report.
        configs: a trial's configuration, from its first row.
        statuses: what a trial's last row says of it, ``""`` where it says nothing.
        decisions: what the scheduler said to a trial's last report.
        last: a trial's last epoch, NaN where its last row has none.
        resource: the column that counts the epochs; None where each report is one.
        reports: ``trial``, ``epoch``, ``seconds`` where they are known, and the metrics.
    """

    ids: list[str] = field(default_factory=list)
    configs: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    last: Sequence[float] = ()
    resource: str | None = None
    reports: dict[str, np.ndarray[Any, Any]] = field(
        default_factory=lambda: {"trial": np.array([], np.int64), "epoch": np.array([], np.int64)}
    )


def results(content: bytes, said: object, where: str, skipped: Skipped) -> Results:
    """What a table says. ``said`` is the column of epochs that the experiment's facts name, if they do.

    Raises:
        BadInput: it is no table with trials.
    """
    table = _table(content, where, skipped)
    if _TRIAL not in table.column_names:
        raise bad(where, f"a table with a column {_TRIAL}")
    rows = pa.compute.is_valid(table[_TRIAL])
    skipped.add(where, "a row that names no trial", table.num_rows - pa.compute.sum(rows).as_py())
    ids, of = _trials(table[_TRIAL])
    if len(of) < table.num_rows:
        table = table.filter(rows)
    first, last = _ends(of, len(ids))
    resource, epochs = _epochs(table, said)
    if epochs is None:
        epochs = _counted(of, first)
    good, ends = whole(epochs), epochs[last].tolist()
    skipped.add(where, f"a report whose {resource} is no whole number", int((~good).sum()))
    numbers = _metrics(table, resource, where, skipped)
    if not good.all():
        of, epochs = of[good], epochs[good]
        numbers = {name: values[good] for name, values in numbers.items()}
    return Results(
        ids,
        _configs(table, first),
        _words(table, _STATUS, last),
        _words(table, _DECISION, last),
        ends,
        resource,
        {"trial": of, "epoch": epochs.astype(np.int64), **numbers},
    )


def resource_of(said: object, names: Iterable[str]) -> list[str]:
    """Of these names those that may count epochs, the likeliest first."""
    known = set(names)
    wanted = dict.fromkeys((said, *RESOURCES)) if isinstance(said, str) else RESOURCES
    return [str(name) for name in wanted if name in known]


def whole(epochs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which numbers can count epochs."""
    with np.errstate(invalid="ignore"):
        good: np.ndarray[Any, Any] = (epochs >= 0) & (epochs < LARGEST_WHOLE) & (epochs % 1 == 0)
    return good


def is_metric(name: str) -> bool:
    """Whether a column may be the trainer's own."""
    return not name.startswith(("st_", _CONFIG)) and name not in (_TRIAL, "", "trial", "epoch", "seconds")


def _table(content: bytes, where: str, skipped: Skipped) -> Any:
    """The columns that matter; rows of another length are passed over."""
    if not content.isascii():
        try:
            content.decode()
        except UnicodeDecodeError:
            skipped.add(where, "text that is not UTF-8")
            content = content.decode("utf-8", "replace").encode()
    names = _names(content, where)
    wanted = [place for place, name in names.items() if _is_needed(name)]
    try:
        table, ragged = _parsed(content, list(names), wanted, _BLOCK)
    except pa.ArrowInvalid:  # a column whose type is not that of its first rows
        try:
            table, ragged = _parsed(content, list(names), wanted, min(len(content) + 1, _LARGEST_BLOCK))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise bad(where, f"rows that can be read ({first_line(error)})") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise bad(where, f"rows that can be read ({first_line(error)})") from None
    skipped.add(where, "a row with more or fewer values than columns", ragged)
    if not table.num_rows:
        raise bad(where, "a table with rows")
    return table.rename_columns([names[place] for place in wanted])


def _parsed(content: bytes, names: list[str], wanted: list[str], block: int) -> tuple[Any, int]:
    """The wanted columns, each of the type that its rows of the first block have; how many rows were none."""
    ragged = 0

    def pass_over(row: Any) -> str:
        nonlocal ragged
        ragged += 1
        return "skip"

    table = pyarrow.csv.read_csv(
        pa.BufferReader(content),
        pyarrow.csv.ReadOptions(
            column_names=names, skip_rows_after_names=1, block_size=block, use_threads=False
        ),
        pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=pass_over),
        pyarrow.csv.ConvertOptions(
            include_columns=wanted,
            null_values=[""],  # NaN is a number, and None and NA may be the names of choices
            strings_can_be_null=True,
            auto_dict_encode=True,
            timestamp_parsers=["%"],  # none: a date is text
        ),
        memory_pool=pa.system_memory_pool(),  # gives back what it took, which is half the memory
    )
    return table, ragged


def _names(content: bytes, where: str) -> dict[str, str]:
    """Place -> name, from the first line; of several columns of one name the first counts."""
    line = content[: 16 * HEAD].partition(b"\n")[0].decode("utf-8-sig", "replace")
    try:
        found = next(csv.reader([line]), [])
    except csv.Error as error:
        raise bad(where, f"a table with a header ({error})") from None
    if not found or len(found) > 2 * MOST_COLUMNS:
        raise bad(where, f"a table with a header of at most {2 * MOST_COLUMNS} columns")
    names, seen = {}, set()
    for place, name in enumerate(found):
        names[str(place)] = "" if name in seen else name
        seen.add(name)
    return names


def _is_needed(name: str) -> bool:
    return bool(name) and (
        name in (_TRIAL, _STATUS, _DECISION, _SECONDS, *RESOURCES) or not name.startswith(("st_", "Unnamed"))
    )


def _trials(column: Any) -> tuple[list[str], np.ndarray[Any, Any]]:
    """The trials' names, and the position of each row's; rows without one are left out."""
    if pa.types.is_floating(column.type) and whole(_numbers(column.drop_null())).all():
        column = column.cast(pa.int64())
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    joined = column.combine_chunks()
    joined = joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined
    ids = [str(one) for one in joined.dictionary.to_pylist()]
    of = joined.indices.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)
    if len(set(ids)) == len(ids):
        return ids, of
    once = {name: place for place, name in enumerate(dict.fromkeys(ids))}
    return list(once), np.array([once[name] for name in ids])[of]


def _ends(of: np.ndarray[Any, Any], trials: int) -> tuple[Any, Any]:
    """Each trial's first row and its last."""
    rows = np.arange(len(of))
    first, last = np.empty(trials, np.int64), np.empty(trials, np.int64)
    first[of[::-1]], last[of] = rows[::-1], rows
    return first, last


def _epochs(table: Any, said: object) -> tuple[str | None, np.ndarray[Any, Any] | None]:
    """The column that counts epochs, which most of its values must be able to do, and its numbers."""
    for name in resource_of(said, table.column_names):
        numbers = _numbers(table[name])
        if whole(numbers).mean() > 0.5:
            return name, numbers
    return None, None


def _counted(of: np.ndarray[Any, Any], first: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """How many reports of the same trial stand before each."""
    order = np.argsort(of, kind="stable")
    sizes = np.bincount(of, minlength=len(first))
    begin = np.repeat(np.cumsum(sizes) - sizes, sizes)
    counted = np.empty(len(of))
    counted[order] = np.arange(len(of)) - begin
    return counted


def _metrics(table: Any, resource: str | None, where: str, skipped: Skipped) -> dict[str, Any]:
    """The trainer's own numbers, and the seconds."""
    found = {"seconds": _numbers(table[_SECONDS])} if _SECONDS in table.column_names else {}
    for name in table.column_names:
        if not is_metric(name) or name == resource:
            continue
        numbers = _numbers(table[name])
        if np.isnan(numbers).all() and table[name].null_count < table.num_rows and _is_text(table[name]):
            skipped.add(where, f"a column {name!r} without a number")
            continue
        found[name] = numbers
    return found


def _is_text(column: Any) -> bool:
    return not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type))


def _numbers(column: Any) -> np.ndarray[Any, Any]:
    """A column as floats; NaN for what is no number, truths among it."""
    import pandas as pd

    if pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if _is_text(column):
        numbers = pd.to_numeric(column.to_pandas().astype(object), errors="coerce")
        return np.asarray(numbers, np.float64)
    floats: np.ndarray[Any, Any] = column.cast(pa.float64(), safe=False).to_numpy()
    return floats


def _configs(table: Any, first: Any) -> list[dict[str, Any]]:
    """The configurations, as the trials' first rows have them."""
    names = [name for name in table.column_names if name.startswith(_CONFIG)]
    columns = [table[name].take(first).to_pylist() for name in names]
    keys = [name.removeprefix(_CONFIG) for name in names]
    if not columns:
        return [{} for _ in first]
    return [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)]


def _words(table: Any, name: str, rows: Any) -> list[str]:
    """A column of words at some rows: Status.Completed, Completed and COMPLETED are one."""
    if name not in table.column_names:
        return [""] * len(rows)
    found = table[name].take(rows).to_pylist()
    return [str(word).rpartition(".")[2].lower() if word is not None else "" for word in found]
