"""The lines of Python that use a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The names of GreedyLR's constructor (a test compares them; importing it would import torch).
GREEDY = (
    "mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "warmup", "min_lr", "max_lr",
    "eps", "verbose", "smooth", "window_size", "reset_start",
)  # fmt: skip


def paste(config: Mapping[str, Any], max_epochs: int) -> str:
    """What to write into a script that trains with ``config``, values exact to the last digit.

    ``GreedyLR(optimizer, ...)`` for a configuration of it, ``build_schedule({...}, optimizer, ...)`` for
    another schedule's, and the configuration itself where it names no schedule.
    """
    schedule = config.get("schedule", "greedy" if "factor" in config else None)
    if schedule is None:
        return f"config = {dict(config)!r}"
    begin = f"  # optimizer: lr={config['lr']!r}" if "lr" in config else ""
    if schedule == "greedy":
        knobs = ", ".join(f"{name}={config[name]!r}" for name in GREEDY if name in config)
        return f"schedule = tune_lr.GreedyLR(optimizer, {knobs}){begin}"
    by_batch = config.get("step_every", "batch") == "batch"
    length = f"total_epochs={max_epochs}" + (", steps_per_epoch=len(train_loader)" if by_batch else "")
    return f"schedule = tune_lr.build_schedule({dict(config)!r}, optimizer, {length}){begin}"


def stepping(config: Mapping[str, Any]) -> str:
    """When the schedule of ``config`` wants to be stepped, as a comment; nothing without a schedule."""
    if "schedule" not in config and "factor" not in config:
        return ""
    when = "batch" if config.get("step_every", "batch") == "batch" else "epoch"
    return f"schedule.step(loss)  # after every {when}"
