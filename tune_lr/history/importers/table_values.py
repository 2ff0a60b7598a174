"""Values of a table's columns as the columns of a log."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tune_lr.history.columns import LARGEST_WHOLE
from tune_lr.history.importers.table_files import Kind
from tune_lr.history.log import Skipped
from tune_lr.journal import Status

if TYPE_CHECKING:
    import pandas as pd

#: What other tools call the same.
_SYNONYMS: dict[Status, str] = {
    "completed": "complete done success successful succeeded finished terminated",
    "failed": "fail failure error errored crashed crash",
    "stopped": "pruned killed early_stopped preempted preempting",
    "running": "in_progress inprogress",
}
_WORDS: dict[str, Status] = {word: word for word in get_args(Status)}
_WORDS |= {word: ours for ours, words in _SYNONYMS.items() for word in words.split()}


def numbers(column: pa.Array, name: str, where: str, skipped: Skipped) -> np.ndarray[Any, Any]:
    """A column as floats: empty cells, and what is no number (counted), are NaN."""
    import pandas as pd

    if pa.types.is_string(column.type):
        texts = column.to_pandas()
        found: np.ndarray[Any, Any] = pd.to_numeric(texts, errors="coerce").to_numpy("float64")
        named_nan = texts.str.strip().str.lower().isin(["nan", "+nan", "-nan"]).to_numpy()
        lost = np.isnan(found) & texts.notna().to_numpy() & ~named_nan
        skipped.add(where, f"a value of {name[:100]!r} that is no number", int(lost.sum()))
        return found
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype="float64")


def whole(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Where floats are whole numbers that a float holds exactly."""
    found: np.ndarray[Any, Any] = np.isfinite(values) & (np.abs(values) < LARGEST_WHOLE)
    found &= np.floor(values) == values
    return found


def first_values(
    told: np.ndarray[Any, Any], place: np.ndarray[Any, Any], values: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Every trial's number: what is told of it, or else the first in its rows (``place``)."""
    rows = np.flatnonzero(~np.isnan(values))[::-1]
    first = np.full(len(told), np.nan)
    first[place[rows]] = values[rows]  # of several the last that is written stays
    return np.where(np.isnan(told), first, told)


def whole_column(chunks: list[pa.Array], name: str, where: str, skipped: Skipped) -> pd.Series[Any]:
    """Whole numbers that may be missing."""
    found = np.concatenate([numbers(chunk, name, where, skipped) for chunk in chunks])
    good = whole(found)
    odd = int((~good & ~np.isnan(found)).sum())
    skipped.add(where, f"a value of {name[:100]!r} that is no whole number", odd)
    return _whole_series(found, ~good)


def _whole_series(found: np.ndarray[Any, Any], missing: np.ndarray[Any, Any]) -> pd.Series[Any]:
    import pandas as pd

    values = np.where(missing, 0, found).astype("int64")
    series: pd.Series[Any] = pd.Series(pd.arrays.IntegerArray(values, missing) if missing.any() else values)
    return series


def knob_column(
    chunks: list[pa.Array], kind: Kind, mixed: bool, knob: str, where: str, skipped: Skipped
) -> pd.Series[Any]:
    """A knob's values, of every trial: whole numbers, numbers, truth or text; missing where there is none."""
    import pandas as pd

    series: pd.Series[Any]
    if kind in ("whole", "number"):
        found = np.concatenate([numbers(chunk, knob, where, skipped) for chunk in chunks])
        endless = np.isinf(found)
        skipped.add(where, f"a value of knob {knob[:100]!r} that is not finite", int(endless.sum()))
        found = np.where(endless, np.nan, found)
        if kind == "whole" and (whole(found) | np.isnan(found)).all():
            return _whole_series(found, np.isnan(found))
        series = pd.Series(found)
        return series
    column = pa.chunked_array(chunks)
    if kind == "bool":
        series = column.to_pandas()
        return series.astype("boolean") if column.null_count else series.astype("bool")
    if mixed:
        series = pd.Series([_value(text) for text in column.to_pylist()], dtype=object)
    else:
        series = column.to_pandas().astype("string")
    return series


def _value(text: str | None) -> object:
    """What a text is that stands among numbers."""
    if text is None:
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    if not np.isfinite(number):
        return None
    return int(number) if number.is_integer() and text.lstrip("+-").isdigit() else number


def statuses(
    texts: list[str | None], words: Mapping[str, Status], where: str, skipped: Skipped
) -> list[Status | None]:
    """Their words as ours, those of other tools too; ``words`` go before.

    A word that nobody explained is counted and says nothing.
    """
    explained = {_bare(word): status for word, status in words.items()}
    found: dict[str | None, Status | None] = {None: None}
    for text, times in Counter(texts).items():
        if text is None:
            continue
        bare = _bare(text)
        found[text] = words.get(text) or explained.get(bare) or _WORDS.get(bare)
        if found[text] is None:
            skipped.add(
                where, f"status {text[:100]!r}, which is none of {', '.join(get_args(Status))}", times
            )
    return [found[text] for text in texts]


def _bare(word: str) -> str:
    """A word without what people write differently: ``Early-Stopped`` and ``early_stopped`` are one."""
    return re.sub(r"[\s_-]+", "_", word.strip().lower())


def joined(columns: list[pa.Array]) -> pa.Array:
    """Columns as one of text, a row's values beside one another; None where the last is empty.

    Before each but the last stands how long it is, so that no two rows of other values are the same.
    """
    texts = [column.cast(pa.string()) for column in columns]
    if len(texts) == 1:
        return texts[0]
    filled = [pc.fill_null(text, "") for text in texts[:-1]]
    sized = [part for text in filled for part in (pc.utf8_length(text).cast(pa.string()), text)]
    return pc.binary_join_element_wise(*sized, texts[-1], ":")


def first_of(text: str) -> tuple[str, str]:
    """The first of values that were ``joined``, and the rest."""
    size, _, rest = text.partition(":")
    return rest[: int(size)], rest[int(size) + 1 :]


def constant(count: int) -> pa.Array:
    """So many empty texts."""
    return pa.array([""]).take(pa.array(np.zeros(count, dtype="int64")))


def numbered(first: int, count: int) -> pa.Array:
    """So many numbers in a row, as texts."""
    return pa.array(np.arange(first, first + count)).cast(pa.string())
