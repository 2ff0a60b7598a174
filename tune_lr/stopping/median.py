"""The median stopping rule (Golovin et al. 2017, Google Vizier, section 3.2.2)."""

from __future__ import annotations

from statistics import median

from tune_lr.journal import CONTINUE, STOP, Decision
from tune_lr.stopping.base import TrialScheduler, require_at_least


class Median(TrialScheduler):
    """Stop a trial whose best value so far is worse than the median of the others' running averages.

    Args:
        grace: epochs that every trial may train.
        min_trials: others that must have reached the epoch before anything is compared.
    """

    def __init__(self, *, max_epochs: int, seed: int = 0, grace: int = 1, min_trials: int = 3) -> None:
        super().__init__(max_epochs=max_epochs, seed=seed)
        require_at_least("median option grace", grace, 1)
        require_at_least("median option min_trials", min_trials, 1)
        self.grace, self.min_trials = grace, min_trials
        self._curves: dict[str, dict[int, float]] = {}

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        curve = self._curves.setdefault(trial_id, {})
        curve[epoch] = value
        if epoch < self.grace or epoch >= self.max_epochs:
            return CONTINUE
        averages = [
            sum(value for at, value in other.items() if at <= epoch) / sum(at <= epoch for at in other)
            for name, other in self._curves.items()
            if name != trial_id and max(other) >= epoch and min(other) <= epoch
        ]
        if len(averages) < self.min_trials:
            return CONTINUE
        return STOP if min(curve.values()) > median(averages) else CONTINUE
