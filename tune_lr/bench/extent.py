"""How much of the whole study a folder's cells are, and which command asks for them. Pure values."""

from __future__ import annotations

from collections.abc import Sequence

from tune_lr.bench.contenders import CONTENDERS, OPTIMIZERS, registered
from tune_lr.bench.plan import Cell, Settings
from tune_lr.bench.tasks import TASKS


def command(cells: Sequence[Cell], settings: Settings) -> str:
    """The command that asks for these cells: names only where they are not all that there are.

    Args:
        cells: that are finished, of one command or of several in the same folder.
        settings: that they share.
    """
    tasks, contenders, optimizers = _names(cells)
    takes_part = [name for name in registered() if CONTENDERS[name].optimizers(optimizers)]
    options = {
        "tasks": [] if tasks == list(TASKS) else tasks,
        "contenders": [] if contenders == takes_part else contenders,
        "optimizers": [] if optimizers == list(OPTIMIZERS) else optimizers,
    }
    named = [f"--{option} {','.join(names)}" for option, names in options.items() if names]
    numbers = [f"--{option} {value}" for option, value in settings.to_json().items()]
    return " ".join(["tune-lr bench schedules", *named, *numbers])


def left_out(cells: Sequence[Cell]) -> str:
    """The tasks, optimizers and contenders of which there is no cell, and how many of the rest have none.

    Returns:
        In words, with no full stop; nothing if all are there.
    """
    tasks, contenders, optimizers = _names(cells)
    whole = {"task": list(TASKS), "optimizer": list(OPTIMIZERS), "contender": list(CONTENDERS)}
    found = {"task": tasks, "optimizer": optimizers, "contender": contenders}
    parts = []
    for kind, names in whole.items():
        missing = [name for name in names if name not in found[kind]]
        if missing:
            parts.append(f"{kind}{'s' * (len(missing) > 1)} {', '.join(missing)}")
    asked = sum(len(CONTENDERS[name].optimizers(optimizers)) for name in contenders) * len(tasks)
    if asked > len(cells):
        parts.append(f"{asked - len(cells)} of the {asked} cells of the command, which are not finished")
    return "; ".join(parts)


def _names(cells: Sequence[Cell]) -> tuple[list[str], list[str], list[str]]:
    """The tasks, contenders and optimizers of cells, as options name them and in the order of the report."""
    tasks = {cell.task for cell in cells}
    contenders = {cell.contender for cell in cells}
    optimizers = {CONTENDERS[cell.contender].opponent(cell.optimizer) for cell in cells}
    return (
        [name for name in TASKS if name in tasks],
        [name for name in CONTENDERS if name in contenders],
        [name for name in OPTIMIZERS if name in optimizers],
    )
