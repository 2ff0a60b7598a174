"""A schedule in the shape of torch's own schedulers, for libraries that look at the class of what they step.

Trainer, Lightning and Accelerate accept a ``torch.optim.lr_scheduler.LRScheduler`` only, and hand a metric to
nothing but a ``ReduceLROnPlateau``.
"""

from __future__ import annotations

from typing import Any

from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from tune_lr.errors import BadInput
from tune_lr.schedules.base import Schedule


def as_torch(schedule: Schedule) -> LRScheduler:
    """The schedule as one of torch's, to be stepped by a library with what it needs.

    One that needs the loss is a ``ReduceLROnPlateau`` by class, which libraries step with a metric. One that
    needs nothing they step without, once a batch or an epoch.

    Raises:
        BadInput: it needs the gradient or a closure, which no library hands to a scheduler.
    """
    given: object = schedule
    if isinstance(given, ReduceLROnPlateau):
        return given
    if schedule.needs == "loss":
        return PerMetric(schedule)
    if schedule.needs == "nothing":
        return PerCall(schedule)
    raise BadInput("schedule", type(schedule).__name__, "one that needs the loss or nothing")


class _Shaped(LRScheduler):
    """What the shapes have in common: states, LRs and attributes are the schedule's.

    The constructor of ``LRScheduler`` is not run: it would wrap ``optimizer.step`` and take a first step.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.optimizer = schedule.optimizer  # type: ignore[attr-defined]
        #: Accelerate counts it up for batches whose gradients are only gathered.
        self._step_count = 1

    def get_last_lr(self) -> list[Any]:
        return list(self.schedule.get_last_lr())

    @property
    def history(self) -> Any:
        """What the schedule decided, if it keeps that."""
        return getattr(self.schedule, "history", None)

    def state_dict(self) -> dict[str, Any]:
        return self.schedule.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.schedule.load_state_dict(state_dict)

    def adopt(self, state: Any, done: float) -> None:
        """As the schedule's; one that has none loads the state, if there is one."""
        if hasattr(self.schedule, "adopt"):
            self.schedule.adopt(state, done)
        elif state is not None:
            self.schedule.load_state_dict(state)


class PerCall(_Shaped):
    """Stepped without a metric."""

    def step(self, epoch: int | None = None) -> None:
        self.schedule.step(None)


class Idle(_Shaped):
    """Saved, loaded and asked for its LR by the library, but stepped by somebody else."""

    def step(self, epoch: int | None = None) -> None:
        """Nothing: whoever holds the schedule steps it."""


class PerMetric(_Shaped, ReduceLROnPlateau):
    """Stepped with a metric."""

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        self.schedule.step(metrics)
