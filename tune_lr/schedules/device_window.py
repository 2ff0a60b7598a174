"""The running mean of ``RunningMean``, as a function of tensors that reads nothing on the host."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tune_lr.schedules.smoothing import FAR, LONG_RUN, LOOSE, TIGHT

#: How often leading bits are split off the window before the rest is summed as it is.
SPLITS = 3
#: The bits of a float64 that hold its exponent.
EXPONENT = 0x7FF << 52
ROUNDING = 2.0**-53


class Window(NamedTuple):
    """The last few losses and what is known of their sum. Tensors on one device, of shape (1,) but for one.

    Attributes:
        values: float64 of shape (window size,), a ring; slots not yet filled are 0.
        filled: int64, how many are filled.
        at: int64, the slot to fill next.
        total: float64, the running sum, rounded as the published scheduler rounds it.
        floor, peak: float64, the sizes between which the total is trusted.
        carries: bool, whether drift and doubt are being carried along (long runs).
        drift, doubt: float64, how far the total is from the true one, and how far that may be off.
        high, low: float64, the true sum, unevaluated: the nearest float64 and what it lacks.
    """

    values: Tensor
    filled: Tensor
    at: Tensor
    total: Tensor
    floor: Tensor
    peak: Tensor
    carries: Tensor
    drift: Tensor
    doubt: Tensor
    high: Tensor
    low: Tensor


def new_window(
    size: int, device: torch.device, values: Sequence[float] = (), total: float | None = None
) -> Window:
    """A window of ``size`` slots that holds ``values`` (finite, oldest first), the newest ``size`` of them.

    Args:
        size: 1 or more.
        device: where its tensors live.
        values: what has been observed.
        total: their running sum; it is checked at the next loss. Their true sum if not given.
    """
    kept = list(values)[-size:]
    high = _fsum(kept)
    low = _fsum([-high, *kept])
    known = total is not None and math.isfinite(total) and len(kept) == len(values)
    unknown = math.inf if kept else 0.0  # sizes that have the total checked at the next loss

    def number(value: float) -> Tensor:
        return torch.tensor([value], dtype=torch.float64, device=device)

    ring = torch.tensor(kept + [0.0] * (size - len(kept)), dtype=torch.float64, device=device)
    whole = [torch.tensor([n], dtype=torch.int64, device=device) for n in (len(kept), len(kept) % size)]
    return Window(
        ring, whole[0], whole[1], number(total if known and total is not None else high), number(unknown),
        number(unknown), torch.tensor([False], device=device), number(0.0), number(0.0), number(high),
        number(low),
    )  # fmt: skip


def observed(window: Window, value: Tensor, age: Tensor) -> tuple[Window, Tensor]:
    """The window after one more loss, and the mean of what it holds.

    The same additions and subtractions in the same order as ``RunningMean``, whose total the mean is made of;
    where that one sums its window afresh by ``math.fsum``, here stands ``true_sum``.

    Args:
        window: what has been observed before.
        value: float64 of shape (1,); where it is not finite, the window stays as it is.
        age: int64 of shape (1,), how many steps the run has had, this one included.
    """
    size = window.values.numel()
    full = window.filled >= size
    out = window.values.index_select(0, window.at)  # 0 while the ring is not full
    slots = torch.arange(size, device=value.device)
    values = torch.where(slots == window.at, value, window.values)
    filled = (window.filled + 1).clamp(max=size)
    high, low = true_sum(values)
    sizes = values.abs().sum()
    plain = _plain_total(window, value, out, high, sizes)
    total, drift, doubt = _careful_total(window, value, out, full, (high, low), sizes)
    long = age > LONG_RUN
    after = Window(
        values,
        filled,
        (window.at + 1) % size,
        torch.where(long, total, plain[0]),
        plain[1],
        plain[2],
        long,
        drift,
        doubt,
        high,
        low,
    )
    fine = value.isfinite()
    kept = Window(*(torch.where(fine, new, old) for new, old in zip(after, window, strict=True)))
    mean = torch.where(after.total.isfinite(), after.total / filled, (values / filled).sum())
    return kept, torch.where(fine, mean, value)


def _plain_total(
    window: Window, value: Tensor, out: Tensor, true: Tensor, sizes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The total of a run of usual length, and the sizes between which it is trusted from now on."""
    total = window.total + value - out
    size = total.abs()
    trusted = (window.floor <= size) & (size <= window.peak)
    risen = (size > window.peak) & (size < math.inf)
    close = (total - true).abs() <= LOOSE * (1.0 + sizes)
    total = torch.where(trusted | risen | close, total, true)
    peak = torch.where(trusted, window.peak, (2.0 * total.abs()).clamp(max=sys.float_info.max))
    return total, torch.where(trusted, window.floor, peak / FAR - 1.0), peak


def _careful_total(
    window: Window, value: Tensor, out: Tensor, full: Tensor, true: tuple[Tensor, Tensor], sizes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The total of a long run, its drift, and how far that may be off."""
    total = torch.where(window.carries, window.total, window.high)
    drift = torch.where(window.carries, window.drift, window.low)
    doubt = torch.where(window.carries, window.doubt, ROUNDING * window.low.abs())
    total, error = two_sum(total, value)
    drift = drift + error
    doubt = doubt + ROUNDING * drift.abs()
    total, error = two_sum(total, -out)
    drift = drift + error
    doubt = torch.where(full, doubt + ROUNDING * drift.abs(), doubt)
    off = drift.abs() + doubt
    close = (off <= TIGHT * total.abs()) | (off <= TIGHT * sizes)
    high, low = true
    return (
        torch.where(close, total, high),
        torch.where(close, drift, low),
        torch.where(close, doubt, ROUNDING * low.abs()),
    )


def two_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The rounded sum and its exact rounding error (Knuth, The Art of Computer Programming 2, 4.2.2)."""
    total = a + b
    rounded = total - a
    return total, (a - (total - rounded)) + (b - rounded)


def true_sum(values: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of a vector, as the nearest float64 and what that lacks (infinite and NaN if it overflows).

    Leading bits are split off all values at once, in such a way that their sum is exact whatever its order
    (Rump, Ogita, Oishi 2008, Accurate floating-point summation part I, algorithm 3.2), ``SPLITS`` times.
    Together these are some 140 bits of the sum, counted from the largest value that is left at each split.
    Only where more would be needed, or where the sum lies that close to halfway between two float64, can
    the result differ from the correctly rounded one of ``math.fsum``, and then by its last bit.
    """
    room = 2.0 ** ((values.numel() + 2).bit_length() + 1)
    scale = torch.where(values.abs().amax() > 2.0**900, 2.0**-100, 1.0).to(values.dtype)
    rest = values * scale
    parts = []
    for _ in range(SPLITS):
        largest = rest.abs().amax().reshape(1)
        power = (largest.view(torch.int64) & EXPONENT).view(torch.float64)
        sigma = room * power
        leading = (sigma + rest) - sigma
        rest = rest - leading
        parts.append(leading.sum())
    total, errors = rest.sum(), rest.new_zeros(())
    for part in reversed(parts):
        total, error = two_sum(part, total)
        errors = errors + error
    high, low = two_sum(total, errors)
    return high / scale, low / scale


def _fsum(values: Sequence[float]) -> float:
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return math.inf
