"""Learning rates as tensors that an optimizer holds on to and a schedule writes in place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from tune_lr.errors import BadInput


def device_of(optimizer: Optimizer) -> torch.device:
    """The device of the first parameter; the CPU where there is none.

    Raises:
        BadInput: it keeps no float64 (Apple's ``mps``), which LRs and losses are compared in.
    """
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    device: torch.device = next((parameter.device for parameter in parameters), torch.device("cpu"))
    if device.type == "mps":
        raise BadInput("device", str(device), "cpu: mps has no float64, in which losses are compared")
    return device


def check_takes_tensors(optimizer: Optimizer) -> None:
    """That an optimizer can work with LRs that are tensors.

    All of ``torch.optim`` can, except Adam and AdamW told to use ``foreach`` without ``capturable``. Of other
    optimizers it is not known, so that one is taken only if its LRs are tensors already.

    Raises:
        BadInput: it cannot, or it is not known.
    """
    known = any(kind.__module__.startswith("torch.optim.") for kind in type(optimizer).__mro__[:-1]
                if kind is not Optimizer)  # fmt: skip
    for group in optimizer.param_groups:
        if not known and not isinstance(group["lr"], Tensor):
            kind = type(optimizer).__name__
            raise BadInput("optimizer", kind, "one of torch.optim, or one that was given its LRs as tensors")
        if isinstance(optimizer, Adam) and group.get("foreach") and not group.get("capturable"):
            expected = "capturable=True beside it (or no foreach): without, it takes no LR that is a tensor"
            raise BadInput("foreach", True, expected)


def unshare_lrs(optimizer: Optimizer) -> None:
    """Give every parameter group a tensor of its own, where several hold the same one as their LR.

    ``Adam(groups, lr=tensor)`` hands one tensor to all of them; written in place, the LR of one would be that
    of all.
    """
    seen: list[Tensor] = []
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            if any(group["lr"] is other for other in seen):
                group["lr"] = group["lr"].detach().clone()
            seen.append(group["lr"])


def tensor_lrs(optimizer: Optimizer, device: torch.device) -> list[Tensor]:
    """The LR of every parameter group as a tensor on the device; groups that hold another are changed.

    Reads no value. A float becomes a float64, with which training is the same to the last bit (a float32 for
    a fused optimizer on an accelerator, whose kernel takes no other). A tensor stays the one it is, unless
    it is elsewhere, or is shared with an earlier group, which may be given another LR.
    """
    unshare_lrs(optimizer)
    lrs: list[Tensor] = []
    for group in optimizer.param_groups:
        lr = group["lr"]
        if not isinstance(lr, Tensor):
            lr = torch.full((), float(lr), dtype=_dtype(group, device), device=device)
        elif lr.device != device:
            lr = lr.detach().to(device, non_blocking=True)
        if lr is not group["lr"]:
            group["lr"] = lr
        lrs.append(lr)
    return lrs


def _dtype(group: dict[str, Any], device: torch.device) -> torch.dtype:
    return torch.float32 if group.get("fused") and device.type != "cpu" else torch.float64
