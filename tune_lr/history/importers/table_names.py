"""The names under which tables have the trial's and the epoch's column, beside the schema's own."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

#: In small letters and digits alone, the likeliest first. The rows must bear a guess out (``table_sense``).
TRIAL = (
    *("trialid", "trial", "trialname", "trialnumber", "trialnum", "trialno", "trialindex"),
    *("runid", "run", "runname", "runnumber", "runnum", "runno", "runindex", "runuuid"),
    *("experimentid", "expid", "experiment", "jobid", "id"),
)
EPOCH = ("epoch", "step", "iteration", "trainingiteration")
#: What counts on within an epoch, so that several rows of one epoch are one run's.
_WITHIN = {"step", "globalstep", "iteration", "iter", "batch"}


def plain(name: str) -> str:
    """A name without what people write differently: ``Run ID``, ``run_id`` and ``runId`` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def guessed(columns: Iterable[str], names: Collection[str], taken: Collection[str]) -> str | None:
    """The column that bears the likeliest of some names; None where none does or it is something else."""
    found = {plain(name): name for name in reversed([*columns]) if name not in taken}
    return next((found[name] for name in names if name in found), None)


def within_epochs(columns: Iterable[str]) -> list[str]:
    """The columns that count on within an epoch."""
    return [name for name in columns if plain(name) in _WITHIN]
