"""What the history does in an experiment, in a line: how far it is trusted, which tasks speak, what it led.

Read from why each trial was proposed, as the searcher journaled it: ``source`` (``prior``, ``model``,
``control``, ``start``), and where there is a history ``trust`` (from 0 to 1, at that moment) and ``tasks``
(those that spoke most).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tune_lr.record import Record
from tune_lr.views.words import brief, counted

#: A history that is trusted less has been dropped.
DROPPED = 0.1
#: So many tasks are named.
_TASKS_TOLD = 3


@dataclass(frozen=True)
class Trust:
    """What the history does.

    Args:
        trust: how far it is trusted now, from 0 to 1.
        tasks: the past tasks that speak most now, the loudest first.
        led: how many proposals it led.
        proposals: how many there are.
    """

    trust: float
    tasks: tuple[str, ...]
    led: int
    proposals: int

    @property
    def dropped(self) -> bool:
        """Whether it counts for nothing any more."""
        return self.trust < DROPPED


def trust_of(whys: Iterable[Mapping[str, Any]]) -> Trust | None:
    """What the history does, of why each trial was proposed, in order; None where there is no history.

    What a searcher of somebody else's says in words of its own is passed over.
    """
    now: float | None = None
    tasks, led, proposals = tuple[str, ...](), 0, 0
    for why in whys:
        proposals += 1
        led += why.get("source") == "prior"
        said, named = _part(why.get("trust")), why.get("tasks")
        if said is None:
            continue
        now = said
        tasks = tuple(name for name in named if isinstance(name, str)) if isinstance(named, list) else ()
    return None if now is None else Trust(now, tasks, led, proposals)


def trust_in(record: Record) -> Trust | None:
    """The same of a whole record, as of the newest trial that began or went on."""
    proposed = trust_of(trial.why for trial in record.trials.values())
    newest = trust_of([record.newest_why])
    if proposed is None or newest is None:
        return proposed
    return replace(proposed, trust=newest.trust, tasks=newest.tasks)


def told(trust: Trust | None) -> str:
    """``prior: trusted 83 %, digits-mlp and wine-mlp speak, led 12 of 20 proposals``; "" where there is none.

    A history that is hardly trusted any more is ``dropped``, and what its tasks would say is not told.
    """
    if trust is None:
        return ""
    led = f"led {trust.led} of {counted(trust.proposals, 'proposal')}"
    if trust.dropped:
        return f"prior: dropped (trusted {percent(trust.trust)}), {led}"
    parts = (f"prior: trusted {percent(trust.trust)}", _speaking(trust), led)
    return ", ".join(part for part in parts if part)


def percent(part: float) -> str:
    """A part as whole percents, rounded down; 0 only where there is nothing."""
    whole = math.floor(100 * part + 1e-9)
    return f"{max(whole, 1) if part > 0 else 0} %"


def _speaking(trust: Trust) -> str:
    names = [brief(name) for name in trust.tasks[:_TASKS_TOLD]]
    if len(trust.tasks) > _TASKS_TOLD:
        names.append(f"{len(trust.tasks) - _TASKS_TOLD} more")
    if not names:
        return ""
    if len(names) == 1:
        return f"{names[0]} speaks"
    return f"{', '.join(names[:-1])} and {names[-1]} speak"


def _part(said: object) -> float | None:
    """A number from 0 to 1; None for anything else."""
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not 0 <= said <= 1:
        return None
    return float(said)
