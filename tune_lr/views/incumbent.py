"""Which trial is the best, kept up to date report by report."""

from __future__ import annotations

from tune_lr.objective import Objective
from tune_lr.record import Record, TrialRecord


class Incumbent:
    """The best trial so far, by the same rule as ``Record.ranked``: diverged trials do not count."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.trial_id: str | None = None
        self._scores: dict[str, float] = {}

    @classmethod
    def of(cls, record: Record, objective: Objective) -> Incumbent:
        incumbent = cls(objective)
        for trial in record.trials.values():
            incumbent.update(trial)
        return incumbent

    def update(self, trial: TrialRecord) -> None:
        """Hear of a trial that reported or changed its status."""
        losses = [] if trial.status == "diverged" else trial.losses(self.objective)
        before = self._scores.pop(trial.trial_id, None)
        if losses:
            self._scores[trial.trial_id] = self.objective.score(losses)
        after = self._scores.get(trial.trial_id)
        best = None if self.trial_id is None else self._scores.get(self.trial_id)
        if best is None or (trial.trial_id == self.trial_id and after != before):
            self.trial_id = min(self._scores, key=lambda name: (self._scores[name], name), default=None)
        elif after is not None and (after, trial.trial_id) < (best, self.trial_id or ""):
            self.trial_id = trial.trial_id

    @property
    def value(self) -> float | None:
        """The best trial's value in the metric's own direction, or None where there is none yet."""
        return None if self.trial_id is None else self.objective.value(self._scores[self.trial_id])
