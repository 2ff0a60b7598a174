"""Whose checkpoints are kept, since disks fill: those of the best trials that have ended."""

from __future__ import annotations

import bisect
import math
import warnings
from collections.abc import Collection
from pathlib import Path

from tune_lr.objective import Objective
from tune_lr.record import Record, TrialRecord
from tune_lr.trials.folder import TrialFolder


class Checkpoints:
    """The checkpoints in an experiment's folder.

    Args:
        folder: the experiment's; None: there are none.
        keep: of how many ended trials, the best; None: of all.
        objective: what is best. A trial that diverged is never among them.
    """

    def __init__(self, folder: Path | None, keep: int | None, objective: Objective) -> None:
        self._folder, self._keep, self._objective = folder, keep, objective
        #: Ended trials that may still hold one: (loss, order of ending, trial), best first.
        self._holders: list[tuple[float, int, str]] = []
        self._count = 0

    def folder_of(self, trial_id: str) -> Path:
        return (self._folder or Path()) / "trials" / trial_id

    def ended(self, trial: TrialRecord) -> None:
        """A trial ended: it takes its place among the others."""
        losses = trial.losses(self._objective)
        usable = losses and trial.status != "diverged"
        loss = self._objective.score(losses) if usable else math.inf
        self._count += 1
        bisect.insort(self._holders, (loss, self._count, trial.trial_id))

    def drop(self, spare: Collection[str] = ()) -> None:
        """Delete what is not to be kept, but for the trials in ``spare``."""
        if self._folder is None or self._keep is None:
            return
        losers = [holder for holder in self._holders if holder[0] == math.inf]
        losers += [holder for holder in self._holders[self._keep :] if holder[0] < math.inf]
        for holder in losers:
            if holder[2] not in spare:
                TrialFolder(self.folder_of(holder[2])).drop_checkpoints()
                self._holders.remove(holder)

    def sweep(self, record: Record) -> None:
        """Delete once more: a worker may have written after it was told to stop."""
        if self._folder is None or self._keep is None:
            return
        self.drop()
        kept = {trial_id for _, _, trial_id in self._holders}
        for trial in record.trials.values():
            if trial.ended and trial.trial_id not in kept:
                TrialFolder(self.folder_of(trial.trial_id)).drop_checkpoints()

    def copy(self, source: str, trial_id: str) -> None:
        """Let a trial begin at a copy of another's newest checkpoint (population-based training)."""
        if self._folder is None:
            return
        folder = TrialFolder(self.folder_of(trial_id))
        folder.inherit(TrialFolder(self.folder_of(source)))
        if not (folder.inherited or folder.checkpoints()):
            advice = "does the trainer call trial.resume(...) and trial.save()?"
            warnings.warn(
                f"trial {trial_id} begins anew: trial {source} saved nothing; {advice}", stacklevel=2
            )
