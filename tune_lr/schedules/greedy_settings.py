"""Which settings of GreedyLR can be used, and what to say of those that cannot."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from tune_lr.errors import BadInput
from tune_lr.schedules.base import read_choice, read_flag, read_per_group, read_range, read_whole

#: What happens to a change of direction while a raise (``warmup``) or a cut (``cooldown``) is recent.
AFTER_CHANGE = ("freeze", "ignore", "continue")


def check_settings(given: Mapping[str, Any], groups: int) -> dict[str, Any]:
    """Every setting, checked and in its own type, under the names of GreedyLR's attributes.

    Args:
        given: the settings, bounds as ``min_lrs`` and ``max_lrs`` (one number or a list).
        groups: how many parameter groups there are.

    Raises:
        BadInput: one of them cannot be used.
    """
    lows = read_per_group("min_lr", given["min_lrs"], groups)
    highs = read_per_group("max_lr", given["max_lrs"], groups)
    for i, (low, high) in enumerate(zip(lows, highs, strict=True)):
        if low > high:
            raise BadInput("min_lr", low, f"at most max_lr, which is {high:g} for parameter group {i}")
    checked: dict[str, Any] = {
        "mode": read_choice("mode", given["mode"], ("min", "max")),
        "threshold_mode": read_choice("threshold_mode", given["threshold_mode"], ("abs", "rel")),
        "after_change": read_choice("after_change", given["after_change"], AFTER_CHANGE),
        "factor": read_range("factor", given["factor"], 0, 1, open_ends=True),
        "threshold": read_range("threshold", given["threshold"], 0, sys.float_info.max),
        "eps": read_range("eps", given["eps"], 0),
        "min_lrs": lows,
        "max_lrs": highs,
        "window_size": read_whole("window_size", given["window_size"], 1),
        "reset_start_original": read_whole("reset_start", given["reset_start_original"], 0),
        **{name: read_whole(name, given[name], 0) for name in ("patience", "cooldown", "warmup")},
        **{name: read_flag(name, given[name]) for name in ("verbose", "smooth")},
    }
    if (checked["mode"], checked["threshold_mode"]) == ("min", "rel") and checked["threshold"] >= 1:
        raise BadInput("threshold", given["threshold"], "less than 1 for a relative one and mode min")
    return checked


def spread_bounds(lows: list[float], highs: list[float], groups: int) -> None:
    """Extend bounds that are the same for all parameter groups to groups that were added later, in place.

    Raises:
        BadInput: each group has bounds of its own, so that those of a new one are not known.
    """
    if len({*lows}) > 1 or len({*highs}) > 1:
        raise BadInput("min_lr, max_lr", lows, f"bounds for all {groups} parameter groups")
    lows += [lows[0]] * (groups - len(lows))
    highs += [highs[0]] * (groups - len(highs))
