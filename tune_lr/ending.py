"""When a whole job had better end: more trials hardly pay, a target is reached, or the time is up."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from tune_lr.budget import parse_budget
from tune_lr.errors import BadInput

_NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"
_GAIN = re.compile(rf"gain\s*<\s*{_NUMBER}\s*(%?)\s*/\s*([0-9]+)\s*(trials?|epochs?)?")
_BEST = re.compile(rf"best\s*(<=?|>=?)\s*{_NUMBER}")
_TIME = re.compile(r"time\s*>=?\s*(.+)")
_RIGHT = (
    "gain<0.001/20 (the last 20 trials brought less; also 1%, and /200epochs), best<0.1 (best>0.9 where "
    "large is good), or time>10m; several with commas between them"
)


@dataclass(frozen=True)
class Condition:
    """One thing that ends a job.

    Args:
        text: as it was written, for whoever asks why.
        kind: ``gain``, ``best`` or ``time``.
        amount: the least gain, the value of the metric as a loss, or seconds.
        relative: whether the gain is a share of the best loss before.
        last: over how many trials or epochs it is asked for.
        unit: which of them.
    """

    text: str
    kind: Literal["gain", "best", "time"]
    amount: float
    relative: bool = False
    last: int = 0
    unit: Literal["trials", "epochs"] = "trials"


def conditions(text: str, mode: str = "min") -> tuple[Condition, ...]:
    """What was written, read.

    Args:
        text: ``gain<0.001/20``: the best trial of the last 20 that began to report is less than 0.001 better
            than what there was before them; ``gain<1%/20``: less than 1 % better; ``gain<0.001/200epochs``:
            over the last 200 epochs of all trials. ``best<0.1``: a value of the metric is reached.
            ``time>10m``. Several with commas between them: whichever holds first.
        mode: of the metric.

    Raises:
        BadInput: it says none of these.
    """
    return tuple(_condition(part.strip(), text, mode) for part in text.split(","))


def _condition(part: str, text: str, mode: str) -> Condition:
    if match := _GAIN.fullmatch(part):
        amount, last = float(match[1]) / (100 if match[2] else 1), int(match[3])
        if amount > 0 and last > 0:
            unit: Literal["trials", "epochs"] = "epochs" if (match[4] or "").startswith("epoch") else "trials"
            return Condition(part, "gain", amount, bool(match[2]), last, unit)
    elif match := _BEST.fullmatch(part):
        if (match[1][0] == "<") != (mode == "min"):
            better = "best<" if mode == "min" else "best>"
            raise BadInput("stop_when", text, f"{better}VALUE, since mode is {mode}")
        return Condition(part, "best", float(match[2]) * (1 if mode == "min" else -1))
    elif match := _TIME.fullmatch(part):
        with suppress(BadInput):
            seconds = parse_budget(match[1]).seconds
            if seconds is not None:
                return Condition(part, "time", seconds)
    raise BadInput("stop_when", text, _RIGHT)


@dataclass
class Ending:
    """Looks at a job as it goes and says when to end it, the same after a kill as without one.

    Args:
        conditions: whichever holds first.
    """

    conditions: Sequence[Condition]
    #: The condition that held, as it was written.
    why: str | None = None
    _best: float = math.inf
    #: The best before each trial reported for the first time, and after each epoch of all trials.
    _before: deque[float] = field(default_factory=deque)
    _after: deque[float] = field(default_factory=deque)

    def hear(self, first: bool, score: float | None) -> None:
        """Take in a report.

        Args:
            first: whether it is the trial's first.
            score: the trial's loss so far under the objective's scope; None where it diverged.
        """
        if first:
            self._hold("trials", self._before)
        if score is not None:
            self._best = min(self._best, score)
        self._hold("epochs", self._after)
        self._look(lambda one: one.kind == "best" and self._best <= one.amount)

    def over(self, seconds: Callable[[], float]) -> bool:
        """Whether the job is to end, given how long it has taken so far."""
        self._look(lambda one: one.kind == "time" and seconds() >= one.amount)
        return self.why is not None

    def _hold(self, unit: str, bests: deque[float]) -> None:
        """Note the best as it is now, and what has been gained since so many trials or epochs ago."""
        asked = [one for one in self.conditions if one.kind == "gain" and one.unit == unit]
        if not asked:
            return
        bests.append(self._best)
        self._look(lambda one: one in asked and self._gained_too_little(one, bests))
        while len(bests) > max(one.last for one in asked) + 1:
            bests.popleft()

    def _gained_too_little(self, one: Condition, bests: deque[float]) -> bool:
        if len(bests) <= one.last or math.isinf(before := bests[-1 - one.last]):
            return False
        return before - self._best < one.amount * (abs(before) if one.relative else 1.0)

    def _look(self, holds: Callable[[Condition], bool]) -> None:
        if self.why is None:
            self.why = next((one.text for one in self.conditions if holds(one)), None)
