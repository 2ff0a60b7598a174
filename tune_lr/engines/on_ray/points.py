"""Past trials as Ray's searchers and Optuna's studies take them: known ones, and those to begin with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from ray.tune.search.sample import Domain

from tune_lr.engines.on_ray.space import to_ray
from tune_lr.errors import BadInput, MissingExtra
from tune_lr.history.points import configurations, values_of
from tune_lr.prior.prior import Prior
from tune_lr.space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd
    from optuna.trial import FrozenTrial


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
        trials: one row a trial: ``best``, ``status`` and ``metric`` where they are known, ``config/<knob>``.
        space: whose points are wanted; trials that lie outside of it, or lack a knob, are left out.
        mode: whether small or large values of ``best`` are good.

    Raises:
        BadInput: the table has no column ``best`` or is of several metrics, or the mode is neither ``min``
            nor ``max``.
    """
    if "best" not in trials:
        raise BadInput("trials", sorted(map(str, trials.columns)), "a table with a column 'best'")
    if mode not in ("min", "max"):
        raise BadInput("mode", mode, "min or max")
    if "metric" in trials and len(metrics := sorted(set(trials["metric"]))) > 1:
        raise BadInput("trials", f"of several metrics, {', '.join(metrics)}", "trials whose `metric` is one")
    names = [name for name, domain in to_ray(space).items() if isinstance(domain, Domain)]
    status = trials["status"].tolist() if "status" in trials else [None] * len(trials)
    found: list[dict[str, Any]] = []
    rewards: list[float | None] = []
    for config, said, best in zip(configurations(trials), status, _numbers(trials), strict=True):
        if said != "diverged" and not math.isfinite(best):
            continue
        if (values := values_of(config, space)) is not None:
            point = space.flat(values)
            found.append({name: point[name] for name in names})
            rewards.append(None if said == "diverged" else best)
    return _with_worst(found, rewards, mode)


def optuna_trials(prior: Prior, n: int) -> list[FrozenTrial]:
    """The first ``n`` configurations of a prior as trials that a study of Optuna is to begin with.

    ::

        study = optuna.create_study(direction="minimize")
        study.add_trials(optuna_trials(Prior.load("prior"), 10))

    They are what ``study.enqueue_trial`` makes: the next trials, whose ``suggest_...`` calls give the values
    of ``prior.points(n)`` under the knobs' names.

    Args:
        prior: fitted or loaded.
        n: how many are wanted.

    Raises:
        BadInput: ``n`` is no whole number, 0 or more.
        MissingExtra: Optuna is not installed.
    """
    try:
        from optuna.trial import TrialState, create_trial
    except ImportError as error:
        raise MissingExtra("a study of Optuna", "ray") from error
    return [
        create_trial(
            state=TrialState.WAITING,
            system_attrs={"fixed_params": point},
            user_attrs={"tune_lr": f"portfolio {place} of the prior of {prior.space.name}"},
        )
        for place, point in enumerate(prior.points(n), 1)
    ]


def _numbers(trials: pd.DataFrame) -> list[float]:
    import pandas as pd

    return [float(value) for value in pd.to_numeric(trials["best"], errors="coerce").astype("float64")]


def _with_worst(
    found: list[dict[str, Any]], rewards: list[float | None], mode: str
) -> tuple[list[dict[str, Any]], list[float]]:
    """The points with a number for each; those that diverged are left out where no other tells of one."""
    finite = [reward for reward in rewards if reward is not None]
    if not finite:
        return [], []
    worst = max(finite) if mode == "min" else min(finite)
    return found, [worst if reward is None else reward for reward in rewards]
