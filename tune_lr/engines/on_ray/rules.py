"""Ray Tune's own trial schedulers, asked one report at a time.

They keep state of their own, draw from the global generators and break on values that are not finite; here
the seed decides what they draw, and the objective sees to it that what they hear is finite.
"""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import ASHAScheduler, HyperBandScheduler, MedianStoppingRule
from ray.tune.schedulers import TrialScheduler as RayScheduler

from tune_lr.engines.on_ray.borrowed import (
    EPOCH,
    LOSS,
    PAUSED,
    PENDING,
    RUNNING,
    TERMINATED,
    Randomness,
    StandIn,
)
from tune_lr.journal import CONTINUE, PAUSE, STOP, Decision, Status
from tune_lr.stopping.base import TrialScheduler, require_at_least, require_whole

_SAID: dict[str, Decision] = {RayScheduler.STOP: STOP, RayScheduler.PAUSE: PAUSE}


class StandInController:
    """What Ray's schedulers ask of whoever runs the trials."""

    search_alg = None

    def __init__(self) -> None:
        self.trials: list[StandIn] = []
        #: Paused trials that the scheduler has given up.
        self.stopped: list[StandIn] = []

    def get_trials(self) -> list[StandIn]:
        return self.trials

    def get_live_trials(self) -> list[StandIn]:
        return [trial for trial in self.trials if trial.status != TERMINATED]

    def stop_trial(self, trial: StandIn) -> None:
        trial.status = TERMINATED
        self.stopped.append(trial)

    def pause_trial(self, trial: StandIn, should_checkpoint: bool = True) -> None:
        trial.status = PAUSED


class RayRule(TrialScheduler):
    """One of Ray's trial schedulers, asked about losses."""

    exact = False

    def __init__(self, rule: Any, *, max_epochs: int, seed: int) -> None:
        super().__init__(max_epochs=max_epochs, seed=seed)
        self._rule = rule
        self._randomness = Randomness(seed)
        self._controller = StandInController()
        #: Our trials -> what stands in for them.
        self._trials: dict[str, StandIn] = {}

    def started(self, trial_id: str, config: dict[str, Any]) -> None:
        self._trials[trial_id] = self._add(StandIn(trial_id))

    def _add(self, trial: StandIn) -> StandIn:
        self._controller.trials.append(trial)
        with self._randomness():
            self._rule.on_trial_add(self._controller, trial)
        return trial

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        trial = self._trials[trial_id]
        result = {LOSS: value, EPOCH: epoch}
        with self._randomness():
            said = self._rule.on_trial_result(self._controller, trial, result)
        trial.last_result = result
        return _SAID.get(said, CONTINUE)


class NativeAsha(RayRule):
    """Ray's own asynchronous successive halving, which stops and never promotes.

    Args:
        grace: epochs before the first rung.
        reduction_factor: one in so many goes on.
        brackets: with more than one, each trial draws one.
    """

    def __init__(
        self,
        *,
        max_epochs: int,
        seed: int = 0,
        grace: int = 1,
        reduction_factor: float = 3,
        brackets: int = 1,
    ) -> None:
        require_whole("native-asha option grace", grace, 1)
        require_at_least("native-asha option reduction_factor", reduction_factor, 1.5)
        require_whole("native-asha option brackets", brackets, 1)
        rule = ASHAScheduler(
            metric=LOSS,
            mode="min",
            time_attr=EPOCH,
            max_t=max_epochs,
            grace_period=min(grace, max_epochs),
            reduction_factor=reduction_factor,
            brackets=brackets,
        )
        super().__init__(rule, max_epochs=max_epochs, seed=seed)


class NativeMedian(RayRule):
    """Ray's own median stopping rule: the best of a trial against the others' running averages.

    Args:
        grace: epochs that every trial may train.
        min_trials: others that must have reached an epoch before anything is compared.
    """

    def __init__(self, *, max_epochs: int, seed: int = 0, grace: int = 1, min_trials: int = 3) -> None:
        require_whole("native-median option grace", grace, 1)
        require_whole("native-median option min_trials", min_trials, 1)
        rule = MedianStoppingRule(
            metric=LOSS, mode="min", time_attr=EPOCH, grace_period=grace, min_samples_required=min_trials
        )
        super().__init__(rule, max_epochs=max_epochs, seed=seed)


class HyperBand(RayRule):
    """Ray's HyperBand (Li et al. 2018): brackets of trials that are halved together.

    All trials of the job stand in its brackets from the start, as in a plain Ray script. Which bracket's
    trial starts or goes on next is Ray's choice; what it gives up while paused is stopped.

    Args:
        trials: how many trials the job has.
        reduction_factor: one in so many of a bracket goes on.
    """

    pauses = True

    def __init__(self, *, max_epochs: int, trials: int, seed: int = 0, reduction_factor: float = 3) -> None:
        require_at_least("hyperband option reduction_factor", reduction_factor, 1.5)
        rule = HyperBandScheduler(
            metric=LOSS, mode="min", time_attr=EPOCH, max_t=max_epochs, reduction_factor=reduction_factor
        )
        super().__init__(rule, max_epochs=max_epochs, seed=seed)
        for number in range(trials):
            self._add(StandIn(f"place {number}", PENDING))
        self._names: dict[StandIn, str] = {}

    def started(self, trial_id: str, config: dict[str, Any]) -> None:
        pending = [trial for trial in self._controller.trials if trial.status == PENDING]
        chosen = self._rule.choose_trial_to_run(self._controller)
        if chosen not in pending:
            chosen = pending[0] if pending else self._add(StandIn("one more", PENDING))
        chosen.status = RUNNING
        self._trials[trial_id], self._names[chosen] = chosen, trial_id

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        trial = self._trials[trial_id]
        if trial.status == TERMINATED:  # it goes on nevertheless: the journal of another session says so
            return CONTINUE
        trial.status = RUNNING
        decision = super().decide(trial_id, epoch, value)
        trial.status = {PAUSE: PAUSED, STOP: TERMINATED}.get(decision, RUNNING)
        return decision

    def resume(self) -> str | None:
        chosen = self._rule.choose_trial_to_run(self._controller)
        if chosen is None or chosen.status != PAUSED:
            return None
        chosen.status = RUNNING
        return self._names[chosen]

    def given_up(self) -> list[str]:
        stopped = [self._names[trial] for trial in self._controller.stopped]
        self._controller.stopped.clear()
        return stopped

    def done(self, trial_id: str, status: Status) -> None:
        trial = self._trials[trial_id]
        trial.status = TERMINATED
        with self._randomness():
            self._rule.on_trial_remove(self._controller, trial)
