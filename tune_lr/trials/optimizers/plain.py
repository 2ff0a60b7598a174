"""PyTorch's own optimizers."""

from __future__ import annotations

from typing import Any

from torch.optim import SGD, Adam, AdamW, Optimizer

from tune_lr.trials.optimizers.base import read_decay, read_lr, read_share


def sgd(parameters: Any, lr: Any, weight_decay: Any = 0.0, momentum: Any = 0.9) -> Optimizer:
    """SGD with heavy-ball momentum; weight decay is part of the gradient."""
    return SGD(
        parameters,
        lr=read_lr(lr),
        momentum=read_share("momentum", momentum),
        weight_decay=read_decay(weight_decay),
    )


def adam(
    parameters: Any, lr: Any, weight_decay: Any = 0.0, beta1: Any = 0.9, beta2: Any = 0.999
) -> Optimizer:
    """Adam; weight decay is part of the gradient."""
    betas = read_share("beta1", beta1), read_share("beta2", beta2)
    return Adam(parameters, lr=read_lr(lr), betas=betas, weight_decay=read_decay(weight_decay))


def adamw(
    parameters: Any, lr: Any, weight_decay: Any = 0.01, beta1: Any = 0.9, beta2: Any = 0.999
) -> Optimizer:
    """Adam with weight decay of its own, beside the gradient."""
    betas = read_share("beta1", beta1), read_share("beta2", beta2)
    return AdamW(parameters, lr=read_lr(lr), betas=betas, weight_decay=read_decay(weight_decay))
