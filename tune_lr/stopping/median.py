"""A median stopping rule, after Golovin et al. 2017 (Google Vizier), section 3.2.2."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field

from tune_lr.journal import CONTINUE, STOP, Decision
from tune_lr.stopping.base import TrialScheduler, require_whole


@dataclass
class _Curve:
    """What one trial reported: its best value, and the average of its values up to each of its epochs."""

    best: float
    epochs: list[int] = field(default_factory=list)
    averages: list[float] = field(default_factory=list)

    def add(self, epoch: int, value: float) -> float:
        """Take in a report; the average with it (of equal values, exactly that value)."""
        self.best = min(self.best, value)
        before = self.averages[-1] if self.averages else value
        self.epochs.append(epoch)
        self.averages.append(before + (value - before) / len(self.epochs))
        return self.averages[-1]

    def average_at(self, epoch: int) -> float | None:
        """The average up to an epoch; None where the trial did not get so far, or began to report later."""
        reports = bisect_right(self.epochs, epoch)
        return self.averages[reports - 1] if reports and self.epochs[-1] >= epoch else None


class Median(TrialScheduler):
    """Stop a trial whose best value so far is worse than the median of the others' running averages.

    A value is the trial's score under the objective's scope, as for every rule, so a trial is stopped by
    what it is ranked by. What is averaged follows from that. With scope ``last`` it is the losses as they
    were reported, as in Vizier. With the scope as it comes, ``best``, it is the best loss up to each epoch:
    an average that is never above Vizier's, and equal to it where losses only fall. So the rule is at least
    as strict as Vizier's, and stricter the more the losses jump: a spike in another trial's curve does not
    lower the bar. With ``avg-k`` both sides are smoothed.

    The others are all trials that got to the epoch, whatever became of them; Vizier takes those that were
    completed, of which there are none before the first workers are through.

    Args:
        grace: epochs that every trial may train.
        min_trials: others that must have reached the epoch before anything is compared.
    """

    def __init__(self, *, max_epochs: int, seed: int = 0, grace: int = 1, min_trials: int = 3) -> None:
        super().__init__(max_epochs=max_epochs, seed=seed)
        require_whole("median option grace", grace, 1)
        require_whole("median option min_trials", min_trials, 1)
        self.grace, self.min_trials = grace, min_trials
        self._curves: dict[str, _Curve] = {}
        #: The epochs at which trials were compared, sorted, and for each the sorted averages there.
        self._epochs: list[int] = []
        self._averages: dict[int, list[float]] = {}

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        curve = self._curves.setdefault(trial_id, _Curve(best=value))
        if curve.epochs and epoch <= curve.epochs[-1]:
            return CONTINUE  # heard already
        self._catch_up(curve, epoch)
        if epoch < self.grace or epoch >= self.max_epochs:
            curve.add(epoch, value)
            return CONTINUE
        others = self._averages_at(epoch)
        enough, bar = len(others) >= self.min_trials, _median(others)
        insort(others, curve.add(epoch, value))
        return STOP if enough and curve.best > bar else CONTINUE

    def _catch_up(self, curve: _Curve, epoch: int) -> None:
        """A trial that skipped epochs got past them, as its report of a later one shows."""
        if curve.epochs:
            first, last = bisect_right(self._epochs, curve.epochs[-1]), bisect_left(self._epochs, epoch)
            for skipped in self._epochs[first:last]:
                insort(self._averages[skipped], curve.averages[-1])

    def _averages_at(self, epoch: int) -> list[float]:
        """The averages up to an epoch of all that got to it; kept once they were asked for."""
        if epoch not in self._averages:
            insort(self._epochs, epoch)
            found = (curve.average_at(epoch) for curve in self._curves.values())
            self._averages[epoch] = sorted(average for average in found if average is not None)
        return self._averages[epoch]


def _median(ordered: list[float]) -> float:
    """The median of a sorted list, without going through it (0.0 of an empty one)."""
    if not ordered:
        return 0.0
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
