"""Numbers as spreadsheets spell them: with a decimal comma, or as a percentage."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tune_lr.history.importers.table_files import is_number

_LOOKED_AT = 1000
_END = r"(?:[eE][+-]?[0-9]+)?"
_COMMA = rf"^\s*([+-]?[0-9]*),([0-9]+{_END}\s*%?)\s*$"
_POINT = rf"^\s*[+-]?[0-9]*\.[0-9]+{_END}\s*%?\s*$"
_PERCENT = rf"^\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+){_END})\s*%\s*$"
_NAN = r"(?i)^\s*[+-]?nan\s*$"


def decimal_commas(columns: list[pa.Array]) -> bool:
    """Whether more of the columns have decimal commas than decimal points, as far as they are looked at."""
    commas = points = 0
    for column in columns:
        if pa.types.is_floating(column.type):
            points += 1
        elif pa.types.is_string(column.type):
            texts = column[:_LOOKED_AT].drop_null()
            numbers = sum(map(is_number, texts.to_pylist()))
            found = _count(texts, _COMMA)
            commas += found > 0 and 2 * (found + numbers) > len(texts)
    return commas > points


def with_points(column: pa.Array) -> tuple[pa.Array, int]:
    """Text with decimal points for commas; and how many cells had a point already.

    Those are empty then: among commas 1.234 is most likely a thousand and more.
    """
    wrong = pc.fill_null(pc.match_substring_regex(column, _POINT), False)
    lost = pc.sum(wrong).as_py() or 0
    if lost:
        column = pc.if_else(wrong, pa.scalar(None, pa.string()), column)
    return pc.replace_substring_regex(column, _COMMA, r"\1.\2"), lost


def numbers_among(column: pa.Array) -> tuple[float, bool]:
    """Which part of a column of text, as far as it is looked at, is numbers; whether all are percentages."""
    texts = column[:_LOOKED_AT].cast(pa.string()).drop_null()
    if not len(texts):
        return 0.0, False
    percents = _count(texts, _PERCENT)
    if percents and percents + _count(texts, _NAN) == len(texts):
        return 1.0, True
    return sum(map(is_number, texts.to_pylist())) / len(texts), False


def without_percent(column: pa.Array) -> tuple[pa.Array, int]:
    """Percentages without their sign, so that 90.5% is 90.5; and how many cells had none.

    Those are empty then: whether 0.9 is meant as 90% cannot be told.
    """
    right = pc.or_(pc.match_substring_regex(column, _PERCENT), pc.match_substring_regex(column, _NAN))
    lost: Any = pc.sum(pc.invert(right)).as_py() or 0
    if lost:
        column = pc.if_else(right, column, pa.scalar(None, pa.string()))
    return pc.replace_substring_regex(column, _PERCENT, r"\1"), lost


def _count(texts: pa.Array, pattern: str) -> int:
    found: int = pc.sum(pc.match_substring_regex(texts, pattern)).as_py() or 0
    return found
