"""The loss of a batch, evaluated again: the same noise each time, and nothing left behind but the number."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim import Optimizer

from tune_lr.schedules.base import read_number

#: A function that computes the loss of a batch; whether it calls ``backward`` does not matter.
Closure = Callable[[], Any]


class Evaluation:
    """The loss of one batch as a function of what the parameters are now, to be called again and again.

    Every call draws the same random numbers: those that the generators of PyTorch stood at when this was made
    (dropout's noise; not what Python's or NumPy's generators give). It leaves as they were: the gradients of
    the optimizer's parameters, the generators, and the buffers of every module that the closure calls (the
    running statistics of batch normalization; a model under ``torch.compile`` may move them on).

    Args:
        optimizer: whose parameters have the gradients that are to be kept.
        closure: computes the loss, and may zero the gradients and call ``backward``.
        loss: what the closure gave before anything was changed, if it is known.
    """

    def __init__(self, optimizer: Optimizer, closure: Closure, loss: float | None = None) -> None:
        self.optimizer, self.closure, self.loss = optimizer, closure, loss
        #: How often it was called.
        self.count = 0
        self._noise = _noise(optimizer)

    def __call__(self) -> float:
        """The loss now.

        Raises:
            BadInput: the closure gave no number.
        """
        self.count += 1
        with (
            noise_kept(self.optimizer),
            _gradients_kept(self.optimizer),
            _buffers_kept(),
            torch.enable_grad(),
        ):
            _set_noise(self._noise)
            return read_number("the closure's loss", self.closure())


@contextmanager
def noise_kept(optimizer: Optimizer) -> Iterator[None]:
    """PyTorch's generators, on the CPU and where the parameters are, stand afterwards where they stood."""
    before = _noise(optimizer)
    try:
        yield
    finally:
        _set_noise(before)


def _noise(optimizer: Optimizer) -> list[tuple[torch.device, Tensor]]:
    """The states of PyTorch's generators by device."""
    devices = {p.device for group in optimizer.param_groups for p in group["params"]}
    found = [(torch.device("cpu"), torch.get_rng_state())]
    for device in sorted(devices, key=str):
        kind: Any = getattr(torch, device.type, None)
        if device.type != "cpu" and hasattr(kind, "get_rng_state"):
            state = kind.get_rng_state() if device.type == "mps" else kind.get_rng_state(device)
            found.append((device, state))
    return found


def _set_noise(states: list[tuple[torch.device, Tensor]]) -> None:
    for device, state in states:
        kind = getattr(torch, device.type)
        if device.type == "cpu":
            torch.set_rng_state(state)
        elif device.type == "mps":
            kind.set_rng_state(state)
        else:
            kind.set_rng_state(state, device)


@contextmanager
def _gradients_kept(optimizer: Optimizer) -> Iterator[None]:
    """The gradients are laid aside, so that a closure cannot write into them, and put back."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = [p.grad for p in parameters]
    for parameter in parameters:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient


@contextmanager
def _buffers_kept() -> Iterator[None]:
    """The buffers of every module that is called in this thread meanwhile are put back."""
    thread, seen = threading.get_ident(), dict[nn.Module, dict[str, tuple[Tensor, Tensor]]]()

    def note(module: nn.Module, _: Any) -> None:
        if module not in seen and threading.get_ident() == thread:
            buffers = module.named_buffers(recurse=False)
            seen[module] = {name: (buffer, buffer.clone()) for name, buffer in buffers}

    handle = register_module_forward_pre_hook(note)
    try:
        yield
    finally:
        handle.remove()
        with torch.no_grad():
            for module, buffers in seen.items():
                for name, (buffer, was) in buffers.items():
                    buffer.copy_(was)
                    setattr(module, name, buffer)
