"""Random search, without repeating itself."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from tune_lr.searchers.base import Searcher, Suggestion
from tune_lr.space import SearchSpace

#: Draws in a row that were known already, after which what is left is counted out, or counts as nothing.
_PATIENCE = 1000
#: The most points of a space that are counted out.
_COUNTABLE = 100_000


class RandomSearcher(Searcher):
    """Draws from the space's own distributions.

    A finite space of up to 100 000 points ends when all of them were proposed: once draws only repeat what
    is known, the others come in an order that the seed decides. Any other space ends when 1000 draws in a
    row were known, which takes one that is all but used up.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0, max_epochs: int = 27) -> None:
        super().__init__(space, seed=seed, max_epochs=max_epochs)
        self._generator = np.random.default_rng(seed)
        self._proposed: set[Hashable] = set()
        #: What to propose when drawing has ended; None until then.
        self._left: list[dict[str, Any]] | None = None

    def ask(self) -> Suggestion | None:
        if self._left is None:
            for _ in range(_PATIENCE):
                (values,) = self.space.sample(1, self._generator)
                if self.space.key(values) not in self._proposed:
                    return self._propose(values)
            self._left = self._rest()
        return self._propose(self._left.pop()) if self._left else None

    def _propose(self, values: dict[str, Any]) -> Suggestion:
        self._proposed.add(self.space.key(values))
        return self._suggest(values, source="random")

    def _rest(self) -> list[dict[str, Any]]:
        """All that was not proposed, where that can be counted out."""
        points = {self.space.key(point): point for point in self.space.points(_COUNTABLE) or []}
        left = [point for key, point in points.items() if key not in self._proposed]
        return [left[i] for i in np.random.default_rng(self.seed).permutation(len(left))]
