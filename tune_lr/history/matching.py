"""Which search space the knobs of a log belong to, and which of its trials lie outside of it.

All of it works on whole columns: a frame with one row a trial and ``config/<knob>`` columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tune_lr.space import CategoricalKnob, ConstantKnob, FloatKnob, IntKnob, SearchSpace
from tune_lr.space.bounds import RATIOS
from tune_lr.space.knobs import Knob

if TYPE_CHECKING:
    import pandas as pd

CONFIG = "config/"
#: How tables spell true and false, in small letters.
TRUTHS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
#: What other tools call what has a name here; taken only where the name here is free.
ALIASES = {
    "learning_rate": "lr",
    "initial_lr": "lr",
    "init_lr": "lr",
    "base_lr": "lr",
    "lr0": "lr",
    "lr_min": "min_lr",
    "eta_min": "min_lr",
    "lr_max": "max_lr",
    "lr_scheduler": "schedule",
    "smooth_window": "window_size",
}
#: A space of which a log has less than this part of the knobs that always take part is not its space.
_LEAST_PART = 0.5
#: A log most of whose changing keys are other things is not a space's, unless it has so many of its knobs.
_ENOUGH_KNOBS = 3


def named_as_here(trials: pd.DataFrame) -> pd.DataFrame:
    """Knobs under the names of the spaces, and bounds of the LR absolute, as in a trial's configuration.

    Ratios (``min_lr_ratio``) become absolute bounds where ``lr`` is known, and stay where it is not.
    """
    columns = set(trials.columns)
    renamed = {}
    for theirs, ours in ALIASES.items():
        old, new = CONFIG + theirs, CONFIG + ours
        if old in columns and new not in columns:
            columns.add(new)
            renamed[old] = new
    trials = trials.rename(columns=renamed)
    for ratio, bound in RATIOS.items():
        lr, ratios = _numbers(trials, "lr"), _numbers(trials, ratio)
        if lr is None or ratios is None:
            continue
        absolute = lr * ratios
        if (known := _numbers(trials, bound)) is not None:
            absolute = np.where(np.isnan(known), absolute, known)
        if np.isfinite(absolute).sum() >= np.isfinite(ratios).sum():
            trials = trials.drop(columns=CONFIG + ratio).assign(**{CONFIG + bound: absolute})
    return trials


def space_named_as_here(space: Mapping[str, Any], trials: pd.DataFrame) -> dict[str, Any]:
    """A source's space with its knobs called as :func:`named_as_here` called them in its trials."""
    knobs = space.get("knobs")
    if not isinstance(knobs, Mapping):
        return dict(space)
    names = {
        name: ours if (ours := ALIASES.get(name)) and ours not in knobs and CONFIG + ours in trials else name
        for name in knobs
    }

    def named(knob: Any) -> Any:
        when = knob.get("when") if isinstance(knob, Mapping) else None
        return (
            knob
            if not isinstance(when, Mapping)
            else {**knob, "when": {names.get(n, n): v for n, v in when.items()}}
        )

    return {**space, "knobs": {names[name]: named(knob) for name, knob in knobs.items()}}


def best_space(trials: pd.DataFrame, candidates: Iterable[SearchSpace]) -> SearchSpace | None:
    """The candidate that has most of the log's knobs and asks for the fewest that the log lacks."""
    found: tuple[tuple[float, ...], SearchSpace] | None = None
    for space in candidates:
        if (score := _score(trials, space)) is not None and (found is None or score > found[0]):
            found = (score, space)
    return found[1] if found else None


def matched_knobs(trials: pd.DataFrame, space: SearchSpace) -> dict[str, int]:
    """For each knob how many trials have a value for it; those that none has are left out."""
    counts = {name: int(column.notna().sum()) for name, column in knob_columns(trials, space).items()}
    return {name: count for name, count in counts.items() if count}


def unmatched_keys(trials: pd.DataFrame, space: SearchSpace | None) -> list[str]:
    """Keys of the configurations that are no knob of the space."""
    keys = [str(name)[len(CONFIG) :] for name in trials.columns if str(name).startswith(CONFIG)]
    known: set[str] = set()
    if space is not None:
        known = set(space.knobs) | {RATIOS[name] for name in space.knobs if name in RATIOS}
    return [key for key in keys if key not in known]


def outside(trials: pd.DataFrame, space: SearchSpace) -> list[str]:
    """For each trial the knobs whose values the space lacks, with commas between them; "" for none."""
    columns = knob_columns(trials, space)
    wrong: defaultdict[int, list[str]] = defaultdict(list)
    for name, column in columns.items():
        knob = space.knobs[name]
        bad = column.notna().to_numpy() & ~_fits(knob, column)
        if knob.when:
            bad &= _active(knob, columns, len(trials))
        for row in np.flatnonzero(bad).tolist():
            wrong[row].append(name)
    return [", ".join(wrong[row]) if row in wrong else "" for row in range(len(trials))]


