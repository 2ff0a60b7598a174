"""GreedyLR's rule as a function of tensors: all branches are computed, and the device picks the right one.

What it computes is what ``GreedyLR.step`` does, in the same order of operations.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tune_lr.schedules.device_window import Window, observed


class Rule(NamedTuple):
    """The settings that a step reads. What stands in tensors is on the device of the state.

    Attributes:
        turned: whether the metric's sign is turned, for mode ``max``.
        relative: whether the threshold is a part of the best metric.
        after_change: ``freeze``, ``ignore`` or ``continue``.
        factor: float64 of shape (1,); a tensor, since a GPU divides by a number by multiplying with its
            rounded inverse.
        lows, highs, first: float64 of shape (groups,): the bounds, and the LRs of the start.
    """

    turned: bool
    relative: bool
    after_change: str
    patience: int
    threshold: float
    cooldown: int
    warmup: int
    eps: float
    reset_start: int
    factor: Tensor
    lows: Tensor
    highs: Tensor
    first: Tensor


class State(NamedTuple):
    """What changes from step to step: tensors of shape (1,), float64 and int64, but for ``lrs``: (groups,).

    ``best`` has its sign turned for mode ``max``, so that lower is better. The shape is not (), since torch
    takes such tensors on the CPU for numbers when it compiles: it looks at their values, and loses what is
    written into them.
    """

    steps: Tensor
    best: Tensor
    good: Tensor
    bad: Tensor
    cooling: Tensor
    warming: Tensor
    resets_in: Tensor
    lrs: Tensor
    window: Window | None


def advance(state: State, value: Tensor, rule: Rule) -> State:
    """The state after one more metric.

    Args:
        state: the state before it, with the LRs that the optimizer has.
        value: float64 of shape (1,), the metric.
        rule: the settings.

    Returns:
        A state of its own: nothing is written in place.
    """
    steps, window = state.steps + 1, state.window
    if window is not None:
        window, value = observed(window, value, steps)
    if rule.turned:
        value = -value
    judged = _judged(state, value, rule)
    counted, rises, falls = _decided(state, judged, rule)
    return _moved(counted._replace(steps=steps, window=window), rises, falls, rule)


def bar(best: Tensor, rule: Rule) -> Tensor:
    """What a metric must be below to be better than the best: ``greedy_rule.bar_below``, or ``abs``."""
    if rule.relative:
        part = torch.where(best >= 0.0, best * (1.0 - rule.threshold), best * (1.0 + rule.threshold))
    else:
        part = best - rule.threshold
    return torch.where(best.isfinite(), part, math.inf)


def _judged(state: State, value: Tensor, rule: Rule) -> State:
    """The step counted as good or bad."""
    better = value.isfinite() & (value < bar(state.best, rule))
    if rule.after_change == "freeze":
        better = better & ((state.cooling + state.warming) == 0)
    return state._replace(
        best=torch.where(better, value, state.best),
        good=torch.where(better, state.good + 1, 0),
        bad=torch.where(better, 0, state.bad + 1),
    )


def _decided(state: State, judged: State, rule: Rule) -> tuple[State, Tensor, Tensor]:
    """The counts after a step of rest, if it is one; whether the LRs rise, and whether they fall."""
    cooling, warming = state.cooling > 0, state.warming > 0
    if rule.after_change == "ignore":
        good, bad = torch.where(warming, 0, judged.good), torch.where(cooling, 0, judged.bad)
    else:
        warming = warming & ~cooling
        resting = cooling | warming
        good, bad = torch.where(resting, 0, judged.good), torch.where(resting, 0, judged.bad)
    rises = good > rule.patience
    falls = (bad > rule.patience) & ~rises
    counted = judged._replace(
        good=torch.where(rises, 0, good),
        bad=torch.where(falls, 0, bad),
        cooling=torch.where(falls, rule.cooldown, state.cooling - cooling.long()),
        warming=torch.where(rises, rule.warmup, state.warming - warming.long()),
    )
    if rule.after_change == "continue":
        rises, falls = rises | warming, falls | cooling
    return counted, rises, falls


def _moved(state: State, rises: Tensor, falls: Tensor, rule: Rule) -> State:
    """The LRs moved, and everything set back if that was one cut too many at the lower bounds."""
    lrs = torch.where(rises, _raised(state.lrs, rule), state.lrs)
    lrs = torch.where(falls, _lowered(lrs, rule), lrs)
    bottom = falls & (lrs <= rule.lows).all()
    resets_in = torch.where(rises, rule.reset_start, state.resets_in - bottom.long())
    over = bottom & (resets_in <= 0)
    rest = 0 if rule.after_change == "continue" else rule.cooldown
    window = state.window
    if window is not None:  # its tensors are zeros (and False) at the start
        window = Window(*(torch.where(over, torch.zeros_like(part), part) for part in window))
    return State(
        steps=state.steps,
        best=torch.where(over, math.inf, state.best),
        good=torch.where(over, 0, state.good),
        bad=torch.where(over, 0, state.bad),
        cooling=torch.where(over, rest, state.cooling),
        warming=torch.where(over, 0, state.warming),
        resets_in=torch.where(over, rule.reset_start, resets_in),
        lrs=torch.where(over, rule.first, lrs),
        window=window,
    )


def _raised(lrs: Tensor, rule: Rule) -> Tensor:
    whole = lrs / rule.factor
    aim = torch.minimum(whole, rule.highs)
    change = aim - lrs
    return torch.where((change > rule.eps) | ((change > 0.0) & (whole - lrs <= rule.eps)), aim, lrs)


def _lowered(lrs: Tensor, rule: Rule) -> Tensor:
    whole = lrs * rule.factor
    aim = torch.maximum(whole, rule.lows)
    change = lrs - aim
    return torch.where((change > rule.eps) | ((change > 0.0) & (lrs - whole <= rule.eps)), aim, lrs)
