"""``experiment.json``: what was asked, when, with which versions and which prior; and who may ask it anew."""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tune_lr.errors import BadInput
from tune_lr.job import AUTO, FORMAT, NO_PRIOR, UNUSED, Job
from tune_lr.journal import write_json

DESCRIPTION = "experiment.json"
#: What a resumed experiment may be asked anew; everything else would make it another experiment.
CHANGEABLE = frozenset(
    {"trials", "budget", "stop_when", "workers", "keep_checkpoints", "device", "address", "engine", "trainer"}
    | {"cpus_per_trial", "gpus_per_trial"}
)
_VERSIONS = ("tune-lr", "torch", "numpy", "syne-tune", "ray")


def described(file: Path, job: Job, status: str, ended: bool, prior: str | None) -> None:
    """Write the file anew; when the experiment began is kept from the one before.

    Args:
        file: where it lies.
        job: what was asked.
        status: of the experiment.
        ended: whether no driver is to go on with it.
        prior: what the job's prior is, in a few words; None where that is not settled.
    """
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    before = json.loads(file.read_text("utf-8")) if file.exists() else {}
    write_json(
        file,
        {
            "format": FORMAT,
            "status": status,
            "start": before.get("start", now),
            "end": now if ended else None,
            "job": job.model_dump(),
            "prior": prior,
            "versions": {"python": platform.python_version(), **_versions()},
        },
    )


def prior_told(file: Path) -> str | None:
    """What the file says of the prior; None where it says nothing."""
    with suppress(OSError, ValueError):
        told = json.loads(file.read_text("utf-8")).get("prior")
        return told if isinstance(told, str) else None
    return None


def require_same(found: Job, asked: Job, name: str, told: str | None) -> None:
    """Refuse a folder that another job has; what may be asked anew may differ.

    Args:
        found: the job there.
        asked: the job that it should be.
        name: the folder, as a person knows it.
        told: what the prior there is.

    Raises:
        BadInput: another field differs.
    """
    for field in Job.model_fields:
        before, now = getattr(found, field), getattr(asked, field)
        if field == "space":
            before, now = _without_descriptions(before), _without_descriptions(now)
        if field == "prior" and (told == UNUSED or (told is None and (before, now) == (NO_PRIOR, AUTO))):
            continue  # there is none, be it that the folder is older than priors
        if field not in CHANGEABLE and before != now:
            raise BadInput(
                "out", name, f"another folder: the experiment there has {field} {before!r}, not {now!r}"
            )


def _without_descriptions(space: Any) -> Any:
    """What a space is, whatever it says of itself."""
    if not isinstance(space, dict):
        return space
    return {name: _without_descriptions(part) for name, part in space.items() if name != "description"}


def _versions() -> dict[str, str]:
    found = {}
    for package in _VERSIONS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
