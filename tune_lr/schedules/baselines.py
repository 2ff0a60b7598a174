"""The usual schedules, as settings of torch's own classes.

Where a schedule depends on the length of the run, its knobs are relative to that length, so that the same
values mean the same for runs of 10 and of 1000 epochs. Past the end of the run the LR stays what it was
there, but for ``Exponential``, which goes on falling. Each is built by ``from_config(config, optimizer,
total_steps)``; a knob that the config lacks has the default named below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch.optim import Optimizer
from torch.optim import lr_scheduler as torch_schedulers

from tune_lr.errors import BadInput
from tune_lr.schedules.base import Needs, group_lrs, present, read_bound, read_range, read_whole
from tune_lr.schedules.states import MOST_STEPS
from tune_lr.schedules.torch_schedule import TorchSchedule


class Constant(TorchSchedule):
    """The LR stays as it is. No knobs."""

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> Constant:
        """Built from nothing."""
        return cls(
            optimizer, lambda opt: torch_schedulers.ConstantLR(opt, factor=1.0, total_iters=0), total_steps
        )


class Linear(TorchSchedule):
    """A straight line from the LR to ``end_factor`` (0 to 1, default 0) times the LR at the end."""

    knobs: ClassVar[tuple[str, ...]] = ("end_factor",)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> Linear:
        """Built for a run of ``total_steps``.

        Raises:
            BadInput: the length of the run is not known, or a knob is out of range.
        """
        steps = known_length("linear", total_steps)
        end = read_range("end_factor", present(config, cls.knobs).get("end_factor", 0.0), 0, 1)
        return cls(
            optimizer,
            lambda opt: torch_schedulers.LinearLR(opt, start_factor=1.0, end_factor=end, total_iters=steps),
            steps,
        )


class Cosine(TorchSchedule):
    """Half a cosine from the LR down to ``min_lr``.

    ``min_lr`` is an LR, at most the initial one. Where there are several parameter groups and the config has
    an ``lr``, it is scaled by the initial LR of each group over that. Default: ``min_lr_ratio`` (0 to 1,
    default 0) times the initial LR of each group.
    """

    knobs: ClassVar[tuple[str, ...]] = ("min_lr", "min_lr_ratio")

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> Cosine:
        """Built for a run of ``total_steps``.

        Raises:
            BadInput: the length of the run is not known, or a knob is out of range.
        """
        steps = known_length("cosine", total_steps)
        floors = lower_bounds(config, optimizer)
        # Not by whether the floors differ: LRs may have moved when the schedule is built again for a state.
        if len(floors) > 1 and any(config.get(name) is not None for name in cls.knobs):
            return cls(optimizer, lambda opt: _CosineByGroup(opt, steps, floors), steps)
        return cls(
            optimizer,
            lambda opt: _CosineThenStay(opt, T_max=steps, eta_min=floors[0]),
            steps,
        )


class _CosineThenStay(torch_schedulers.CosineAnnealingLR):
    """``CosineAnnealingLR`` that stays at its lowest, instead of going up again."""

    def get_lr(self) -> list[Any]:
        if self.last_epoch <= self.T_max:
            return super().get_lr()
        return [group["lr"] for group in self.optimizer.param_groups]


class _CosineByGroup(torch_schedulers.LRScheduler):
    """``_CosineThenStay``, which knows one ``eta_min`` for all, with one for each parameter group."""

    def __init__(self, optimizer: Optimizer, steps: int, floors: Sequence[float]) -> None:
        self.steps, self.floors = steps, list(floors)
        super().__init__(optimizer)

    def get_lr(self) -> list[Any]:
        part = (1 + math.cos(math.pi * min(1.0, self.last_epoch / self.steps))) / 2
        return [
            float(base) * part + floor * (1 - part)
            for base, floor in zip(self.base_lrs, self.floors, strict=True)
        ]


class StepDecay(TorchSchedule):
    """``drops`` (0 to 1000, default 2) evenly spaced drops of the LR to ``gamma`` (above 0, at most 1,
    default 0.1) times what it was. With 2 drops they come after a third and after two thirds of the run.
    """

    knobs: ClassVar[tuple[str, ...]] = ("gamma", "drops")

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> StepDecay:
        """Built for a run of ``total_steps``.

        Raises:
            BadInput: the length of the run is not known, or a knob is out of range.
        """
        steps = known_length("step", total_steps)
        settings = present(config, cls.knobs)
        gamma = positive_part("gamma", settings.get("gamma", 0.1))
        drops = read_whole("drops", settings.get("drops", 2), 0, 1000)
        at = [max(1, round(steps * drop / (drops + 1))) for drop in range(1, drops + 1)]
        return cls(
            optimizer, lambda opt: torch_schedulers.MultiStepLR(opt, milestones=at, gamma=gamma), steps
        )


class Exponential(TorchSchedule):
    """The same factor every step, such that the LR ends at ``final_factor`` (above 0, at most 1, default
    0.01) times the initial one.
    """

    knobs: ClassVar[tuple[str, ...]] = ("final_factor",)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> Exponential:
        """Built for a run of ``total_steps``.

        Raises:
            BadInput: the length of the run is not known, or a knob is out of range.
        """
        steps = known_length("exponential", total_steps)
        final = positive_part("final_factor", present(config, cls.knobs).get("final_factor", 0.01))
        return cls(
            optimizer, lambda opt: torch_schedulers.ExponentialLR(opt, gamma=final ** (1 / steps)), steps
        )


class Polynomial(TorchSchedule):
    """The LR times the part of the run that is left to the power of ``power``, so that it ends at 0.

    ``power``: above 0, at most 100, default 1.
    """

    knobs: ClassVar[tuple[str, ...]] = ("power",)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> Polynomial:
        """Built for a run of ``total_steps``.

        Raises:
            BadInput: the length of the run is not known, or a knob is out of range.
        """
        steps = known_length("polynomial", total_steps)
        power = read_range("power", present(config, cls.knobs).get("power", 1.0), 0, 100)
        if power == 0.0:
            raise BadInput("power", power, "a number above 0, at most 100")
        return cls(
            optimizer, lambda opt: torch_schedulers.PolynomialLR(opt, total_iters=steps, power=power), steps
        )


class Plateau(TorchSchedule):
    """Cuts the LR by ``factor`` after more than ``patience`` steps in a row without a better loss.

    Knobs: ``factor`` (above 0, below 1, default 0.1), ``patience`` (steps, default 10), ``threshold`` (by
    what part of the best loss another must be lower to be better, default 1e-4), and ``min_lr`` or
    ``min_lr_ratio`` as for ``Cosine``.
    """

    needs: ClassVar[Needs] = "loss"
    knobs: ClassVar[tuple[str, ...]] = ("factor", "patience", "threshold", "min_lr", "min_lr_ratio")

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> Plateau:
        """Built without regard to the length of the run.

        Raises:
            BadInput: a knob is out of range.
        """
        settings = present(config, cls.knobs)
        factor = read_range("factor", settings.get("factor", 0.1), 0, 1, open_ends=True)
        patience = read_whole("patience", settings.get("patience", 10), 0, MOST_STEPS)
        threshold = read_range("threshold", settings.get("threshold", 1e-4), 0, 1)
        floors = lower_bounds(config, optimizer)
        floor = floors if len({*floors}) > 1 else floors[0]
        return cls(
            optimizer,
            lambda opt: torch_schedulers.ReduceLROnPlateau(
                opt, "min", factor=factor, patience=patience, threshold=threshold, min_lr=floor
            ),
        )


def known_length(name: str, total_steps: int | None) -> int:
    """The length of the run in steps.

    Raises:
        BadInput: it is not known, or not positive.
    """
    if total_steps is None:
        expected = f"the number of epochs, which schedule '{name}' depends on (or config key 'max_epochs')"
        raise BadInput("total_epochs", total_steps, expected)
    return read_whole("total_steps", total_steps, 1)


def lower_bounds(config: Mapping[str, Any], optimizer: Optimizer) -> list[float]:
    """For each parameter group ``min_lr`` of a config (as ``read_bound`` has it), else ``min_lr_ratio`` times
    its LR, else 0.

    Raises:
        BadInput: it is negative, or above the LR of a parameter group.
    """
    lrs = group_lrs(optimizer)
    settings = present(config, ("min_lr", "min_lr_ratio"))
    if "min_lr" not in settings:
        ratio = read_range("min_lr_ratio", settings.get("min_lr_ratio", 0.0), 0, 1)
        return [lr * ratio for lr in lrs]
    floors = read_bound("min_lr", settings["min_lr"], config, lrs)
    for i, (floor, lr) in enumerate(zip(floors, lrs, strict=True)):
        if floor > lr:
            raise BadInput("min_lr", floor, f"at most the LR of parameter group {i}, which is {lr:g}")
    return floors


def positive_part(field: str, value: Any) -> float:
    """A number above 0 and at most 1.

    Raises:
        BadInput: it is something else.
    """
    number = read_range(field, value, 0, 1)
    if number == 0.0:
        raise BadInput(field, value, "a number above 0 and at most 1")
    return number
