"""Learning-rate schedules: GreedyLR and the baselines to compare it with, built from a config by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from torch.optim import Optimizer

from tune_lr import registry
from tune_lr.errors import BadInput
from tune_lr.schedules.base import Needs, Schedule, present, read_choice, read_whole
from tune_lr.schedules.greedy import GreedyLR
from tune_lr.schedules.greedy_rule import optimal_factor
from tune_lr.schedules.replay import LRTrace
from tune_lr.schedules.states import MOST_STEPS
from tune_lr.schedules.stepping import training_step
from tune_lr.schedules.torch_schedule import TorchSchedule

__all__ = [
    "GreedyLR",
    "LRTrace",
    "Needs",
    "Schedule",
    "TorchSchedule",
    "build_schedule",
    "optimal_factor",
    "step_every",
    "training_step",
]


def build_schedule(
    config: Mapping[str, Any],
    optimizer: Optimizer,
    total_epochs: int | None = None,
    steps_per_epoch: int = 1,
) -> Schedule:
    """The schedule that a config asks for.

    ``config["schedule"]`` names it as the registry does (default ``greedy``); of the other keys those that
    are its knobs are read, and the rest (model, batch size, momentum) are ignored, as is a knob that is
    None. The LR to start from is the optimizer's; to schedules that rise first (one-cycle,
    warmup-stable-decay) and to line-search it is the highest one.

    Args:
        config: a trial's configuration.
        optimizer: whose LRs are scheduled.
        total_epochs: length of the run; ``config["max_epochs"]`` if not given. Only schedules that
            depend on it need it.
        steps_per_epoch: how often ``step`` is called in an epoch. Taken as 1 where the config says
            ``step_every: epoch``.

    Raises:
        UnknownName: no such schedule.
        BadInput: a knob cannot be used, or the length of the run is needed and not known.
    """
    name = config.get("schedule", "greedy")
    if not isinstance(name, str):
        raise BadInput("schedule", name, f"a name, one of: {', '.join(registry.names('schedules'))}")
    kind = "untuned_schedules" if name in registry.PARTS["untuned_schedules"] else "schedules"
    part = registry.load(kind, name)
    if not hasattr(part, "from_config"):
        return cast(Schedule, part(optimizer, **present(config, part.knobs)))
    per_epoch = 1
    if step_every(config) != "epoch":
        per_epoch = read_whole("steps_per_epoch", steps_per_epoch, 1, MOST_STEPS)
    total_steps = _total_steps(config, total_epochs, per_epoch)
    settings = {"steps_per_epoch": per_epoch, **config}  # a knob of schedules that pace themselves by epochs
    return cast(Schedule, part.from_config(settings, optimizer, total_steps))


def _total_steps(config: Mapping[str, Any], total_epochs: int | None, per_epoch: int) -> int | None:
    """The length of the run, None where it is not known; raises BadInput."""
    name, epochs = "total_epochs", total_epochs
    if epochs is None:
        name, epochs = "max_epochs", config.get("max_epochs")
    return None if epochs is None else read_whole(name, epochs, 1, MOST_STEPS // per_epoch) * per_epoch


def step_every(config: Mapping[str, Any]) -> Literal["batch", "epoch"]:
    """When a config wants its schedule stepped: after every ``batch`` (the default) or ``epoch``.

    Raises:
        BadInput: ``config["step_every"]`` is something else.
    """
    return cast(
        Literal["batch", "epoch"],
        read_choice("step_every", config.get("step_every", "batch"), ("batch", "epoch")),
    )
