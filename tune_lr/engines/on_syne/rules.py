"""Syne Tune's own trial schedulers, asked one report at a time.

They keep state of their own, draw from numpy's global generator and break on values that are not finite; here
the seed decides what they draw, and the objective sees to it that what they hear is finite.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from syne_tune.backend.trial_status import Trial
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.scheduler import TrialScheduler as SyneScheduler
from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving
from syne_tune.optimizer.schedulers.median_stopping_rule import MedianStoppingRule
from syne_tune.optimizer.schedulers.pbt import PopulationBasedTraining

from tune_lr.engines.on_syne.borrowed import Randomness, into
from tune_lr.engines.on_syne.space import to_syne
from tune_lr.errors import BadInput
from tune_lr.journal import CONTINUE, STOP, Decision, Status
from tune_lr.searchers.base import Searcher, Suggestion
from tune_lr.space import SearchSpace
from tune_lr.stopping.base import TrialScheduler, checked_interval, require_at_least, require_whole

_METRIC, _EPOCH = "loss", "epoch"


class _SyneRule(TrialScheduler):
    """One of Syne Tune's trial schedulers, asked about losses."""

    exact = False

    def __init__(self, *, max_epochs: int, seed: int = 0) -> None:
        super().__init__(max_epochs=max_epochs, seed=seed)
        self._randomness = Randomness(seed)
        self._trials: dict[str, Trial] = {}
        self._rule: Any = None

    def started(self, trial_id: str, config: dict[str, Any]) -> None:
        self._trials[trial_id] = Trial(int(trial_id), self._flat(config), datetime.now())
        with self._randomness():
            self._rule.on_trial_add(self._trials[trial_id])

    def _flat(self, config: dict[str, Any]) -> dict[str, Any]:
        return {}

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        with self._randomness():
            said = self._rule.on_trial_result(self._trials[trial_id], {_METRIC: value, _EPOCH: epoch})
        return STOP if said == SchedulerDecision.STOP else CONTINUE


class NativeAsha(_SyneRule):
    """Syne Tune's own asynchronous successive halving, which stops and never promotes.

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
        super().__init__(max_epochs=max_epochs, seed=seed)
        require_whole("native-asha option grace", grace, 1)
        require_at_least("native-asha option reduction_factor", reduction_factor, 1.5)
        require_whole("native-asha option brackets", brackets, 1)
        self._rule = AsynchronousSuccessiveHalving(
            {},
            metric=_METRIC,
            time_attr=_EPOCH,
            max_t=max_epochs,
            grace_period=grace,
            reduction_factor=reduction_factor,
            brackets=brackets,
            random_seed=seed,
        )


class NativeMedian(_SyneRule):
    """Syne Tune's own median stopping rule, over running averages.

    Args:
        grace: epochs that every trial may train.
        min_trials: trials that must have reached an epoch before anything is compared.
        rank_cutoff: the part of them that goes on.
    """

    def __init__(
        self,
        *,
        max_epochs: int,
        seed: int = 0,
        grace: int = 1,
        min_trials: int = 5,
        rank_cutoff: float = 0.5,
    ) -> None:
        super().__init__(max_epochs=max_epochs, seed=seed)
        require_whole("native-median option grace", grace, 1)
        require_whole("native-median option min_trials", min_trials, 1)
        require_at_least("native-median option rank_cutoff", rank_cutoff, 0)
        self._rule = MedianStoppingRule(
            SyneScheduler(random_seed=seed),  # lets every trial go on
            time_attr=_EPOCH,
            metric=_METRIC,
            grace_time=grace,
            grace_population=min_trials,
            rank_cutoff=rank_cutoff,
            random_seed=seed,
        )


class Pbt(_SyneRule):
    """Syne Tune's population-based training (Jaderberg et al. 2017): it proposes as well.

    A trial among the worst is stopped, and one that begins at a copy of a good trial's checkpoint, with other
    knobs, takes its place. The population is the workers.

    Args:
        space: where to search.
        interval: epochs between two looks at a trial; a ninth of them all, if not said.
        quantile_fraction: the part of the population that counts as worst, and as good.
        resample_probability: how often a knob is drawn anew instead of moved by a fifth.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        max_epochs: int,
        seed: int = 0,
        interval: int | None = None,
        quantile_fraction: float = 0.25,
        resample_probability: float = 0.25,
    ) -> None:
        super().__init__(max_epochs=max_epochs, seed=seed)
        interval = checked_interval(max_epochs, interval, quantile_fraction, resample_probability)
        self.space = space
        self._rule = PopulationBasedTraining(
            to_syne(space),
            metric=_METRIC,
            time_attr=_EPOCH,
            max_t=max_epochs,
            random_seed=seed,
            perturbation_interval=interval,
            quantile_fraction=quantile_fraction,
            resample_probability=resample_probability,
        )
        self.searcher = _Offspring(space, seed, max_epochs, self)

    def _flat(self, config: dict[str, Any]) -> dict[str, Any]:
        return self.space.flat(self.space.values(config))

    def propose(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Knobs, and where they come from."""
        with self._randomness():
            said = self._rule.suggest()
        why: dict[str, Any] = {"source": "random"}
        if said.checkpoint_trial_id is not None:
            why = {"source": "pbt", "checkpoint_of": f"{said.checkpoint_trial_id:04d}"}
        try:
            return into(self.space, said.config), why
        except BadInput:
            return self.space.default(), why

    def done(self, trial_id: str, status: Status) -> None:
        state = self._rule.trial_state.get(int(trial_id))
        if state is not None:
            state.stopped = True  # nobody begins as a copy of it from here on

    @property
    def wanted(self) -> frozenset[str]:
        return frozenset(f"{number:04d}" for number, _ in self._rule.trial_decisions_stack)


class _Offspring(Searcher):
    """What population-based training proposes. Two trials may have the same knobs."""

    def __init__(self, space: SearchSpace, seed: int, max_epochs: int, rule: Pbt) -> None:
        super().__init__(space, seed=seed, max_epochs=max_epochs)
        self._rule = rule

    def ask(self) -> Suggestion:
        values, why = self._rule.propose()
        return self._suggest(values, **why)
