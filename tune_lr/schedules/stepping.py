"""One step of training with any schedule, whatever it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

from tune_lr.schedules.base import Schedule, read_number
from tune_lr.schedules.evaluation import Closure, Evaluation


def training_step(
    optimizer: Optimizer, schedule: Schedule, closure: Closure, *, evaluate: Closure | None = None
) -> float:
    """One step of the optimizer and of the schedule on one batch.

    Schedules that follow the step count or the loss are stepped after the optimizer; those that need the
    gradients or a closure set the LR of this very step, between ``backward`` and ``optimizer.step``.

    Args:
        optimizer: holds the parameters.
        schedule: anything that ``build_schedule`` builds.
        closure: zeroes the gradients, computes the loss, calls ``backward`` and returns the loss. A schedule
            that needs a closure calls it again, with the same random numbers.
        evaluate: the same loss without gradients, for such a schedule to call instead: a forward pass is
            cheaper than ``closure``, and nothing else differs.

    Returns:
        The loss before the step. One that is not finite is no special case: stop there if you mean to.

    Raises:
        BadInput: the closure gave no number.
    """
    again = evaluation_of(optimizer, schedule, evaluate or closure)
    loss = read_number("the closure's loss", closure())
    settle(schedule, optimizer.step, loss, again)
    return loss


def evaluation_of(optimizer: Optimizer, schedule: Schedule, closure: Closure) -> Evaluation | None:
    """What ``settle`` hands to a schedule that needs a closure, None for another.

    Make it before the loss is computed: it repeats the random numbers that are drawn from here on.
    """
    return Evaluation(optimizer, closure) if schedule.needs == "closure" else None


def settle(schedule: Schedule, update: Callable[[], Any], loss: float, again: Evaluation | None) -> None:
    """Step the schedule and the optimizer, in the order that the schedule needs; the gradients are there.

    Args:
        schedule: the schedule.
        update: steps the optimizer.
        loss: the loss that the gradients are of.
        again: the loss as a function, for a schedule that needs a closure.
    """
    if schedule.needs == "gradient":
        schedule.step(loss)
        update()
    elif again is not None:
        again.loss = loss
        schedule.step(again)
        update()
    else:
        update()
        schedule.step(loss)
