"""The lines of Python that use a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The names of GreedyLR's constructor (a test compares them; importing it would import torch).
GREEDY = (
    "mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "warmup", "min_lr", "max_lr",
    "eps", "verbose", "smooth", "window_size", "reset_start",
)  # fmt: skip


def paste(config: Mapping[str, Any], max_epochs: int) -> list[str]:
    """What to write into a script that trains with ``config``, values exact to the last digit.

    ``GreedyLR(optimizer, ...)`` for a configuration of it, ``build_schedule({...}, optimizer, ...)`` for
    another schedule's, and the configuration itself where it names no schedule.
    """
    schedule = config.get("schedule", "greedy" if "factor" in config else None)
    if schedule is None:
        return [f"config = {dict(config)!r}"]
    by_batch = config.get("step_every", "batch") == "batch"
    step = f"schedule.step(loss)  # after every {'batch' if by_batch else 'epoch'}"
    if schedule != "greedy":
        length = f"total_epochs={max_epochs}" + (", steps_per_epoch=len(train_loader)" if by_batch else "")
        return [f"schedule = tune_lr.build_schedule({dict(config)!r}, optimizer, {length})", step]
    rest = {name: value for name, value in config.items() if name not in (*GREEDY, "schedule", "step_every")}
    begin = [f"# begin with {_arguments(rest)}"] if rest else []
    knobs = _arguments({name: config[name] for name in GREEDY if name in config})
    return [*begin, f"schedule = tune_lr.GreedyLR(optimizer, {knobs})", step]


def _arguments(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
