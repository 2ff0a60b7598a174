"""GreedyLR: raise the learning rate while the loss improves, cut it while it does not.

The algorithm is that of arXiv 2512.14527, in the variant of ``transformers.optimization.GreedyLR``, whose
LR traces and state dicts this module reproduces.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, SupportsFloat

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tune_lr.errors import BadInput
from tune_lr.schedules.base import (
    Needs,
    group_lrs,
    present,
    read_bound,
    read_choice,
    read_flag,
    read_number,
    read_per_group,
    read_range,
    read_whole,
    write_lr,
)
from tune_lr.schedules.greedy_rule import Memory, Rule, advance, start
from tune_lr.schedules.smoothing import RunningMean


class GreedyLR(LRScheduler):
    """Adaptive schedule that follows the metric: up by 1/``factor`` after a run of improvements, down by
    ``factor`` after a run of steps without one.

    Arguments, defaults, LR traces and state dicts are those of ``transformers.optimization.GreedyLR``
    (arXiv 2512.14527), except where that would fail silently:

    * settings that can do no good are refused, among them an LR outside of its bounds, which the original
      accepts and then cannot cut (below ``min_lr``) or raise (above ``max_lr``);
    * a metric that is NaN or infinite counts as bad and stays out of the smoothing window, which it
      would otherwise poison;
    * the smoothed value does not drift: see ``RunningMean``. For the first 10 000 steps its rounding is
      that of the original, unless values of very different size pass through the window; then, and in
      longer runs, it is exact to rounding;
    * tensor LRs are written in place; states are copies. ``optimizer.step`` is never wrapped.

    "Step" below is one call of ``step``, be it after a batch or after an epoch.

    Args:
        optimizer: whose LRs are scheduled.
        mode: ``min`` if lower metrics are better, ``max`` if higher.
        factor: LRs are multiplied or divided by this; above 0 and below 1.
        patience: so many good (or bad) steps in a row are let pass; one more changes the LR.
        threshold: by how much a metric must beat the best one to be good.
        threshold_mode: ``abs``, in units of the metric, or ``rel``, as a part of the best metric.
        cooldown: steps after a cut in which nothing is judged.
        warmup: steps after a raise in which nothing is judged.
        min_lr: lower bound of the LR; one number, or one for each parameter group.
        max_lr: upper bound of the LR, likewise.
        eps: an LR changes only if by more than this. A small LR needs a smaller value: from
            ``eps / (1 - factor)`` downwards it would never be cut.
        verbose: whether to print every change.
        smooth: whether to judge the mean of the last ``window_size`` metrics instead of the last one.
        window_size: how many, 1 or more.
        reset_start: after so many cuts in a row with all LRs at their lower bound, everything is set
            back to the start, the LRs to their initial values.

    Raises:
        BadInput: a setting cannot be used; the message says what can.
        TypeError: ``optimizer`` is no optimizer.
    """

    optimizer: Optimizer
    mode: str
    factor: float
    patience: int
    threshold: float
    threshold_mode: str
    cooldown: int
    warmup: int
    eps: float
    verbose: bool
    smooth: bool
    window_size: int
    reset_start_original: int
    min_lrs: list[float]
    max_lrs: list[float]
    best: float
    num_bad_epochs: int
    num_good_epochs: int
    cooldown_counter: int
    warmup_counter: int
    reset_start: int

    needs: ClassVar[Needs] = "loss"
    knobs: ClassVar[tuple[str, ...]] = (
        "mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "warmup", "min_lr", "max_lr",
        "eps", "verbose", "smooth", "window_size", "reset_start", "min_lr_ratio", "max_lr_ratio",
    )  # fmt: skip

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.95,
        patience: int = 10,
        threshold: float = 1e-6,
        threshold_mode: str = "abs",
        cooldown: int = 0,
        warmup: int = 0,
        min_lr: float | Sequence[float] = 1e-3,
        max_lr: float | Sequence[float] = 1.0,
        eps: float = 1e-8,
        verbose: bool = False,
        smooth: bool = False,
        window_size: int = 50,
        reset_start: int = 500,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        self._init_lrs = group_lrs(optimizer)
        self._last_lr: list[float] = list(self._init_lrs)  # type: ignore[assignment]
        self._apply(
            {
                "mode": mode, "factor": factor, "patience": patience, "threshold": threshold,
                "threshold_mode": threshold_mode, "cooldown": cooldown, "warmup": warmup, "eps": eps,
                "verbose": verbose, "smooth": smooth, "window_size": window_size, "min_lrs": min_lr,
                "max_lrs": max_lr, "reset_start_original": reset_start,
            }
        )  # fmt: skip
        for i, (lr, low, high) in enumerate(zip(self._init_lrs, self.min_lrs, self.max_lrs, strict=True)):
            slack = 1e-6 * lr if isinstance(optimizer.param_groups[i]["lr"], torch.Tensor) else 0.0
            if lr < low - slack:
                raise BadInput("min_lr", low, f"at most the LR of parameter group {i}, which is {lr:g}")
            if lr > high + slack:
                raise BadInput("max_lr", high, f"at least the LR of parameter group {i}, which is {lr:g}")
        self.last_epoch = 0
        self._remember(start(self._rule()))
        self._window = RunningMean(self.window_size)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> GreedyLR:
        """The schedule that a config describes; of keys that are no knob of it only ``lr`` matters.

        Where there are several parameter groups and the config has an ``lr``, its bounds are scaled by the LR
        of each group over that. A bound that it lacks is ``min_lr_ratio`` or ``max_lr_ratio`` times the LR of
        each group; without these either, a thousandth and ten times the LR.

        Raises:
            BadInput: a setting cannot be used.
        """
        settings = present(config, cls.knobs)
        lrs = group_lrs(optimizer)
        low = read_range("min_lr_ratio", settings.pop("min_lr_ratio", 1e-3), 0, 1)
        high = read_range("max_lr_ratio", settings.pop("max_lr_ratio", 10.0), 1)
        for name, ratio in (("min_lr", low), ("max_lr", high)):
            given = settings.get(name)
            settings[name] = (
                [lr * ratio for lr in lrs] if given is None else read_bound(name, given, config, lrs)
            )
        return cls(optimizer, **settings)

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Observe one metric and set the LRs.

        Args:
            metrics: the loss, or whatever ``mode`` speaks of; one number.
            epoch: the number of this step, for messages; counted from 1 if not given.

        Raises:
            BadInput: ``metrics`` is no number.
        """
        value = read_number("metrics", metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.smooth and math.isfinite(value):
            value = self._window.add(value, age=self.last_epoch)
        self._follow_groups()
        before = self._current_lrs()
        memory, after, move = advance(self._rule(), self._memory(), before, value)
        self._remember(memory)
        if move == "reset":
            self._window = RunningMean(self.window_size)
        for i, (old, new) in enumerate(zip(before, after, strict=True)):
            if new != old:
                write_lr(self.optimizer.param_groups[i], new)
                if self.verbose:
                    print(f"GreedyLR step {self.last_epoch}: {move}, LR of group {i} {old:.4e} -> {new:.4e}")
        self._last_lr = after

    def get_last_lr(self) -> list[float]:  # type: ignore[override]
        """The LR of every parameter group after the last step, as a new list of floats."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Settings and memory, as copies, under the names of ``transformers.optimization.GreedyLR``."""
        state = {name: copy.copy(getattr(self, name)) for name in _STATE}
        if self.smooth:
            state["_streaming_avg"] = self._window.state_dict()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state of this class or of ``transformers.optimization.GreedyLR``, LRs included.

        What the state lacks stays as it is; what it holds more is ignored.

        Raises:
            BadInput: the state cannot be used (another number of parameter groups, say); nothing changed.
        """
        state = {**self.state_dict(), **state_dict}
        count = len(self.optimizer.param_groups)
        lrs = {name: read_per_group(name, state[name], count) for name in ("_last_lr", "_init_lrs")}
        self._apply(state)
        for name in ("last_epoch", *Memory._fields):
            setattr(self, name, state[name])
        if not (math.isfinite(self.best) or self.best == self._rule().worst):
            self.best = self._rule().worst  # the original may have taken an infinite metric for the best
        self._last_lr, self._init_lrs = lrs["_last_lr"], lrs["_init_lrs"]
        self._window.window_size = self.window_size
        self._window.load_state_dict(state.get("_streaming_avg", self._window.state_dict()))
        for group, lr in zip(self.optimizer.param_groups, lrs["_last_lr"], strict=True):
            write_lr(group, lr)

    def _apply(self, given: Mapping[str, Any]) -> None:
        """Check every setting, then set them all."""
        count = len(self.optimizer.param_groups)
        lows = read_per_group("min_lr", given["min_lrs"], count)
        highs = read_per_group("max_lr", given["max_lrs"], count)
        for i, (low, high) in enumerate(zip(lows, highs, strict=True)):
            if low > high:
                raise BadInput("min_lr", low, f"at most max_lr, which is {high:g} for parameter group {i}")
        checked: dict[str, Any] = {
            "mode": read_choice("mode", given["mode"], ("min", "max")),
            "threshold_mode": read_choice("threshold_mode", given["threshold_mode"], ("abs", "rel")),
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
        self.__dict__.update(checked)

    def _rule(self) -> Rule:
        return Rule(
            self.mode, self.factor, self.patience, self.threshold, self.threshold_mode, self.cooldown,
            self.warmup, self.eps, self.reset_start_original, self.min_lrs, self.max_lrs, self._init_lrs,
        )  # fmt: skip

    def _memory(self) -> Memory:
        return Memory(
            self.best, self.num_bad_epochs, self.num_good_epochs,
            self.cooldown_counter, self.warmup_counter, self.reset_start,
        )  # fmt: skip

    def _remember(self, memory: Memory) -> None:
        self.__dict__.update(memory._asdict())

    def _current_lrs(self) -> list[float]:
        """What the parameter groups hold; for a tensor, the exact LR of which it holds the rounded value."""
        lrs = group_lrs(self.optimizer)
        for i, (group, last) in enumerate(zip(self.optimizer.param_groups, self._last_lr, strict=True)):
            lr = group["lr"]
            if isinstance(lr, torch.Tensor) and float(torch.tensor(last, dtype=lr.dtype)) == lrs[i]:
                lrs[i] = float(last)
        return lrs

    def _follow_groups(self) -> None:
        """Take in parameter groups that were added to the optimizer, under the bounds of the others."""
        for group in self.optimizer.param_groups[len(self._last_lr) :]:
            if len({*self.min_lrs}) > 1 or len({*self.max_lrs}) > 1:
                count = len(self.optimizer.param_groups)
                raise BadInput("min_lr, max_lr", self.min_lrs, f"bounds for all {count} parameter groups")
            self.min_lrs.append(self.min_lrs[0])
            self.max_lrs.append(self.max_lrs[0])
            self._init_lrs.append(float(group["lr"]))
            self._last_lr.append(float(group["lr"]))


#: The keys of a state dict, smoothing aside.
_STATE = (
    "mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "warmup", "eps", "verbose",
    "smooth", "window_size", "min_lrs", "max_lrs", "reset_start_original", "last_epoch", "_last_lr",
    "_init_lrs", *Memory._fields,
)  # fmt: skip
