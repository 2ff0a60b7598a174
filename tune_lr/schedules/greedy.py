"""GreedyLR: raise the learning rate while the loss improves, cut it while it does not.

The algorithm is that of arXiv 2512.14527, by default in the variant of
``transformers.optimization.GreedyLR``, whose LR traces it reproduces. ``docs/greedylr.md`` works every option
by hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import le
from typing import Any, ClassVar, SupportsFloat

from torch.optim import Optimizer

from tune_lr.schedules.base import Needs, group_lrs, present, read_number
from tune_lr.schedules.decisions import Decisions, Move
from tune_lr.schedules.greedy_memory import GreedyMemory
from tune_lr.schedules.greedy_rule import bar_below, onto_bound
from tune_lr.schedules.lr_bounds import bounds_of, check_lrs_within
from tune_lr.schedules.tensor_lrs import unshare_lrs

INF, NEG_INF = math.inf, -math.inf


class GreedyLR(GreedyMemory):
    """Adaptive schedule that follows the metric: up by 1/``factor`` after a run of improvements, down by
    ``factor`` after a run of steps without one.

    Arguments, defaults, LR traces and state dicts are those of ``transformers.optimization.GreedyLR``
    (arXiv 2512.14527), except where that would fail silently:

    * settings that can do no good are refused, among them an LR outside of its bounds, which the original
      accepts and then cannot cut (below ``min_lr``) or raise (above ``max_lr``);
    * a metric that is NaN or infinite counts as bad and stays out of the smoothing window, which it
      would otherwise poison;
    * the smoothed value does not drift: see ``RunningMean``;
    * a relative ``threshold`` means the same for negative metrics as for positive ones;
    * ``eps`` never freezes an LR only because it is small;
    * tensor LRs are written in place; parameter groups may be added later; states are copies.

    "Step" below is one call of ``step``, be it after a batch or after an epoch. ``optimizer.step`` is never
    wrapped.

    Args:
        optimizer: whose LRs are scheduled.
        mode: ``min`` if lower metrics are better, ``max`` if higher.
        factor: LRs are multiplied or divided by this; above 0 and below 1.
        patience: so many good (or bad) steps in a row are let pass; one more changes the LR.
        threshold: by how much a metric must beat the best one to be good.
        threshold_mode: ``abs``, in units of the metric, or ``rel``, as a part of the best metric.
        cooldown: how many steps after a cut ``after_change`` is about.
        warmup: how many steps after a raise it is about.
        min_lr: lower bound of the LR; one number, or one for each parameter group.
        max_lr: upper bound of the LR, likewise.
        eps: the last move onto a bound is left out where it changes the LR by no more than this. An LR that
            stops short of its lower bound so is not at it, and does not count for ``reset_start``.
        verbose: whether to print every change.
        smooth: whether to judge the mean of the last ``window_size`` metrics instead of the last one.
        window_size: how many, 1 or more.
        reset_start: after so many cuts in a row with all LRs at their lower bound, everything is set
            back to the start, the LRs to their initial values.
        after_change: what the steps after a change are like. ``freeze`` (transformers): nothing is judged.
            ``ignore`` (the paper's Algorithm 2): in a cooldown bad steps do not count and good ones do, in a
            warmup the other way round. ``continue`` (the paper's appendix A.7): the LR goes on falling in a
            cooldown and rising in a warmup, by ``factor`` every step, whatever the metric does.

    Raises:
        BadInput: a setting cannot be used; the message says what can.
        TypeError: ``optimizer`` is no optimizer.
    """

    needs: ClassVar[Needs] = "loss"
    knobs: ClassVar[tuple[str, ...]] = (
        "mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "warmup", "min_lr", "max_lr",
        "eps", "verbose", "smooth", "window_size", "reset_start", "after_change", "min_lr_ratio",
        "max_lr_ratio",
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
        after_change: str = "freeze",
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        unshare_lrs(optimizer)
        self.optimizer = optimizer
        self._init_lrs = group_lrs(optimizer)
        self._apply(
            {
                "mode": mode, "factor": factor, "patience": patience, "threshold": threshold,
                "threshold_mode": threshold_mode, "cooldown": cooldown, "warmup": warmup, "eps": eps,
                "verbose": verbose, "smooth": smooth, "window_size": window_size, "min_lrs": min_lr,
                "max_lrs": max_lr, "reset_start_original": reset_start, "after_change": after_change,
            }
        )  # fmt: skip
        check_lrs_within(optimizer, self._init_lrs, self.min_lrs, self.max_lrs)
        self.last_epoch = 0
        self._forget()
        self._lrs = list(self._init_lrs)
        self._decisions = Decisions(0, self._lrs)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> GreedyLR:
        """The schedule that a config describes; of keys that are no knob of it only ``lr`` matters.

        Bounds are read by ``bounds_of``.

        Raises:
            BadInput: a setting cannot be used.
        """
        settings = present(config, tuple(knob for knob in cls.knobs if not knob.endswith("_ratio")))
        return cls(optimizer, **{**settings, **bounds_of(config, optimizer)})

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Observe one metric and set the LRs.

        Args:
            metrics: the loss, or whatever ``mode`` speaks of; one number.
            epoch: the number of this step, for messages; counted from 1 if not given.

        Raises:
            BadInput: ``metrics`` is no number.
        """
        # Called after every batch: benchmarks/step_cost.py says what each line of this costs.
        value = metrics if metrics.__class__ is float else read_number("metrics", metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._streaming_avg is not None and NEG_INF < value < INF:
            value = self._streaming_avg.add(value, self.last_epoch)
        if self._turned:
            value = -value
        if self.cooldown_counter or self.warmup_counter:
            self._step_after_change(value)
        elif NEG_INF < value < self._bar:
            self._best = value
            self._bar = (
                value - self.threshold if self.threshold_mode == "abs" else bar_below(value, self.threshold)
            )
            self.num_bad_epochs = 0
            self.num_good_epochs = good = self.num_good_epochs + 1
            if good > self.patience:
                self._raise(value)
        else:
            self.num_good_epochs = 0
            self.num_bad_epochs = bad = self.num_bad_epochs + 1
            if bad > self.patience:
                self._cut(value)

    def _step_after_change(self, value: float) -> None:
        """One step while a raise or a cut is recent; ``value`` with its sign turned for ``max``."""
        if self.after_change == "ignore":
            self._step_ignoring(value)
            return
        cooling = self.cooldown_counter > 0
        if cooling:
            self.cooldown_counter -= 1
        else:
            self.warmup_counter -= 1
        goes_on = self.after_change == "continue"
        if goes_on:
            self._judge(value)  # for the best metric alone: the counts stand at zero
        self.num_bad_epochs = self.num_good_epochs = 0
        if goes_on and cooling:
            self._cut(value, "cooldown")
        elif goes_on:
            self._raise(value, "warmup")

    def _step_ignoring(self, value: float) -> None:
        self._judge(value)
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.warmup_counter > 0:
            self.warmup_counter -= 1
            self.num_good_epochs = 0
        if self.num_good_epochs > self.patience:
            self._raise(value)
        elif self.num_bad_epochs > self.patience:
            self._cut(value)

    def _judge(self, value: float) -> None:
        """Count a step as good or bad."""
        if NEG_INF < value < self._bar:
            self.best = -value if self._turned else value
            self.num_bad_epochs, self.num_good_epochs = 0, self.num_good_epochs + 1
        else:
            self.num_bad_epochs, self.num_good_epochs = self.num_bad_epochs + 1, 0

    def _raise(self, value: float, move: Move = "raise") -> None:
        self.num_good_epochs = 0
        self.reset_start = self.reset_start_original
        if move == "raise":
            self.warmup_counter = self.warmup
        factor, after = self.factor, self._take_stock().copy()
        for i, top in enumerate(self.max_lrs):
            whole = after[i] / factor
            after[i] = whole if whole <= top else onto_bound(after[i], whole, top, self.eps)
        self._write(move, value, after)

    def _cut(self, value: float, move: Move = "cut") -> None:
        self.num_bad_epochs = 0
        if move == "cut":
            self.cooldown_counter = self.cooldown
        factor, after = self.factor, self._take_stock().copy()
        for i, low in enumerate(self.min_lrs):
            whole = after[i] * factor
            after[i] = whole if whole >= low else onto_bound(after[i], whole, low, self.eps)
        if after[0] <= self.min_lrs[0] and all(map(le, after, self.min_lrs)):
            self.reset_start -= 1
            if self.reset_start <= 0:
                move, after = "reset", list(self._init_lrs)
                self._forget()
                # Rest after a cut is what the original does; to go on falling would undo the reset.
                self.cooldown_counter = 0 if self.after_change == "continue" else self.cooldown
        self._write(move, value, after)
