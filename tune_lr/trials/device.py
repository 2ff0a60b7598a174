"""The device that a trial trains on, by the name that a person gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tune_lr.errors import BadInput

if TYPE_CHECKING:
    import torch


def device_of(name: str) -> torch.device:
    """The ``torch.device`` of that name; ``auto`` is CUDA, else MPS, else the CPU.

    Raises:
        BadInput: torch has no such device, or this machine none.
    """
    import torch

    if name == "auto":
        return torch.device(next((kind for kind in ("cuda", "mps") if _count(kind)), "cpu"))
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError, ValueError) as error:
        raise BadInput("device", name, f"one of this machine: {_here()}") from error
    if device.type in _ASKED and (device.index or 0) >= _count(device.type):
        raise BadInput("device", name, f"one of this machine: {_here()}")
    return device


#: What a machine may lack.
_ASKED = ("cuda", "mps", "xpu")


def _count(kind: str) -> int:
    """How many devices of a kind PyTorch finds here."""
    import torch

    if kind == "mps":
        return int(torch.backends.mps.is_available())
    backend = torch.cuda if kind == "cuda" else torch.xpu
    return backend.device_count() if backend.is_available() else 0


def _here() -> str:
    """The devices that PyTorch finds here, as a person names them."""
    found = [(kind, _count(kind)) for kind in _ASKED]
    return ", ".join(
        ["auto", "cpu", *(f"{kind}:{i}" if n > 1 else kind for kind, n in found for i in range(n))]
    )
