"""How much better than the best so far a trial must promise to be worth an epoch: breadth against depth.

Where a good configuration is ahead of most others' whole trainings after a ninth of its own, trying many is
cheap, and it pays to look for something far better. Where every training has to be long to be any good, it
pays to go on with what is good already. Which of the two holds shows in curves, of the past or of the
running trials: the *lead*, how often a configuration of the best tenth is better after a ninth of the epochs
than another one is at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tune_lr.objective import WORST_LOSS
from tune_lr.prior.running import Seen
from tune_lr.prior.tasks import PastTask

Array = NDArray[np.float64]

#: What is sought beyond the best where the lead is complete, in deviations of scores; and the lead at which
#: nothing is.
_MOST, _NO_LEAD = 1.0, 0.45
#: The lead where nothing is known, and the trials or tasks that this counts for.
_USUAL, _PSEUDO = 0.65, 2.0
#: A training is early after this part of its epochs, and late after that one.
_EARLY, _LATE = 1.0 / 9.0, 1.0 / 3.0


def ambition(leads: Sequence[float], weight: float = 1.0) -> float:
    """What to seek beyond the best, in deviations of scores, from the leads that were seen.

    Args:
        leads: one a task, or one a trial.
        weight: how much each counts.
    """
    lead = (_PSEUDO * _USUAL + weight * sum(leads)) / (_PSEUDO + weight * len(leads))
    return _MOST * float(np.clip((lead - _NO_LEAD) / (0.9 - _NO_LEAD), 0.0, 1.0))


def past_leads(tasks: Sequence[PastTask]) -> list[float]:
    """The lead of each past task whose trials were trained to the end."""
    found = []
    for task in tasks:
        columns = task.curves.shape[1]
        whole = task.curves[(task.last == columns) & (task.curves[:, 0] < WORST_LOSS)]
        if columns >= 9 and len(whole) >= 10:
            found.append(_lead(whole[:, round(columns * _EARLY) - 1], whole[:, -1]))
    return found


def running_leads(trials: Sequence[Seen], max_epochs: int) -> list[float]:
    """The leads of the best of the running trials over the others that were trained for a third or more."""
    early, late = max(round(max_epochs * _EARLY), 1), max(round(max_epochs * _LATE), 2)
    far = [trial for trial in trials if trial.epochs >= late and not trial.ruined]
    if len(far) < 3 or early >= late:
        return []
    curves = np.array([_best(trial)[[early - 1, -1]] for trial in far])
    return [
        float((curves[i, 0] < np.delete(curves[:, 1], i)).mean())
        for i in np.argsort(curves[:, 1])[: max(len(far) // 3, 1)]
    ]


def _best(trial: Seen) -> Array:
    found: Array = np.fmin.accumulate(np.asarray(trial.curve))
    return found


def _lead(early: Array, final: Array) -> float:
    best = np.argsort(final)[: max(len(final) // 20, 1)]
    return float((final[np.newaxis, :] > early[best][:, np.newaxis]).mean())
