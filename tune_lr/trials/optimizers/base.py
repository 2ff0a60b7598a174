"""What the optimizers share: reading their knobs, and one LR for all groups where nothing else works."""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer

from tune_lr.errors import BadInput
from tune_lr.schedules.base import group_lrs, read_number, read_range


def read_lr(value: Any) -> float:
    """A learning rate: above 0 and finite.

    Raises:
        BadInput: it is something else.
    """
    return read_range("lr", value, 0, open_ends=True)


def read_decay(value: Any) -> float:
    """A weight decay: 0 or more, and finite.

    Raises:
        BadInput: it is something else.
    """
    decay = read_range("weight_decay", value, 0)
    if math.isinf(decay):
        raise BadInput("weight_decay", value, "a finite number of 0 or more")
    return decay


def read_share(field: str, value: Any, *, above_zero: bool = False) -> float:
    """A momentum or beta: below 1, and 0 or more (with ``above_zero``, more).

    Raises:
        BadInput: it is something else.
    """
    share = read_number(field, value)
    if (0 < share < 1) or (share == 0 and not above_zero):
        return share
    raise BadInput(field, value, f"a number {'above 0' if above_zero else 'of 0 or more'} and below 1")


def read_growth(value: Any) -> float:
    """How many times larger an estimate may become in one step: above 1; infinity is no limit.

    Raises:
        BadInput: it is something else.
    """
    growth = read_number("growth_rate", value)
    if growth > 1:
        return growth
    raise BadInput("growth_rate", value, "a number above 1 (infinity: no limit)")


def require_one_lr(optimizer: Optimizer) -> Optimizer:
    """The optimizer, if its parameter groups have one LR: it estimates one step size for all of them.

    Raises:
        BadInput: they differ; Prodigy would fail in its first step, D-Adaptation go by the first alone.
    """
    lrs = group_lrs(optimizer)
    if len({*lrs}) > 1:
        raise BadInput("lr", lrs, "the same for every parameter group: this optimizer scales them all alike")
    return optimizer
