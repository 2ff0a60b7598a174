"""Past trials as points of a search space, for whoever hands them on to an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tune_lr.errors import BadInput
from tune_lr.history.matching import CONFIG, TRUTHS
from tune_lr.space import CategoricalKnob, ConstantKnob, FloatKnob, IntKnob, Knob, SearchSpace

if TYPE_CHECKING:
    import pandas as pd


def configurations(trials: pd.DataFrame) -> list[dict[str, Any]]:
    """The configuration of each row, by the names of its ``config/<knob>`` columns."""
    knobs = [str(name) for name in trials.columns if str(name).startswith(CONFIG)]
    configs = trials[knobs].astype(object).rename(columns=lambda name: name[len(CONFIG) :])
    found: list[dict[str, Any]] = configs.to_dict("records")
    return found


def values_of(config: dict[str, Any], space: SearchSpace) -> dict[str, Any] | None:
    """The values that a configuration of a table comes to; None where it is no point of the space."""
    import pandas as pd

    known = {
        name: _spelled(space.knobs[name], value) if name in space.knobs else value
        for name, value in config.items()
        if not pd.isna(value)
    }
    values = space.values(known)
    try:
        space.validate(values)
    except BadInput:
        return None
    return values


def _spelled(knob: Knob, value: Any) -> Any:
    """A value as the knob has it, where a table turned it into text: numbers, and what is true or false."""
    if isinstance(knob, (FloatKnob, IntKnob)) and isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return int(number) if isinstance(knob, IntKnob) and number.is_integer() else number
    every = (knob.every() or ()) if isinstance(knob, (CategoricalKnob, ConstantKnob)) else ()
    if every and all(isinstance(one, bool) for one in every):
        return TRUTHS.get(str(value).lower(), value)
    return value
