"""The starter prior: what a person without logs begins with, learned from runs that the package brings.

The recordings (docs/data.md) are a store of the history like any other. The prior of the space in which they
were made lies beside them, so that a job over it need not wait for a fit.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tune_lr.errors import BadInput
from tune_lr.history.history import History
from tune_lr.prior.prior import Prior
from tune_lr.space import SearchSpace

#: What ships, made by ``benchmarks/starter.py --ship``: the store, and the prior of its space.
DATA = Path(__file__).resolve().parents[1] / "data"
TASKS, PRIOR = "starter", "starter_prior"

#: Of a space's knobs, the part that must have been varied in the recordings, ``lr`` among them.
_KNOWN = 0.5


def starter_history() -> History:
    """The recorded runs, one import a task."""
    return History(DATA / TASKS)


def starter_prior(space: SearchSpace) -> Prior | None:
    """What the recorded runs tell of a space.

    Args:
        space: where to search.

    Returns:
        None where they tell too little: ``lr`` or half of the knobs were not varied in them, or none of the
        trials lies in the space.
    """
    shipped = Prior.load(DATA / PRIOR)
    if same_knobs(shipped.space, space):
        return replace(shipped, space=space)
    known = set(shipped.space.names) & set(space.names)
    if "lr" not in known or len(known) < _KNOWN * space.dimension:
        return None
    try:
        return Prior.fit(starter_history(), space)
    except BadInput:  # the trials lie outside
        return None


def same_knobs(one: SearchSpace, other: SearchSpace) -> bool:
    """Whether coordinates mean the same in two spaces, whatever these are called."""
    return list(one.knobs.items()) == list(other.knobs.items())
