"""What a ``LineSearch`` is set to and remembers, and how both are read from a state."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer

from tune_lr.errors import BadInput
from tune_lr.schedules.base import read_choice, read_flag, read_lrs, read_range, read_whole
from tune_lr.schedules.states import MOST_STEPS, check_keys

RESETS = ("keep", "max", "grow")
#: How many times the LR ``max_lr`` may be: the step that is tried first must be one that numbers can hold.
FURTHEST = 1e6
#: An LR that is a tensor is rounded, and so may be beyond its bound by less than this factor.
_ROUNDING = 1.001
#: How often a search may backtrack.
MOST_BACKTRACKS = 10_000

SETTINGS = ("armijo", "backtrack", "reset", "growth", "steps_per_epoch", "max_backtracks")
MEMORY = ("_scale", "_searched", "evaluations", "backtracks")
LISTS = ("_last_lr", "_init_lrs", "max_lrs")


def read_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting, checked and in its own type.

    Raises:
        BadInput: one of them cannot be used.
    """
    backtrack = read_range("backtrack", given["backtrack"], 0, 1, open_ends=True)
    if backtrack < 1e-3:
        raise BadInput("backtrack", backtrack, "a number from 0.001 and below 1")
    return {
        "armijo": read_range("armijo", given["armijo"], 0, 1, open_ends=True),
        "backtrack": backtrack,
        "reset": read_choice("reset", given["reset"], RESETS),
        "growth": read_range("growth", given["growth"], 1, sys.float_info.max),
        "steps_per_epoch": read_whole("steps_per_epoch", given["steps_per_epoch"], 1, MOST_STEPS),
        "max_backtracks": read_whole("max_backtracks", given["max_backtracks"], 0, MOST_BACKTRACKS),
    }


def check_reach(lrs: Sequence[float], highs: Sequence[float]) -> None:
    """That the first step of a search is not too far.

    Raises:
        BadInput: a bound is out of reach.
    """
    for lr, high in zip(lrs, highs, strict=True):
        if lr > 0 and not high / lr <= FURTHEST * _ROUNDING:
            raise BadInput("max_lr", high, f"at most {FURTHEST:g} times the LR, which is {lr:g}")


def read_state(optimizer: Optimizer, state: Any) -> dict[str, Any]:
    """A state of a ``LineSearch`` for this optimizer, checked and in its own types.

    Raises:
        BadInput: it is none.
    """
    check_keys((*SETTINGS, *MEMORY, *LISTS), state)
    count = len(optimizer.param_groups)
    lists = {name: read_lrs(f"the state's {name}", state[name], count) for name in LISTS}
    if not any(lists["_init_lrs"]):
        raise BadInput("the state's _init_lrs", lists["_init_lrs"], "one above 0")
    check_reach(lists["_init_lrs"], lists["max_lrs"])
    backtracks = state["backtracks"]
    if backtracks is not None:
        backtracks = read_whole("the state's backtracks", backtracks, 0, MOST_BACKTRACKS)
    return {
        **read_settings(state),
        **lists,
        "_scale": read_range("the state's _scale", state["_scale"], 0, FURTHEST * _ROUNDING, open_ends=True),
        "_searched": read_flag("the state's _searched", state["_searched"]),
        "evaluations": read_whole("the state's evaluations", state["evaluations"], 0, MOST_STEPS),
        "backtracks": backtracks,
    }
