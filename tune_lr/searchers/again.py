"""Configurations that are trained again with fresh seeds: no search, and nothing to tune with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tune_lr.errors import BadInput
from tune_lr.searchers.base import Searcher, Suggestion
from tune_lr.space import SearchSpace


class Again(Searcher):
    """Proposes each of some points so many times, all of them once before any a second time.

    Every proposal is a trial of its own, with the seed that its name gives it. ``why`` has which point it is
    of (``of``, the name that was given) and the number of the repetition (``time``, from 1).

    Args:
        space: that the points are of.
        points: a name for each -> its values.
        times: how often each is proposed.

    Raises:
        BadInput: a point is none of the space, or there is nothing to propose.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        points: Mapping[str, Mapping[str, Any]],
        times: int,
        seed: int = 0,
        max_epochs: int = 27,
    ) -> None:
        super().__init__(space, seed=seed, max_epochs=max_epochs)
        if not points or isinstance(times, bool) or not isinstance(times, int) or times < 1:
            raise BadInput("points", dict(points), "at least one, and times of at least 1")
        self._left: Sequence[tuple[str, dict[str, Any], int]] = [
            (name, space.normalize(values), time + 1)
            for time in range(times)
            for name, values in points.items()
        ]

    def ask(self) -> Suggestion | None:
        if not self._left:
            return None
        (name, values, time), *self._left = self._left
        return self._suggest(values, source="again", of=name, time=time)
