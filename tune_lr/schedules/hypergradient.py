"""Hypergradient descent: gradient descent on the learning rate itself, along with the parameters.

Baydin, Cornish, Martínez Rubio, Schmidt and Wood, "Online Learning Rate Adaptation with Hypergradient
Descent", ICLR 2018, arXiv 1703.04782.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from tune_lr.errors import BadInput
from tune_lr.schedules.base import (
    Needs,
    carried_lrs,
    check_no_group_gone,
    group_lrs,
    present,
    read_choice,
    write_lr,
)
from tune_lr.schedules.hypergradient_state import LISTS, PER, RULES, SETTINGS, read_hyper_lr, read_state
from tune_lr.schedules.lr_bounds import bounds_of, live_bounds, within
from tune_lr.schedules.updates import Directions, listed, moving, plain, refill, scaled_by_lr


class Hypergradient:
    """Moves the LR against the derivative of the loss with respect to it.

    An update is ``new = old - lr * direction``, so the loss of the next batch changes with the LR by
    ``-(gradient · direction)``: the gradient now, the direction of the update before. Where they agree the
    step was too short and the LR rises, where they point apart it falls. Two rules:

    * ``additive`` (the paper's SGD-HD and Adam-HD): ``lr += hyper_lr * (gradient · direction)``.
      ``hyper_lr`` has the unit of an LR squared over a loss, so its size depends on the task.
    * ``multiplicative`` (the paper's variant without units):
      ``lr *= 1 + hyper_lr * cos(gradient, direction)``. ``hyper_lr`` is the largest relative change.

    The direction is measured (see ``Directions``): the bias-corrected one with Adam, the velocity with
    momentum, weight decay included. With ``per``:

    * ``all``: one LR. Parameter groups keep the ratios of the LRs that they began with; the rule moves the
      largest of them, the others in proportion.
    * ``group``: one LR for each parameter group.
    * ``parameter``: one LR for each number in the parameters (with the multiplicative rule the cosine is 1
      or -1 there). After ``optimizer.step`` a hook of ``Optimizer.register_step_post_hook`` rewrites the
      update of each number to its own LR, which is exact for any optimizer whose update is proportional to
      its LR. The LR that the optimizer and ``get_last_lr`` have is the mean over the group's numbers.

    Memory: one tensor of the size of the parameters (the direction), and with ``parameter`` another (the LRs,
    of 32 bits or more). Cost: a few passes over the parameters, and one read from the device for each group.

    Call ``step`` between ``backward`` and ``optimizer.step``; the schedule owns the LRs from then on.
    Gradients count as they stand: unscale them before, and clip them before if they are clipped. Where the
    derivative is not finite the LR stays.

    Args:
        optimizer: whose LRs are moved.
        hyper_lr: the LR of the LR: 0 or more, below 1 with the multiplicative rule. Default 0.02 there; to be
            given with the additive one.
        per: ``all``, ``group`` or ``parameter``: what has an LR of its own.
        rule: ``multiplicative`` or ``additive``.
        min_lr: lower bound of the LR, above 0; one number, or one for each parameter group. Default: a
            thousandth of the group's LR.
        max_lr: upper bound of the LR, likewise. Default: ten times the group's LR.

    Raises:
        BadInput: a setting cannot be used, or the optimizer's update is not proportional to its LR.
    """

    needs: ClassVar[Needs] = "gradient"
    knobs: ClassVar[tuple[str, ...]] = (
        "hyper_lr", "per", "rule", "min_lr", "max_lr", "min_lr_ratio", "max_lr_ratio",
    )  # fmt: skip

    def __init__(
        self,
        optimizer: Optimizer,
        hyper_lr: float | None = None,
        per: str = "all",
        rule: str = "multiplicative",
        min_lr: float | Sequence[float] | None = None,
        max_lr: float | Sequence[float] | None = None,
    ) -> None:
        self.optimizer = optimizer = scaled_by_lr("hypergradient", optimizer)
        self.per = read_choice("per", per, PER)
        self.rule = read_choice("rule", rule, RULES)
        self.hyper_lr = read_hyper_lr(self.rule, hyper_lr)
        self._init_lrs = group_lrs(optimizer)
        self._last_lr = list(self._init_lrs)
        self.min_lrs, self.max_lrs = live_bounds(optimizer, min_lr, max_lr)
        self._rates: dict[Tensor, Tensor] = {}
        self._directions = Directions(optimizer, self._rates)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> Hypergradient:
        """The schedule that a config describes; of keys that are no knob of it only ``lr`` matters.

        Bounds are read as GreedyLR's are, by ``bounds_of``.

        Raises:
            BadInput: a setting cannot be used.
        """
        bounds = bounds_of(config, optimizer)
        if config.get("min_lr") is None and any(
            low == 0.0 < lr for lr, low in zip(group_lrs(optimizer), bounds["min_lr"], strict=True)
        ):
            given = config.get("min_lr_ratio")
            raise BadInput("min_lr_ratio", given, "a number above 0: from an LR of 0 there is no way back")
        settings = {**present(config, SETTINGS), **bounds}
        return cls(optimizer, **settings)

    @torch.no_grad()
    def step(self, loss: Any = None, /) -> None:
        """Move the LRs by the gradients that the parameters have now; the loss is not looked at.

        Raises:
            BadInput: parameter groups were removed.
        """
        self._follow_groups()
        if self.per == "parameter":
            self._last_lr = self._move_numbers()
        else:
            sums = self._sums()
            self._last_lr = self._move_groups(sums) if self.per == "group" else self._move_all(sums)
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            write_lr(group, lr)
        self._directions.remember()

    def get_last_lr(self) -> list[float]:
        """The LR of every parameter group after the last step; with ``per`` parameter the mean in it."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Settings, LRs and the directions of the last update, as copies."""
        return {
            **{name: getattr(self, name) for name in SETTINGS},
            **{name: list(getattr(self, name)) for name in LISTS},
            "rates": listed(self.optimizer, self._rates),
            "directions": self._directions.state(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Go on from a state, LRs included.

        Raises:
            BadInput: it is none, or of another ``per``, other parameters or other groups; nothing changed.
        """
        memory = read_state(self.optimizer, state_dict)
        if memory.per != self.per:
            raise BadInput("per", self.per, f"{memory.per}, which the state to go on from has")
        self.rule, self.hyper_lr = memory.rule, memory.hyper_lr
        self.__dict__.update(memory.lists)
        refill(self.optimizer, self._rates, memory.rates)
        self._directions.load(memory.directions)
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            write_lr(group, lr)

    def adopt(self, state: Mapping[str, Any] | None, done: float, /) -> None:
        """Go on from another run under one's own settings, before the first step.

        Taken over are the directions of its last update, and its LRs (with ``per`` parameter on both sides
        those of every number) in proportion to those that the two began with, within one's own bounds.

        Args:
            state: that of a schedule of this class; None leaves everything as it is.
            done: not looked at; nothing here depends on the length of the run.

        Raises:
            BadInput: the state is of other parameters or other groups; nothing changed.
        """
        if state is None:
            return
        theirs = read_state(self.optimizer, state)
        last, first = theirs.lists["_last_lr"], theirs.lists["_init_lrs"]
        lrs = within(carried_lrs(self._init_lrs, last, first), self.min_lrs, self.max_lrs)
        rates = [rate if self.per == "parameter" else None for rate in theirs.rates]
        groups = [i for i, group in enumerate(self.optimizer.param_groups) for _ in group["params"]]
        for place, (i, rate) in enumerate(zip(groups, rates, strict=True)):
            if rate is not None:
                (part,) = carried_lrs([self._init_lrs[i]], [1.0], [first[i]])
                rates[place] = (rate * part).clamp(self.min_lrs[i], self.max_lrs[i])
        taken = {"_last_lr": lrs, "rates": rates, "directions": theirs.directions}
        self.load_state_dict({**self.state_dict(), **taken})

    def _sums(self) -> list[list[float]]:
        """For each parameter group: gradient · direction, and the squared lengths of the two."""
        sums: list[Tensor | None] = [None] * len(self.optimizer.param_groups)
        for i, parameter in moving(self.optimizer):
            kept = self._directions.get(parameter)
            if kept is None:
                continue
            gradient, direction = plain(_gradient(parameter)), plain(kept)
            parts = torch.stack(
                [(gradient * direction).sum(), gradient.square().sum(), direction.square().sum()]
            )
            before = sums[i]
            sums[i] = parts if before is None else before + parts.to(before.device, before.dtype)
        return [[0.0, 0.0, 0.0] if found is None else found.tolist() for found in sums]

    def _move_groups(self, sums: list[list[float]]) -> list[float]:
        moved = [self._moved(lr, *found) for lr, found in zip(self._last_lr, sums, strict=True)]
        return within(moved, self.min_lrs, self.max_lrs)

    def _move_all(self, sums: list[list[float]]) -> list[float]:
        """One factor for all LRs, from the derivative with respect to the largest."""
        lead = self._lead()
        top = self._init_lrs[lead]
        shares = [lr / top for lr in self._init_lrs]
        inner = sum(share * found[0] for share, found in zip(shares, sums, strict=True))
        lengths = (
            sum(found[1] for found in sums),
            sum(share**2 * found[2] for share, found in zip(shares, sums, strict=True)),
        )
        bounds = [b for b in zip(self._init_lrs, self.min_lrs, self.max_lrs, strict=True) if b[0] > 0]
        factor = self._moved(self._last_lr[lead], inner, *lengths) / top
        factor = max(factor, max(low / lr for lr, low, _ in bounds))
        factor = min(factor, min(high / lr for lr, _, high in bounds))
        return within([lr * factor for lr in self._init_lrs], self.min_lrs, self.max_lrs)

    def _moved(self, lr: float, inner: float, gradient: float, direction: float) -> float:
        """One LR by the rule, from the inner product and the squared lengths; the same where that fails."""
        if self.rule == "additive":
            new = lr + self.hyper_lr * inner
        else:
            size = math.sqrt(gradient) * math.sqrt(direction)
            new = lr * (1.0 + self.hyper_lr * (inner / size)) if size > 0 else lr
        return new if math.isfinite(new) else lr

    def _move_numbers(self) -> list[float]:
        """The rule for every number of every parameter; the mean LR of each group."""
        sums: list[Tensor | None] = [None] * len(self._last_lr)
        counts = [0] * len(self._last_lr)
        for i, parameter in moving(self.optimizer):
            gradient, kept = plain(_gradient(parameter)), self._directions.get(parameter)
            rates = self._rates.setdefault(parameter, torch.full_like(gradient, self._last_lr[i]))
            if kept is not None:
                direction = plain(kept)
                product = gradient * direction
                if self.rule == "additive":
                    new = rates + self.hyper_lr * product
                else:  # the signs apart, since a product may underflow
                    new = rates * (1.0 + self.hyper_lr * gradient.sign() * direction.sign())
                new = torch.where(product.isfinite() & new.isfinite(), new, rates)
                top = min(self.max_lrs[i], torch.finfo(new.dtype).max)
                rates.copy_(new.clamp_(self.min_lrs[i], top))
            before, part = sums[i], rates.sum()
            sums[i] = part if before is None else before + part.to(before.device)
            counts[i] += rates.numel()
        means = [
            lr if total is None or count == 0 else float(total) / count
            for lr, total, count in zip(self._last_lr, sums, counts, strict=True)
        ]
        return within(means, self.min_lrs, self.max_lrs)

    def _follow_groups(self) -> None:
        """Take in parameter groups that were added, bounds in the same proportion as the largest LR's."""
        check_no_group_gone(self.optimizer, len(self._last_lr))
        lead = self._lead()
        first, low, high = self._init_lrs[lead], self.min_lrs[lead], self.max_lrs[lead]
        grown = self._last_lr[lead] / first if self.per == "all" else 1.0
        for lr in group_lrs(self.optimizer)[len(self._last_lr) :]:
            self._last_lr.append(lr)
            self._init_lrs.append(lr / grown)
            self.min_lrs.append(lr / grown * (low / first))
            self.max_lrs.append(lr / grown * (high / first) if lr > 0.0 else 0.0)

    def _lead(self) -> int:
        """Which parameter group began with the largest LR."""
        return max(range(len(self._init_lrs)), key=self._init_lrs.__getitem__)


def _gradient(parameter: Tensor) -> Tensor:
    """The gradient of a parameter that is known to have one."""
    return parameter if parameter.grad is None else parameter.grad
