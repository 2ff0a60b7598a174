"""What a job may spend: so many epochs, or so much time."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tune_lr.errors import BadInput

_BUDGET = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(epochs?|s|m|h)\s*")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Budget:
    """What a job may spend; None where there is no limit. Both count what earlier sessions spent."""

    epochs: int | None = None
    seconds: float | None = None


def parse_budget(text: str) -> Budget:
    """``500epochs`` or a time: ``600s``, ``10m``, ``2h``.

    Raises:
        BadInput: it is neither, or nothing.
    """
    match = _BUDGET.fullmatch(text)
    amount = float(match[1]) if match else 0.0
    if match is None or amount <= 0:
        raise BadInput("budget", text, "a positive number of epochs or a time, as 500epochs, 600s, 10m or 2h")
    if match[2].startswith("epoch"):
        if amount != int(amount):
            raise BadInput("budget", text, "a whole number of epochs")
        return Budget(epochs=int(amount))
    return Budget(seconds=amount * _SECONDS[match[2]])
