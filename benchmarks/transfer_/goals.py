"""The goals: of which row, what, at least how much; and what was reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from transfer_.figures import QUANTILES
from transfer_.histories import NONE
from transfer_.methods import MODELS, OURS, OURS_BY_FOUR, PORTFOLIO
from transfer_.rows import Name, Row, ratio_of

#: Seconds a suggestion, at most.
SLOWEST = 0.020
Rows = Mapping[Name, Row]
#: The value, and what stands beside it; None where a row is missing.
Found = tuple[float, str] | None


@dataclass(frozen=True)
class Goal:
    """One goal: ``value`` should be at least ``least``; where at most is meant, both are negated.

    Args:
        row: whose goal it is.
        what: in words.
        value: what was measured; None: not yet.
        least: what is asked for.
        beside: more about the value, as its interval.
    """

    row: Name
    what: str
    value: float | None
    least: float
    beside: str = ""

    @property
    def reached(self) -> bool | None:
        return None if self.value is None else self.value >= self.least


def goals_of(rows: Rows) -> list[Goal]:
    """Every goal, with what was measured where it was."""
    found = []
    for row, what, measure, least in _asked():
        value, beside = measure(rows) or (None, "")
        found.append(Goal(row, what, value, least, beside))
    return found + [_quick(name, row) for name, row in rows.items() if name[0] == OURS]


def _quick(name: Name, row: Row) -> Goal:
    what = "milliseconds a suggestion, at most"
    return Goal(name, what, -1000 * row.ask, -1000 * SLOWEST)


_Asked = tuple[Name, str, Callable[[Rows], Found], float]


def _asked() -> Iterator[_Asked]:
    ours = (OURS, "all")
    for quantile in ("median", "lower quartile"):
        measure = _ratio(ours, (PORTFOLIO, "all"), "speed", quantile)
        yield ours, f"speed, {quantile}, by the portfolio's", measure, 1.0
    yield ours, "safe, 10th percentile", _figure(ours, "safe", "10th percentile"), 4.0
    yield ours, "safe, worst", _figure(ours, "safe", "worst"), 0.75
    for kind in ("flipped", "shuffled", "unrelated"):
        row = (OURS, kind)
        measure = _ratio(row, (OURS, NONE), "safe", "median")
        yield row, "safe, median, by that without history", measure, 0.95
        yield row, "safe, 10th percentile", _figure(row, "safe", "10th percentile"), 1.3
    for kind, least in (("three", 12.0), ("twenty", 8.0), ("asha", 8.0)):
        row = (OURS, kind)
        yield row, "speed, median", _figure(row, "speed", "median"), least
        yield row, "safe, 10th percentile", _figure(row, "safe", "10th percentile"), 2.3
    none = (OURS, NONE)
    yield none, "safe, median", _figure(none, "safe", "median"), 2.0
    yield none, "safe, 10th percentile", _figure(none, "safe", "10th percentile"), 1.3
    yield none, "safe, median, by the best model's: end of the interval", _by_best_model, 1.0
    four = (OURS_BY_FOUR, "all")
    yield four, "speed, median, by that of one worker", _ratio(four, ours, "speed", "median"), 2 / 3


def _figure(row: Name, figure: str, quantile: str) -> Callable[[Rows], Found]:
    def measure(rows: Rows) -> Found:
        if row not in rows:
            return None
        return float(np.quantile(getattr(rows[row], figure), QUANTILES[quantile])), ""

    return measure


def _ratio(ours: Name, theirs: Name, figure: str, quantile: str) -> Callable[[Rows], Found]:
    def measure(rows: Rows) -> Found:
        found = ratio_of(rows, ours, theirs, figure, QUANTILES[quantile])
        return None if found is None else (found[0], f"{found[1]:.2f} to {found[2]:.2f}")

    return measure


def best_model(rows: Rows) -> Name | None:
    """Of the models that learn from the running task alone, the one that is safest in the median."""
    there = [(name, NONE) for name in MODELS if (name, NONE) in rows]
    return max(there, key=lambda name: float(np.median(rows[name].safe)), default=None)


def _by_best_model(rows: Rows) -> Found:
    best = best_model(rows)
    found = best and ratio_of(rows, (OURS, NONE), best, "safe", 0.5)
    return (found[2], f"by {best[0]}: {found[0]:.2f}, from {found[1]:.2f}") if best and found else None
