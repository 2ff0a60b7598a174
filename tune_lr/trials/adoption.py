"""Going on from a copy of another trial's checkpoint: with what it learned, under one's own settings.

In population-based training a trial begins at a copy of another's checkpoint, with knobs of its own. Loaded
as they are, the states of the optimizer and of the schedule would bring the other's knobs along.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from tune_lr.schedules import Schedule

#: What PyTorch's schedulers leave in the groups of an optimizer.
_OF_SCHEDULERS = ("initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum")


def load_exactly(thing: Any, state: Any) -> None:
    """Load a state, settings included."""
    put = thing.load_state_dict if hasattr(thing, "load_state_dict") else thing.set_state
    put(state)


def kinds(objects: Mapping[str, Any]) -> dict[str, str]:
    """The classes of the optimizers and schedules, by name: what a checkpoint says of them."""
    return {name: _kind(thing) for name, thing in objects.items() if _has_settings(_bare(thing))}


def adopt(thing: Any, state: Any, kind: str | None, done: float) -> None:
    """Take over the state that another trial had, but none of its settings.

    An optimizer keeps its hyperparameters and gets the moments; a schedule does what its ``adopt`` says
    (see ``Schedule``). PyTorch's own schedulers are stepped to where the other's was; ``ReduceLROnPlateau``,
    whose state does not say which LRs it began with, begins afresh. Of an optimizer or schedule of another
    class nothing can be taken over. Everything else (model, loader, generator, scaler) is loaded as it is.

    Args:
        thing: what the state is for, as it was built; nothing was stepped yet.
        state: what the other trial saved under the same name.
        kind: what ``kinds`` said of it there; None if nothing.
        done: the part of the training that lies behind, 0 to 1.
    """
    bare = _bare(thing)
    if not _has_settings(bare):
        load_exactly(thing, state)
        return
    same = kind is None or kind == _kind(thing)
    if isinstance(bare, Optimizer):
        if same:
            _adopt_moments(bare, state)
    elif hasattr(bare, "adopt"):
        bare.adopt(state if same else None, done)
    elif isinstance(bare, LRScheduler):
        if same and not isinstance(bare, ReduceLROnPlateau):
            _step_to(bare, int(state["last_epoch"]))
    elif same:
        load_exactly(thing, state)


def _step_to(scheduler: LRScheduler, position: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the optimizer made no step before
        for _ in range(position):
            scheduler.step()


def _adopt_moments(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Load an optimizer's state, and leave in its groups what it was built with.

    Some optimizers keep more in their groups than that: estimates (Prodigy's d), sums, counts. That is what
    its constructor does not take, and what its groups get in the first step.
    """
    learned = set(optimizer.defaults) - _arguments(type(optimizer))
    own = [
        {name: value for name, value in group.items() if name not in learned and name != "params"}
        for group in optimizer.param_groups
    ]
    merged = [
        {**{name: value for name, value in theirs.items() if name not in _OF_SCHEDULERS}, **mine}
        for mine, theirs in zip(own, state["param_groups"], strict=True)
    ]
    optimizer.load_state_dict({**state, "param_groups": merged})
    for group, mine in zip(optimizer.param_groups, own, strict=True):
        group.update(mine)  # the very objects: a compiled step holds on to a tensor


def _arguments(cls: type) -> set[str]:
    """What the constructors of a class and of those that it derives from take."""
    built = (vars(each).get("__init__") for each in cls.__mro__ if each is not object)
    return {name for made in built if made is not None for name in inspect.signature(made).parameters}


def _bare(thing: Any) -> Any:
    """An optimizer or scheduler out of a wrapper such as Accelerate's."""
    within = "optimizer" if isinstance(thing, Optimizer) else "scheduler"
    while type(thing).__module__.startswith("accelerate.") and hasattr(thing, within):
        thing = getattr(thing, within)
    return thing


def _has_settings(thing: Any) -> bool:
    return isinstance(thing, (Optimizer, LRScheduler, Schedule))


def _kind(thing: Any) -> str:
    """The class of an optimizer or schedule; of a schedule in the shape of torch's, its own."""
    bare = _bare(thing)
    kind = type(getattr(bare, "schedule", bare))
    return f"{kind.__module__}:{kind.__qualname__}"
