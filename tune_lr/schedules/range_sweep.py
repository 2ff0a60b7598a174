"""The schedule of the learning-rate range test: a sweep from low to high that ends when the loss blows up.

Smith, "Cyclical Learning Rates for Training Neural Networks" (arXiv 1506.01186), section 3.3, with the
exponential growth and the early end that fastai made usual. Nobody tunes it: ``tune-lr range`` runs it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, SupportsFloat

from torch.optim import Optimizer

from tune_lr.errors import BadInput
from tune_lr.schedules.base import Needs, group_lrs, read_number, read_range, read_whole, write_lr
from tune_lr.schedules.states import MOST_STEPS, check_keys, read_finite

#: A sweep of fewer steps leaps over what it looks for.
FEWEST_STEPS = 30


class SweepEnded(BaseException):
    """Raised by ``RangeSweep.step`` when there is nothing more to see; whoever began the sweep catches it.

    No error, so a trainer's ``except Exception`` lets it through.
    """


class Row(NamedTuple):
    """One step: which, of how many (0 where steps are only counted), the LR of the last update, the loss."""

    step: int
    of: int
    lr: float
    loss: float


class RangeSweep:
    """LRs that grow by the same factor every step, from ``low`` to ``high``.

    The loss that ``step`` sees was computed before the update of that step, so it belongs to the LR of the
    update before: ``rows`` has those pairs, and none for the first loss. With T steps the last pair is that
    of ``high``. ``step`` raises ``SweepEnded`` after them, or once a loss is not finite, or when the smoothed
    loss exceeds both four times its lowest and the first one by as much as it had fallen.

    Where the length is not known (``total_steps`` None) the LR stays at ``low`` and steps are only counted.

    Args:
        optimizer: whose LRs are swept; a group keeps its ratio to ``lr``.
        low: the first LR; above 0.
        high: the last; above ``low``.
        total_steps: T.
        lr: the LR that ``low`` stands for; the first group's if not given.
        trace: a CSV file to which every row is added at once.

    Raises:
        BadInput: the bounds are no range, or there are fewer than ``FEWEST_STEPS`` steps.
    """

    needs: ClassVar[Needs] = "loss"
    knobs: ClassVar[tuple[str, ...]] = ("sweep_low", "sweep_high", "sweep_steps", "sweep_trace")

    def __init__(
        self,
        optimizer: Optimizer,
        low: float,
        high: float,
        total_steps: int | None,
        *,
        lr: float | None = None,
        trace: Path | None = None,
    ) -> None:
        self.optimizer, self.trace = optimizer, trace
        self.low = read_range("low", low, 0, open_ends=True)
        self.high = read_range("high", high, self.low, open_ends=True)
        if total_steps is not None and total_steps < FEWEST_STEPS:
            raise BadInput("steps", total_steps, f"a sweep of {FEWEST_STEPS} steps or more: more epochs")
        self.total_steps = total_steps
        bases = group_lrs(optimizer)
        unit = bases[0] if lr is None else lr
        self._ratios = [base / unit if unit > 0 else 1.0 for base in bases]
        if not all(ratio * self.high < math.inf for ratio in self._ratios):
            raise BadInput("lr", unit, f"an LR of the size of the optimizer's, {bases}")
        self.rows: list[Row] = []
        self._ended = ""
        self._count, self._watch = 0, _Watch(total_steps or 0)
        self._set(self.low)
        #: The LR of the update before the one that the next ``step`` follows.
        self._last_lr = self.low

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> RangeSweep:
        """Built from ``sweep_low``, ``sweep_high``, ``sweep_trace`` and ``sweep_steps``.

        Without the last it takes ``total_steps``, unless that is the number of epochs: then the trainer has
        not said how many steps an epoch has, and they are counted.
        """
        steps, epochs = config.get("sweep_steps"), config.get("max_epochs")
        fewer = 0 if epochs is None else read_whole("max_epochs", epochs, 1)
        if steps is None and total_steps is not None and total_steps > fewer:
            steps = total_steps
        trace, lr = config.get("sweep_trace"), config.get("lr")
        if trace is not None and not isinstance(trace, (str, Path)):
            raise BadInput("sweep_trace", trace, "the path of a CSV file")
        low = read_range("sweep_low", config.get("sweep_low", 1e-6), 0, open_ends=True)
        return cls(
            optimizer,
            low,
            read_range("sweep_high", config.get("sweep_high", 10.0), low, open_ends=True),
            None if steps is None else read_whole("sweep_steps", steps, 1, MOST_STEPS),
            lr=None if lr is None else read_range("lr", lr, 0, open_ends=True),
            trace=None if trace is None else Path(trace),
        )

    def step(self, loss: SupportsFloat | None = None, /) -> None:
        """Note the loss of the last update, and set the next LR.

        Raises:
            SweepEnded: that was the last, or the loss has blown up.
            BadInput: the loss is no number, or parameter groups were added or removed.
        """
        if len(self.optimizer.param_groups) != len(self._ratios):
            expected = f"the {len(self._ratios)} that the sweep began with"
            raise BadInput("parameter groups", len(self.optimizer.param_groups), expected)
        if self._ended:
            raise SweepEnded(self._ended)  # whoever caught it the first time is to stop all the same
        value, seen_lr = read_number("loss", loss), self._last_lr
        self._last_lr = self._lr
        self._count += 1
        if self._count > 1 or self.total_steps is None:
            self._note(Row(self._count, self.total_steps or 0, seen_lr, value))
        if self.total_steps is None:
            return
        if self._watch.blown_up(value):
            self._ended = f"the loss blew up at lr {seen_lr:.2g}"
        elif self._count >= self.total_steps:
            self._ended = f"lr {self.high:.2g} was reached"
        if self._ended:
            raise SweepEnded(self._ended)
        part = min(1.0, self._count / (self.total_steps - 2))
        self._set(self.low ** (1 - part) * self.high**part if part < 1 else self.high)

    def get_last_lr(self) -> list[float]:
        """The LR of every parameter group."""
        return group_lrs(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """What it takes to go on, the rows aside (those of a trace are in its file)."""
        return {
            "count": self._count,
            "lr": self._lr,
            "last_lr": self._last_lr,
            "ended": self._ended,
            "watch": dict(vars(self._watch)),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Go on from a state, the LRs included.

        Raises:
            BadInput: it is none, or of LRs outside of this sweep; nothing changed.
        """
        check_keys(self.state_dict(), state_dict)
        count = read_whole("the state's count", state_dict["count"], 0, MOST_STEPS)
        low, high = self.low * (1 - 1e-9), self.high * (1 + 1e-9)
        lr, last = (
            read_range(f"the state's {name}", state_dict[name], low, high) for name in ("lr", "last_lr")
        )
        ended = state_dict["ended"]
        if not isinstance(ended, str):
            raise BadInput("the state's ended", ended, "why the sweep ended, or no text")
        watch = _Watch.read(state_dict["watch"])
        self._count, self._ended, self._last_lr, self._watch = count, ended, last, watch
        self._set(lr)

    def _set(self, lr: float) -> None:
        self._lr = lr
        for group, ratio in zip(self.optimizer.param_groups, self._ratios, strict=True):
            write_lr(group, lr * ratio)

    def _note(self, row: Row) -> None:
        self.rows.append(row)
        if self.trace is not None:
            with open(self.trace, "a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(row)


class _Watch:
    """Sees when a loss blows up: a running mean over a fiftieth of the sweep, beside its start and lowest."""

    def __init__(self, total_steps: int) -> None:
        self.keep = 1 - 1 / max(1.0, total_steps / 50)
        self.head = max(1, total_steps // 20)
        self.count, self.mean, self.weight = 0, 0.0, 0.0
        self.start, self.lowest = 0.0, math.inf

    @classmethod
    def read(cls, state: Any) -> _Watch:
        """The one whose attributes these are; raises BadInput."""
        watch = cls(1)
        check_keys(vars(watch), state)
        watch.keep = read_range("the state's keep", state["keep"], 0, 1)
        if watch.keep == 1.0:
            raise BadInput("the state's keep", watch.keep, "a number below 1")
        watch.head = read_whole("the state's head", state["head"], 1, MOST_STEPS)
        watch.count = read_whole("the state's count", state["count"], 0, MOST_STEPS)
        watch.mean = read_finite("the state's mean", state["mean"])
        watch.weight = read_range("the state's weight", state["weight"], 0, 1)
        watch.start = read_finite("the state's start", state["start"])
        watch.lowest = read_range("the state's lowest", state["lowest"], -math.inf)
        return watch

    def blown_up(self, loss: float) -> bool:
        if not math.isfinite(loss):
            return True
        self.count += 1
        self.mean = self.keep * self.mean + (1 - self.keep) * loss
        self.weight = self.keep * self.weight + (1 - self.keep)
        smoothed = self.mean / self.weight
        if self.count <= self.head:
            self.start += (loss - self.start) / self.count
        self.lowest = min(self.lowest, smoothed)
        limit = self.start + max(self.start - self.lowest, 3 * abs(self.lowest))
        return self.count > self.head and smoothed > limit


def read_trace(file: Path) -> list[Row]:
    """The rows of a trace; none where there is no file."""
    if not file.exists():
        return []
    with open(file, newline="", encoding="utf-8") as lines:
        return [Row(int(step), int(of), float(lr), float(loss)) for step, of, lr, loss in csv.reader(lines)]
