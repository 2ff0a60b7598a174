"""Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934): stopping, and promoting."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tune_lr.journal import CONTINUE, PAUSE, STOP, Decision, Status
from tune_lr.stopping.base import TrialScheduler, require_at_least, require_whole

#: Value, order of entering the rung, trial. Sorted: the best first, of equal ones the one that came first.
_Entry = tuple[float, int, str]


@dataclass
class _Rung:
    """One rung of one bracket: who entered it, both lists sorted."""

    entered: list[_Entry] = field(default_factory=list)
    #: Those of them that were paused here and not promoted yet.
    waiting: list[_Entry] = field(default_factory=list)
    #: value -> how many that entered with it were let go on (kept by the rule that stops).
    went_on: Counter[float] = field(default_factory=Counter)


class _Rungs(TrialScheduler):
    """What both kinds share: the rungs, and which trial entered which with what value.

    A rung lies at ``grace * reduction_factor**k`` epochs, below ``max_epochs``. A trial that skips a rung
    (it reports every few epochs) enters the highest one it has passed, with the value it has then.

    Args:
        grace: epochs before the first rung.
        reduction_factor: one in so many goes on.
        brackets: with more than one, each trial draws (by the seed) how many of the lowest rungs it skips.
    """

    _name: ClassVar[str]

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
        require_whole(f"{self._name} option grace", grace, 1)
        require_at_least(f"{self._name} option reduction_factor", reduction_factor, 1.5)
        require_whole(f"{self._name} option brackets", brackets, 1)
        self.reduction_factor = reduction_factor
        self._levels: list[int] = []
        level: float = grace
        while level < max_epochs and round(level) < max_epochs:
            if not self._levels or round(level) > self._levels[-1]:
                self._levels.append(round(level))
            level *= reduction_factor
        self._brackets = min(brackets, max(1, len(self._levels)))
        self._generator = np.random.default_rng(seed)
        self._bracket: dict[str, int] = {}
        #: (level, bracket) -> rung, the highest first.
        self._rungs = {
            (level, bracket): _Rung() for level in reversed(self._levels) for bracket in range(self._brackets)
        }
        #: trial -> the highest rung that it entered, at which level, and how.
        self._stands: dict[str, tuple[int, _Rung, _Entry]] = {}

    def started(self, trial_id: str, config: dict[str, Any]) -> None:
        self._bracket[trial_id] = int(self._generator.integers(self._brackets))

    def _enter(self, trial_id: str, epoch: int, value: float) -> tuple[_Rung, _Entry] | None:
        """The rung that this report enters, if any; the trial's value is put down there."""
        bracket = self._bracket.get(trial_id, 0)
        passed = bisect_right(self._levels, epoch)
        if passed <= bracket or epoch >= self.max_epochs:
            return None
        level = self._levels[passed - 1]
        if trial_id in self._stands and level <= self._stands[trial_id][0]:
            return None
        self._leave(trial_id)
        rung = self._rungs[level, bracket]
        entry = (value, len(rung.entered), trial_id)
        insort(rung.entered, entry)
        self._stands[trial_id] = (level, rung, entry)
        return rung, entry

    def _leave(self, trial_id: str) -> None:
        """The trial waits no longer, if it did."""
        if trial_id not in self._stands:
            return
        _, rung, entry = self._stands[trial_id]
        at = bisect_left(rung.waiting, entry)
        if rung.waiting[at : at + 1] == [entry]:
            del rung.waiting[at]


class Asha(_Rungs):
    """Stop a trial at a rung unless it is among the best ``1/reduction_factor`` of those seen there.

    The first at a rung goes on, and so does one that beats all before it. Of trials with equal values (a
    plateaued accuracy) one in ``reduction_factor`` goes on: those that were let go on rank before a newcomer,
    those that were stopped behind it.
    """

    _name = "asha"

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        entered = self._enter(trial_id, epoch, value)
        if entered is None:
            return CONTINUE
        rung, _ = entered
        ahead = bisect_left(rung.entered, (value, -1, "")) + rung.went_on[value]
        if ahead and ahead * self.reduction_factor >= len(rung.entered):
            return STOP
        rung.went_on[value] += 1
        return CONTINUE


class AshaPromote(_Rungs):
    """Pause every trial at a rung; a free worker goes on with one of the best ``1/reduction_factor`` there.

    Of trials with equal values the one that entered the rung first ranks first. Nothing is thrown away: a
    trial that was paused early may still be promoted when others turn out worse.
    """

    pauses: ClassVar[bool] = True
    _name = "asha-promote"

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        entered = self._enter(trial_id, epoch, value)
        if entered is None:
            return CONTINUE
        rung, entry = entered
        if self._deserves(rung, entry):
            return CONTINUE  # it would be paused and promoted in one breath
        insort(rung.waiting, entry)
        return PAUSE

    def resume(self) -> str | None:
        for rung in self._rungs.values():
            if rung.waiting and self._deserves(rung, rung.waiting[0]):  # else none of the worse ones does
                return rung.waiting.pop(0)[2]
        return None

    def done(self, trial_id: str, status: Status) -> None:
        self._leave(trial_id)

    def _deserves(self, rung: _Rung, entry: _Entry) -> bool:
        return bisect_left(rung.entered, entry) < int(len(rung.entered) / self.reduction_factor)
