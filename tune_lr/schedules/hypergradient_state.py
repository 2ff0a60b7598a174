"""What a ``Hypergradient`` is set to and remembers, and how both are read from a state."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from torch import Tensor
from torch.optim import Optimizer

from tune_lr.errors import BadInput, Missing
from tune_lr.schedules.base import read_choice, read_lrs, read_per_group, read_range
from tune_lr.schedules.states import check_keys
from tune_lr.schedules.updates import fitting

#: What has an LR of its own, and how an LR is moved.
PER = ("all", "group", "parameter")
RULES = ("multiplicative", "additive")

#: The default of ``hyper_lr`` with the multiplicative rule.
MULTIPLICATIVE_STEP = 0.02

SETTINGS = ("hyper_lr", "per", "rule")
LISTS = ("_last_lr", "_init_lrs", "min_lrs", "max_lrs")

#: By what part an LR may be beyond its bound: that of a group whose LR is a tensor is rounded.
_ROUNDING = 2e-6


class Memory(NamedTuple):
    """A state that was found good; lists have an entry for each parameter group, or for each parameter."""

    per: str
    rule: str
    hyper_lr: float
    lists: dict[str, list[float]]
    rates: list[Tensor | None]
    directions: list[Tensor | None]


def read_state(optimizer: Optimizer, state: Any) -> Memory:
    """A state of a ``Hypergradient`` for this optimizer.

    Raises:
        BadInput: it is none.
    """
    check_keys((*SETTINGS, *LISTS, "rates", "directions"), state)
    count = len(optimizer.param_groups)
    rule = read_choice("the state's rule", state["rule"], RULES)
    lists = {name: read_lrs(f"the state's {name}", state[name], count) for name in LISTS[:-1]}
    highs = list(state["max_lrs"]) if isinstance(state["max_lrs"], (list, tuple)) else state["max_lrs"]
    lists["max_lrs"] = read_per_group("the state's max_lrs", highs, count)
    for low, first, last, high in zip(
        lists["min_lrs"], lists["_init_lrs"], lists["_last_lr"], lists["max_lrs"], strict=True
    ):
        if low == 0.0 < first:
            raise BadInput("the state's min_lrs", low, "a number above 0, as the LR at the start is")
        if not low * (1 - _ROUNDING) <= last <= high * (1 + _ROUNDING):
            raise BadInput("the state's _last_lr", last, f"an LR from {low:g} to {high:g}")
    if not any(lists["_init_lrs"]):
        raise BadInput("the state's _init_lrs", lists["_init_lrs"], "one above 0")
    return Memory(
        read_choice("the state's per", state["per"], PER),
        rule,
        read_hyper_lr(rule, state["hyper_lr"]),
        lists,
        fitting("rates", optimizer, state["rates"], as_rates=True),
        fitting("directions", optimizer, state["directions"]),
    )


def read_hyper_lr(rule: str, value: Any) -> float:
    """The LR of the LR; None is the rule's default.

    Raises:
        BadInput: it cannot be used with this rule, or the rule has no default.
    """
    if rule == "multiplicative":
        step = read_range("hyper_lr", MULTIPLICATIVE_STEP if value is None else value, 0, 1)
        if step == 1.0:
            raise BadInput("hyper_lr", value, "a number below 1 (one step could bring the LR down to 0)")
        return step
    if value is None:
        raise Missing("hyper_lr", "a number for rule 'additive', whose unit is that of LR squared over loss")
    return read_range("hyper_lr", value, 0, sys.float_info.max)
