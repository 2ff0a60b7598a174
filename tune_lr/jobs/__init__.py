"""What runs engines: ``tune`` and ``resume``; and ``lr_range``, which asks what range ``lr`` should have."""

from __future__ import annotations

from tune_lr.jobs.tuning import Space, new_folder, prepare, reopen, resume, run, space_of, trainer_of, tune

__all__ = [
    "Space",
    "new_folder",
    "prepare",
    "reopen",
    "resume",
    "run",
    "space_of",
    "trainer_of",
    "tune",
]
