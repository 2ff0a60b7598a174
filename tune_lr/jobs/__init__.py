"""What runs engines: ``tune`` and ``resume``; and ``lr_range``, which asks what range ``lr`` should have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tune_lr.jobs.tuning import Space, new_folder, prepare, reopen, resume, run, space_of, trainer_of, tune

if TYPE_CHECKING:
    from tune_lr.jobs.range_test import LRRange, lr_range

__all__ = [
    "LRRange",
    "Space",
    "lr_range",
    "new_folder",
    "prepare",
    "reopen",
    "resume",
    "run",
    "space_of",
    "trainer_of",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Load the range test when it is asked for: it imports torch, which a job on an engine may not need."""
    if name not in ("LRRange", "lr_range"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tune_lr.jobs import range_test

    return getattr(range_test, name)
