"""Whether a state that is to be loaded is one of the schedule that loads it."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from torch import Tensor

from tune_lr.errors import BadInput
from tune_lr.schedules.base import is_bool, read_range, read_whole

#: More steps than any run has; up to here, whole numbers and floats are the same.
MOST_STEPS = 2**53

#: Bookkeeping of torch's that comes and goes with its versions.
_LOOSE = {"_step_count", "_is_initial", "_get_lr_called_within_step", "verbose"}
#: Numbers in the states of torch's schedulers that count something.
_COUNTS = {
    "last_epoch", "_step_count", "taken", "steps", "T_max", "total_iters", "total_steps", "T_0", "T_mult",
    "patience", "cooldown", "cooldown_counter", "num_bad_epochs", "warmup", "decay_from", "total",
}  # fmt: skip
#: Numbers that something is divided by.
_DIVISORS = {"steps", "T_max", "total_steps", "T_0", "T_i", "T_mult", "span", "start_factor"}
#: Numbers that are never below 0.
_NEVER_NEGATIVE = {"base_lrs", "_last_lr", "min_lrs", "floors", "eta_min", "T_cur", "power"}
#: Numbers that an LR is multiplied by, at most 1 where one's own is.
_FACTORS = {"factor", "gamma", "start_factor", "end_factor", "end"}
#: Numbers that grow by powers, and up to where that can be reckoned with.
_POWERS = {"T_mult": 1e6, "T_i": 1e200, "span": 1e200}


def check_keys(own: Iterable[str], state: Any, loose: Iterable[str] = ()) -> None:
    """That a state has the keys that it should, and no others.

    Args:
        own: the keys.
        state: the state.
        loose: keys that may be there or not.

    Raises:
        BadInput: it is no mapping, lacks some, or has others.
    """
    if not isinstance(state, Mapping):
        raise BadInput("the state", state, "what state_dict() of the same schedule returned")
    missing = [key for key in own if key not in state and key not in loose]
    foreign = [key for key in state if key not in {*own, *loose}]
    if missing or foreign:
        found = ", ".join(
            [*(f"lacks {key}" for key in missing), *(f"has {key!r} too" for key in foreign)][:4]
        )
        raise BadInput("the state", list(state), f"a state of the same schedule (this one {found})")


def check_torch_state(own: Mapping[str, Any], state: Any) -> None:
    """That a state of one of torch's schedulers is like the scheduler's own: keys, types, finite numbers.

    Settings may differ where they are numbers. Words must be the same, since they say which rule is meant.

    Raises:
        BadInput: it is not.
    """
    check_keys(own, state, _LOOSE)
    for name in own:
        if name in state:
            _check_like(name, own[name], state[name])
    for name in ("eta_min", "floors"):
        below = name in own and _highest(own[name]) <= _highest(own["base_lrs"])
        if below and _highest(state[name]) > _highest(state["base_lrs"]):
            raise BadInput(f"the state's {name}", state[name], "no more than the LRs at the start")


def _highest(lrs: Any) -> float:
    """The largest of one or several LRs."""
    return max(map(float, lrs)) if isinstance(lrs, (list, tuple)) else float(lrs)


def _check_like(name: str, own: Any, given: Any) -> None:
    field = f"the state's {name}"
    if isinstance(own, Counter):
        _check_counter(field, given)
    elif isinstance(own, Mapping):
        if not isinstance(given, Mapping) or given.keys() != own.keys():
            raise BadInput(field, given, f"a mapping of {', '.join(map(str, own))}")
        for key, part in own.items():
            _check_like(str(key), part, given[key])
    elif isinstance(own, (list, tuple)):
        if not isinstance(given, (list, tuple)) or len(given) != len(own):
            raise BadInput(field, given, f"a list of {len(own)}")
        for one, other in zip(own, given, strict=True):
            _check_like(name, one, other)
    elif is_bool(own) or isinstance(own, str):
        if type(given) is not type(own) or (given != own and name not in _LOOSE):
            raise BadInput(field, given, repr(own))
    elif name == "default_min_lr":  # None where each parameter group has a bound of its own
        if given is not None:
            read_range(field, given, 0, sys.float_info.max)
    elif isinstance(own, (Real, Tensor)):
        _check_number(name, field, own, given)


def _check_counter(field: str, given: Any) -> None:
    if not isinstance(given, Mapping):
        raise BadInput(field, given, "how often each step is meant")
    for key, count in given.items():
        read_whole(field, key, 0, MOST_STEPS)
        read_whole(field, count, 0, MOST_STEPS)


def _check_number(name: str, field: str, own: Any, given: Any) -> None:
    if name in _COUNTS:
        began = name == "_step_count" and own > 0  # at 0 torch would warn of an optimizer that did not step
        read_whole(field, given, int(name in _DIVISORS or began), _POWERS.get(name, MOST_STEPS))
        return
    if name == "best" or not math.isfinite(own):
        read_range(field, given, -math.inf)
        if isinstance(given, int):
            read_whole(field, given, -MOST_STEPS, MOST_STEPS)
        return
    number = read_finite(field, given)
    if name in _DIVISORS and number <= 0.0:
        raise BadInput(field, given, "a number above 0")
    if name in _NEVER_NEGATIVE | _FACTORS and number < 0.0:
        raise BadInput(field, given, "a number of 0 or more")
    most = _POWERS.get(name, 1.0 if name in _FACTORS and own <= 1 else math.inf)
    if number > most:
        raise BadInput(field, given, f"a number of at most {most:g}")


def read_finite(field: str, value: Any) -> float:
    """A number that is neither NaN nor infinite.

    Raises:
        BadInput: it is something else.
    """
    return read_range(field, value, -sys.float_info.max, sys.float_info.max)
