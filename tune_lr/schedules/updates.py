"""What an optimizer does to the parameters: whether it follows the LR, and the last update's direction."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import ASGD, LBFGS, Optimizer, Rprop

from tune_lr.errors import BadInput
from tune_lr.schedules.base import write_lr

#: Optimizers of PyTorch (Adafactor since 2.5) whose LR is no factor of the update.
NOT_SCALED: tuple[type[Optimizer], ...] = (
    LBFGS,
    Rprop,
    ASGD,
    *filter(None, [getattr(torch.optim, "Adafactor", None)]),
)


def scaled_by_lr(schedule: str, optimizer: Optimizer) -> Optimizer:
    """The optimizer, out of a wrapper such as Accelerate's, if its update is its LR times a direction.

    Args:
        schedule: the name of the schedule that needs it so, for the message.
        optimizer: the optimizer, or an optimizer around one that it holds as ``optimizer``.

    Raises:
        BadInput: it is one of PyTorch's whose LR is no such factor, or one with train and eval modes
            (schedule-free).
    """
    while isinstance(getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = optimizer.optimizer  # type: ignore[attr-defined]
    modes = callable(getattr(optimizer, "train", None)) and callable(getattr(optimizer, "eval", None))
    if isinstance(optimizer, NOT_SCALED) or modes:
        expected = (
            f"one whose update is the LR times a direction, such as SGD, Adam or AdamW: "
            f"schedule '{schedule}' moves the LR by that direction"
        )
        raise BadInput("optimizer", type(optimizer).__name__, expected)
    return optimizer


def moving(optimizer: Optimizer) -> Iterator[tuple[int, Tensor]]:
    """Every parameter that has a gradient, with the number of its parameter group."""
    for i, group in enumerate(optimizer.param_groups):
        for parameter in group["params"]:
            if parameter.grad is not None:
                yield i, parameter


def probe(optimizer: Optimizer, lrs: Sequence[float]) -> dict[Tensor, Tensor]:
    """Where a step with these LRs would bring every parameter that has a gradient.

    A copy of the optimizer makes the step; the optimizer, its state, its parameters and their gradients stay
    as they are. Hooks and wrappers of ``optimizer.step`` are not called.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    memo: dict[int, Any] = {id(p): p for p in parameters if p.grad is None}  # not worth a copy: they stay
    twin = copy.deepcopy(optimizer, memo)
    for name, value in vars(optimizer).items():  # copies of optimizers come without attributes of their own
        if not name.startswith("_") and name != "step" and name not in vars(twin):
            vars(twin)[name] = copy.deepcopy(value, memo)
    for group, lr in zip(twin.param_groups, lrs, strict=True):
        write_lr(group, lr)
    copies = [p for group in twin.param_groups for p in group["params"]]
    for original, double in zip(parameters, copies, strict=True):
        if original.grad is not None:
            double.grad = original.grad.clone()
    twin.step()
    return {p: double.detach() for p, double in zip(parameters, copies, strict=True) if p.grad is not None}


