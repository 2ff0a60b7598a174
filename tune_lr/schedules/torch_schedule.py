"""torch's own schedulers as schedules."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, SupportsFloat

from torch.optim import Optimizer
from torch.optim import lr_scheduler as torch_schedulers
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from tune_lr.errors import BadInput
from tune_lr.schedules.base import (
    Needs,
    carried_lrs,
    check_no_group_gone,
    group_lrs,
    read_number,
    write_lr,
)
from tune_lr.schedules.states import check_torch_state

#: Schedulers that move each LR on from what it is, and so can take in a parameter group at any time.
RELATIVE = (
    torch_schedulers.ConstantLR,
    torch_schedulers.CosineAnnealingLR,
    torch_schedulers.ExponentialLR,
    torch_schedulers.LinearLR,
    torch_schedulers.MultiStepLR,
    torch_schedulers.PolynomialLR,
    torch_schedulers.StepLR,
)


class TorchSchedule:
    """Drives a scheduler of ``torch.optim.lr_scheduler`` by ``step(loss)``.

    torch's scheduler does all the work. What the adapter adds: the loss reaches only
    ``ReduceLROnPlateau`` (where a non-finite loss counts as a bad one, whatever its sign); the wrapper
    that torch puts around ``optimizer.step`` is taken off again; states are copies, and loading one
    restores the LRs too.

    Args:
        optimizer: whose LRs are scheduled.
        make: builds torch's scheduler from the optimizer. It begins at the optimizer's LRs of now, whatever
            scheduled it before.
        total_steps: the length of the run, for schedulers that depend on it.
    """

    needs: ClassVar[Needs] = "nothing"
    knobs: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        optimizer: Optimizer,
        make: Callable[[Optimizer], LRScheduler],
        total_steps: int | None = None,
    ) -> None:
        own_step = vars(optimizer).get("step")
        self.optimizer, self.total_steps = optimizer, total_steps
        for group in optimizer.param_groups:  # torch would begin where an earlier scheduler began
            group.pop("initial_lr", None)
        self.scheduler = make(optimizer)
        if isinstance(self.scheduler, ReduceLROnPlateau):  # the only one that forgets where it began
            self.scheduler.base_lrs = [*group_lrs(optimizer)]
        if own_step is None:
            vars(optimizer).pop("step", None)
        else:
            vars(optimizer)["step"] = own_step
        self._stepped = False
        self._groups = len(optimizer.param_groups)

    def step(self, loss: SupportsFloat | None = None, /) -> None:
        """One step of torch's scheduler.

        Raises:
            BadInput: the scheduler needs a loss and got no number; or parameter groups were removed, or added
                where the scheduler cannot take them in.
        """
        if len(self.optimizer.param_groups) != self._groups:
            self._follow_groups()
        if isinstance(self.scheduler, ReduceLROnPlateau):
            value = read_number("loss", loss)
            self.scheduler.step(value if math.isfinite(value) else math.inf)
        elif self._stepped:
            self.scheduler.step()
        else:  # torch's first step warns if optimizer.step lacks its wrapper
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                self.scheduler.step()
        self._stepped = True

    def __repr__(self) -> str:
        lrs = ", ".join(f"{lr:.4g}" for lr in self.get_last_lr())
        return f"{type(self).__name__}(lr={lrs}, by {type(self.scheduler).__name__})"

    def get_last_lr(self) -> list[float]:
        """The LR of every parameter group, as floats."""
        return group_lrs(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state of torch's scheduler."""
        return copy.deepcopy(self.scheduler.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Take over a state, and set the LRs that it was saved with.

        Raises:
            BadInput: it is none of this kind of scheduler, with so many parameter groups; nothing changed.
        """
        self._check(state_dict)
        self.scheduler.load_state_dict(copy.deepcopy(state_dict))
        for group, lr in zip(self.optimizer.param_groups, state_dict["_last_lr"], strict=True):
            write_lr(group, float(lr))
        self._stepped = False

    def adopt(self, state: Mapping[str, Any] | None, done: float, /) -> None:
        """Go on from another run under one's own settings.

        Whatever needs nothing is stepped to its own place after the part ``done`` of its own run, as if it
        had scheduled that. ``ReduceLROnPlateau`` takes over best loss and counts, and the other's LRs in
        proportion to those that the two began with, its own lower bound kept.

        Raises:
            BadInput: as ``load_state_dict``.
        """
        if not isinstance(self.scheduler, ReduceLROnPlateau):
            for _ in range(round(done * (self.total_steps or 0))):
                self.step()
        elif state is not None:
            self._check(state)
            for name in ("best", "num_bad_epochs", "cooldown_counter", "last_epoch"):
                setattr(self.scheduler, name, state[name])
            own = group_lrs(self.optimizer)
            floors = self.scheduler.min_lrs
            lrs = carried_lrs(own, state["_last_lr"], state["base_lrs"])
            lrs = [max(lr, floor) for lr, floor in zip(lrs, floors, strict=True)]
            for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
                write_lr(group, lr)
            self.scheduler._last_lr = [*group_lrs(self.optimizer)]

    def _check(self, state: Any) -> None:
        """That a state is one of this schedule; raises BadInput."""
        if len(self.optimizer.param_groups) != self._groups:
            self._follow_groups()
        check_torch_state(self.scheduler.state_dict(), state)

    def _follow_groups(self) -> None:
        """Take in parameter groups that were added: they go on from the LR that they have."""
        groups, began = self.optimizer.param_groups, self._groups
        check_no_group_gone(self.optimizer, began)
        scheduler = self.scheduler
        if isinstance(scheduler, ReduceLROnPlateau) and scheduler.default_min_lr is not None:
            scheduler.min_lrs = [scheduler.default_min_lr] * len(groups)
        elif not isinstance(scheduler, RELATIVE):
            expected = f"the {began} that the schedule began with (build a new one after adding groups)"
            raise BadInput("parameter groups", len(groups), expected)
        added = group_lrs(self.optimizer)[began:]
        scheduler.base_lrs = [*scheduler.base_lrs, *added]
        scheduler._last_lr = [*scheduler._last_lr, *added]
        self._groups = len(groups)
