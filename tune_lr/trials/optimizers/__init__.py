"""Optimizers by name, so that which one trains is a knob like any other.

A part registered under "optimizers" is called as ``part(parameters, **knobs)``; the names of its other
arguments are the keys of a config that it reads. Besides PyTorch's own there are the rivals of a tuned
schedule: optimizers that estimate their step size (Prodigy, D-Adaptation) or need no schedule
(schedule-free).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, cast

from torch.optim import Optimizer

from tune_lr import registry
from tune_lr.errors import BadInput
from tune_lr.schedules.base import present

__all__ = ["build_optimizer", "effective_lr", "knobs_of", "set_mode"]


def build_optimizer(config: Mapping[str, Any], parameters: Iterable[Any]) -> Optimizer:
    """The optimizer that a config asks for.

    ``config["optimizer"]`` names it as the registry does (default ``sgd``); of the other keys those that
    are its knobs are read, and the rest are ignored, as is a knob that is None.

    Args:
        config: a trial's configuration.
        parameters: tensors, or parameter groups as ``torch.optim`` takes them.

    Raises:
        UnknownName: no such optimizer.
        MissingExtra: its library is not installed.
        BadInput: a knob cannot be used, ``lr`` is needed and missing, or there is no parameter.
    """
    name = config.get("optimizer", "sgd")
    if not isinstance(name, str):
        raise BadInput("optimizer", name, f"a name, one of: {', '.join(registry.names('optimizers'))}")
    part = registry.load("optimizers", name)
    knobs = present(config, knobs_of(part))
    for knob, argument in list(inspect.signature(part).parameters.items())[1:]:
        if knob not in knobs and argument.default is inspect.Parameter.empty:
            raise BadInput("config", sorted(config), f"a key {knob}, which the optimizer {name} needs")
    listed = list(parameters)
    if not listed:
        raise BadInput("parameters", listed, "one parameter to train or more")
    return cast(Optimizer, part(listed, **knobs))


def knobs_of(part: Any) -> tuple[str, ...]:
    """The keys of a config that a registered optimizer reads."""
    return tuple(inspect.signature(part).parameters)[1:]


def set_mode(optimizer: Optimizer, *, training: bool) -> None:
    """Put an optimizer that has modes into the one for training, or for validating and saving.

    A schedule-free optimizer keeps the weights at the point where it takes gradients while it trains, and at
    the average that it is worth validating and saving in between. Others have no modes, and are left alone.
    """
    switch = getattr(optimizer, "train" if training else "eval", None)
    if callable(switch):
        switch()


def effective_lr(optimizer: Optimizer) -> float | None:
    """The LR that steps take in effect, where the optimizer makes its own of ``lr``; else None.

    Of the schedule-free optimizers it is that of the last step. Prodigy and D-Adaptation read their estimate
    before they update it, so of them it is that of the next step, if ``lr`` stays.
    It is that of the first parameter group: ``d * lr`` with the estimate d of Prodigy and D-Adaptation
    (over the norm of the first gradient for D-Adaptation's SGD), and the rate in the warmup of a
    schedule-free optimizer. What Adam does to each coordinate is not in it.
    """
    group = optimizer.param_groups[0]
    if "d" in group:
        return float(group["lr"]) * float(group["d"]) / (float(group.get("g0_norm", 1.0)) or 1.0)
    if "scheduled_lr" in group:
        return float(group["scheduled_lr"])
    return None
