"""A trial's ``decisions.jsonl``: what its schedules decided, a row of ``schedule.history`` a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tune_lr import registry
from tune_lr.errors import BadInput, UnknownName
from tune_lr.journal import NON_FINITE, encode

if TYPE_CHECKING:  # it imports torch, and folders are read without
    from tune_lr.schedules.decisions import Decision

FILE = "decisions.jsonl"
#: The fields of a ``Decision``.
FIELDS = ("first", "last", "decision", "loss", "lr", "lrs")

#: How many rows a history has, and its last: what is the same twice has not changed in between.
Extent = tuple[int, "Decision"]

_to_line = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def histories(objects: Mapping[str, Any]) -> dict[str, list[Decision]]:
    """The histories of those objects that keep one, by the objects' names, without the empty ones."""
    found = {name: _history(thing) for name, thing in objects.items()}
    return {name: history for name, history in found.items() if history}


def _history(thing: Any) -> list[Decision]:
    """The rows of ``thing.history``; none where it has none, or keeps something else under the name."""
    history = getattr(thing, "history", None)
    if history is None and hasattr(thing, "scheduler"):  # as Accelerate wraps it
        return _history(thing.scheduler)
    if not isinstance(history, list) or not history:
        return []
    fields = getattr(history[0], "_fields", ())
    return history if fields[: len(FIELDS)] == FIELDS else []


def extents(found: Mapping[str, list[Decision]]) -> dict[str, Extent]:
    """Where each history ends."""
    return {name: (len(history), history[-1]) for name, history in found.items()}


def write(found: Mapping[str, list[Decision]], file: IO[bytes]) -> None:
    """Write one line a row, those of one schedule after those of another.

    Raises:
        BadInput: a row holds something else than a ``Decision`` does.
    """
    for name, history in found.items():
        file.writelines(_line(name, row).encode("utf-8", "backslashreplace") for row in history)


def _line(name: str, row: Decision) -> str:
    try:
        loss = None if row.loss is None else encode(float(row.loss))
        line = {
            "schedule": name, "first": int(row.first), "last": int(row.last), "decision": str(row.decision),
            "loss": loss, "lr": encode(float(row.lr)), "lrs": [encode(float(lr)) for lr in row.lrs],
        }  # fmt: skip
        return _to_line(line) + "\n"
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"{name}.history", row, f"rows of {', '.join(FIELDS)}") from error


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of a file that ``write`` made, as dicts with the keys of its lines.

    Raises:
        BadInput: it cannot be read, its end is missing, or it holds something else.
    """
    try:
        *lines, torn = file.read_bytes().split(b"\n")
    except OSError as error:
        raise BadInput("decisions", str(file), f"a file that can be read ({error.strerror})") from error
    rows = [_row(line, f"{file}, line {number}") for number, line in enumerate(lines, start=1)]
    if torn or not rows:
        raise BadInput("decisions", str(file), "a whole file (the end of this one is missing)")
    return rows


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
        row = {
            "schedule": found["schedule"],
            "first": found["first"],
            "last": found["last"],
            "decision": found["decision"],
            "loss": None if found["loss"] is None else _number(found["loss"]),
            "lr": _number(found["lr"]),
            "lrs": [_number(lr) for lr in found["lrs"]],
        }
        words = isinstance(row["schedule"], str) and isinstance(row["decision"], str)
        steps = [number for number in (row["first"], row["last"]) if type(number) is int and number < 2**63]
        if words and len(steps) == 2 and 0 <= steps[0] <= steps[1] and row["lrs"]:
            return row
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        pass
    shown = line[:80].decode("utf-8", "replace")
    raise BadInput(where, shown, "one decision of a schedule a line, as tune-lr writes them") from None


def _number(value: Any) -> float:
    if isinstance(value, str):
        return NON_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def of_trial(
    experiment: Path | None, trial_id: str, config: Mapping[str, Any], epochs: int
) -> list[dict[str, Any]]:
    """The rows of one trial of the experiment in a folder.

    Args:
        experiment: the experiment's folder; None for one in memory.
        trial_id: the trial, whose folder is ``trials/<trial_id>``.
        config: its configuration, for the error to say what its schedule is.
        epochs: how many it has reported.

    Raises:
        BadInput: it has none (why is told), or the file is damaged.
    """
    file = experiment / "trials" / trial_id / FILE if experiment else None
    if file is not None and file.exists():
        return read(file)
    schedule = config.get("schedule", "greedy")
    if file is None:
        why = "a trial of an experiment in a folder, not in memory"
    elif not epochs:
        why = "one that has trained an epoch (this one has reported none)"
    elif not _keeps_history(schedule):
        why = f"one whose schedule keeps a history, as greedy does (this one's is {schedule})"
    else:
        why = (
            "one whose trainer keeps a schedule that has a history, as GreedyLR has: with "
            "trial.resume(schedule=...) and trial.save()"
        )
    raise BadInput("decisions of trial", trial_id, why)


def _keeps_history(schedule: Any) -> bool:
    """Whether a schedule of that name does; also where none has the name, for it may be the trainer's own."""
    try:
        return hasattr(registry.load("schedules", str(schedule)), "history")
    except (UnknownName, ImportError):
        return True


def names(schedules: Iterable[Any]) -> dict[str, Any]:
    """Names for schedules that have none: ``schedule``, or ``schedule-0``, ``schedule-1``, ..."""
    given = list(schedules)
    if len(given) == 1:
        return {"schedule": given[0]}
    return {f"schedule-{i}": schedule for i, schedule in enumerate(given)}
