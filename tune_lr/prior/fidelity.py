"""How much the score of a trial tells that was not trained to the end."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: Parts of the longest training, and what is usually the variance of a score after so much of it.
FRACTIONS = np.array([1 / 27, 1 / 9, 1 / 3, 1.0])
USUAL = np.array([0.6, 0.35, 0.15, 0.03])


def noise_of(last: ArrayLike, longest: float, variances: Array = USUAL) -> Array:
    """The variance of scores of trials that were trained up to the epochs ``last``.

    Args:
        last: the last epochs, at least 1.
        longest: the epochs of a whole training.
        variances: after each of the ``FRACTIONS``; between them it goes evenly, in logarithms of both.
    """
    part = np.asarray(last, dtype=np.float64) / longest
    found: Array = np.exp(np.interp(np.log(part), np.log(FRACTIONS), np.log(variances)))
    return found
