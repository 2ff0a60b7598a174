"""Schedule-free optimizers (Defazio et al. 2024, arXiv 2405.15682), from their authors' ``schedulefree``.

They have two modes, which ``tune_lr.fit`` switches: a loop of one's own calls ``optimizer.train()`` before
it trains and ``optimizer.eval()`` before it validates or saves. Batch normalization keeps statistics of the
weights that were trained with, not of those that are validated; its authors recompute them before validating.
"""

from __future__ import annotations

from typing import Any, cast

from schedulefree import AdamWScheduleFree, SGDScheduleFree
from torch.optim import Optimizer

from tune_lr.schedules.base import read_whole
from tune_lr.trials.optimizers.base import read_decay, read_lr, read_share


def schedule_free_sgd(
    parameters: Any, lr: Any = 1.0, weight_decay: Any = 0.0, momentum: Any = 0.9, warmup_steps: Any = 0
) -> Optimizer:
    """SGD that averages its weights in place of lowering its LR.

    Args:
        parameters: what to train.
        lr: its authors find 10 to 50 times the usual one best.
        weight_decay: 0 or more.
        momentum: above 0 and below 1; how near to the average the gradients are taken.
        warmup_steps: steps in which the LR rises in a line from 0.

    Raises:
        BadInput: a knob is out of range.
    """
    made = SGDScheduleFree(
        parameters,
        lr=read_lr(lr),
        momentum=read_share("momentum", momentum, above_zero=True),
        weight_decay=read_decay(weight_decay),
        warmup_steps=read_whole("warmup_steps", warmup_steps, 0),
    )
    return cast(Optimizer, made)


def schedule_free_adamw(
    parameters: Any,
    lr: Any = 0.0025,
    weight_decay: Any = 0.0,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    warmup_steps: Any = 0,
) -> Optimizer:
    """AdamW that averages its weights in place of lowering its LR.

    Args:
        parameters: what to train.
        lr: its authors find 1 to 10 times the usual one best.
        weight_decay: 0 or more.
        beta1: above 0 and below 1; how near to the average the gradients are taken.
        beta2: decay of the mean of the squared gradient.
        warmup_steps: steps in which the LR rises in a line from 0.

    Raises:
        BadInput: a knob is out of range.
    """
    made = AdamWScheduleFree(
        parameters,
        lr=read_lr(lr),
        betas=(read_share("beta1", beta1, above_zero=True), read_share("beta2", beta2)),
        weight_decay=read_decay(weight_decay),
        warmup_steps=read_whole("warmup_steps", warmup_steps, 0),
    )
    return cast(Optimizer, made)
