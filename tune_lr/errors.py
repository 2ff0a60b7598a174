"""The one family of errors: every message names the field, the value, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

#: Of names that are told in a message.
_LONGEST_NAME, _MOST_NAMES = 100, 100


class TuneLRError(Exception):
    """Base of every error that tune-lr raises on purpose.

    ``exit_code`` is what the command line exits with: 1 for a job that failed, 2 for bad use.
    """

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args, self.__dict__)


class BadInput(TuneLRError, ValueError):
    """Something a person wrote cannot be used.

    Args:
        field: what was being read, as the person knows it (``--trials``, ``knob 'lr' in x.yaml``).
        value: what stood there.
        expected: what would be right, as the rest of the sentence.
    """

    exit_code = 2

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field, self.value, self.expected = field, value, expected
        super().__init__(f"{field}: {shorten(value)} is not usable; expected {expected}")


class Missing(BadInput):
    """Something that is needed was not given."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(field, None, expected)
        self.args = (f"{field}: not given; expected {expected}",)


class UnknownName(BadInput):
    """A name that no registry or folder knows; the message lists near matches and all names."""

    def __init__(self, field: str, value: str, known: Iterable[str]) -> None:
        names = sorted(known)
        # Comparing costs the square of the length, and names come from strangers' logs too.
        short = [name for name in names if len(name) <= _LONGEST_NAME][:_MOST_NAMES]
        near = difflib.get_close_matches(str(value)[:_LONGEST_NAME], short, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        told = ", ".join(name[:_LONGEST_NAME] for name in names[:_MOST_NAMES]) or "(none)"
        told += f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        super().__init__(field, value, f"one of: {told}")
        self.args = (f"{field}: unknown name {shorten(value)}; {hint}known: {told}",)


class MissingExtra(TuneLRError, ImportError):
    """An optional part was asked for whose library is not installed."""

    exit_code = 2

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs an extra that is not installed: pip install 'tune-lr[{extra}]'")


class JobFailed(TuneLRError):
    """The job ran but could not do what it was asked (every trial failed, a worker would not start).

    Args:
        message: the reason, in a line.
        detail: all that is known of it, as a trial's traceback.
    """

    def __init__(self, message: str, detail: str | None = None) -> None:
        self.detail = detail
        super().__init__(message)


class StorageFull(TuneLRError):
    """A trial could not write its report or checkpoint for want of space: no fault of its own."""


def _revive(kind: type[TuneLRError], args: tuple[Any, ...], attributes: dict[str, Any]) -> TuneLRError:
    """An error that comes from another process, its message as it was written there."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


def shorten(value: object, limit: int = 200) -> str:
    """``repr`` of a value, cut to ``limit`` characters, so that hostile input cannot flood a terminal."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
