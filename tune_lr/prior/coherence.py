"""How much past tasks tell of one another.

A history whose tasks have nothing in common tells nothing of a new one. No running trial is needed to see
that, so a history of that kind costs nothing at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tune_lr.prior.filling import Common, Scored
from tune_lr.prior.kernels import Kernel

#: Tasks are foretold from the others in so many groups.
_FOLDS = 5
#: So many tasks say that a history is as usual, where there are few to tell.
_PSEUDO_TASKS, _USUAL = 1.0, 0.3
#: A correlation at which a history counts in full, and one at which it counts for nothing.
_FULL, _NOTHING = 0.25, 0.05


def coherence(tasks: Sequence[Scored], kernel: Kernel) -> float:
    """How far a history is to be trusted before anything was seen, from 0 to 1.

    Each task's scores are foretold from tasks of other groups; what counts is the mean correlation of what
    was foretold with what was.

    Args:
        tasks: what was seen.
        kernel: of the scores of one task.
    """
    found = list[float]()
    folds = min(_FOLDS, len(tasks))
    for fold in range(folds if folds > 1 else 0):
        common = Common([task for i, task in enumerate(tasks) if i % folds != fold], kernel)
        for task in tasks[fold::folds]:
            told = common.mean(task.rows)
            if told.std() > 0 and task.scores.std() > 0:
                found.append(float(np.corrcoef(told, task.scores)[0, 1]))
    mean = (_PSEUDO_TASKS * _USUAL + sum(found)) / (_PSEUDO_TASKS + len(found))
    return float(np.clip((mean - _NOTHING) / (_FULL - _NOTHING), 0.0, 1.0))
