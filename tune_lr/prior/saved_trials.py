"""The trials of past tasks as one Parquet file, and back with every number checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_lr.errors import BadInput
from tune_lr.objective import WORST_LOSS
from tune_lr.prior.tasks import PastTask
from tune_lr.space import SearchSpace

Array = NDArray[np.float64]

_FILE = "trials.parquet"
_KNOB = "unit/"
_NUMBERS = ("score", "noise", "lacking", "repeats")
#: What a file may claim to unpack to: Parquet of a few bytes can claim anything.
_LARGEST, _MOST_ROWS = 2 * 1024**3, 50_000_000
#: What is far beyond any normal score or variance.
_LARGEST_NUMBER = 1e6


def packed(space: SearchSpace, tasks: Sequence[PastTask]) -> bytes:
    """One row a configuration: ``task`` (its place), ``unit/<knob>``, ``score``, ``noise``, ``curve`` ..."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    counts = [len(task.scores) for task in tasks]
    cube = np.concatenate([task.cube for task in tasks])
    lengths = np.repeat([task.curves.shape[1] for task in tasks], counts)
    flat = np.concatenate([task.curves.astype(np.float32).ravel() for task in tasks])
    columns: dict[str, Any] = {"task": np.repeat(np.arange(len(tasks), dtype=np.int32), counts)}
    columns |= {_KNOB + name: cube[:, i] for i, name in enumerate(space.names)}
    for name in _NUMBERS:
        columns[name] = np.concatenate(
            [getattr(task, "scores" if name == "score" else name) for task in tasks]
        )
    columns["last"] = np.concatenate([task.last for task in tasks]).astype(np.int64)
    offsets = np.append(0, np.cumsum(lengths)).astype(np.int64)
    columns["curve"] = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat))
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return bytes(buffer.getvalue())


def unpacked(content: bytes, space: SearchSpace, shapes: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """The arrays of each task, by the names that ``PastTask`` has for them.

    Args:
        content: of the file.
        space: whose coordinates they are.
        shapes: of each task, how many configurations and how many columns of curves it has.

    Raises:
        BadInput: the file is no Parquet, has other columns or types, or a number that cannot be.
    """
    columns, curves = _columns(content, space, sum(rows for rows, _ in shapes))
    places = np.repeat(np.arange(len(shapes)), [rows for rows, _ in shapes])
    _demand(
        np.array_equal(columns["task"], places), "task", "the tasks in order, as many rows each as they say"
    )
    values, offsets = curves
    lengths = np.repeat([length for _, length in shapes], [rows for rows, _ in shapes])
    _demand(np.array_equal(np.diff(offsets), lengths), "curve", "curves as long as their task's")
    _demand(bool(np.isfinite(values).all()), "curve", "finite numbers")
    _demand(
        bool(((columns["last"] >= 1) & (columns["last"] <= lengths)).all()), "last", "columns of the curve"
    )
    for name in _NUMBERS:
        column = columns[name]
        _demand(bool((np.abs(column) <= _LARGEST_NUMBER).all()), name, "finite numbers of a usual size")
    _demand(bool((columns["noise"] > 0).all() and (columns["repeats"] > 0).all()), "noise", "more than 0")
    _demand(bool(((columns["lacking"] >= 0) & (columns["lacking"] <= 1)).all()), "lacking", "0 to 1")
    cube = np.stack([columns[_KNOB + name] for name in space.names], axis=1)
    _check_points(cube, space)
    worst = float(np.float32(WORST_LOSS))
    values = np.clip(values, -worst, worst)
    found, start, at = [], 0, 0
    for rows, length in shapes:
        part = slice(start, start + rows)
        made = {name: columns[name][part] for name in (*_NUMBERS, "last")}
        made["scores"] = made.pop("score")
        made["cube"] = cube[part]
        made["curves"] = values[at : at + rows * length].reshape(rows, length)
        found.append(made)
        start, at = start + rows, at + rows * length
    return found


def _columns(
    content: bytes, space: SearchSpace, rows: int
) -> tuple[dict[str, NDArray[Any]], tuple[Array, NDArray[np.int64]]]:
    """Every column as an array, and the curves as values and offsets (BadInput)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"task": pa.int32(), **{_KNOB + name: pa.float64() for name in space.names}}
    kinds |= {**{name: pa.float64() for name in _NUMBERS}, "last": pa.int64()}
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        groups = [file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)]
        _demand(sum(groups) <= _LARGEST, "file", f"one that unpacks to at most {_LARGEST} bytes")
        _demand(file.metadata.num_rows == rows <= _MOST_ROWS, "rows", f"{rows} of them, as prior.json says")
        schema = file.schema_arrow
        for name, kind in kinds.items():
            known = name in schema.names and schema.field(name).type == kind
            _demand(known, name, f"a column of type {kind}")
        listed = "curve" in schema.names and schema.field("curve").type in _lists_of_floats()
        _demand(listed, "curve", "a column of lists of float")
        table = file.read()
        for name in (*kinds, "curve"):
            _demand(table.column(name).null_count == 0, name, "a value in every row")
        found = {name: table.column(name).to_numpy().astype(kinds[name].to_pandas_dtype()) for name in kinds}
        lists = table.column("curve").combine_chunks()
        lists.validate(full=True)
        _demand(lists.flatten().null_count == 0, "curve", "a number at every place")
        values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
        offsets = lists.offsets.to_numpy().astype(np.int64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(_FILE, "a file", f"Parquet as `Prior.save` writes it ({error})") from error
    return found, (values, offsets - offsets[0])


def _lists_of_floats() -> list[Any]:
    import pyarrow as pa

    inside = [pa.field(name, pa.float32()) for name in ("item", "element")]
    return [kind(one) for kind in (pa.list_, pa.large_list) for one in inside]


def _check_points(cube: Array, space: SearchSpace) -> None:
    """Refuse coordinates that are no points of the space (BadInput)."""
    missing = np.isnan(cube)
    _demand(bool(((cube >= 0) & (cube <= 1) | missing).all()), "coordinates", "numbers from 0 to 1")
    always = np.array([not space.knobs[name].when for name in space.names], dtype=bool)
    _demand(not missing[:, always].any(), "coordinates", "a number for every knob that always takes part")
    for row in np.unique(cube[missing.any(axis=1)], axis=0):
        space.decode(row)


def _demand(met: bool, what: str, expected: str) -> None:
    if not met:
        raise BadInput(f"{_FILE}, {what}", "the file", expected)
