"""The trials of the running experiment, as the model sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tune_lr.objective import WORST_LOSS
from tune_lr.prior.scores import filled_forward, win_scores

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

State = Literal["running", "paused", "ended"]


@dataclass
class Seen:
    """One trial.

    Args:
        trial_id: its name.
        place: of its configuration in the pool.
        curve: the losses by epoch, from 1; those that were not reported are NaN.
        state: whether it is being trained, may go on, or has ended.
    """

    trial_id: str
    place: int
    curve: list[float] = field(default_factory=list)
    state: State = "running"

    @property
    def epochs(self) -> int:
        return len(self.curve)

    @property
    def ruined(self) -> bool:
        return bool(self.curve) and self.curve[-1] >= WORST_LOSS

    def observe(self, epoch: int, loss: float) -> bool:
        """Take in a report; whether it was new."""
        if epoch <= len(self.curve):
            return False
        self.curve += [float("nan")] * (epoch - 1 - len(self.curve))
        self.curve.append(loss)
        return True


#: So many trials are scored against each other at most: those that were trained longest and did best, and
#: the newest.
MOST_KEPT, _NEWEST = 240, 80


class Running:
    """All trials of the experiment, in the order of their beginning.

    Args:
        max_epochs: the most that a trial may train.
    """

    def __init__(self, max_epochs: int) -> None:
        self.max_epochs = max_epochs
        self.trials: dict[str, Seen] = {}

    @property
    def begun(self) -> set[int]:
        """The places of the pool that have a trial."""
        return {trial.place for trial in self.trials.values()}

    def of_state(self, state: State) -> list[Seen]:
        return [trial for trial in self.trials.values() if trial.state == state]

    def judged(self) -> tuple[list[Seen], Array, Whole]:
        """The trials that were seen, their scores (high is good), and how far each was trained.

        What has diverged counts as trained to the end, and as no better at any epoch before: else one that
        began well would win against all that were trained for an epoch, and be sure of it.
        """
        seen = [trial for trial in self.trials.values() if trial.curve]
        if len(seen) > MOST_KEPT:
            old = sorted(seen[:-_NEWEST], key=lambda trial: (-trial.epochs, _best(trial)))
            kept = {trial.trial_id for trial in old[: MOST_KEPT - _NEWEST]}
            kept |= {trial.trial_id for trial in seen[-_NEWEST:]}
            seen = [trial for trial in seen if trial.trial_id in kept]
        if not seen:
            return [], np.zeros(0), np.zeros(0, dtype=np.int64)
        width = max(self.max_epochs, max(trial.epochs for trial in seen))
        curves, last = filled_forward([trial.curve for trial in seen], width)
        ruined = np.array([trial.ruined for trial in seen])
        curves[ruined] = curves[ruined, -1:]
        last = np.where(ruined, width, last)
        return seen, win_scores(curves, last), last


def _best(trial: Seen) -> float:
    """The lowest of what was reported; gaps compare with nothing."""
    return min(loss for loss in trial.curve if loss == loss)