def _score(trials: pd.DataFrame, space: SearchSpace) -> tuple[float, ...] | None:
    """How well a space fits, to be compared; None where it does not."""
    columns = knob_columns(trials, space)
    for name, knob in space.knobs.items():
        if isinstance(knob, ConstantKnob) and name in columns and not knob.when:
            column = columns[name]
            if not _fits(knob, column)[column.notna().to_numpy()].all():
                return None
    here = [name for name in space.names if name in columns]
    needed = [name for name in space.names if not space.knobs[name].when]
    lacking = [name for name in needed if name not in columns]
    ruling = [name for name in lacking if _rules(name, space)]
    if not here or ruling or len(lacking) > (1 - _LEAST_PART) * len(needed):
        return None
    others = sum(trials[CONFIG + key].nunique() > 1 for key in unmatched_keys(trials, space))
    if len(here) < min(others, _ENOUGH_KNOBS):
        return None
    never_asked = len(space.names) - len(here) - len(lacking)
    return len(here) - len(lacking), -never_asked


def _rules(name: str, space: SearchSpace) -> bool:
    """Whether most of a space's knobs wait for this one, so that nothing can be said without it."""
    waiting = sum(name in knob.when for knob in space.knobs.values())
    return waiting > len(space.knobs) / 2


def knob_columns(trials: pd.DataFrame, space: SearchSpace) -> dict[str, pd.Series[Any]]:
    """The columns that hold the knobs of a space, under the knobs' names; ratios made of absolute bounds."""
    import pandas as pd

    found = {}
    for name in space.knobs:
        if CONFIG + name in trials:
            found[name] = trials[CONFIG + name]
        elif name in RATIOS:
            lr, bound = _numbers(trials, "lr"), _numbers(trials, RATIOS[name])
            if lr is not None and bound is not None:
                with np.errstate(divide="ignore", invalid="ignore"):
                    ratio = bound / lr
                found[name] = pd.Series(np.where(np.isfinite(ratio), ratio, np.nan), index=trials.index)
    return found


def _active(knob: Knob, columns: dict[str, pd.Series[Any]], rows: int) -> np.ndarray[Any, Any]:
    """Where a knob's conditions hold, as far as the log says; where it says nothing they count as met."""
    found = np.ones(rows, dtype=bool)
    for parent, allowed in knob.when.items():
        if parent in columns:
            column = columns[parent]
            found &= _among(column, allowed) | column.isna().to_numpy()
    return found


def _fits(knob: Knob, column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Where a knob has the value; what is missing does not matter."""
    if isinstance(knob, (FloatKnob, IntKnob)):
        numbers = _as_numbers(column)
        # Ratios and bounds come back from absolute rates with rounding.
        slack = 1e-9 * max(abs(knob.low), abs(knob.high))
        with np.errstate(invalid="ignore"):
            within = (numbers >= knob.low - slack) & (numbers <= knob.high + slack)
            return within & (numbers == np.round(numbers)) if isinstance(knob, IntKnob) else within
    values = knob.values if isinstance(knob, CategoricalKnob) else knob.every() or ()
    return _among(column, tuple(values))


def _among(column: pd.Series[Any], allowed: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    """Where a column has one of the values; true and false are also read from text."""
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in allowed):
        numbers, known = _as_numbers(column), np.sort(np.array(allowed, dtype=np.float64))
        after = np.searchsorted(known, numbers).clip(1, len(known)) if len(known) else np.array([], int)
        found = np.zeros(len(numbers), dtype=bool)
        for place in (after - 1, np.minimum(after, len(known) - 1)) if len(known) else ():
            found |= np.isclose(numbers, known[place], rtol=1e-9, atol=0)
        return found
    if all(isinstance(value, bool) for value in allowed):
        spelled = {text for text, truth in TRUTHS.items() if truth in allowed}
        column = column.astype("string").str.lower()
        return np.asarray(column.isin(spelled).fillna(False), dtype=bool)
    return np.asarray(column.isin(allowed).fillna(False), dtype=bool)


def _numbers(trials: pd.DataFrame, knob: str) -> np.ndarray[Any, Any] | None:
    column = trials.get(CONFIG + knob)
    return None if column is None else _as_numbers(column)


def _as_numbers(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """A column as floats; NaN for what is no number."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column.dtype):
        return np.full(len(column), np.nan)
    return np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float64)
