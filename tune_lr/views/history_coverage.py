"""What the trials of a task cover of each knob, as plain numbers for whoever shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.matching import CONFIG, knob_columns, unmatched_keys
from tune_lr.space import Knob, SearchSpace
from tune_lr.space.ranges import IntKnob, RangeKnob
from tune_lr.views.canvas import FURTHEST
from tune_lr.views.words import brief

if TYPE_CHECKING:
    import pandas as pd

    from tune_lr.history.entry import TaskInfo

#: A range is looked at in so many parts; of choices so many are shown, the most frequent first.
BINS, CHOICES = 12, 12
#: Numbers of so few values, of which no space says how far they may go, are choices.
FEW = 5
#: The part of the trials that counts as good.
GOOD = 0.1
OTHERS = "others"


@dataclass(frozen=True)
class Covered:
    """How the trials of a task spread over one knob.

    Args:
        name: of the knob, or of the key of the configuration that is no knob of the space.
        kind: as a knob has it; ``number`` or ``choice`` where no space says.
        known: whether it is a knob of the task's space.
        log: whether the parts are even in the logarithm.
        edges: of the parts, one more than there are parts; empty for choices.
        labels: of the choices; empty for numbers.
        counts: trials in each part.
        good: those of them that are among the best tenth of the task.
        trials: how many have a value.
        outside: how many of the values lie outside of the knob's range.
        smallest: of the numbers tried; None for choices.
        largest: of the numbers tried; None for choices.
    """

    name: str
    kind: str
    known: bool
    log: bool
    edges: tuple[float, ...]
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    good: tuple[int, ...]
    trials: int
    outside: int
    smallest: float | None = None
    largest: float | None = None

    @property
    def varies(self) -> bool:
        """Whether the trials differ in it."""
        return sum(count > 0 for count in self.counts) + (self.outside > 0) > 1 or (
            self.smallest is not None and self.smallest != self.largest
        )


def space_of(info: TaskInfo) -> SearchSpace | None:
    """The space that a task's knobs belong to; None where none is known, or it cannot be read."""
    try:
        return SearchSpace.from_dict(info.space_dict) if info.space_dict else None
    except BadInput:
        return None


def coverage(info: TaskInfo, trials: pd.DataFrame) -> list[Covered]:
    """Every key of the configurations, the knobs of the space first and in its order."""
    space = space_of(info)
    known = knob_columns(trials, space) if space else {}
    good = _good(info, trials)
    found = [covered(name, space.knobs[name], known[name], good) for name in known] if space else []
    found += [covered(name, None, trials[CONFIG + name], good) for name in unmatched_keys(trials, space)]
    return found


