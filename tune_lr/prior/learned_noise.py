"""How much early scores told on past tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from tune_lr.prior.fidelity import FRACTIONS, USUAL
from tune_lr.prior.tasks import PastTask

Array = NDArray[np.float64]

#: What is usual counts as much as so many tasks.
_PSEUDO_TASKS = 5
#: A task with fewer whole curves tells nothing of how rankings change.
_LEAST_CURVES = 8
#: Where most trials were stopped, those that were not are alike, and their ranks change as others' do not.
_LEAST_WHOLE = 0.5
#: Beyond these a rank correlation of a few trials is chance.
_LEAST_RHO, _MOST_RHO = 0.2, 0.99


def learned_noise(tasks: Sequence[PastTask]) -> Array:
    """The variances after each of the ``FRACTIONS``, as past tasks have them.

    A task whose scores at a part of the training have the rank correlation rho with those at its end says
    1 / rho^2 - 1. The median over tasks is drawn towards what is usual, the more the fewer tasks there are.
    """
    found = np.log(USUAL)
    for i, fraction in enumerate(FRACTIONS[:-1]):
        told = [variance for task in tasks if (variance := _variance(task, fraction)) is not None]
        if told:
            middle = np.log(np.median(told))
            found[i] = (len(told) * middle + _PSEUDO_TASKS * found[i]) / (len(told) + _PSEUDO_TASKS)
    falling: Array = np.exp(np.maximum.accumulate(found[::-1])[::-1])
    return falling


def _variance(task: PastTask, fraction: float) -> float | None:
    """What one task says of one part of the training; None where it cannot tell."""
    columns = task.curves.shape[1]
    whole = task.curves[task.last == columns]
    place = max(round(fraction * columns), 1)
    if len(whole) < max(_LEAST_CURVES, _LEAST_WHOLE * len(task.last)):
        return None
    if not 0.5 < place / columns / fraction < 2.0 or place == columns:
        return None
    then, finally_ = rankdata(whole[:, place - 1]), rankdata(whole[:, -1])
    if not then.std() or not finally_.std():
        return None
    rho = float(np.clip(np.corrcoef(then, finally_)[0, 1], _LEAST_RHO, _MOST_RHO))
    return 1.0 / rho**2 - 1.0
