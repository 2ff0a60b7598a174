"""The LRs that a run took, as a fixed schedule: what GreedyLR found once, replayed without it."""

from __future__ import annotations

import itertools
import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch.optim import Optimizer

from tune_lr.errors import BadInput, Missing
from tune_lr.schedules.base import Needs, group_lrs, read_lrs, read_whole, write_lr

_TRACE = "what LRTrace.to_dict() gave: length, steps (rising, from 0) and lrs (a list for each step)"


@dataclass(frozen=True)
class LRTrace:
    """The LRs of a run, by the steps at which they changed: a value that can be kept as JSON.

    Attributes:
        length: how many steps the run had.
        steps: the steps at which an LR changed, rising; 0 first, with the LRs to begin with.
        lrs: for each of them the LR of every parameter group from then on.
    """

    length: int
    steps: tuple[int, ...]
    lrs: tuple[tuple[float, ...], ...]

    @classmethod
    def of(
        cls, start: Sequence[float], changes: Iterable[tuple[int, Sequence[float]]], length: int
    ) -> LRTrace:
        """From the LRs to begin with, and (step, LRs) where they may have changed; NaN: no such group yet."""
        steps, lrs = [0], [tuple(start)]
        for step, after in changes:
            if step == steps[-1]:
                lrs[-1] = tuple(after)
            elif tuple(after) != lrs[-1]:
                steps.append(step)
                lrs.append(tuple(after))
        groups = len(lrs[-1])
        padded = (row + (math.nan,) * (groups - len(row)) for row in lrs)
        return cls(length, tuple(steps), tuple(padded))

    @classmethod
    def from_dict(cls, content: Any) -> LRTrace:
        """From what ``to_dict`` gave.

        Raises:
            BadInput: it is not the content of a trace.
        """
        if not isinstance(content, Mapping) or not {"length", "steps", "lrs"} <= set(content):
            raise BadInput("trace", content, _TRACE)
        steps, rows = content["steps"], content["lrs"]
        if not all(isinstance(part, (list, tuple)) for part in (steps, rows)) or not steps:
            raise BadInput("trace", content, _TRACE)
        if not all(isinstance(row, (list, tuple)) for row in rows) or len({len(row) for row in rows}) != 1:
            raise BadInput("trace", content, _TRACE)
        length = read_whole("trace length", content["length"], 0)
        whole = tuple(read_whole("trace steps", step, 0) for step in steps)
        rising = all(a < b for a, b in itertools.pairwise(whole))
        if len(steps) != len(rows) or whole[0] != 0 or not rising or whole[-1] > length:
            raise BadInput("trace", content, _TRACE)
        return cls(length, whole, tuple(tuple(map(_read_lr, row)) for row in rows))

    @classmethod
    def load(cls, path: str | Path) -> LRTrace:
        """From a file that ``save`` wrote.

        Raises:
            BadInput: there is no such file, or it holds something else.
        """
        try:
            content = json.loads(Path(path).read_text("utf-8"))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise BadInput("trace", str(path), f"a file that LRTrace.save() wrote ({error})") from error
        return cls.from_dict(content)

    def to_dict(self) -> dict[str, Any]:
        """As plain lists; None stands for the LR of a parameter group before it existed."""
        content = asdict(self)
        content["lrs"] = [[None if math.isnan(lr) else lr for lr in row] for row in self.lrs]
        content["steps"] = list(self.steps)
        return content

    def save(self, path: str | Path) -> None:
        """Write it to a JSON file."""
        Path(path).write_text(json.dumps(self.to_dict()) + "\n", "utf-8")

    def at(self, step: int) -> tuple[float, ...]:
        """The LR of every parameter group after so many steps; after the last change, the last ones."""
        return self.lrs[bisect_right(self.steps, step) - 1]

    def on(self, optimizer: Optimizer) -> FixedLR:
        """The schedule that replays this trace on an optimizer.

        Raises:
            BadInput: the optimizer has another number of parameter groups.
        """
        return FixedLR(optimizer, self)


class FixedLR:
    """Sets the LRs of a trace, step by step, whatever the loss does; beyond its end the last ones stay.

    Args:
        optimizer: whose LRs are set, at once to those that the trace begins with.
        trace: what to replay; ``schedule.to_fixed()`` of a finished run.

    Raises:
        BadInput: the optimizer has another number of parameter groups than the trace.
    """

    needs: ClassVar[Needs] = "nothing"
    knobs: ClassVar[tuple[str, ...]] = ("trace",)

    def __init__(self, optimizer: Optimizer, trace: LRTrace) -> None:
        self.optimizer, self.trace, self.last_epoch = optimizer, trace, 0
        self._write()

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> FixedLR:
        """Built from ``config["trace"]``: a trace, its content, or the path of a file that holds one.

        Raises:
            BadInput: it is missing or no trace.
        """
        given = config.get("trace")
        if given is None:
            raise Missing("trace", "an LRTrace, its content, or the path of a file that LRTrace.save() wrote")
        if isinstance(given, (str, Path)):
            given = LRTrace.load(given)
        return cls(optimizer, given if isinstance(given, LRTrace) else LRTrace.from_dict(given))

    def step(self, loss: object = None, /) -> None:
        """Go on to the LRs after the next step."""
        self.last_epoch += 1
        self._write()

    def get_last_lr(self) -> list[float]:
        """The LR of every parameter group."""
        return group_lrs(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """The step and the trace."""
        return {"last_epoch": self.last_epoch, "trace": self.trace.to_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Go on from a state, its trace and LRs included."""
        if not isinstance(state_dict, Mapping) or not {"trace", "last_epoch"} <= set(state_dict):
            raise BadInput("state_dict", state_dict, "the state of a fixed schedule: trace and last_epoch")
        trace = LRTrace.from_dict(state_dict["trace"])
        _check_groups(trace, self.optimizer)
        self.last_epoch = read_whole("last_epoch", state_dict["last_epoch"], 0)
        self.trace = trace
        self._write()

    def __repr__(self) -> str:
        lrs = ", ".join(f"{lr:.4g}" for lr in self.get_last_lr())
        return f"FixedLR(lr={lrs}, step={self.last_epoch} of {self.trace.length})"

    def _write(self) -> None:
        _check_groups(self.trace, self.optimizer)
        for group, lr in zip(self.optimizer.param_groups, self.trace.at(self.last_epoch), strict=True):
            if not math.isnan(lr):
                write_lr(group, lr)


def _check_groups(trace: LRTrace, optimizer: Optimizer) -> None:
    groups = len(optimizer.param_groups)
    if len(trace.lrs[0]) != groups:
        raise BadInput("trace", f"{len(trace.lrs[0])} LRs a step", f"{groups}, one a parameter group")


def _read_lr(value: Any) -> float:
    """One LR of a trace; NaN for None."""
    return math.nan if value is None else read_lrs("trace lrs", [value], 1)[0]
