"""What the recorded curves show: how much each knob matters to a task, and how alike the tasks rank.

The value of a trial is its last validation loss, as a normal score of its rank among the trials of its task
and seed; all that diverged share the last place. What knobs explain is the R2 of a random forest over the
knobs' coordinates on configurations that it has not seen, so that it is below what they decide: at most the
``ceiling``, which two seeds of the same configurations show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from starter_.record import space, values

Array = NDArray[np.float64]
FOLDS, ROUNDS, TREES = 8, 3, 60


def final_losses(curves: NDArray[np.float32]) -> Array:
    """The last validation loss of each trial, NaN where it diverged; curves as ``record.read`` has them."""
    return curves[:, 0, -1].astype(np.float64)


def normal_scores(losses: Array) -> Array:
    """Normal scores of ranks, low is good; NaN ranks last, ties share."""
    ranks = rankdata(np.where(np.isnan(losses), math.inf, losses))
    return np.asarray(norm.ppf((ranks - 0.5) / len(ranks)))


def coordinates(count: int) -> Array:
    """The first configurations in the unit cube; an inactive knob lies where it would be at rest."""
    at_rest = space().encode(space().flat(space().default()) | {"smooth": True})
    cube = np.array([space().encode(point) for point in values(count)])
    return np.where(np.isnan(cube), at_rest, cube)


def importances(cube: Array, scores: Array) -> dict[str, float]:
    """``lr``: R2 by lr alone; ``all``: by all knobs; and under each knob's name, with ``-`` before it, what
    of R2 is lost where its values are shuffled among configurations that the forest has not seen.
    """
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.model_selection import KFold

    names = space().names
    where, rng = names.index("lr"), np.random.default_rng(0)
    errors: dict[str, list[float]] = {}

    def note(name: str, guess: Array, truth: Array) -> None:
        errors.setdefault(name, []).append(float(((guess - truth) ** 2).sum()))

    for turn in range(ROUNDS):
        for seen, rest in KFold(FOLDS, shuffle=True, random_state=turn).split(cube):
            whole = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=turn).fit(
                cube[seen], scores[seen]
            )
            alone = ExtraTreesRegressor(TREES, min_samples_leaf=4, random_state=turn)
            alone.fit(cube[seen][:, [where]], scores[seen])
            note("lr", alone.predict(cube[rest][:, [where]]), scores[rest])
            note("all", whole.predict(cube[rest]), scores[rest])
            shuffled = np.repeat(cube[rest][None], len(names), axis=0)
            for i in range(len(names)):
                shuffled[i, :, i] = rng.permutation(cube[rest][:, i])
            guesses = whole.predict(shuffled.reshape(-1, len(names))).reshape(len(names), -1)
            for name, guess in zip(names, guesses, strict=True):
                note(f"-{name}", guess, scores[rest])
    total = ROUNDS * float(((scores - scores.mean()) ** 2).sum())
    share = {name: 1 - sum(found) / total for name, found in errors.items()}
    lost = {name: share["all"] - share[f"-{name}"] for name in names}
    return {"lr": share["lr"], "all": share["all"], **{f"-{name}": lost[name] for name in names}}


def of_task(seeds: Mapping[int, NDArray[np.float32]]) -> dict[str, Any]:
    """The figures of one task: its curves by seed, of the same configurations."""
    scores = [normal_scores(final_losses(curves)) for curves in seeds.values()]
    count = len(scores[0])
    ceiling = float(np.corrcoef(scores[0], scores[1])[0, 1]) if len(scores) > 1 else math.nan
    mean = np.mean(scores, axis=0)
    last = np.concatenate([final_losses(curves) for curves in seeds.values()])
    every = np.concatenate(list(seeds.values()))
    return {
        "configs": count,
        "scores": mean,
        "ceiling": ceiling,
        "diverged": float(np.isnan(last).mean()),
        "best": float(np.nanmin(last)),
        "median": float(np.median(np.nan_to_num(last, nan=math.inf))),
        "default": float(np.mean([final_losses(curves)[0] for curves in seeds.values()])),
        "rank": float((mean < mean[0]).mean()),
        "early": _early(every),
        **importances(coordinates(count), mean),
    }


def _early(curves: NDArray[np.float32]) -> float:
    """The rank correlation of the loss after a ninth of the epochs with the last."""
    at = max(curves.shape[2] // 9 - 1, 0)
    first, last = (normal_scores(curves[:, 0, i].astype(np.float64)) for i in (at, -1))
    return float(np.corrcoef(first, last)[0, 1])


def correlations(found: Mapping[str, Mapping[str, Any]]) -> Array:
    """Between tasks, of the normal scores of the configurations that both have; as the tasks stand."""
    scores = [one["scores"] for one in found.values()]
    most = min(map(len, scores))
    return np.corrcoef([one[:most] for one in scores])
