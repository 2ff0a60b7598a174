"""What the recorded curves show: how much each knob matters to a task, and how alike the tasks rank.

The value of a trial is its last validation loss, as a normal score of its rank among the trials of its task
and seed; all that diverged share the last place. What knobs explain is the R2 of a Gaussian process over the
knobs' coordinates on configurations that it has not seen. More than ``ceiling`` cannot be explained: the rest
of the mean of two seeds is luck, as the two show where they differ.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from starter_.record import space, values

Array = NDArray[np.float64]
FOLDS, SHUFFLES = 8, 5


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
    """What of the scores' variance the knobs explain, each R2 on configurations that the model has not seen.

    ``lr``: R2 by lr alone; ``all``: by all knobs; ``-<knob>``: what of that is lost where the values of this
    knob are shuffled among the configurations.
    """
    from sklearn.model_selection import KFold

    names, rng = space().names, np.random.default_rng(0)
    where, errors = names.index("lr"), dict.fromkeys(("lr", "all", *(f"-{name}" for name in names)), 0.0)
    for seen, rest in KFold(min(FOLDS, len(cube)), shuffle=True, random_state=0).split(cube):
        truth, whole = scores[rest], _fitted(cube[seen], scores[seen])
        alone = _fitted(cube[seen][:, [where]], scores[seen])
        errors["lr"] += _squares(alone.predict(cube[rest][:, [where]]) - truth)
        errors["all"] += _squares(whole.predict(cube[rest]) - truth)
        for i, name in enumerate(names):
            for _ in range(SHUFFLES):
                other = cube[rest].copy()
                other[:, i] = rng.choice(cube[:, i], len(rest), replace=False)
                errors[f"-{name}"] += _squares(whole.predict(other) - truth) / SHUFFLES
    total = _squares(scores - scores.mean())
    share = {name: 1 - error / total for name, error in errors.items()}
    return {name: share["all"] - one if name[0] == "-" else one for name, one in share.items()}


def _fitted(cube: Array, scores: Array) -> Any:
    """A Gaussian process with a length for each knob, which needs fewer configurations than a forest does."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    kernel = ConstantKernel() * RBF(np.ones(cube.shape[1]), (0.1, 30)) + WhiteKernel(0.1, (1e-3, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a knob that does not matter is at a bound
        return GaussianProcessRegressor(kernel, normalize_y=True, random_state=0).fit(cube, scores)


def _squares(errors: Array) -> float:
    return float((errors**2).sum())


def of_task(seeds: Mapping[int, NDArray[np.float32]]) -> dict[str, Any]:
    """The figures of one task: its curves by seed, of the same configurations."""
    scores = [normal_scores(final_losses(curves)) for curves in seeds.values()]
    count = len(scores[0])
    repeat = float(np.corrcoef(scores[0], scores[1])[0, 1]) if len(scores) > 1 else math.nan
    mean = np.mean(scores, axis=0)
    last = np.concatenate([final_losses(curves) for curves in seeds.values()])
    every = np.concatenate(list(seeds.values()))
    return {
        "configs": count,
        "scores": mean,
        "ceiling": 2 * repeat / (1 + repeat),  # of the mean of two (Spearman and Brown)
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
