"""Random search, without repeating itself."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from tune_lr.searchers.base import Searcher, Suggestion
from tune_lr.space import SearchSpace

#: Draws in a row that were all known already, after which a space counts as used up.
_PATIENCE = 1000


class RandomSearcher(Searcher):
    """Draws from the space's own distributions; a finite space ends when all of it was proposed."""

    def __init__(self, space: SearchSpace, *, seed: int = 0, max_epochs: int = 27) -> None:
        super().__init__(space, seed=seed, max_epochs=max_epochs)
        self._generator = np.random.default_rng(seed)
        self._proposed: set[Hashable] = set()
        self._used_up = False

    def ask(self) -> Suggestion | None:
        for _ in range(0 if self._used_up else _PATIENCE):
            (values,) = self.space.sample(1, self._generator)
            key = self.space.key(values)
            if key not in self._proposed:
                self._proposed.add(key)
                return self._suggest(values, source="random")
        self._used_up = True
        return None