def plain(tensor: Tensor) -> Tensor:
    """A tensor as dense real numbers of 32 bits or more: what sums are made of."""
    tensor = tensor.detach()
    if tensor.is_sparse:
        tensor = tensor.to_dense()
    tensor = real(tensor)
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def real(tensor: Tensor) -> Tensor:
    """A complex tensor as a view with a last axis of real and imaginary parts; another as it is."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


class Directions:
    """The direction of the optimizer's last update, for every parameter that had a gradient.

    With an update ``new = old - lr * direction``, the direction is minus the derivative of the new parameter
    with respect to the LR. It is measured, ``(old - new) / lr``, within ``optimizer.step``: so it holds for
    any optimizer whose update is proportional to its LR, momentum, coupled and decoupled weight decay
    included, and is blind to whatever else moves the parameters. It needs one tensor of the size of each
    parameter.

    The measuring is done by a hook of ``Optimizer.register_step_post_hook``; ``optimizer.step`` is not
    wrapped. The hook is idle unless ``remember`` was called since the last step. It does not keep this object
    alive, and goes with it.

    Args:
        optimizer: whose updates are measured.
        rates: parameter -> one LR for each of its (real) numbers. The update of a parameter that is found
            here is rewritten to ``new = old - rates * direction``. Its owner may add to it.
    """

    def __init__(self, optimizer: Optimizer, rates: dict[Tensor, Tensor]) -> None:
        self.optimizer, self.rates = optimizer, rates
        self._kept: dict[Tensor, Tensor] = {}
        self._waiting = False  # if so, ``_kept`` holds the parameters before a step; else directions
        self._listen()

    def _listen(self) -> None:
        itself = weakref.ref(self)

        def after_step(optimizer: Optimizer, *_: Any) -> None:
            directions = itself()
            if directions is not None:
                directions._measure()

        handle = self.optimizer.register_step_post_hook(after_step)
        weakref.finalize(self, handle.remove).atexit = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy listens to the copy of the optimizer: copies of optimizers come without hooks."""
        self.__dict__.update(state)
        self._listen()

    def get(self, parameter: Tensor) -> Tensor | None:
        """The direction in which a parameter last went, None if it did not take part in the last update."""
        return None if self._waiting else self._kept.get(parameter)

    def remember(self) -> None:
        """Call it right before ``optimizer.step``: the next update is the one to measure."""
        before: dict[Tensor, Tensor] = {}
        for _, parameter in moving(self.optimizer):
            kept = self._kept.get(parameter)
            if kept is None or kept.dtype != parameter.dtype or kept.device != parameter.device:
                kept = torch.empty_like(parameter, requires_grad=False)
            before[parameter] = kept.copy_(parameter.detach())
        self._kept, self._waiting = before, True

    @torch.no_grad()
    def _measure(self) -> None:
        if not self._waiting:
            return
        self._waiting = False
        for group in self.optimizer.param_groups:
            lr = float(group["lr"])
            for parameter in group["params"]:
                kept = self._kept.get(parameter)
                if kept is None:
                    continue
                if lr == 0.0:
                    kept.zero_()
                    continue
                fall = kept.sub_(parameter)
                rates = self.rates.get(parameter)
                if rates is not None:  # by the difference, so that a rate equal to the LR changes nothing
                    now, down = real(parameter), real(fall)
                    now.add_((down * (1.0 - rates / lr)).to(now.dtype))
                fall.div_(lr)

    def state(self) -> list[Tensor | None]:
        """A copy of the directions, in the order of the optimizer's parameters."""
        return listed(self.optimizer, {} if self._waiting else self._kept)

    def load(self, state: list[Tensor | None]) -> None:
        """Take over what ``state`` returned, once ``fitting`` has seen it."""
        refill(self.optimizer, self._kept, state)
        self._waiting = False


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def listed(optimizer: Optimizer, tensors: dict[Tensor, Tensor]) -> list[Tensor | None]:
    """Copies of what is kept for parameters, in the order of the optimizer's parameters."""
    found = (tensors.get(parameter) for parameter in _parameters(optimizer))
    return [None if tensor is None else tensor.clone() for tensor in found]


def refill(optimizer: Optimizer, tensors: dict[Tensor, Tensor], state: list[Tensor | None]) -> None:
    """Replace what is kept for parameters by what ``listed`` returned, once ``fitting`` has seen it."""
    tensors.clear()
    for parameter, tensor in zip(_parameters(optimizer), state, strict=True):
        if tensor is not None:
            tensors[parameter] = tensor.detach().to(parameter.device, copy=True)


def fitting(field: str, optimizer: Optimizer, state: Any, *, as_rates: bool = False) -> list[Tensor | None]:
    """A list from a state, once it is seen to hold a tensor or None for every parameter.

    Args:
        field: its name there.
        optimizer: whose parameters they are.
        state: the list.
        as_rates: whether they are LRs: finite real numbers of 0 or more, also for complex parameters.

    Raises:
        BadInput: it is no list, its length or a tensor's shape is another, or it holds something else.
    """
    parameters = _parameters(optimizer)
    shapes = [tuple((real(p) if as_rates else p).shape) for p in parameters]
    found = state
    if isinstance(state, (list, tuple)):
        found = [tuple(part.shape) if isinstance(part, Tensor) else part for part in state]
        fits = len(found) == len(shapes) and all(
            part is None or (isinstance(part, Tensor) and had == has and _takes(part, parameter, as_rates))
            for part, had, has, parameter in zip(state, found, shapes, parameters, strict=True)
        )
        if fits:
            return list(state)
    numbers = "finite numbers of 0 or more" if as_rates else "the parameters' kinds of numbers"
    raise BadInput(
        f"the state's {field}", found, f"tensors of the parameters' shapes, {shapes}, and {numbers}"
    )


def _takes(tensor: Tensor, parameter: Tensor, as_rates: bool) -> bool:
    """Whether the numbers of a tensor are of the kind that is kept for a parameter."""
    if as_rates:
        return tensor.is_floating_point() and bool((tensor.isfinite() & (tensor >= 0.0)).all())
    return tensor.is_complex() == parameter.is_complex() and (
        tensor.is_complex() or tensor.is_floating_point()
    )
