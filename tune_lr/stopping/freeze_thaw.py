"""Freeze-thaw: every trial pauses at each rung, and the model says which paused or new one goes on.

A stop rule that lets the first trial run to its end is only as good as the first trial. Where every trial
waits at its rungs, a bad beginning costs an epoch or three, whoever recommended it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tune_lr.journal import CONTINUE, PAUSE, Decision, Status
from tune_lr.prior.model import Model
from tune_lr.prior.prior import Prior
from tune_lr.space import SearchSpace
from tune_lr.stopping.base import TrialScheduler


class FreezeThaw(TrialScheduler):
    """Pauses at epochs 1, 3, 9, 27, .., and goes on with whichever trial promises most.

    Args:
        max_epochs: the most epochs a trial may train.
        seed: repeatable by it.
        space: of the trials' configurations.
        prior: what past experiments teach; None: nothing.
        candidates: the only configurations there are; None: any of the space.
        trials: how many trials there may be; None: no limit.
        model: the one that a searcher shares; made here if not given, and then new configurations are the
            searcher's own choice.
    """

    pauses: ClassVar[bool] = True

    def __init__(
        self,
        *,
        max_epochs: int,
        seed: int = 0,
        space: SearchSpace,
        prior: Prior | None = None,
        candidates: Sequence[Mapping[str, Any]] | None = None,
        trials: int | None = None,
        model: Model | None = None,
    ) -> None:
        super().__init__(max_epochs=max_epochs, seed=seed)
        self.model = model or Model(
            space, prior=prior, candidates=candidates, max_epochs=max_epochs, seed=seed, trials=trials
        )
        self._space = space
        #: trial -> the next epoch at which it is weighed.
        self._rung: dict[str, int] = {}

    def started(self, trial_id: str, config: dict[str, Any]) -> None:
        self.model.begin(trial_id, self._space.values(config))

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        self.model.observe(trial_id, epoch, value)
        if not self._passes(trial_id, epoch):
            return CONTINUE
        self.model.pause(trial_id)
        if self.model.choose().trial_id != trial_id:
            return PAUSE
        self.model.go_on(trial_id)
        return CONTINUE

    def repeat(self, trial_id: str, epoch: int, value: float, decision: Decision) -> None:
        self.model.observe(trial_id, epoch, value)
        self._passes(trial_id, epoch)
        if decision == PAUSE:
            self.model.pause(trial_id)

    def resume(self) -> str | None:
        choice = self.model.choose()
        if choice.trial_id is not None:
            self.why = choice.why
            self.model.go_on(choice.trial_id)
        return choice.trial_id

    def resumed(self, trial_id: str) -> None:
        self.model.go_on(trial_id)

    def nothing_new(self) -> None:
        self.model.close()

    def done(self, trial_id: str, status: Status) -> None:
        self.model.end(trial_id)

    def _passes(self, trial_id: str, epoch: int) -> bool:
        """Whether a report is the first at or after a rung; not so for the last epoch there is."""
        if epoch < self._rung.get(trial_id, 1) or epoch >= self.max_epochs:
            return False
        self._rung[trial_id] = next(rung for rung in self.model.rungs if rung > epoch)
        return True
