"""What every learning-rate schedule looks like, and how it reads numbers and LRs."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch.optim import Optimizer

from tune_lr.errors import BadInput

#: What a training loop must hand to a schedule: nothing (it follows the step count), the loss of the
#: step, the gradients, or a closure that evaluates the loss again. The last two set the LR of the step that
#: is about to be made: call ``step`` between ``backward`` and ``optimizer.step`` (``training_step`` does).
Needs = Literal["nothing", "loss", "gradient", "closure"]


@runtime_checkable
class Schedule(Protocol):
    """A learning-rate schedule.

    A class registered under "schedules" also has ``knobs``, the names of the config keys that it reads,
    and ``from_config(config, optimizer, total_steps)``; without the latter it is called as
    ``cls(optimizer, **knobs)``. It never wraps ``optimizer.step``. One that needs nothing keeps the LR of the
    planned end past it (but for the exponential, which has none). A parameter group that was removed is told
    by BadInput; one that was added is taken in, or told likewise.

    It may have ``adopt(state, done)``, called before its first step, for a run that begins at a copy of
    another's checkpoint (population-based training): go on from there under its own settings. ``state`` is
    that of a schedule of the same class, or None where the other run had one of another class; ``done`` is
    the part of the run, 0 to 1, that lies behind. One without ``adopt`` gets the state by
    ``load_state_dict``, settings included.
    """

    needs: ClassVar[Needs]
    knobs: ClassVar[tuple[str, ...]]

    def step(self, loss: Any, /) -> None:
        """Observe the loss of one step (lower is better) and set the LR of every parameter group."""

    def get_last_lr(self) -> list[float]:
        """The LR of every parameter group after the last step."""

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on elsewhere; shares nothing with the live schedule."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Go on from a state, the LRs of the parameter groups included."""


def carried_lrs(own: Sequence[float], last: Sequence[float], first: Sequence[float]) -> list[float]:
    """LRs as far from one's own first ones as another run's ``last`` are from the ``first`` that it had.

    Raises:
        BadInput: the other run has another number of parameter groups.
    """
    if not len(own) == len(last) == len(first):
        raise BadInput("the state's LRs", last, f"{len(own)} numbers, one for each parameter group")
    pairs = zip(own, last, first, strict=True)
    return [now if mine == began else mine * (now / began if began else 1.0) for mine, now, began in pairs]


def check_no_group_gone(optimizer: Optimizer, began: int) -> None:
    """That an optimizer has no fewer parameter groups than its schedule knows.

    Raises:
        BadInput: some were removed; the schedule cannot know which.
    """
    now = len(optimizer.param_groups)
    if now < began:
        expected = f"the {began} that the schedule began with (build a new one)"
        raise BadInput("parameter groups", now, expected)


def write_lr(group: dict[str, Any], lr: float) -> None:
    """Set a parameter group's LR; a tensor is written in place, since compiled steps hold on to it."""
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


def read_number(field: str, value: Any) -> float:
    """A number (also a 0-d tensor or NumPy scalar) as a float; NaN, infinities pass.

    Raises:
        BadInput: it is no number.
    """
    try:
        if value.__class__ is torch.Tensor:  # the commonest case first; item() does not mind a graph
            return float(value.item())
        if isinstance(value, (str, bytes)):
            raise TypeError
        return float(value)
    except OverflowError:  # an int beyond the range of floats
        return math.inf
    except (TypeError, ValueError, RuntimeError):
        raise BadInput(field, value, "one number") from None


def read_range(
    field: str, value: Any, low: float, high: float = math.inf, *, open_ends: bool = False
) -> float:
    """A number from ``low`` to ``high`` (both included, unless ``open_ends``).

    Raises:
        BadInput: it is no number (true and false are none), NaN, or outside.
    """
    number = math.nan if is_bool(value) else read_number(field, value)
    if low < number < high or (not open_ends and low <= number <= high):
        return number
    span = f"above {low:g}" if open_ends else f"{low:g} or more"
    if high < math.inf:
        span = f"above {low:g} and below {high:g}" if open_ends else f"from {low:g} to {high:g}"
    raise BadInput(field, value, f"a number {span}")


