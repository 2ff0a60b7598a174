"""What TensorBoard's event files say of one run: curves, final values and knobs."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tune_lr.journal import Status

#: So many restarts are looked at together, that a file full of them costs no more than other files.
_MOST_STRETCHES = 1000


def _wholes() -> array[int]:
    return array("q")


def _floats() -> array[float]:
    return array("d")


@dataclass
class Run:
    """What the event files of one folder say.

    Args:
        steps, values, times: the curve of every tag.
        finals: a value of the whole run by its tag, where it has no step.
        knobs: the configuration.
        named: the metrics that the plugin of hyperparameters shows beside the knobs.
        status: where the files say it.
    """

    steps: defaultdict[str, array[int]] = field(default_factory=lambda: defaultdict(_wholes))
    values: defaultdict[str, array[float]] = field(default_factory=lambda: defaultdict(_floats))
    times: defaultdict[str, array[float]] = field(default_factory=lambda: defaultdict(_floats))
    finals: dict[str, float] = field(default_factory=dict)
    knobs: dict[str, Any] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    status: Status | None = None

    def __bool__(self) -> bool:
        return bool(self.values or self.finals or self.knobs)

    def adopt(self, other: Run, rename: dict[str, str]) -> None:
        """Takes over the curves and final values of another, under other names."""
        for tag in [*other.values]:
            name = rename.get(tag, tag)
            for mine, theirs in (
                (self.steps, other.steps),
                (self.values, other.values),
                (self.times, other.times),
            ):
                mine[name].extend(theirs[tag])  # type: ignore[arg-type]
        self.finals |= {rename.get(tag, tag): value for tag, value in other.finals.items()}

    def settle(self) -> None:
        """Tells final values from curves.

        ``add_hparams`` writes the metrics that belong to a configuration at step 0 where no step is given,
        each once, into a file of their own.
        """
        for tag in [tag for tag in self.values if tag in self.named]:
            if len(self.steps[tag]) == 1 and self.steps[tag][0] == 0:
                self.finals[tag] = self.values[tag][0]
                self._drop(tag)
        self.named.clear()

    def purge(self, first: float) -> None:
        """Drops what stands at the step ``first`` or later; a final value stands at step 0."""
        for tag in [*self.values]:
            kept = np.array(self.steps[tag], np.int64) < first
            if not kept.any():
                self._drop(tag)
            elif not kept.all():
                self.steps[tag] = array("q", np.array(self.steps[tag], np.int64)[kept].tobytes())
                self.values[tag] = array("d", np.array(self.values[tag])[kept].tobytes())
                self.times[tag] = array("d", np.array(self.times[tag])[kept].tobytes())
        if first <= 0:
            self.finals.clear()

    def _drop(self, tag: str) -> None:
        for series in (self.steps, self.values, self.times):
            del series[tag]


def ended(run: Run, first: float, stretches: list[tuple[Run, float]]) -> Run:
    """Puts a stretch to those before it; the run for the next.

    It ends with its file, or where training began anew at the step ``first``.
    """
    if len(stretches) >= _MOST_STRETCHES:
        stretches[:] = [(joined(stretches), math.inf)]
    stretches.append((run, first))
    return Run()


def joined(stretches: list[tuple[Run, float]]) -> Run:
    """The stretches of a run as one.

    Where training began anew at a step, what stood at it and after it counts no more, as in TensorBoard.
    """
    first = math.inf
    for run, begun_anew in reversed(stretches):
        first = min(first, begun_anew)
        run.settle()
        if first < math.inf:
            run.purge(first)
    whole = stretches[0][0] if stretches else Run()
    for run, _ in stretches[1:]:
        whole.adopt(run, {})
        whole.knobs |= run.knobs
        whole.status = run.status or whole.status
    return whole
