"""Learning-rate schedules and their knobs, tuned: one definition, any engine, and a record to go on from.

The public names load when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune_lr.experiment import Experiment
    from tune_lr.history.history import History
    from tune_lr.job import Job
    from tune_lr.jobs import resume, tune
    from tune_lr.jobs.comparing import compare
    from tune_lr.jobs.replaying import replay
    from tune_lr.objective import Objective
    from tune_lr.prior.prior import Prior
    from tune_lr.schedules import build_schedule
    from tune_lr.schedules.greedy import GreedyLR
    from tune_lr.searchers.prior import PriorSearcher
    from tune_lr.space import SearchSpace
    from tune_lr.spacefile import load_space
    from tune_lr.trials.loop import fit
    from tune_lr.trials.trial import Trial

    __version__: str

__all__ = [
    "Experiment",
    "GreedyLR",
    "History",
    "Job",
    "Objective",
    "Prior",
    "PriorSearcher",
    "SearchSpace",
    "Trial",
    "__version__",
    "build_schedule",
    "compare",
    "fit",
    "load_space",
    "replay",
    "resume",
    "tune",
]

_HOMES = {
    "Experiment": "tune_lr.experiment",
    "GreedyLR": "tune_lr.schedules.greedy",
    "History": "tune_lr.history.history",
    "Job": "tune_lr.job",
    "Objective": "tune_lr.objective",
    "Prior": "tune_lr.prior.prior",
    "PriorSearcher": "tune_lr.searchers.prior",
    "SearchSpace": "tune_lr.space",
    "Trial": "tune_lr.trials.trial",
    "build_schedule": "tune_lr.schedules",
    "compare": "tune_lr.jobs.comparing",
    "fit": "tune_lr.trials.loop",
    "load_space": "tune_lr.spacefile",
    "replay": "tune_lr.jobs.replaying",
    "resume": "tune_lr.jobs",
    "tune": "tune_lr.jobs",
}


def __getattr__(name: str) -> Any:
    """Load one public name from the module that owns it, once."""
    if name == "__version__":
        value: Any = _installed_version()
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)


def _installed_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("tune-lr")
    except PackageNotFoundError:  # a checkout on the path that nobody installed
        return "0+unknown"
