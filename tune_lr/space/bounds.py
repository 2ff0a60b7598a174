"""The bounds of the learning rate: in a space as ratios to ``lr``, in a configuration as absolute rates.

Two independent ranges for ``lr`` and ``min_lr`` would cross. ``min_lr_ratio`` <= 1 and ``max_lr_ratio`` >= 1
cannot, so ``min_lr <= lr <= max_lr`` holds at every point of a space, in floating point too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tune_lr.errors import BadInput
from tune_lr.space.knobs import Knob

#: knob of the space -> key of the configuration
RATIOS = {"min_lr_ratio": "min_lr", "max_lr_ratio": "max_lr"}


def check_bounds(knobs: Mapping[str, Knob]) -> None:
    """Refuse a space in which ``min_lr <= lr <= max_lr`` could fail (BadInput)."""
    for ratio, bound in RATIOS.items():
        if ratio in knobs:
            if bound in knobs:
                raise BadInput(f"knob {bound!r}", bound, f"only one of {bound} and {ratio}")
            _check_ratio(ratio, knobs[ratio], knobs.get("lr"))
        elif bound in knobs and "lr" in knobs:
            _check_absolute(ratio, bound, knobs[bound], knobs["lr"])


def _check_ratio(name: str, knob: Knob, lr: Knob | None) -> None:
    where = f"knob {name!r}"
    rates = None if lr is None or lr.when else lr.extent()
    if rates is None or rates[0] <= 0:
        raise BadInput(where, name, "a knob 'lr' beside it: numbers above 0, and no 'when'")
    found = knob.extent()
    if name == "min_lr_ratio" and (found is None or found[0] < 0 or found[1] > 1):
        raise BadInput(where, found, "a ratio to lr from 0 to 1, so that min_lr <= lr")
    if name == "max_lr_ratio" and (found is None or found[0] < 1 or not math.isfinite(rates[1] * found[1])):
        raise BadInput(where, found, "a ratio to lr from 1 upwards, so that lr <= max_lr")


def _check_absolute(ratio: str, name: str, knob: Knob, lr: Knob) -> None:
    bound, rates = knob.extent(), lr.extent()
    apart = bound and rates and (bound[1] <= rates[0] if name == "min_lr" else bound[0] >= rates[1])
    if not apart:
        raise BadInput(f"knob {name!r}", bound, f"a range that cannot cross that of 'lr'; or {ratio}")


def to_absolute(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with ``min_lr`` and ``max_lr`` in place of the ratios; ``min_lr <= lr <= max_lr`` exactly."""
    config: dict[str, Any] = {}
    for name, value in values.items():
        if name == "min_lr_ratio":
            config["min_lr"] = min(float(values["lr"] * value), float(values["lr"]))
        elif name == "max_lr_ratio":
            config["max_lr"] = max(float(values["lr"] * value), float(values["lr"]))
        else:
            config[name] = value
    return config


def to_ratio(ratio: str, config: Mapping[str, Any]) -> float | None:
    """The ratio that the absolute rates of a configuration amount to, or None where they do not tell."""
    lr, bound = _rate(config.get("lr")), _rate(config.get(RATIOS[ratio]))
    return bound / lr if lr and bound is not None else None


def _rate(value: Any) -> float | None:
    """A rate that a ratio can be made of: a finite number, not negative."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and 0 <= value < math.inf else None
