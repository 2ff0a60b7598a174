"""TensorBoard's event files: what one run's files say.

TensorBoard's own definitions parse the events. The frames around them are taken apart here: its own reader
sums up every byte in Python, which takes most of the time, and asks for as many bytes as a damaged file says.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tune_lr.errors import MissingExtra
from tune_lr.history import files
from tune_lr.history.importers.tensorboard_run import Run, ended, joined
from tune_lr.history.log import Skipped
from tune_lr.registry import EXTRAS

_BLOCK = 16 * 1024**2
#: Pictures and graphs are large; a record far beyond is a damaged length.
_LARGEST_RECORD = 256 * 1024**2
#: Of what is longer (no scalar is) the sum is not taken.
_LONGEST_SUMMED = 1024
_HEADER, _FOOTER = 12, 4
_HPARAMS = "hparams"
_SCALARS = "scalars"
#: Types of tensors that hold numbers, as TensorFlow numbers them.
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}


def read_run(paths: list[Path], root: Path, skipped: Skipped) -> Run:
    """What the event files of one run say, in the order of their names, which begin with a time.

    Raises:
        MissingExtra: TensorBoard is not installed.
    """
    try:
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from tensorboard.compat.proto import event_pb2
    except ImportError as error:
        raise MissingExtra("importer 'tensorboard'", EXTRAS["tensorboard"]) from error

    run, plugins = Run(), dict[str, str]()
    stretches: list[tuple[Run, float]] = []
    parse, start = event_pb2.Event.FromString, event_pb2.SessionLog.START
    for path in paths:
        where = path.relative_to(root) if path != root else path.name
        for records in _records(path, skipped, where):
            for record in records:
                try:
                    event = parse(record)
                    what = event.WhichOneof("what")
                    if what == "summary":
                        for value in event.summary.value:
                            _take(run, value, event, plugins)
                    elif what == "session_log" and event.session_log.status == start:
                        run = ended(run, event.step, stretches)
                except (DecodeError, ValueError, UnicodeError):
                    skipped.add(where, "an event that cannot be parsed")
        run = ended(run, math.inf, stretches)
    return joined(stretches)


def _take(run: Run, value: Any, event: Any, plugins: dict[str, str]) -> None:
    tag, kind = value.tag, value.WhichOneof("value")
    if kind == "simple_value":
        number = value.simple_value
    else:
        if value.metadata.plugin_data.plugin_name:  # only the first value of a tag says what it is
            plugins[tag] = value.metadata.plugin_data.plugin_name
        plugin = plugins.get(tag)
        if plugin == _HPARAMS:
            _take_hparams(run, value.metadata.plugin_data.content)
        if plugin != _SCALARS or kind != "tensor":
            return
        found = _scalar(value.tensor)
        if found is None:
            return
        number = found
    run.steps[tag].append(event.step)
    run.values[tag].append(number)
    run.times[tag].append(event.wall_time)


def _scalar(tensor: Any) -> float | None:
    kind = _DTYPES.get(tensor.dtype)
    if kind is None:
        return None
    if tensor.tensor_content:
        width = np.dtype(kind).itemsize
        return float(np.frombuffer(tensor.tensor_content[:width].ljust(width, b"\0"), kind)[0])
    for held in (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val):
        if held:
            return float(held[0])
    if tensor.half_val:
        return float(np.array([tensor.half_val[0] & 0xFFFF], "<u2").view("<f2")[0])
    return None


def _take_hparams(run: Run, content: bytes) -> None:
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

    data = plugin_data_pb2.HParamsPluginData.FromString(content)
    for name, value in data.session_start_info.hparams.items():
        kind = value.WhichOneof("kind")
        run.knobs[name] = (
            getattr(value, kind) if kind in ("number_value", "string_value", "bool_value") else None
        )
    run.named |= {info.name.tag for info in data.experiment.metric_infos if info.name.group in ("", ".")}
    # That a session succeeded is written by PyTorch and Lightning before it begins.
    if (
        data.WhichOneof("data") == "session_end_info"
        and data.session_end_info.status == api_pb2.STATUS_FAILURE
    ):
        run.status = "failed"


def _records(path: Path, skipped: Skipped, where: object) -> Iterator[list[bytes]]:
    """The records of an event file, some at a time, up to where it is torn or damaged."""
    rest = b""
    with files.open_plain(path) as file:
        while True:
            block = file.read(_BLOCK)
            data = rest + block
            spans, used, damaged = _frames(data)
            good = _unharmed(data, spans)
            if good:
                yield [data[start:end] for start, end in spans[:good]]
            if damaged or good < len(spans):
                skipped.add(where, "what stands after a damaged record")
                return
            rest = data[used:]
            if not block:
                skipped.add(where, "a torn record at the end", bool(rest))
                return


def _frames(data: bytes) -> tuple[list[tuple[int, int]], int, bool]:
    """Where whole records stand, how much they fill, and whether the next one cannot be right."""
    spans: list[tuple[int, int]] = []
    at, end = 0, len(data)
    length_of = struct.Struct("<Q").unpack_from
    while at + _HEADER <= end:
        length = length_of(data, at)[0]
        if length > _LARGEST_RECORD:
            return spans, at, True
        start, stop = at + _HEADER, at + _HEADER + length
        if stop + _FOOTER > end:
            break
        spans.append((start, stop))
        at = stop + _FOOTER
    return spans, at, False


def _unharmed(data: bytes, spans: list[tuple[int, int]]) -> int:
    """How many records, from the first, have the sums that are written beside them."""
    if not spans:
        return 0
    content = np.frombuffer(data, "u1")
    starts, ends = np.array(spans).T
    wrong = _sums(content, starts - _HEADER, 8) != _written(content, starts - 4)
    lengths = ends - starts
    for length in np.unique(lengths[lengths <= _LONGEST_SUMMED]):
        rows = np.flatnonzero(lengths == length)
        sums = _sums(content, starts[rows], int(length))
        wrong[rows] |= sums != _written(content, ends[rows])
    return int(np.argmax(wrong)) if wrong.any() else len(spans)


def _written(content: np.ndarray[Any, Any], at: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = np.zeros(len(at), "u4")
    for byte in range(4):
        found |= content[at + byte].astype("u4") << np.uint32(8 * byte)
    return found


def _table() -> np.ndarray[Any, Any]:
    """CRC-32C of every byte."""
    table: np.ndarray[Any, Any] = np.arange(256, dtype="u4")
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1).astype("u4")
    return table


_CRC = _table()


def _sums(content: np.ndarray[Any, Any], at: np.ndarray[Any, Any], length: int) -> np.ndarray[Any, Any]:
    """The masked sums of as many stretches of one length, taken side by side."""
    sums: np.ndarray[Any, Any] = np.full(len(at), 0xFFFFFFFF, "u4")
    for byte in range(length):
        sums = _CRC[(sums ^ content[at + byte]) & 0xFF] ^ (sums >> 8)
    sums ^= np.uint32(0xFFFFFFFF)
    turned: np.ndarray[Any, Any] = (sums >> np.uint32(15)) | (sums << np.uint32(17))
    turned += np.uint32(0xA282EAD8)
    return turned
