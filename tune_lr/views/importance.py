"""How much each knob mattered, and which of them together: a forest over the trials, its columns shuffled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_lr.space import ConstantKnob, SearchSpace

#: With fewer trials a forest tells the noise.
LEAST = 20
#: Pairs are looked at among so many knobs, those that matter most.
_AMONG = 6
_TREES, _REPEATS = 200, 5
_PAIRS_TOLD = 3


@dataclass(frozen=True)
class Importance:
    """What mattered.

    Args:
        of: knob and share, the largest first: how much worse the forest predicts the order of the trials
            with that knob shuffled, as a share of that of all knobs; 0 where it is no worse.
        pairs: two knobs, and how much more is lost with both shuffled than with either: what they do only
            together; in the same unit, the largest first.
        fit: how much of what the length of their training leaves open in the order of trials the knobs
            explain, of trials that the forest has not seen (out-of-bag r2): near 0 nothing of this can be
            believed.
    """

    of: tuple[tuple[str, float], ...]
    pairs: tuple[tuple[str, str, float], ...]
    fit: float


def importance_of(
    space: SearchSpace, trials: Sequence[tuple[Mapping[str, Any], int, float]]
) -> Importance | None:
    """How much knobs mattered, by permutation (Breiman 2001) of a random forest.

    Trials that were trained longer are better, whatever their knobs: how long is a column of its own, which
    is not told.

    Args:
        space: of the trials.
        trials: values, epochs and loss of each.

    Returns:
        None with fewer than 20 trials, without two knobs that vary, or without scikit-learn.
    """
    names = [name for name, knob in space.knobs.items() if not isinstance(knob, ConstantKnob)]
    if len(trials) < LEAST or len(names) < 2:
        return None
    try:
        from sklearn.ensemble import RandomForestRegressor
    except ModuleNotFoundError:
        return None
    columns = np.array(
        [[_place(space, name, values) for name in names] + [epochs] for values, epochs, _ in trials]
    )
    ranks = _ranks([loss for _, _, loss in trials])
    forest = RandomForestRegressor(
        _TREES, min_samples_leaf=2, max_features=0.5, oob_score=True, random_state=0, n_jobs=1
    )
    forest.fit(columns, ranks)
    lost = {(at,): _lost(forest, columns, ranks, (at,)) for at in range(len(names))}
    total = sum(max(0.0, one) for one in lost.values()) or 1.0
    shares = {names[at]: max(0.0, lost[at,]) / total for at in range(len(names))}
    order = sorted(names, key=lambda name: -shares[name])
    pairs = []
    for first, second in combinations(order[:_AMONG], 2):
        both = (names.index(first), names.index(second))
        more = _lost(forest, columns, ranks, both) - sum(max(0.0, lost[at,]) for at in both)
        if more > 0:
            pairs.append((first, second, more / total))
    told = sorted(pairs, key=lambda pair: -pair[2])[:_PAIRS_TOLD]
    length = RandomForestRegressor(_TREES, min_samples_leaf=5, oob_score=True, random_state=0, n_jobs=1)
    left_open = 1.0 - max(0.0, float(length.fit(columns[:, -1:], ranks).oob_score_))
    fit = 1.0 - (1.0 - float(forest.oob_score_)) / max(left_open, 1e-9)
    return Importance(tuple((name, shares[name]) for name in order), tuple(told), max(-1.0, fit))


def _place(space: SearchSpace, name: str, values: Mapping[str, Any]) -> float:
    """Where a value lies along its knob, from 0 to 1; the middle where the knob takes no part."""
    return float(space.knobs[name].to_unit(values[name])) if name in values else 0.5


def _ranks(losses: Sequence[float]) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    ranks: NDArray[np.float64] = rankdata(losses) / len(losses)
    return ranks


def _lost(
    forest: Any, columns: NDArray[np.float64], ranks: NDArray[np.float64], at: tuple[int, ...]
) -> float:
    """How much more of the variance the forest misses with columns shuffled, together."""
    draws = np.random.default_rng([7, *at])
    before = float(((forest.predict(columns) - ranks) ** 2).mean())
    after = []
    for _ in range(_REPEATS):
        shuffled, order = columns.copy(), draws.permutation(len(columns))
        shuffled[:, list(at)] = columns[order][:, list(at)]
        after.append(float(((forest.predict(shuffled) - ranks) ** 2).mean()))
    return (float(np.mean(after)) - before) / float(ranks.var() or 1.0)
