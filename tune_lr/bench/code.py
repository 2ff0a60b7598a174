"""Which code made a result: studies run for hours, and code changes meanwhile."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

#: What decides about a training, below the package.
_PARTS = ("bench/cell.py", "bench/tasks.py", "schedules", "trials", "searchers", "space")


@cache
def digest() -> str:
    """Twelve letters that change with the source of all that decides about a training.

    Read once a process: a worker goes on with the code that it began with.
    """
    package = Path(__file__).resolve().parents[1]
    total = hashlib.sha256()
    for part in _PARTS:
        path = package / part
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            total.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:12]