def _good(info: TaskInfo, trials: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which trials are among the best tenth, as a mask."""
    found = np.zeros(len(trials), dtype=bool)
    if "best" not in trials or info.mode is None:
        return found
    values = trials["best"].to_numpy(dtype="float64", na_value=np.nan)
    losses = values if info.mode == "min" else -values
    usable = np.flatnonzero(np.isfinite(losses))
    order = usable[np.argsort(losses[usable], kind="stable")]
    found[order[: math.ceil(GOOD * len(order))]] = True
    return found


def covered(name: str, knob: Knob | None, column: pd.Series[Any], good: Any) -> Covered:
    """How the values of a column spread over a knob; ``good`` is a mask of the best of them."""
    there = column.notna().to_numpy()
    column, good = column[there], good[there]
    if isinstance(knob, RangeKnob):
        numbers = _numbers(column)
        if numbers is not None:
            return _in_range(name, knob, numbers, good)
    if knob is None:
        numbers = _numbers(column)
        if numbers is not None and len(np.unique(numbers[np.abs(numbers) <= FURTHEST])) > FEW:
            return _of_numbers(name, numbers, good)
        if numbers is not None:
            order = np.argsort(numbers, kind="stable")
            column, good = column.iloc[order], good[order]
    return _of_choices(name, knob, column, good)


def _numbers(column: pd.Series[Any]) -> Any:
    """The values as floats; None where they are anything else."""
    import pandas as pd
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_bool_dtype(column.dtype) or not (is_numeric_dtype(column.dtype) or column.dtype == object):
        return None
    if column.dtype == object and any(isinstance(value, (str, bool)) for value in column):
        return None
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    return numbers if np.isfinite(numbers).all() else None


def _in_range(name: str, knob: RangeKnob, numbers: Any, good: Any) -> Covered:
    """Numbers, seen in the range that the space gives their knob."""
    low, high = float(knob.low), float(knob.high)
    slack = 1e-9 * max(abs(low), abs(high))
    inside = (numbers >= low - slack) & (numbers <= high + slack)
    whole = isinstance(knob, IntKnob)
    edges = _whole_edges(low, high, knob.log) if whole else _edges(low, high, knob.log)
    kept = np.clip(numbers[inside], low, high)
    return _binned(name, knob.kind, True, knob.log, edges, kept, good[inside], numbers)


def _of_numbers(name: str, numbers: Any, good: Any) -> Covered:
    """Numbers of which no space says how far they may go: seen from the least to the greatest.

    Those that are too far out for a picture are outside.
    """
    inside = np.abs(numbers) <= FURTHEST
    kept = numbers[inside]
    low, high = float(kept.min()), float(kept.max())
    log = low > 0 and high / low >= 100
    return _binned(name, "number", False, log, _edges(low, high, log), kept, good[inside], numbers)


def _edges(low: float, high: float, log: bool) -> Any:
    """The edges of even parts; of one part where the range is too wide for a float."""
    with np.errstate(all="ignore"):
        edges = np.geomspace(low, high, BINS + 1) if log else np.linspace(low, high, BINS + 1)
    if not np.isfinite(edges).all() or not (np.diff(edges) > 0).all():
        return np.array([low, high])
    return edges


def _whole_edges(low: float, high: float, log: bool) -> Any:
    """The edges of parts with a whole number in each, as many in one as in another unless ``log``."""
    if log:
        return np.unique(np.floor(np.geomspace(low, high + 1, BINS + 1) + 1e-9)) - 0.5
    each = math.ceil((high - low + 1) / BINS)
    return np.arange(low, high + each + 1, each)[: math.ceil((high - low + 1) / each) + 1] - 0.5


def _binned(
    name: str, kind: str, known: bool, log: bool, edges: Any, kept: Any, good: Any, numbers: Any
) -> Covered:
    # The rounding of the outermost edges must lose no value that lies on them.
    at = np.clip(np.searchsorted(edges, kept, side="right") - 1, 0, len(edges) - 2)
    counts, goods = (np.bincount(part, minlength=len(edges) - 1) for part in (at, at[good]))
    return Covered(
        name, kind, known, log, tuple(edges.tolist()), (), tuple(counts.tolist()), tuple(goods.tolist()),
        len(numbers), len(numbers) - len(kept),
        float(numbers.min()) if len(numbers) else None, float(numbers.max()) if len(numbers) else None,
    )  # fmt: skip


def _of_choices(name: str, knob: Knob | None, column: pd.Series[Any], good: Any) -> Covered:
    """Values one by one; where a space lists them, its own in its order."""
    every = knob.every() if knob is not None and not isinstance(knob, RangeKnob) else None
    counts: dict[str, list[int]] = {brief(value): [0, 0] for value in every or ()}
    outside = 0
    for value, (number, of_good) in _tallied(column, good).items():
        label = _label(knob, value)
        if label is None:
            outside += number
            continue
        pair = counts.setdefault(label, [0, 0])
        pair[0] += number
        pair[1] += of_good
    shown = _fewer(counts)
    kind = knob.kind if knob is not None else "choice"
    return Covered(
        name, kind, knob is not None, False, (), tuple(shown), tuple(pair[0] for pair in shown.values()),
        tuple(pair[1] for pair in shown.values()), len(column), outside,
    )  # fmt: skip


def _tallied(column: pd.Series[Any], good: Any) -> dict[Any, tuple[int, int]]:
    """Value -> trials that have it, and good ones among them.

    As they come, or the most frequent first where there are too many to show.
    """
    import pandas as pd

    codes, values = pd.factorize(column.to_numpy(dtype=object))
    numbers = np.bincount(codes, minlength=len(values))
    of_good = np.bincount(codes[good], minlength=len(values))
    order: Sequence[int] = (
        np.argsort(-numbers, kind="stable").tolist() if len(values) > CHOICES else range(len(values))
    )
    return {values[i]: (int(numbers[i]), int(of_good[i])) for i in order}


def _label(knob: Knob | None, value: Any) -> str | None:
    """How a choice is shown; None for one that the knob does not have."""
    if knob is None:
        return brief(value)
    try:
        return brief(knob.check(knob.read(value)))
    except BadInput:
        return None


def _fewer(counts: dict[str, list[int]]) -> dict[str, list[int]]:
    """At most ``CHOICES`` of the choices; the last of them stands for the rest."""
    if len(counts) <= CHOICES:
        return counts
    names = list(counts)
    rest = [counts[name] for name in names[CHOICES - 1 :]]
    shown = {name: counts[name] for name in names[: CHOICES - 1]}
    shown[OTHERS] = [sum(pair[0] for pair in rest), sum(pair[1] for pair in rest)]
    return shown
