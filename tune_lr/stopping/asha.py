"""Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934): stopping, and promoting."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tune_lr.journal import CONTINUE, PAUSE, STOP, Decision, Status
from tune_lr.stopping.base import TrialScheduler, require_at_least


class _Rungs(TrialScheduler):
    """What both kinds share: the rungs, and which trial entered which with what value.

    A rung lies at ``grace * reduction_factor**k`` epochs, below ``max_epochs``. A trial that skips a rung
    (it reports every few epochs) enters the highest one it has passed, with the value it has then.

    Args:
        grace: epochs before the first rung.
        reduction_factor: one in so many goes on.
        brackets: with more than one, each trial draws (by the seed) how many of the lowest rungs it skips.
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
        require_at_least("asha option grace", grace, 1)
        require_at_least("asha option reduction_factor", reduction_factor, 1.5)
        require_at_least("asha option brackets", brackets, 1)
        self.reduction_factor = reduction_factor
        self._levels: list[int] = []
        level = float(grace)
        while round(level) < max_epochs:
            self._levels.append(round(level))
            level *= reduction_factor
        self._brackets = min(brackets, max(1, len(self._levels)))
        self._generator = np.random.default_rng(seed)
        self._bracket: dict[str, int] = {}
        self._height: dict[str, int] = {}
        #: (bracket, level) -> trial -> value, in the order of entering.
        self._rungs: dict[tuple[int, int], dict[str, float]] = {}

    def started(self, trial_id: str, config: dict[str, Any]) -> None:
        self._bracket[trial_id] = int(self._generator.integers(self._brackets))

    def _enter(self, trial_id: str, epoch: int, value: float) -> tuple[int, int] | None:
        """The rung that this report enters, if any; the trial's value is put down there."""
        bracket = self._bracket.get(trial_id, 0)
        passed = [level for level in self._levels[bracket:] if level <= epoch]
        if not passed or epoch >= self.max_epochs or passed[-1] <= self._height.get(trial_id, 0):
            return None
        self._height[trial_id] = passed[-1]
        rung = (bracket, passed[-1])
        self._rungs.setdefault(rung, {})[trial_id] = value
        return rung

    def _better(self, rung: tuple[int, int], trial_id: str) -> int:
        """How many in the rung are strictly better."""
        values = self._rungs[rung]
        return sum(value < values[trial_id] for value in values.values())


class Asha(_Rungs):
    """Stop a trial at a rung unless it is among the best ``1/reduction_factor`` of those seen there.

    The first at a rung goes on.
    """

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        rung = self._enter(trial_id, epoch, value)
        if rung is None:
            return CONTINUE
        better = self._better(rung, trial_id)
        return CONTINUE if better == 0 or better * self.reduction_factor < len(self._rungs[rung]) else STOP


class AshaPromote(_Rungs):
    """Pause every trial at a rung; a free worker goes on with one of the best ``1/reduction_factor`` there.

    Nothing is thrown away: a trial that was paused early may still be promoted when others turn out worse.
    """

    pauses: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._waiting: dict[tuple[int, int], set[str]] = {}

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        rung = self._enter(trial_id, epoch, value)
        if rung is None:
            return CONTINUE
        if self._deserves(rung, trial_id):
            return CONTINUE  # it would be paused and promoted in one breath
        self._waiting.setdefault(rung, set()).add(trial_id)
        return PAUSE

    def resume(self) -> str | None:
        for rung in sorted(self._waiting, key=lambda rung: (-rung[1], rung[0])):
            values = self._rungs[rung]
            for trial_id in sorted(self._waiting[rung], key=lambda trial: (values[trial], trial)):
                if self._deserves(rung, trial_id):
                    self._waiting[rung].discard(trial_id)
                    return trial_id
        return None

    def done(self, trial_id: str, status: Status) -> None:
        for waiting in self._waiting.values():
            waiting.discard(trial_id)

    def _deserves(self, rung: tuple[int, int], trial_id: str) -> bool:
        return self._better(rung, trial_id) < int(len(self._rungs[rung]) / self.reduction_factor)
