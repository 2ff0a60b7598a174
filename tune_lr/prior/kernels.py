"""How alike two configurations are by their knobs alone, learned from tables of scores.

Matern 5/2 with a length for each column (Rasmussen and Williams, Gaussian Processes for Machine Learning,
2006, equation 4.17 and section 5.1). The lengths, the signal and the noise are those of greatest posterior
density, under a prior that grows with the number of columns, so that nothing is learned from nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

Array = NDArray[np.float64]

#: Of the prior: the median length is this times the root of the columns; spreads are of logarithms.
_LENGTH, _LENGTH_SPREAD = 0.6, 1.0
_SIGNAL_SPREAD, _NOISE, _NOISE_SPREAD = 0.5, 0.15, 1.0
_SQRT5 = np.sqrt(5.0)
#: What is unknown of the level that scores lie at: those of few trials carry none.
LEVEL = 10.0


@dataclass(frozen=True)
class Kernel:
    """Covariance of scores by knobs.

    Args:
        lengths: of each column of the features.
        signal: the variance.
        noise: what repeats do not share.
    """

    lengths: Array
    signal: float = 1.0
    noise: float = _NOISE

    @classmethod
    def vague(cls, columns: int) -> Kernel:
        """What the prior says."""
        return cls(np.full(columns, _LENGTH * np.sqrt(columns)))

    def between(self, a: Array, b: Array) -> Array:
        """Shape ``(len(a), len(b))``, of features of shape ``(points, columns)``."""
        return self.signal * _matern(np.sqrt(_squares(a / self.lengths, b / self.lengths)))


def _squares(a: Array, b: Array) -> Array:
    found: Array = (a**2).sum(axis=1)[:, np.newaxis] + (b**2).sum(axis=1) - 2.0 * a @ b.T
    return np.maximum(found, 0.0)


def _matern(r: Array) -> Array:
    found: Array = (1.0 + _SQRT5 * r + 5.0 / 3.0 * r**2) * np.exp(-_SQRT5 * r)
    return found


def learn(
    tables: Sequence[tuple[Array, Array, Array]], start: Kernel, level: float = LEVEL, rounds: int = 40
) -> Kernel:
    """The kernel under which several tables of scores, independent of each other, are most plausible.

    Args:
        tables: each the features, the scores, and the variance of each score's own noise beside the common
            one that is learned.
        start: where to begin.
        level: the variance of each table's level.
        rounds: of the optimizer.
    """
    columns = len(start.lengths)
    centre = np.log(np.r_[np.full(columns, _LENGTH * np.sqrt(columns)), 1.0, _NOISE])
    spread = np.r_[np.full(columns, _LENGTH_SPREAD), _SIGNAL_SPREAD, _NOISE_SPREAD]

    def cost(theta: Array) -> tuple[float, Array]:
        away = (theta - centre) / spread
        total, gradient = 0.5 * float(away @ away), away / spread
        for rows, scores, noise in tables:
            value, slope = _surprise(theta, rows, scores, noise, level)
            total, gradient = total + value, gradient + slope
        return total, gradient

    begin = np.log(np.r_[start.lengths, start.signal, start.noise])
    bounds = [(c - 3 * s, c + 3 * s) for c, s in zip(centre, spread, strict=True)]
    begin = np.clip(begin, *np.transpose(bounds))
    found = minimize(cost, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": rounds})
    best = np.exp(found.x if np.isfinite(found.fun) else begin)
    return Kernel(best[:columns], float(best[columns]), float(best[columns + 1]))


def _surprise(theta: Array, rows: Array, scores: Array, noise: Array, level: float) -> tuple[float, Array]:
    """The negative log likelihood of a table, and its slope by the logarithms of lengths, signal, noise."""
    lengths, signal, common = np.exp(theta[:-2]), np.exp(theta[-2]), np.exp(theta[-1])
    scaled = rows / lengths
    r = np.sqrt(_squares(scaled, scaled))
    decay = np.exp(-_SQRT5 * r)
    alike = signal * (1.0 + _SQRT5 * r + 5.0 / 3.0 * r**2) * decay
    factor = cholesky(alike + level + np.diag(common + noise), lower=True, check_finite=False)
    inverse = cho_solve((factor, True), np.eye(len(scores)), check_finite=False)
    weighed = inverse @ scores
    value = 0.5 * float(scores @ weighed) + float(np.log(np.diag(factor)).sum())
    pull = inverse - np.outer(weighed, weighed)
    # d(Matern)/d(log length k) = signal * 5/3 * (1 + sqrt5 r) * decay * (difference_k / length_k)^2
    inner = pull * (signal * 5.0 / 3.0 * (1.0 + _SQRT5 * r) * decay)
    sums = inner.sum(axis=1)
    by_length = scaled.T**2 @ sums - np.einsum("ik,ij,jk->k", scaled, inner, scaled, optimize=True)
    slope = np.r_[by_length, 0.5 * (pull * alike).sum(), 0.5 * common * np.trace(pull)]
    return value, slope
