"""How an experiment stands now, which its journal cannot tell where the driver was killed."""

from __future__ import annotations

from typing import Literal

from tune_lr.experiment import Experiment
from tune_lr.record import Record

#: What is said where the journal ends in the middle of a session.
DEAD = "interrupted (no driver is running it)"
UNTOLD = "running (or killed: its lock cannot be looked at from here)"


def standing(experiment: Experiment) -> tuple[Record, str]:
    """The record, and the status to say.

    A driver that was killed could not write that it ended. Where none holds the experiment's lock, what
    was running is told as interrupted, as ``tune-lr resume`` will take it.
    """
    record = experiment.record()
    if record.status != "running":
        return record, record.status
    held = _held(experiment)
    if held == "no":
        record = experiment.record()  # anew: it may have ended while we looked
        if record.status != "running":
            return record, record.status
        record.status = "interrupted"
        for trial in record.with_status("running"):
            trial.status, trial.reason = "paused", "interrupted"
        return record, DEAD
    return record, "running" if held == "yes" else UNTOLD


def _held(experiment: Experiment) -> Literal["yes", "no", "untold"]:
    """Whether a driver holds the experiment's lock. Nothing is made and nothing is left behind."""
    from filelock import FileLock, Timeout

    if experiment.path is None or experiment.uri:
        return "yes"  # in memory, or at a URI, where another machine's driver holds no lock of ours
    file = experiment.path / ".lock"
    if not file.exists():
        return "no"
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return "yes"
    except (OSError, NotImplementedError):  # a read-only folder, or a file system without locks
        return "untold"
    lock.release()
    return "no"
