"""Covariances by one kernel of some configurations with a pool that grows, each worked out once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tune_lr.prior.kernels import Array, Kernel
from tune_lr.prior.pool import Pool

#: Of so many configurations the covariances are kept, the newest asked for.
_KEPT = 400


class Likeness:
    """How alike configurations are; what is known already is only added to as the pool grows.

    Args:
        kernel: of the configurations.
        pool: which there are.
    """

    def __init__(self, kernel: Kernel, pool: Pool) -> None:
        self.kernel, self._pool = kernel, pool
        self._rows: dict[int, Array] = {}

    def rows(self, places: Sequence[int]) -> list[Array]:
        """The covariance of each of several places with the whole pool."""
        pool = self._pool.rows
        known = {place: self._rows.pop(place) for place in places if place in self._rows}
        fresh = [place for place in places if place not in known]
        if fresh:
            known |= zip(fresh, self.kernel.between(pool[fresh], pool), strict=True)
        short: dict[int, list[int]] = {}
        for place, row in known.items():
            if len(row) < len(pool):
                short.setdefault(len(row), []).append(place)
        for length, grown in short.items():
            more = self.kernel.between(pool[grown], pool[length:])
            for place, rest in zip(grown, more, strict=True):
                known[place] = np.concatenate([known[place], rest])
        self._rows |= known
        while len(self._rows) > max(_KEPT, len(known)):
            del self._rows[next(iter(self._rows))]
        return [known[place] for place in places]
