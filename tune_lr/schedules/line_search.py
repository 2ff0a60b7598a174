"""Stochastic line search: the LR of every step is the largest tried that lowers the batch's loss enough.

Vaswani, Mishkin, Laradji, Schmidt, Gidel and Lacoste-Julien, "Painless Stochastic Gradient: Interpolation,
Line-Search, and Convergence Rates", NeurIPS 2019, arXiv 1905.09997 (Algorithms 1 and 2).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from tune_lr.errors import BadInput
from tune_lr.schedules.base import (
    Needs,
    check_no_group_gone,
    group_lrs,
    present,
    read_bound,
    read_range,
    write_lr,
)
from tune_lr.schedules.evaluation import Closure, Evaluation, noise_kept
from tune_lr.schedules.line_search_state import (
    FURTHEST,
    LISTS,
    MEMORY,
    SETTINGS,
    check_reach,
    read_settings,
    read_state,
)
from tune_lr.schedules.lr_bounds import live_bounds
from tune_lr.schedules.updates import moving, plain, probe, scaled_by_lr


class LineSearch:
    """Backtracks from a first LR until the step that the optimizer is about to make meets Armijo's condition.

    With the batch's loss ``f``, its gradient and the optimizer's ``direction`` (an update is
    ``-lr * direction``), the condition is ``f(after) <= f(before) - armijo * lr * (gradient · direction)``.
    While it fails, or the loss is not finite, the LR is multiplied by ``backtrack``. For SGD without momentum
    and weight decay the direction is the gradient and this is the paper's Algorithm 1.

    With momentum, weight decay or Adam the search is along the update that will be made, found by one step of
    a copy of the optimizer. Where that does not lead downhill (momentum against the gradient), where the loss
    or the gradient is not finite, there is nothing to search for and the LR stays.

    Where a search begins (the paper's ``reset``, its options 0, 1 and 2): at the LR that the last one ended
    with (``keep``); at ``max_lr`` (``max``); at ``growth ** (1 / steps_per_epoch)`` times the last one, at
    most ``max_lr`` (``grow``). The first search begins at ``max_lr``. Parameter groups keep the ratios of the
    LRs that they began with, and are scaled together.

    Call ``step(closure)`` between ``backward`` and ``optimizer.step``. It changes the LRs and nothing else:
    see ``Evaluation`` for what a closure may do, and ``training_step`` for a loop in which the evaluations
    have the noise (dropout) that the gradient was computed with. Cost: a forward pass for each LR that is
    tried (and one for the loss before the step, unless the closure is an ``Evaluation`` that knows it), with
    ``backward`` too if the closure calls it; for the moment of the search, two copies of the parameters, and
    one of the gradients and of the optimizer's state.

    Args:
        optimizer: whose LR is searched for.
        armijo: what part of the decrease that the slope promises must come true (the paper's c); above 0 and
            below 1.
        backtrack: what a failed LR is multiplied by (the paper's beta); 0.001 or more, below 1.
        reset: ``keep``, ``max`` or ``grow``.
        growth: how much the first LR of a search may grow in an epoch (the paper's gamma); 1 or more.
        steps_per_epoch: how many steps an epoch has (the paper's n / b).
        max_lr: the largest LR; one number, or one for each parameter group. Default: the group's LR.
            At most a million times that.
        max_backtracks: how often one search may backtrack, at most 10 000 times; then the last LR tried is
            used as it is.

    Raises:
        BadInput: a setting cannot be used, or the optimizer's update is not proportional to its LR.
    """

    armijo: float
    backtrack: float
    reset: str
    growth: float
    steps_per_epoch: int
    max_backtracks: int

    needs: ClassVar[Needs] = "closure"
    knobs: ClassVar[tuple[str, ...]] = (
        "armijo", "backtrack", "reset", "growth", "steps_per_epoch", "max_lr", "max_lr_ratio",
        "max_backtracks",
    )  # fmt: skip

    def __init__(
        self,
        optimizer: Optimizer,
        armijo: float = 0.1,
        backtrack: float = 0.9,
        reset: str = "grow",
        growth: float = 2.0,
        steps_per_epoch: int = 1,
        max_lr: float | Sequence[float] | None = None,
        max_backtracks: int = 50,
    ) -> None:
        self.optimizer = optimizer = scaled_by_lr("line-search", optimizer)
        given = {
            "armijo": armijo, "backtrack": backtrack, "reset": reset, "growth": growth,
            "steps_per_epoch": steps_per_epoch, "max_backtracks": max_backtracks,
        }  # fmt: skip
        self.__dict__.update(read_settings(given))
        self._init_lrs = group_lrs(optimizer)
        self._last_lr = list(self._init_lrs)
        _, self.max_lrs = live_bounds(optimizer, None, self._init_lrs if max_lr is None else max_lr)
        check_reach(self._init_lrs, self.max_lrs)
        #: The LRs over those that they began with.
        self._scale = 1.0
        self._searched = False
        #: Forward passes that searches have cost so far, beyond the one that the gradient comes from.
        self.evaluations = 0
        #: How often the last search backtracked; None where there was nothing to search for.
        self.backtracks: int | None = None

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> LineSearch:
        """The schedule that a config describes.

        ``max_lr`` is read as ``read_bound`` does; without it, it is ``max_lr_ratio`` (1 to a million,
        default 1) times the LR of each group.

        Raises:
            BadInput: a setting cannot be used.
        """
        settings = present(config, cls.knobs)
        ratio = read_range("max_lr_ratio", settings.pop("max_lr_ratio", 1.0), 1, FURTHEST)
        lrs, given = group_lrs(optimizer), settings.get("max_lr")
        settings["max_lr"] = (
            [lr * ratio for lr in lrs] if given is None else read_bound("max_lr", given, config, lrs)
        )
        return cls(optimizer, **settings)

    def step(self, closure: Closure, /) -> None:
        """Set the LRs for the step that the optimizer makes next.

        Args:
            closure: computes the loss of the batch that the present gradients are of.

        Raises:
            BadInput: it is no function, or gives no number; or parameter groups were removed. As after any
                error in the closure, nothing changed then.
        """
        if not callable(closure):
            raise BadInput("closure", closure, "a function that computes the loss of the batch again")
        again = closure if isinstance(closure, Evaluation) else Evaluation(self.optimizer, closure)
        check_no_group_gone(self.optimizer, len(self._init_lrs))
        known, before = again.count, self.state_dict()
        try:
            self._follow_groups()
            scale = self._search(again, self._start())
        except BaseException:
            self.__dict__.update(before)
            raise
        self.evaluations += again.count - known
        if scale is not None:
            self._scale, self._searched = scale, True
        self._last_lr = self._lrs(self._scale)
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            write_lr(group, lr)

    def get_last_lr(self) -> list[float]:
        """The LR of every parameter group, as the last search left it."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Settings, LRs and counts, as copies."""
        return {
            **{name: getattr(self, name) for name in (*SETTINGS, *MEMORY)},
            **{name: list(getattr(self, name)) for name in LISTS},
        }

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Go on from a state, LRs included.

        Raises:
            BadInput: it is none, or of another number of parameter groups; nothing changed.
        """
        self.__dict__.update(read_state(self.optimizer, state_dict))
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            write_lr(group, lr)

    def adopt(self, state: Mapping[str, Any] | None, done: float, /) -> None:
        """Go on from another run under one's own settings, before the first step.

        What was found is how far the other's LRs were from those that it began with, as far as one's own
        ``max_lr`` lets it go, and how many evaluations that took.

        Args:
            state: that of a schedule of this class; None leaves everything as it is.
            done: not looked at; nothing here depends on the length of the run.

        Raises:
            BadInput: the state cannot be used; nothing changed.
        """
        if state is None:
            return
        theirs = read_state(self.optimizer, state)
        scale = min(theirs["_scale"], self._top())
        memory = {**{name: theirs[name] for name in MEMORY}, "_scale": scale, "_last_lr": self._lrs(scale)}
        self.load_state_dict({**self.state_dict(), **memory})

    def _top(self) -> float:
        """The largest scale that ``max_lr`` allows."""
        pairs = zip(self.max_lrs, self._init_lrs, strict=True)
        return min(high / lr for high, lr in pairs if lr > 0)

    def _start(self) -> float:
        """Where a search begins: the paper's Algorithm 2."""
        top = self._top()
        if not self._searched or self.reset == "max":
            return top
        grown = self.growth ** (1 / self.steps_per_epoch) if self.reset == "grow" else 1.0
        return min(self._scale * grown, top)

    @torch.no_grad()
    def _search(self, again: Evaluation, start: float) -> float | None:
        """The scale that meets the condition, or None if there is nothing to search for."""
        self.backtracks = None
        with noise_kept(self.optimizer):
            after = probe(self.optimizer, self._lrs(start))
        before = {parameter: parameter.detach().clone() for parameter in after}
        promised = self._promised(before, after)
        if not (promised > 0.0 and math.isfinite(promised)):
            return None
        loss = again() if again.loss is None else again.loss
        if not math.isfinite(loss):
            return None
        rounding = abs(loss) * max(torch.finfo(parameter.dtype).eps for parameter in before)
        share = 1.0
        try:
            for tried in range(self.max_backtracks + 1):
                smaller = self.backtrack**tried
                if start * smaller < sys.float_info.min:  # an LR of 0 would never grow again
                    break
                self.backtracks, share = tried, smaller
                for parameter, was in before.items():
                    parameter.copy_(torch.lerp(was, after[parameter], share))
                if again() <= loss - self.armijo * share * promised + rounding:
                    break
        finally:
            for parameter, was in before.items():
                parameter.copy_(was)
        return start * share

    def _promised(self, before: dict[Tensor, Tensor], after: dict[Tensor, Tensor]) -> float:
        """The decrease of the loss over the whole step, were it as steep throughout as at its beginning."""
        total = 0.0
        for _, parameter in moving(self.optimizer):
            if parameter.grad is not None and parameter in after:
                fall = plain(before[parameter]) - plain(after[parameter])
                total += float((plain(parameter.grad) * fall).sum())
        return total

    def _lrs(self, scale: float) -> list[float]:
        return [min(lr * scale, high) for lr, high in zip(self._init_lrs, self.max_lrs, strict=True)]

    def _follow_groups(self) -> None:
        """Take in parameter groups that were added: they keep their ratio to the LRs now."""
        lead = max(range(len(self._init_lrs)), key=self._init_lrs.__getitem__)
        reach = self.max_lrs[lead] / self._init_lrs[lead]
        added = [lr / self._scale for lr in group_lrs(self.optimizer)[len(self._init_lrs) :]]
        self._init_lrs = self._init_lrs + added
        self.max_lrs = self.max_lrs + [lr * reach for lr in added]
