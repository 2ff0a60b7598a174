"""The bounds between which a schedule moves the LR of each parameter group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from tune_lr.errors import BadInput
from tune_lr.schedules.base import group_lrs, present, read_bound, read_per_group, read_range

#: Bounds over the LR of a group, where nothing is said of them: GreedyLR's.
LOW_RATIO, HIGH_RATIO = 1e-3, 10.0


def bounds_of(config: Mapping[str, Any], optimizer: Optimizer) -> dict[str, list[float]]:
    """``min_lr`` and ``max_lr`` for every parameter group, as a config has them.

    As ``read_bound`` reads them, else ``min_lr_ratio`` and ``max_lr_ratio`` times the LR of each group, else
    a thousandth of it and ten times.

    Raises:
        BadInput: one of the four cannot be used.
    """
    lrs = group_lrs(optimizer)
    ratios = present(config, ("min_lr_ratio", "max_lr_ratio"))
    low = read_range("min_lr_ratio", ratios.get("min_lr_ratio", LOW_RATIO), 0, 1)
    high = read_range("max_lr_ratio", ratios.get("max_lr_ratio", HIGH_RATIO), 1)
    return {
        name: [lr * ratio for lr in lrs] if given is None else read_bound(name, given, config, lrs)
        for name, given, ratio in (
            ("min_lr", config.get("min_lr"), low),
            ("max_lr", config.get("max_lr"), high),
        )
    }


def live_bounds(
    optimizer: Optimizer,
    min_lr: float | Sequence[float] | None,
    max_lr: float | Sequence[float] | None,
) -> tuple[list[float], list[float]]:
    """Bounds for every parameter group, checked for a schedule that can do nothing with an LR of 0.

    Args:
        optimizer: whose LRs they are.
        min_lr: one number, or one for each group; None is a thousandth of the group's LR.
        max_lr: likewise; None is ten times the group's LR.

    Raises:
        BadInput: an LR is outside of its bounds, every LR is 0, or ``min_lr`` is 0 where the LR is not.
    """
    lrs = group_lrs(optimizer)
    if not any(lr > 0 for lr in lrs):
        raise BadInput("lr", lrs, "an LR above 0 to begin with")
    lows = read_per_group("min_lr", [lr * LOW_RATIO for lr in lrs] if min_lr is None else min_lr, len(lrs))
    highs = read_per_group("max_lr", [lr * HIGH_RATIO for lr in lrs] if max_lr is None else max_lr, len(lrs))
    check_lrs_within(optimizer, lrs, lows, highs)
    if any(low == 0.0 < lr for lr, low in zip(lrs, lows, strict=True)):
        raise BadInput("min_lr", lows, "numbers above 0: from an LR of 0 there is no way back")
    return lows, highs


def check_lrs_within(
    optimizer: Optimizer, lrs: Sequence[float], lows: Sequence[float], highs: Sequence[float]
) -> None:
    """That the LR of every parameter group lies within its bounds.

    Raises:
        BadInput: one does not; from below ``min_lr`` it could never be cut, from above ``max_lr`` never
            raised.
    """
    for i, (lr, low, high) in enumerate(zip(lrs, lows, highs, strict=True)):
        rounding = 1e-6 * lr if isinstance(optimizer.param_groups[i]["lr"], Tensor) else 0.0
        if lr < low - rounding:
            expected = f"at most the LR of parameter group {i}, which is {lr:g}: pass a smaller min_lr"
            raise BadInput("min_lr", low, expected)
        if lr > high + rounding:
            expected = f"at least the LR of parameter group {i}, which is {lr:g}: pass a larger max_lr"
            raise BadInput("max_lr", high, expected)


def within(lrs: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> list[float]:
    """The LRs, each brought within its bounds."""
    return [min(max(lr, low), high) for lr, low, high in zip(lrs, lows, highs, strict=True)]
