"""How views write numbers, times and counts."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tune_lr.journal import Status

#: The order in which people want to hear of them.
STATUSES: tuple[Status, ...] = ("running", "completed", "stopped", "paused", "failed", "diverged")


def short(value: object) -> str:
    """A value in few characters: four digits of a float, text as it is unless it could upset a terminal."""
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return value if value.isprintable() and value.strip() == value and value else repr(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def brief(value: object, most: int = 40) -> str:
    """:func:`short`, cut to so many characters: what a stranger's log calls something may be a novel."""
    # Cut first, since the text may be megabytes; quoted once more where the cut leaves a space at the end.
    text = short(value[: most + 1] if isinstance(value, str) else value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def duration(seconds: float) -> str:
    """``8 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def about(seconds: float) -> str:
    """An estimated time, no more exact than it deserves."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 55:
        return f"about {round(seconds, -1):.0f} s"
    if seconds < 3600:
        return f"about {math.ceil(seconds / 60 - 0.25):.0f} min"
    return f"about {seconds / 3600:.1f} h"


def counted(number: int, noun: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def tally(counts: Mapping[Status, int]) -> str:
    """``2 running, 9 stopped``: how many trials have which status, without the statuses that none has."""
    found = [f"{counts[status]} {status}" for status in STATUSES if counts.get(status)]
    return ", ".join(found) or "none yet"
