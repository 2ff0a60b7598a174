"""Ray Tune's population-based training, which decides about trials and proposes others in their place."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from ray.tune.schedulers import PopulationBasedTraining

from tune_lr.engines.on_ray.borrowed import EPOCH, LOSS, PAUSED, RUNNING, TERMINATED, StandIn, into
from tune_lr.engines.on_ray.rules import RayRule, StandInController
from tune_lr.engines.on_ray.space import to_ray
from tune_lr.journal import CONTINUE, STOP, Decision, Status
from tune_lr.searchers.base import Searcher, Suggestion
from tune_lr.space import CategoricalKnob, SearchSpace
from tune_lr.stopping.base import checked_interval


class _Controller(StandInController):
    """Saving a trial is to remember which one it was."""

    def __init__(self, rule: Pbt) -> None:
        super().__init__()
        self._rule = rule

    def _schedule_trial_save(self, trial: StandIn, result: Any = None) -> str:
        return self._rule.name_of(trial)


class Pbt(RayRule):
    """Ray's population-based training (Jaderberg et al. 2017): it proposes as well.

    A member of the population that is among the worst is given the checkpoint of a good one and other knobs.
    Here its trial is stopped, and another, which says whose checkpoint it begins with, takes its place in
    the population. The population is the workers.

    Args:
        space: where to search.
        interval: epochs between two looks at a member; a ninth of them all, if not said.
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
        interval = checked_interval(max_epochs, interval, quantile_fraction, resample_probability)
        self.space = space
        rule = PopulationBasedTraining(
            time_attr=EPOCH,
            metric=LOSS,
            mode="min",
            perturbation_interval=interval,
            hyperparam_mutations=_mutations(space),
            quantile_fraction=quantile_fraction,
            resample_probability=resample_probability,
            custom_explore_fn=lambda config: space.flat(into(space, config)),
            log_config=False,
        )
        super().__init__(rule, max_epochs=max_epochs, seed=seed)
        self._controller = _Controller(self)
        self.searcher = _Offspring(space, seed, max_epochs, self)
        #: Members whose next trial is to begin with another's checkpoint, and that of whom.
        self._waiting: deque[tuple[StandIn, str]] = deque()
        self._next: StandIn | None = None

    def name_of(self, member: StandIn) -> str:
        """The trial that a member of the population trains now."""
        return next(name for name, each in self._trials.items() if each is member)

    def propose(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Knobs for a member that waits for its next trial, and where they come from."""
        if not self._waiting:
            self._next = None
            return None
        member, source = self._waiting.popleft()
        values = into(self.space, member.config)
        if source in self._trials:
            self._next = member
            return values, {"source": "pbt", "checkpoint_of": source}
        # That trial has ended meanwhile, so its checkpoint leaves nothing to train; its knobs are good ones.
        member.status = TERMINATED
        self._next = None
        return values, {"source": "pbt", "knobs_of": source}

    def started(self, trial_id: str, config: dict[str, Any]) -> None:
        member, self._next = self._next, None
        if member is None:
            member = self._add(StandIn(trial_id, config=self.space.flat(self.space.values(config))))
        self._trials[trial_id] = member

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        member = self._trials.get(trial_id)
        if member is None or epoch >= self.max_epochs:
            return CONTINUE
        super().decide(trial_id, epoch, value)
        if member.status != PAUSED:
            return CONTINUE  # also where Ray would give others a turn: here every member has its worker
        member.status = RUNNING
        source = member.run_metadata.checkpoint_manager._latest_checkpoint_result.checkpoint
        self._waiting.append((member, source))
        del self._trials[trial_id]
        return STOP

    def done(self, trial_id: str, status: Status) -> None:
        member = self._trials.pop(trial_id, None)
        if member is not None:
            member.status = TERMINATED

    @property
    def wanted(self) -> frozenset[str]:
        return frozenset(source for _, source in self._waiting)


class _Offspring(Searcher):
    """What population-based training proposes. Two trials may have the same knobs."""

    def __init__(self, space: SearchSpace, seed: int, max_epochs: int, rule: Pbt) -> None:
        super().__init__(space, seed=seed, max_epochs=max_epochs)
        self._rule = rule

    def ask(self) -> Suggestion:
        found = self._rule.propose()
        if found is not None:
            return self._suggest(found[0], **found[1])
        (values,) = self.space.sample(1, np.random.default_rng([self.seed, self._asked]))
        return self._suggest(values, source="random")


def _mutations(space: SearchSpace) -> dict[str, Any]:
    """How each knob may be moved: ranges by a factor, categories to a neighbour."""
    described = to_ray(space)
    return {
        name: list(knob.values) if isinstance(knob, CategoricalKnob) else described[name]
        for name, knob in space.knobs.items()
        if name in space.names
    }
