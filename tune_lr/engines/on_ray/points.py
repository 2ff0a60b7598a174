"""Past trials as Ray's searchers take them: ``points_to_evaluate`` and ``evaluated_rewards``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from ray.tune.search.sample import Domain

from tune_lr.engines.on_ray.space import to_ray
from tune_lr.errors import BadInput
from tune_lr.space import CategoricalKnob, ConstantKnob, Knob, SearchSpace

if TYPE_CHECKING:
    import pandas as pd

_CONFIG = "config/"
_BOOLEANS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def points(
    trials: pd.DataFrame, space: SearchSpace, mode: Literal["min", "max"]
) -> tuple[list[dict[str, Any]], list[float]]:
    """The trials that are points of a space, and what each came to.

    ::

        known, rewards = points(History().filter(task="digits").trials(), space, "min")
        search = OptunaSearch(metric="val_loss", mode="min",
                              points_to_evaluate=known, evaluated_rewards=rewards)
        tune.Tuner(train, param_space=to_ray(space), tune_config=tune.TuneConfig(search_alg=search))

    A point has the knobs that are domains in ``to_ray(space)`` and no constants, as the searchers of Ray
    demand; knobs that take no part are at their start. Rewards are values of the metric itself. A trial that
    diverged counts as much as the worst of the others, since no searcher takes an infinite reward.

    Args:
        trials: one row a trial: ``best``, ``status`` where it is known, and ``config/<knob>``.
        space: whose points are wanted; trials that lie outside of it, or lack a knob, are left out.
        mode: whether small or large values of ``best`` are good.

    Raises:
        BadInput: the table has no column ``best``, or the mode is neither ``min`` nor ``max``.
    """
    if "best" not in trials:
        raise BadInput("trials", sorted(map(str, trials.columns)), "a table with a column 'best'")
    if mode not in ("min", "max"):
        raise BadInput("mode", mode, "min or max")
    names = [name for name, domain in to_ray(space).items() if isinstance(domain, Domain)]
    knobs = [str(name) for name in trials.columns if str(name).startswith(_CONFIG)]
    status = trials["status"].tolist() if "status" in trials else [None] * len(trials)
    configs = trials[knobs].astype(object).rename(columns=lambda name: name[len(_CONFIG) :])
    found: list[dict[str, Any]] = []
    rewards: list[float | None] = []
    for config, said, best in zip(configs.to_dict("records"), status, _numbers(trials), strict=True):
        if said != "diverged" and not math.isfinite(best):
            continue
        if (point := _point(config, space)) is not None:
            found.append({name: point[name] for name in names})
            rewards.append(None if said == "diverged" else best)
    return _with_worst(found, rewards, mode)


def _numbers(trials: pd.DataFrame) -> list[float]:
    import pandas as pd

    return [float(value) for value in pd.to_numeric(trials["best"], errors="coerce").astype("float64")]


def _point(config: dict[str, Any], space: SearchSpace) -> dict[str, Any] | None:
    """The flat point that a configuration is; None where it is none of the space."""
    import pandas as pd

    known = {
        name: _spelled(space.knobs[name], value) if name in space.knobs else value
        for name, value in config.items()
        if not pd.isna(value)
    }
    try:
        return space.flat(space.values(known))
    except BadInput:
        return None


def _spelled(knob: Knob, value: Any) -> Any:
    """A value of a knob that is true or false, which tables turn into text and numbers."""
    if isinstance(knob, (CategoricalKnob, ConstantKnob)):
        every = knob.every() or ()
        if every and all(isinstance(one, bool) for one in every):
            return _BOOLEANS.get(str(value).lower(), value)
    return value


def _with_worst(
    found: list[dict[str, Any]], rewards: list[float | None], mode: str
) -> tuple[list[dict[str, Any]], list[float]]:
    """The points with a number for each; those that diverged are left out where no other tells of one."""
    finite = [reward for reward in rewards if reward is not None]
    if not finite:
        return [], []
    worst = max(finite) if mode == "min" else min(finite)
    return found, [worst if reward is None else reward for reward in rewards]
