"""No early stopping."""

from __future__ import annotations

from tune_lr.journal import CONTINUE, Decision
from tune_lr.stopping.base import TrialScheduler


class RunToTheEnd(TrialScheduler):
    """Every trial trains all its epochs."""

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        return CONTINUE
