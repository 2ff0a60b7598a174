"""What a reported value means: metric, direction, scope, and what a non-finite value is.

The only owner of that knowledge, for trials, plain-script plugins and replay alike. Inside tune-lr every
searcher and trial scheduler is told *losses*: finite, lower is better.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tune_lr.errors import BadInput

#: The loss that stands for "diverged": finite, since engines break on NaN and infinities.
WORST_LOSS = 1e30

#: No trial has a billion reports.
_AVERAGE = re.compile(r"avg-([1-9][0-9]{0,8})")


def is_scope(said: object) -> bool:
    """Whether it is ``best``, ``last`` or ``avg-K``."""
    return isinstance(said, str) and (said in ("best", "last") or _AVERAGE.fullmatch(said) is not None)


@dataclass(frozen=True)
class Objective:
    """What is optimized.

    Args:
        metric: the name under which trials report it.
        mode: ``min`` or ``max``.
        scope: what decides about a trial: its ``best`` report, its ``last``, or ``avg-K``, the mean of
            its last K reports.
    """

    metric: str = "val_loss"
    mode: Literal["min", "max"] = "min"
    scope: str = "best"

    def __post_init__(self) -> None:
        if not self.metric:
            raise BadInput("metric", self.metric, "the name of a reported value")
        if self.mode not in ("min", "max"):
            raise BadInput("mode", self.mode, "min or max")
        if not is_scope(self.scope):
            raise BadInput(
                "scope", self.scope, "best, last, or avg-K with a whole number K from 1 to 10^9 - 1"
            )

    def loss(self, value: Any) -> float | None:
        """One reported value as a loss (lower is better), or None where it is no finite number.

        None, NaN, infinities and non-numbers all mean the same: the trial diverged.
        """
        if value is None or isinstance(value, (str, bytes, bool)):
            return None
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return None
        if not math.isfinite(number):
            return None
        # Clipped so that a huge finite value never ranks below a diverged trial.
        return max(-WORST_LOSS, min(WORST_LOSS, number if self.mode == "min" else -number))

    def read(self, metrics: Mapping[str, Any]) -> float | None:
        """The loss in a report.

        Raises:
            BadInput: the metric was not reported at all; the message names what was.
        """
        if self.metric not in metrics:
            reported = ", ".join(sorted(map(str, metrics))) or "nothing"
            raise BadInput(
                "metric", self.metric, f"a metric that the trainer reports (it reported: {reported})"
            )
        return self.loss(metrics[self.metric])

    def score(self, losses: Sequence[float]) -> float:
        """What a trial's losses so far, in order of epochs, are worth under the scope (a loss)."""
        if not losses:
            return WORST_LOSS
        if self.scope == "best":
            return min(losses)
        if self.scope == "last":
            return losses[-1]
        last = losses[-int(self.scope.removeprefix("avg-")) :]
        return sum(last) / len(last)

    def value(self, loss: float) -> float:
        """A loss back in the metric's own direction."""
        return loss if self.mode == "min" else -loss
