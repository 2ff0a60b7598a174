"""Prodigy (Mishchenko and Defazio 2023, arXiv 2306.06101), as its authors publish it in ``prodigyopt``."""

from __future__ import annotations

import math
from contextlib import redirect_stdout
from typing import Any, cast

from prodigyopt import Prodigy
from torch.optim import Optimizer

from tune_lr.schedules.base import read_flag, read_range
from tune_lr.trials.optimizers.base import read_decay, read_growth, read_lr, read_share, require_one_lr


def prodigy(
    parameters: Any,
    lr: Any = 1.0,
    weight_decay: Any = 0.0,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    d0: Any = 1e-6,
    d_coef: Any = 1.0,
    growth_rate: Any = math.inf,
    use_bias_correction: Any = False,
    safeguard_warmup: Any = False,
) -> Optimizer:
    """Adam whose step size is an estimate d of the distance to the solution, times ``lr``.

    Leave ``lr`` at 1 and tune ``d_coef``, say its authors. Weight decay is decoupled, as in AdamW.

    Args:
        parameters: what to train, with one LR for all groups.
        lr: multiplies the estimate.
        weight_decay: 0 or more; it too is multiplied by the step size.
        beta1: decay of the gradient's mean; 0 turns the mean off.
        beta2: decay of the mean of its square.
        d0: the first estimate, which only ever grows; above 0.
        d_coef: scales the estimate; 0.5 to 2 are usual.
        growth_rate: the most that one step may multiply the estimate by.
        use_bias_correction: Adam's.
        safeguard_warmup: keep the LR out of the estimate's denominator, for schedules that begin low.

    Raises:
        BadInput: a knob is out of range, or the groups have several LRs.
    """
    settings = {
        "lr": read_lr(lr),
        "weight_decay": read_decay(weight_decay),
        "betas": (read_share("beta1", beta1), read_share("beta2", beta2)),
        "d0": read_range("d0", d0, 0, open_ends=True),
        "d_coef": read_range("d_coef", d_coef, 0, open_ends=True),
        "growth_rate": read_growth(growth_rate),
        "use_bias_correction": read_flag("use_bias_correction", use_bias_correction),
        "safeguard_warmup": read_flag("safeguard_warmup", safeguard_warmup),
    }
    with redirect_stdout(None):  # it prints a line wherever there is weight decay
        return require_one_lr(cast(Optimizer, Prodigy(parameters, **settings)))