def read_whole(field: str, value: Any, least: int, most: float = math.inf) -> int:
    """A whole number from ``least`` to ``most`` (floats such as 10.0 pass, since some engines make them).

    Raises:
        BadInput: it is something else.
    """
    try:
        whole = int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)
    except TypeError:
        whole = least - 1
    if is_bool(value) or not least <= whole <= most:
        span = f"of {least} or more" if most == math.inf else f"from {least} to {most:g}"
        raise BadInput(field, value, f"a whole number {span}")
    return whole


def is_bool(value: Any) -> bool:
    """Whether it is true or false, of Python, NumPy or torch."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")


def read_flag(field: str, value: Any) -> bool:
    """True or False (0 and 1 pass; text such as "false" does not, since it would count as true).

    Raises:
        BadInput: it is something else.
    """
    try:
        known = not isinstance(value, (str, bytes)) and value in (True, False)
    except (RuntimeError, TypeError, ValueError):  # an array or tensor of several values
        known = False
    if not known:
        raise BadInput(field, value, "true or false")
    return bool(value)


def read_choice(field: str, value: Any, choices: tuple[str, ...]) -> str:
    """One of a few words.

    Raises:
        BadInput: it is another word, or none.
    """
    if not isinstance(value, str) or value not in choices:
        raise BadInput(field, value, " or ".join(choices))
    return value


def read_per_group(field: str, value: Any, count: int) -> list[float]:
    """One LR for each parameter group, from one number or a list of ``count`` of them.

    Raises:
        BadInput: it is neither, or one of them is NaN or negative.
    """
    if not isinstance(value, (list, tuple)):
        return [read_range(field, value, 0)] * count
    if len(value) != count:
        raise BadInput(field, value, f"{count} numbers, one for each parameter group (it has {len(value)})")
    return [read_range(field, lr, 0) for lr in value]


def read_lrs(field: str, value: Any, count: int) -> list[float]:
    """A list that has the LR of each of ``count`` parameter groups.

    Raises:
        BadInput: it is no list of so many finite numbers of 0 or more.
    """
    if not isinstance(value, (list, tuple)):
        raise BadInput(field, value, f"{count} numbers, one for each parameter group")
    lrs = read_per_group(field, value, count)
    if math.inf in lrs:
        raise BadInput(field, value, "finite LRs")
    return lrs


def read_bound(field: str, value: Any, config: Mapping[str, Any], lrs: Sequence[float]) -> list[float]:
    """A config's ``min_lr`` or ``max_lr`` for parameter groups with these LRs.

    A config means its bounds beside its own ``lr``. So where there are several groups and the config has an
    ``lr``, one number is scaled to the LR of each group; a list is taken as it is.

    Raises:
        BadInput: as ``read_per_group``, or the config's ``lr`` is no number.
    """
    bounds = read_per_group(field, value, len(lrs))
    given = config.get("lr")
    if is_bool(given):
        raise BadInput("lr", given, "a number")
    lr = math.nan if given is None else read_number("lr", given)
    if isinstance(value, (list, tuple)) or len(lrs) == 1 or not 0 < lr < math.inf:
        return bounds
    return [_scaled(bound, lr, own) for bound, own in zip(bounds, lrs, strict=True)]


def _scaled(bound: float, lr: float, own: float) -> float:
    """``bound * own / lr``, on that side of ``own`` on which the bound is of ``lr``, in spite of rounding."""
    if bound == lr:
        return own
    scaled = bound * (own / lr)
    return min(own, scaled) if bound < lr else max(own, scaled)


def present(config: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The part of a config that has the given names and is set (None means not set)."""
    return {name: config[name] for name in names if config.get(name) is not None}


def group_lrs(optimizer: Optimizer) -> list[float]:
    """The current LR of every parameter group, as floats."""
    return [float(group["lr"]) for group in optimizer.param_groups]


def exact_lrs(groups: Sequence[Mapping[str, Any]], written: Sequence[float]) -> list[float]:
    """The LR of every parameter group; what was written, for a tensor that holds its rounded value."""
    lrs = [group["lr"] for group in groups]
    for i, lr in enumerate(lrs):
        if lr.__class__ is not float:
            lrs[i] = float(lr)
            rounded = isinstance(lr, torch.Tensor) and i < len(written)
            if rounded and float(torch.tensor(written[i], dtype=lr.dtype)) == lrs[i]:
                lrs[i] = written[i]
    return lrs
