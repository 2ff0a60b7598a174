"""Syne Tune: the engine, its own parts, and what plain scripts can use, loaded when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune_lr.engines.on_syne.backend import WarmBackend
    from tune_lr.engines.on_syne.evaluations import of_prior, transfer_evaluations
    from tune_lr.engines.on_syne.searcher import SyneSearcher
    from tune_lr.engines.on_syne.space import from_syne, to_syne

__all__ = ["SyneSearcher", "WarmBackend", "from_syne", "of_prior", "to_syne", "transfer_evaluations"]

_HOMES = {
    "SyneSearcher": "searcher",
    "WarmBackend": "backend",
    "from_syne": "space",
    "of_prior": "evaluations",
    "to_syne": "space",
    "transfer_evaluations": "evaluations",
}


def __getattr__(name: str) -> Any:
    """Load one of the names from the module that owns it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
