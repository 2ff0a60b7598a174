"""Ray: the engine, its own parts, and what plain scripts can use, loaded when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune_lr.engines.on_ray.points import optuna_trials
    from tune_lr.engines.on_ray.searcher import RaySearcher
    from tune_lr.engines.on_ray.space import from_ray, to_ray

__all__ = ["RaySearcher", "from_ray", "optuna_trials", "to_ray"]

_HOMES = {"RaySearcher": "searcher", "from_ray": "space", "optuna_trials": "points", "to_ray": "space"}


def __getattr__(name: str) -> Any:
    """Load one of the names from the module that owns it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
