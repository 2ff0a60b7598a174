"""A folder a trial, as Syne Tune's local backend keeps them: configuration, markers, output."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tune_lr.errors import BadInput
from tune_lr.history.columns import LARGEST_WHOLE, Columns
from tune_lr.history.files import HEAD, entries, lines, open_plain, parse_json, read_json
from tune_lr.history.importers.syne_tune_table import is_metric, resource_of
from tune_lr.history.log import Skipped

#: Where a report begins. That it ends with the line is looked at apart, since one pattern for both would go
#: through the rest of the line at every such place.
_REPORT = re.compile(rb"\[tune-metric\]:\s*(?=\{)")
#: What a backend adds to a configuration for itself.
_TECHNICAL = ("tune_function_root", "tune_function_hash")
#: A configuration is some kilobytes.
_LARGEST_CONFIG = 16 * 1024**2
_TRACEBACK = b"Traceback (most recent call last):"


def folders(path: Path, skipped: Skipped) -> dict[str, Path]:
    """The trials' folders, which bear their numbers."""
    named = (one for one in entries(path, path, skipped) if one.name.isdecimal() and one.name.isascii())
    return {one.name: one for one in named if os.path.isdir(one)}


def config(folder: Path, skipped: Skipped) -> Any:
    """The trial's configuration; None where it cannot be read."""
    file = folder / "config.json"
    if not os.path.lexists(file):
        return None
    try:
        found = read_json(file, _LARGEST_CONFIG)
    except BadInput as error:
        skipped.add(folder.name, str(error))
        return None
    if isinstance(found, dict):
        return {name: value for name, value in found.items() if name not in _TECHNICAL}
    return found


def marker(folder: Path) -> str | None:
    """What the backend says of a trial: ``stop``, ``pause``, ``end`` (its process has ended) or nothing."""
    return next((name for name in ("stop", "pause", "end") if os.path.lexists(folder / name)), None)


def failure(folder: Path) -> str | None:
    """The last line of the traceback that the trial's errors end with, if they do."""
    try:
        with open_plain(folder / "std.err") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - HEAD))
            tail = file.read(HEAD)
    except (BadInput, OSError):
        return None
    _, found, traceback = tail.rpartition(_TRACEBACK)
    told = [line for line in traceback.decode("utf-8", "replace").splitlines() if line.strip()]
    ends = [line for line in told if not line[0].isspace()]
    # Only indented lines belong to the exception: whoever says more after it went on.
    return ends[0][:2000] if found and len(ends) == 1 and ends[0] != told[0] else None


@dataclass
class Printed:
    """The reports among what trials printed, as columns.

    Args:
        resource: the key that counts the epochs, once it is known; else each report is one.
        settled: whether ``resource`` is known.
    """

    resource: str | None
    settled: bool
    trial: list[int] = field(default_factory=list)
    epoch: list[int] = field(default_factory=list)
    metrics: Columns = field(default_factory=Columns)
    #: How many reports of a trial were read.
    _seen: Counter[int] = field(default_factory=Counter)

    def read(self, file: Path, position: int, said: object, where: str, skipped: Skipped) -> None:
        """Add what one trial printed; a report that cannot be read is counted as skipped."""
        if not os.path.lexists(file):
            return
        try:
            for line in lines(file, skipped, where):
                found = _REPORT.search(line)
                if found and (text := line[found.end() :].rstrip()).endswith(b"}"):
                    self._add(text, position, said, where, skipped)
        except BadInput as error:
            skipped.add(where, str(error))

    def _add(self, text: bytes, position: int, said: object, where: str, skipped: Skipped) -> None:
        try:
            report = parse_json(text, where)
        except BadInput:
            skipped.add(where, "a report that is no JSON")
            return
        if not self.settled:
            self.resource = next((name for name in resource_of(said, report) if _whole(report[name])), None)
            self.settled = True
        epoch = self._seen[position] if self.resource is None else report.get(self.resource)
        self._seen[position] += 1
        if not _whole(epoch):
            skipped.add(where, f"a report whose {self.resource} is no whole number")
            return
        self.trial.append(position)
        self.epoch.append(int(epoch))
        told = {name: value for name, value in report.items() if is_metric(name) and name != self.resource}
        self.metrics.add({**told, "seconds": report.get("st_worker_time")})


def _whole(epoch: Any) -> bool:
    return type(epoch) in (int, float) and 0 <= epoch < LARGEST_WHOLE and epoch % 1 == 0
