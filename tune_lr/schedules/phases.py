"""Schedules that go through several phases in one run: cosine with restarts, one-cycle, warmup-stable-decay.

As in ``baselines``, knobs are relative to the length of the run, and what the config lacks has the default
named below. The LR of the optimizer, a config's ``lr``, is the highest one of the run in all three, as it is
for the schedules that only fall; that is what makes ``lr`` comparable across schedules. (torch's
``OneCycleLR`` calls it ``max_lr`` and ignores the optimizer's; transformers' warmups too lead up to the
optimizer's.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch.optim import Optimizer
from torch.optim import lr_scheduler as torch_schedulers

from tune_lr.errors import BadInput
from tune_lr.schedules.base import group_lrs, present, read_choice, read_flag, read_range, read_whole
from tune_lr.schedules.baselines import known_length, lower_bounds
from tune_lr.schedules.torch_schedule import TorchSchedule


class CosineRestarts(TorchSchedule):
    """Half a cosine from the LR down to ``min_lr``, and again from the LR after each of ``restarts``.

    Loshchilov and Hutter 2017 (arXiv 1608.03983, equation 5), as torch's ``CosineAnnealingWarmRestarts``. The
    cycles fill the run exactly, and the last one ends with it, at ``min_lr``, where the LR stays.

    Knobs: ``restarts`` (0 to 100, default 2), ``t_mult`` (how much longer each cycle is than the one before,
    a whole number of 1 to 10, default 2), ``min_lr`` or ``min_lr_ratio`` as for ``Cosine``. With the defaults
    the restarts come after a seventh and after three sevenths of the run.
    """

    knobs: ClassVar[tuple[str, ...]] = ("restarts", "t_mult", "min_lr", "min_lr_ratio")

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> CosineRestarts:
        """Built for a run of ``total_steps``.

        Raises:
            BadInput: the length of the run is not known, or a knob is out of range.
        """
        steps = known_length("cosine-restarts", total_steps)
        settings = present(config, cls.knobs)
        restarts = read_whole("restarts", settings.get("restarts", 2), 0, 100)
        t_mult = read_whole("t_mult", settings.get("t_mult", 2), 1, 10)
        floors = lower_bounds(config, optimizer)
        return cls(optimizer, lambda opt: _RestartsOverRun(opt, steps, restarts, t_mult, floors), steps)


class _RestartsOverRun(torch_schedulers.CosineAnnealingWarmRestarts):
    """``CosineAnnealingWarmRestarts`` told where it is as a part of a cycle, which it takes as ``epoch``.

    Its own cycles are whole numbers of steps and seldom fill a run. Here the first cycle is its unit of time
    (``T_0=1``), and every step is ``span / steps`` of it. It knows one ``eta_min`` for all parameter groups;
    here there is one for each.
    """

    def __init__(
        self, optimizer: Optimizer, steps: int, restarts: int, t_mult: int, floors: Sequence[float]
    ) -> None:
        self.steps, self.floors = steps, list(floors)
        self.span = float(sum(t_mult**cycle for cycle in range(restarts + 1)))
        self.taken = -1
        super().__init__(optimizer, T_0=1, T_mult=t_mult)

    def step(self, epoch: int | None = None) -> None:
        self.taken = self.taken + 1 if epoch is None else epoch
        # A hair further on, so that rounding puts no restart a step late; at the end a hair back, so that
        # the last cycle does not begin anew. Both are too little to be seen in the LR.
        at = min(self.span * self.taken / self.steps * (1 + 1e-12), self.span * (1 - 1e-9))
        super().step(at)

    def get_lr(self) -> list[Any]:
        lrs = []
        for base, lr, floor in zip(map(float, self.base_lrs), super().get_lr(), self.floors, strict=True):
            part = float(lr) / base if base else 0.0
            lrs.append(base * part + floor * (1 - part))
        return lrs


class OneCycle(TorchSchedule):
    """Up from the LR over ``div_factor`` to the LR, then down to that beginning over ``final_div_factor``.

    Smith and Topin 2018 (arXiv 1708.07120), as torch's ``OneCycleLR`` with the LR for its ``max_lr``. After
    the end of the run the LR stays (torch's raises).

    Knobs: ``pct_start`` (the part of the run, above 0 and below 1, after which the LR is highest, to the
    nearest step; default 0.3), ``div_factor`` (1 or more, default 25), ``final_div_factor`` (1 or more,
    default 1e4), ``anneal_strategy`` (``cos`` or ``linear``, default cos). Unlike torch's, it leaves momentum
    alone unless ``cycle_momentum`` is true; then momentum, or Adam's first beta, goes the other way, from
    ``max_momentum`` (default 0.95) to ``base_momentum`` (default 0.85, or ``max_momentum`` if that is less)
    and back.
    """

    knobs: ClassVar[tuple[str, ...]] = (
        "pct_start",
        "div_factor",
        "final_div_factor",
        "anneal_strategy",
        "cycle_momentum",
        "base_momentum",
        "max_momentum",
    )

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> OneCycle:
        """Built for a run of ``total_steps``.

        Raises:
            BadInput: the length of the run is not known, a knob is out of range, or ``cycle_momentum`` is
                asked for and the optimizer has no momentum.
        """
        steps = max(2, known_length("one-cycle", total_steps))
        settings = present(config, cls.knobs)
        part = read_range("pct_start", settings.get("pct_start", 0.3), 0, 1, open_ends=True)
        peak = min(max(1, round(part * steps)), steps - 1)
        shape: dict[str, Any] = {
            # torch's run of n steps ends at step n - 1 and has its peak at step pct_start * n - 1.
            "total_steps": steps + 1,
            "pct_start": (peak + 1) / (steps + 1),
            "max_lr": group_lrs(optimizer),
            "div_factor": read_range("div_factor", settings.get("div_factor", 25.0), 1),
            "final_div_factor": read_range("final_div_factor", settings.get("final_div_factor", 1e4), 1),
            "anneal_strategy": read_choice(
                "anneal_strategy", settings.get("anneal_strategy", "cos"), ("cos", "linear")
            ),
            **_momentum(settings, optimizer),
        }
        return cls(optimizer, lambda opt: _OneCycleThenStay(opt, **shape), steps)

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Take over a state, and set LRs and cycled momentum to what they were when it was saved.

        Raises:
            BadInput: as ``TorchSchedule``.
        """
        super().load_state_dict(state_dict)
        if isinstance(self.scheduler, _OneCycleThenStay):
            self.scheduler.set_momentum()

    def _check(self, state: Any) -> None:
        super()._check(state)
        ends = [0, *(phase["end_step"] for phase in state["_schedule_phases"])]
        if sorted({*ends}) != ends:
            raise BadInput(
                "the state's _schedule_phases", ends[1:], "the last steps of phases, in their order"
            )
        read_whole("the state's last_epoch", state["last_epoch"], 0, state["total_steps"] - 1)


class _OneCycleThenStay(torch_schedulers.OneCycleLR):
    """``OneCycleLR`` that may be stepped after its end."""

    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch < self.total_steps - 1:
            super().step(epoch)

    def set_momentum(self) -> None:
        """Set the momentum, which is in no state, to that of this step."""
        self._get_lr_called_within_step = True  # else torch warns that the LRs are not those of the last step
        try:
            self.get_lr()
        finally:
            self._get_lr_called_within_step = False


def _momentum(settings: Mapping[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """What ``OneCycleLR`` is told about momentum."""
    if not read_flag("cycle_momentum", settings.get("cycle_momentum", False)):
        return {"cycle_momentum": False}
    if not {"momentum", "betas"} & set(optimizer.defaults):
        raise BadInput("cycle_momentum", True, f"false: {type(optimizer).__name__} has no momentum")
    most = read_range("max_momentum", settings.get("max_momentum", 0.95), 0, 0.9999)
    least = read_range("base_momentum", settings.get("base_momentum", min(0.85, most)), 0, most)
    return {"cycle_momentum": True, "max_momentum": most, "base_momentum": least}


class WarmupStableDecay(TorchSchedule):
    """Up to the LR in a straight line, along at it, down in a straight line to ``end_factor`` times it.

    Hu et al. 2024 (arXiv 2404.06395, section 4), with both slopes linear, as torch's ``LambdaLR``. A warmup
    of W steps begins at 1 / (W + 1) of the LR, so that no step is lost. After the end the LR stays.

    Knobs: ``warmup_part`` and ``decay_part`` (parts of the run, 0 to 1 and together at most 1, to the nearest
    step; default 0.05 and 0.2), ``end_factor`` (0 to 1, default 0).
    """

    knobs: ClassVar[tuple[str, ...]] = ("warmup_part", "decay_part", "end_factor")

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> WarmupStableDecay:
        """Built for a run of ``total_steps``.

        Raises:
            BadInput: the length of the run is not known, or a knob is out of range.
        """
        steps = known_length("warmup-stable-decay", total_steps)
        settings = present(config, cls.knobs)
        warmup_part = read_range("warmup_part", settings.get("warmup_part", 0.05), 0, 1)
        decay_part = read_range("decay_part", settings.get("decay_part", 0.2), 0, 1)
        if warmup_part + decay_part > 1 + 1e-9:
            raise BadInput("decay_part", decay_part, f"at most 1 - warmup_part, {1 - warmup_part:g}")
        warmup = round(steps * warmup_part)
        decay = min(round(steps * decay_part), steps - warmup)
        end = read_range("end_factor", settings.get("end_factor", 0.0), 0, 1)
        shape = _Trapezoid(warmup, steps - decay, steps, end)
        return cls(optimizer, lambda opt: torch_schedulers.LambdaLR(opt, shape), steps)


@dataclass
class _Trapezoid:
    """The LR over the highest at a step. An object, since ``LambdaLR`` saves no functions in its state."""

    warmup: int
    decay_from: int
    total: int
    end: float

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        if step < self.decay_from:
            return 1.0
        if step >= self.total:
            return self.end if self.decay_from < self.total else 1.0
        part = (step - self.decay_from) / (self.total - self.decay_from)
        return 1.0 - part * (1.0 - self.end)
