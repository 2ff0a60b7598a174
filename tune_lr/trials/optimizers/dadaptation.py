"""D-Adaptation (Defazio and Mishchenko 2023, arXiv 2301.07733), as ``pytorch_optimizer`` has it."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from pytorch_optimizer import DAdaptAdam, DAdaptSGD
from torch.optim import Optimizer

from tune_lr.schedules.base import read_range
from tune_lr.trials.optimizers.base import read_decay, read_growth, read_lr, read_share, require_one_lr


def dadapt_adam(
    parameters: Any,
    lr: Any = 1.0,
    weight_decay: Any = 0.0,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    d0: Any = 1e-6,
    growth_rate: Any = math.inf,
) -> Optimizer:
    """Adam whose step size is a lower bound d of the distance to the solution, times ``lr``.

    Leave ``lr`` at 1 unless training is unstable. Weight decay is decoupled, as in AdamW.

    Args:
        parameters: what to train, with one LR for all groups.
        lr: multiplies the estimate.
        weight_decay: 0 or more; it too is multiplied by the step size.
        beta1: decay of the gradient's mean.
        beta2: decay of the mean of its square.
        d0: the first estimate, which only ever grows; above 0.
        growth_rate: the most that one step may multiply the estimate by; 1.02 acts as a warmup.

    Raises:
        BadInput: a knob is out of range, or the groups have several LRs.
    """
    return _ready(
        DAdaptAdam(
            parameters,
            lr=read_lr(lr),
            betas=(read_share("beta1", beta1), read_share("beta2", beta2, above_zero=True)),
            weight_decay=read_decay(weight_decay),
            weight_decouple=True,
            d0=read_range("d0", d0, 0, open_ends=True),
            growth_rate=read_growth(growth_rate),
        )
    )


def dadapt_sgd(
    parameters: Any,
    lr: Any = 1.0,
    weight_decay: Any = 0.0,
    momentum: Any = 0.9,
    d0: Any = 1e-6,
    growth_rate: Any = math.inf,
) -> Optimizer:
    """SGD whose step size is a lower bound d of the distance to the solution over the first gradient's norm.

    Args:
        parameters: what to train, with one LR for all groups.
        lr: multiplies the step size; leave it at 1 unless training is unstable.
        weight_decay: 0 or more; part of the gradient.
        momentum: 0 or more, below 1.
        d0: the first estimate, which only ever grows; above 0.
        growth_rate: the most that one step may multiply the estimate by; 1.02 acts as a warmup.

    Raises:
        BadInput: a knob is out of range, or the groups have several LRs.
    """
    return _ready(
        DAdaptSGD(
            parameters,
            lr=read_lr(lr),
            momentum=read_share("momentum", momentum),
            weight_decay=read_decay(weight_decay),
            d0=read_range("d0", d0, 0, open_ends=True),
            growth_rate=read_growth(growth_rate),
        )
    )


def _ready(made: Any) -> Optimizer:
    """The optimizer, with a state that may be loaded on any device."""
    optimizer = require_one_lr(cast(Optimizer, made))
    optimizer.register_load_state_dict_post_hook(_bring_home)
    return optimizer


def _bring_home(optimizer: Optimizer) -> None:
    """Move the tensors in the groups to the parameters: torch moves only those in ``state``.

    Each group has the same running sum, which only the first group's copy goes on with.
    """
    for group in optimizer.param_groups:
        for name, value in group.items():
            if isinstance(value, torch.Tensor):
                group[name] = value.to(group["params"][0].device)
