"""What made a result: studies run for hours, and code, versions and machines change meanwhile."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tune_lr.spacefile import shipped_folder

_PACKAGE = Path(__file__).resolve().parents[1]
_LIBRARIES = ("tune-lr", "torch", "numpy", "scipy", "statsmodels", "scikit-learn",
              "prodigyopt", "pytorch-optimizer", "schedulefree")  # fmt: skip


def digest(package: Path = _PACKAGE, spaces: Path | None = None) -> str:
    """Twelve letters that change with any module of the package and any space that is shipped.

    Much of it decides nothing about a training; but what does is spread wide, and a list of it goes stale.

    Args:
        package: the folder of the modules.
        spaces: the folder of the space files; that which is shipped if not given.
    """
    spaces = spaces or shipped_folder()
    total = hashlib.sha256()
    for folder, pattern in ((package, "*.py"), (spaces, "*.yaml")):
        for file in sorted(folder.rglob(pattern)):
            total.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()[:12]


@cache
def versions() -> dict[str, str]:
    """Python and the packages on which results depend, as far as they are installed."""
    found = {"python": platform.python_version()}
    for package in _LIBRARIES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
