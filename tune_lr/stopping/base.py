"""What a trial scheduler is: it decides which trials go on, and which paused one deserves more."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from tune_lr.errors import BadInput
from tune_lr.journal import Decision, Status
from tune_lr.searchers.base import Searcher


class TrialScheduler(ABC):
    """A rule over the reports, the same on every engine.

    Laws, held by the contract tests: decisions depend only on the seed and the calls before; a ``resume``
    that returns None changes nothing; a trial that ``resume`` names was paused by this rule.

    Args:
        max_epochs: the most epochs a trial may train.
        seed: repeatable by it.
    """

    #: Whether ``decide`` may answer PAUSE, so that trainers must save checkpoints.
    pauses: ClassVar[bool] = False
    #: Whether replaying a journal brings back all that it knows; where not, resuming is said to be inexact.
    exact: ClassVar[bool] = True
    #: A rule that proposes configurations as well (population-based training) brings its own searcher.
    searcher: Searcher | None = None
    #: What led to the trial that ``resume`` named last, JSON-safe; journaled.
    why: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, *, max_epochs: int, seed: int = 0) -> None:
        self.max_epochs, self.seed = max_epochs, seed

    @property
    def wanted(self) -> frozenset[str]:
        """Trials whose checkpoint a proposal will be a copy of (its ``why`` says ``checkpoint_of``)."""
        return frozenset()

    def started(self, trial_id: str, config: dict[str, Any]) -> None:
        """A new trial begins."""

    @abstractmethod
    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        """What becomes of a trial that reports ``value`` (finite, lower is better) after ``epoch``."""

    def repeat(self, trial_id: str, epoch: int, value: float, decision: Decision) -> None:
        """What ``decide`` was told once and said then, after a kill.

        By the first law it says it again; a rule to which deciding is dear takes over what was decided.
        """
        self.decide(trial_id, epoch, value)

    def resume(self) -> str | None:
        """The paused trial that deserves a free worker most, or None."""
        return None

    def resumed(self, trial_id: str) -> None:
        """What ``resume`` said once, after a kill, as ``repeat``."""
        self.resume()

    def nothing_new(self) -> None:
        """The searcher has nothing left to try, or no more trials are wanted; ``resume`` is asked again."""

    def given_up(self) -> list[str]:
        """Paused trials that no ``resume`` will ever name, said once; they are stopped."""
        return []

    def done(self, trial_id: str, status: Status) -> None:
        """A trial ended for good."""


def require_at_least(field: str, value: int | float, least: int | float) -> None:
    """Raise ``BadInput`` where an option of a rule is too small, or no finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
        raise BadInput(field, value, f"a finite number of at least {least}")


def require_whole(field: str, value: int, least: int) -> None:
    """Raise ``BadInput`` where an option of a rule that counts something is too small or no whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadInput(field, value, f"a whole number of at least {least}")


def checked_interval(
    max_epochs: int, interval: int | None, quantile_fraction: float, resample_probability: float
) -> int:
    """The options of either engine's population-based training, checked; the interval, also if not said."""
    interval = max(1, max_epochs // 9) if interval is None else interval
    require_whole("pbt option interval", interval, 1)
    for name, part, most in (
        ("quantile_fraction", quantile_fraction, 0.5),
        ("resample_probability", resample_probability, 1.0),
    ):
        require_at_least(f"pbt option {name}", part, 0)
        if part > most:
            raise BadInput(f"pbt option {name}", part, f"a number from 0 to {most}")
    return interval
