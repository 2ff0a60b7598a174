"""What may be believed of the configurations of a pool before one of them is trained, and after.

A belief is a Gaussian process over the pool: a mean, and what configurations have in common. Several are held
at once, each weighed by how plausible it makes what was seen (Bayesian model averaging), so that a history
that misleads is dropped by evidence, and no test with a threshold of its own decides about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.linalg.blas import dtrsm

from tune_lr.prior.kernels import LEVEL, Kernel

Array = NDArray[np.float64]
Places = NDArray[np.int64]

#: What past tasks count before anything was seen, where they agree and where they contradict each other.
PAST, LEAST_PAST = 0.75, 0.01
#: Kept in every covariance, for numbers' sake.
_JITTER = 1e-6
#: Variances are worked out for so many configurations at a time, which fit a processor's cache.
_AT_A_TIME = 1024


@dataclass
class Belief:
    """A process over the pool.

    Args:
        name: ``history ..`` where past tasks speak, ``alone`` where they do not.
        weight: what it counts before anything was seen.
        mean: expected scores, shape ``(pool,)``.
        factors: rows whose products are the covariance that past tasks tell, shape ``(rows, pool)``.
        kernel: of what the knobs tell beside that.
        share: the part of the kernel that counts.
    """

    name: str
    weight: float
    mean: Array
    factors: Array
    kernel: Kernel
    share: float

    def variance(self) -> Array:
        """Of each configuration, the level left out: that all share it changes no choice."""
        found: Array = (self.factors**2).sum(axis=0) + self.share * self.kernel.signal
        return found

    def row(self, pool: Array, place: int) -> Array:
        """The covariance of one configuration with all, the level left out."""
        return self.rows([place], list(self.kernel.between(pool[place : place + 1], pool)))[0]

    def rows(self, places: Sequence[int], by_knobs: Sequence[Array]) -> list[Array]:
        """The same of several, whose covariances by the kernel alone are known."""
        if not len(self.factors) and self.share == 1.0:
            return list(by_knobs)
        found: Array = self.factors[:, list(places)].T @ self.factors
        for row, one in zip(found, by_knobs, strict=True):
            row += self.share * one
        return list(found)


@dataclass(frozen=True)
class Posterior:
    """What a belief comes to.

    Args:
        evidence: the logarithm of how plausible it makes what was seen.
        mean, variance: of the scores of the configurations asked for.
    """

    evidence: float
    mean: Array
    variance: Array


def posterior(
    mean: Array,
    prior: Array,
    rows: Sequence[Array],
    places: Places,
    scores: Array,
    noise: Array,
    asked: Places,
) -> Posterior:
    """Condition a belief on what was seen.

    Args:
        mean: of the pool.
        prior: variances of the pool, the level left out.
        rows: the covariance of each trial's configuration with the pool, the level left out.
        places: where in the pool the trials' configurations are.
        scores: what was seen of the trials.
        noise: the variance of each.
        asked: the places for which mean and variance are wanted.
    """
    one = Conditioned(rows, places, noise)
    off = scores - mean[places]
    return Posterior(one.evidence(off), mean[asked] + one.shift(off, asked), one.variance(prior, asked))


class Conditioned:
    """What trials say of the pool; of each question only what is asked is worked out.

    Args:
        rows: the covariance of each trial's configuration with the pool, the level left out.
        places: where in the pool the trials' configurations are.
        noise: the variance of what was seen of each.
    """

    def __init__(self, rows: Sequence[Array], places: Places, noise: Array) -> None:
        self._rows, self._count = rows, len(places)
        if self._count:
            between = np.array([row[places] for row in rows]) + LEVEL
            between[np.diag_indices_from(between)] += noise + _JITTER
            self._factor = _factor(between)

    def evidence(self, off: Array) -> float:
        """The logarithm of how plausible scores are that lie so far off what was expected."""
        if not self._count:
            return 0.0
        left = solve_triangular(self._factor, off, lower=True, check_finite=False)
        return -0.5 * float(left @ left) - float(np.log(np.diag(self._factor)).sum())

    def shift(self, off: Array, asked: Places) -> Array:
        """How far the scores at some places are then expected from what they were."""
        total = np.zeros(len(asked))
        if self._count:
            pull = cho_solve((self._factor, True), off, check_finite=False)
            whole = np.zeros(len(self._rows[0]))
            for weight, row in zip(pull, self._rows, strict=True):
                whole += weight * row
            total = whole[asked] + LEVEL * pull.sum()
        return total

    def variance(self, prior: Array, asked: Places) -> Array:
        """What is left of the variances of the scores at some places."""
        if not self._count:
            return prior[asked]
        most = 2 * len(asked) > len(prior)  # then all are worked out: a part of a row is copied at once
        found = prior.copy() if most else prior[asked]
        for begin in range(0, len(found), _AT_A_TIME):
            part = slice(begin, begin + _AT_A_TIME)
            which = part if most else asked[part]
            across = np.array([row[which] for row in self._rows]) + LEVEL
            # From the right, since the transpose lies in memory as BLAS wants it: nothing is copied.
            solved = dtrsm(1.0, self._factor, across.T, side=1, lower=1, trans_a=1, overwrite_b=1)
            found[part] += LEVEL - np.einsum("ij,ij->i", solved, solved)
        return np.maximum(found[asked] if most else found, 1e-9)


def _factor(between: Array) -> Array:
    """The lower Cholesky factor; where rounding has spoilt the matrix, of one with more on its diagonal."""
    for jitter in (0.0, 1e-4, 1e-2, 1.0):
        with suppress(LinAlgError):
            spoilt = between + jitter * np.eye(len(between))
            return np.asarray(cholesky(spoilt, lower=True, check_finite=False), dtype=np.float64)
    raise LinAlgError("the scores of the trials have no covariance")


def weights(beliefs: Sequence[Belief], evidence: Sequence[float]) -> Array:
    """How far each belief is trusted; they add up to one."""
    logs = np.log([belief.weight for belief in beliefs]) + np.asarray(evidence)
    found: Array = np.exp(logs - logs.max())
    found /= found.sum()
    return found


def from_history(scores: Array, variances: Array, kernel: Kernel, weight: float = PAST) -> list[Belief]:
    """The beliefs that a table of past tasks suggests.

    Args:
        scores: of every task and configuration, shape ``(tasks, pool)``.
        variances: of what is not known of them.
        kernel: of the scores of one task.
        weight: what they count together before anything was seen.
    """
    tasks, each = len(scores), weight / 3.0
    level = scores - scores.mean(axis=1, keepdims=True)
    known = 1.0 / (1.0 + variances)
    mean = (known * level).sum(axis=0) / (known.sum(axis=0) + 1.0)
    apart = (level - mean) / np.sqrt(max(tasks - 1, 1))
    second = level / np.sqrt(tasks)
    return [
        Belief("history", each, mean, apart, kernel, 0.15),
        Belief("history", each, mean, 0.7 * apart, kernel, 0.5),
        Belief("history shapes", each, np.zeros(len(mean)), second, kernel, 0.3),
    ]


def without_history(pool: int, kernels: Sequence[Kernel], weight: float = 1.0 - PAST) -> list[Belief]:
    """The beliefs that need no past task; ``weight`` is what they count together."""
    flat, none = np.zeros(pool), np.zeros((0, pool))
    return [Belief("alone", weight / len(kernels), flat, none, one, 1.0) for one in kernels]
