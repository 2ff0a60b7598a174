"""Plain values: what a knob can be set to, and how text and tables are read as such.

Values are plain ``float``, ``int``, ``bool`` and ``str``, and kinds are kept apart: 1, 1.0 and True are three
different values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from tune_lr.errors import BadInput

Value = bool | int | float | str

#: Whole numbers up to here survive the way through the unit cube exactly.
LARGEST_INT = 2**40
#: Whole numbers beyond this fit into no column of a table.
LARGEST_COLUMN = 2**63 - 1

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@contextmanager
def within(where: str) -> Iterator[None]:
    """Put ``where`` (a file, a space, a knob) in front of the message of every BadInput raised inside."""
    try:
        yield
    except BadInput as error:
        placed(error, where)
        raise


def placed(error: BadInput, where: str) -> BadInput:
    """The same error, its message beginning with ``where``."""
    error.field = f"{where}, {error.field}"
    error.args = (f"{where}, {error.args[0]}",)
    return error


def plain(value: object) -> object:
    """A NumPy scalar as its Python counterpart; anything else unchanged."""
    return value.item() if isinstance(value, np.generic) else value


def same(a: object, b: object) -> bool:
    """Equal and of one type, so that 1, 1.0 and True differ."""
    return type(a) is type(b) and a == b


def number(value: object, what: str) -> float:
    """A finite float from a number, or from text such as ``1e-4``, which YAML 1.1 takes for a string.

    Raises:
        BadInput: it is none; ``what`` names the field.
    """
    found = plain(value)
    if isinstance(found, str) and _NUMBER.fullmatch(found.strip()):
        found = float(found)
    if not isinstance(found, (int, float)) or isinstance(found, bool):
        raise BadInput(what, value, "a number")
    try:
        result = float(found)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise BadInput(what, value, "a finite number")
    return result


def whole(value: object, what: str, limit: int = LARGEST_INT) -> int:
    """An int from a whole number (``1000``, ``1e3``) up to ``limit``; raises BadInput for anything else."""
    found = plain(value)
    if isinstance(found, int) and not isinstance(found, bool):
        result = int(found)
    else:
        as_float = number(value, what)
        if as_float != int(as_float):
            raise BadInput(what, value, "a whole number")
        result = int(as_float)
    if abs(result) > limit:
        raise BadInput(what, value, f"a whole number between {-limit} and {limit}")
    return result


def scalar(value: object, what: str) -> Value:
    """A plain value of a category, a constant or a condition: text, a finite number, true or false."""
    found = plain(value)
    if isinstance(found, bool):
        return found
    if isinstance(found, int):
        return whole(found, what, LARGEST_COLUMN)
    if isinstance(found, float):
        return number(found, what)
    if not isinstance(found, str):
        raise BadInput(what, value, "text, a finite number, true or false")
    try:
        found.encode()
    except UnicodeEncodeError:
        raise BadInput(what, value, "text without lone surrogates") from None
    return str(found)


def listed(value: object, what: str) -> tuple[Value, ...]:
    """The plain values of a list that is not empty; raises BadInput."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence) or not value:
        raise BadInput(what, value, "a list with at least one value")
    return tuple(scalar(one, what) for one in value)


def nearest(values: Sequence[Value], found: object) -> object:
    """The value that is ``found`` up to rounding and to int or float; ``found`` itself if there is none."""
    for one in values:
        if same(one, found):
            return one
    if isinstance(found, float) or (type(found) is int and abs(found) <= LARGEST_INT):
        for one in values:
            if type(one) in (int, float) and math.isclose(float(one), found, rel_tol=1e-9):
                return one
    return found
