"""The lines of Python that use a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tune_lr import registry

#: The names of GreedyLR's constructor (a test compares them; importing it would import torch).
GREEDY = (
    "mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "warmup", "min_lr", "max_lr",
    "eps", "verbose", "smooth", "window_size", "reset_start", "after_change",
)  # fmt: skip
#: Those of them that other things bear as well: an optimizer, another schedule, a trainer.
_COMMON = {"mode", "warmup", "eps", "verbose"}
#: Schedules that set the LR of the step about to be made, so that one function makes both (a test compares).
STEPPED_TOGETHER = ("hypergradient", "line-search")
#: Optimizers that a script makes as it always did.
_OF_TORCH = ("sgd", "adam", "adamw")
_WIDTH = 96


def paste(config: Mapping[str, Any], max_epochs: int, width: int = _WIDTH) -> list[str]:
    """What to write into a script that trains with ``config``, values exact to the last digit.

    ``GreedyLR(optimizer, ...)`` for a configuration of it, ``build_schedule({...}, optimizer, ...)`` for
    another schedule's, and the configuration itself where it names no schedule and has no knob of GreedyLR
    (which is what ``build_schedule`` makes where none is named). ``build_optimizer`` comes first where
    the configuration names an optimizer that torch has not. Lines are broken at commas to ``width``.
    """
    schedule = config.get("schedule")
    begin = _rival(config, width)
    if schedule is None and not (set(GREEDY) - _COMMON) & set(config):
        return begin or _broken("config = {", _items(config), "}", width)
    by_batch = config.get("step_every", "batch") == "batch"
    step = f"schedule.step(loss)  # after every {'batch' if by_batch else 'epoch'}"
    if schedule in STEPPED_TOGETHER:
        step = "tune_lr.schedules.training_step(optimizer, schedule, closure)  # every batch"
    if schedule not in (None, "greedy"):
        items = _items(config)
        given = [f"{{{items[0]}", *items[1:-1], f"{items[-1]}}}"] if items[1:] else [f"{{{items[0]}}}"]
        given = ["config"] if begin else given
        given += ["optimizer", f"total_epochs={max_epochs}"]
        given += ["steps_per_epoch=len(train_loader)"] if by_batch else []
        return [*begin, *_broken("schedule = tune_lr.build_schedule(", given, ")", width), step]
    rest = {name: value for name, value in config.items() if name not in (*GREEDY, "schedule", "step_every")}
    if rest and not begin:
        begin = [f"# {line}" for line in _packed("begin with ", _arguments(rest), width - 2)]
    knobs = _arguments({name: config[name] for name in GREEDY if config.get(name) is not None})
    return [*begin, *_broken("schedule = tune_lr.GreedyLR(", ["optimizer", *knobs], ")", width), step]


def _rival(config: Mapping[str, Any], width: int) -> list[str]:
    """The lines that make a registered optimizer that torch has not; none where it names no such."""
    name = config.get("optimizer")
    if name in _OF_TORCH or name not in registry.names("optimizers"):
        return []
    modes = str(name).startswith("schedule-free")
    return [
        "from tune_lr.trials.optimizers import build_optimizer" + (", set_mode" if modes else ""),
        *_broken("config = {", _items(config), "}", width),
        "optimizer = build_optimizer(config, model.parameters())",
        *(["set_mode(optimizer, training=True)  # and False to validate or save"] if modes else []),
    ]


def _items(config: Mapping[str, Any]) -> list[str]:
    return [f"{name!r}: {value!r}" for name, value in config.items()]


def _arguments(values: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value!r}" for name, value in values.items()]


def _broken(begin: str, parts: list[str], end: str, width: int) -> list[str]:
    """``begin``, the parts with commas between, and ``end``: in one line if it fits, else in several."""
    whole = f"{begin}{', '.join(parts)}{end}"
    if len(whole) <= width:
        return [whole]
    return [begin, *(f"    {line}" for line in _packed("", parts, width - 4)), end]


def _packed(begin: str, parts: Iterable[str], width: int) -> list[str]:
    """Parts with commas between, as many in a line as fit, the first line after ``begin``."""
    lines, line = [], begin
    for i, part in enumerate(parts):
        if i and len(line) + len(part) + 3 > width:
            lines.append(f"{line},")
            line = part
        else:
            line += f", {part}" if i else part
    return [*lines, line]
