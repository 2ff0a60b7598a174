"""A confirmation as a person reads it."""

from __future__ import annotations

import math

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_lr.comparing.confirmation import Candidate, Confirmation
from tune_lr.views.paste import paste
from tune_lr.views.words import short


def show(confirmation: Confirmation, max_epochs: int, console: Console) -> None:
    """Print the sentence, every candidate, and the line of Python that uses the best."""
    console.print(Text(confirmation.sentence, style="bold"))
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("trial", "in the search", "epochs there", "mean again", "95 %", "too good by", "p", "each"):
        table.add_column(Text(name), justify="left" if name in ("trial", "each") else "right")
    for one in confirmation.ranked:
        table.add_row(*map(Text, _row(confirmation, one)))
    console.print(table)
    if math.isfinite(confirmation.best.mean):
        console.print(Text("Use it:", style="bold"))
        for line in paste(confirmation.best.config, max_epochs, max(40, min(console.width, 100) - 4)):
            console.print(Text(f"    {line}", style="green"), soft_wrap=True)


def _row(confirmation: Confirmation, one: Candidate) -> list[str]:
    value = confirmation.objective.value
    low, high = sorted(value(end) for end in one.interval)
    lost = len(one.losses) - len(one.finite)
    mean = short(value(one.mean)) if math.isfinite(one.mean) else f"{lost} of {len(one.losses)} lost"
    p = confirmation.doubts.get(one.trial_id)
    return [
        one.trial_id,
        short(value(one.searched)),
        str(one.epochs),
        mean,
        f"{short(low)} to {short(high)}" if math.isfinite(low) else "too few",
        short(one.optimism),
        "best" if p is None else f"{p:.2g}",
        ", ".join(short(value(loss)) for loss in one.losses),
    ]
