"""A trial's folder: its own reports and its checkpoints, written by that trial alone.

``reports.jsonl`` is written before the driver hears of a report, so nothing is lost when the driver is
killed. ``checkpoint-<epoch>.pt`` counts only once a report of that epoch or a later one is on disk: whatever
the order in which the trainer saves and reports, a kill between the two leaves no hole. ``decisions.jsonl``
is what the schedule had decided when the trial was last saved, for people to look at.
"""

from __future__ import annotations

import errno
import io
import os
import pickle
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tune_lr.errors import BadInput, StorageFull, TuneLRError
from tune_lr.journal import Journal, Report
from tune_lr.trials import decisions

_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.pt")
#: What a trial that began as a copy of another began with; it counts without a report of this trial's.
_INHERITED = re.compile(r"inherited-(\d+)\.pt")


#: With fewer bytes free than this, a failure to write is put down to the disk.
_SCARCE = 2**20
#: A table of decisions with fewer rows is written whenever the trial saves.
_ROWS_WITHOUT_A_PAUSE = 10_000


class TrialFolder:
    """``FOLDER/trials/<id>``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = Journal(path / "reports.jsonl")
        self._proven = False
        #: Whether what was loaded last is a copy of another trial's checkpoint.
        self.on_a_copy = False
        #: The decisions that were written, how often they are not to be, and what was passed over so.
        self._decided: dict[str, decisions.Extent] = {}
        self._passes = 0
        self._owed: dict[str, Any] = {}

    def reports(self) -> list[Report]:
        """The trial's reports from epoch 1 on, in order, without a torn last one."""
        return [report for report in map(Report.from_json, self._journal.read()) if report.epoch >= 1]

    def append(self, report: Report) -> None:
        with _space_to_write(self.path):
            self._journal.append(report.to_json())

    def save(self, epoch: int, state: Any, last_reported: int) -> None:
        """Write ``checkpoint-<epoch>.pt`` whole or not at all, and drop the ones it makes needless.

        Raises:
            BadInput: the state holds something that ``torch.load(weights_only=True)`` refuses.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        temporary = self.path / f".saving-{epoch}"
        try:
            with _space_to_write(self.path), open(temporary, "wb+") as file:
                _write(state, file, prove=not self._proven)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self._proven = True
        os.replace(temporary, self.path / f"checkpoint-{epoch}.pt")
        self.drop_superseded(last_reported)

    def keep_decisions(self, objects: Mapping[str, Any]) -> None:
        """Write what those of the objects that keep a ``history`` have decided, where that has changed.

        ``decisions.jsonl`` is made anew, whole or not at all, so a long one is written less often: every
        second time from ten thousand rows on, every third from twenty thousand, and last by ``close``.

        Raises:
            BadInput: a history has the fields of ``Decision``, but other things in them.
        """
        if self._passes > 0:
            self._passes -= 1
            self._owed = dict(objects)
            return
        self._owed = {}
        found = decisions.histories(objects)
        extents = decisions.extents(found)
        if extents == self._decided:
            return
        temporary = self.path / ".saving-decisions"
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with _space_to_write(self.path), open(temporary, "wb") as file:
                decisions.write(found, file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        os.replace(temporary, self.path / decisions.FILE)
        self._decided = extents
        self._passes = sum(rows for rows, _ in extents.values()) // _ROWS_WITHOUT_A_PAUSE

    def load(self) -> tuple[int, Any] | None:
        """The newest checkpoint that counts and can be read: ``(epoch, state)``, tensors on the CPU."""
        import torch

        for epoch, file in self._counting():
            try:
                state = torch.load(file, map_location="cpu", weights_only=True)
            except MemoryError:
                raise
            except Exception as error:  # a damaged file makes torch raise a dozen kinds
                kind = type(error).__name__
                warnings.warn(f"{file} cannot be read and is passed over ({kind})", stacklevel=2)
                continue
            if isinstance(state, dict):
                self.on_a_copy = _INHERITED.fullmatch(file.name) is not None
                return epoch, state
        return None

    def _counting(self) -> list[tuple[int, Path]]:
        """The checkpoints to go on from, newest first: its own that count, then the one it began with."""
        last = max((report.epoch for report in self.reports()), default=0)
        return [found for found in self.checkpoints() if found[0] <= last] + self._files(_INHERITED)

    def inherit(self, source: TrialFolder) -> None:
        """Begin where another trial stands: at a copy of its newest checkpoint that counts.

        Nothing happens where this trial has a checkpoint already, or that one has none.
        """
        if self._files(_INHERITED) or self.checkpoints():
            return
        for epoch, file in source._counting():
            self.path.mkdir(parents=True, exist_ok=True)
            temporary = self.path / f".saving-inherited-{epoch}"
            try:
                shutil.copyfile(file, temporary)
            except FileNotFoundError:
                continue  # that trial runs, and has a newer one now
            os.replace(temporary, self.path / f"inherited-{epoch}.pt")
            return

    @property
    def inherited(self) -> bool:
        """Whether the trial began at another's checkpoint."""
        return bool(self._files(_INHERITED))

    def checkpoints(self) -> list[tuple[int, Path]]:
        """``(epoch, file)``, newest first."""
        return self._files(_CHECKPOINT)

    def _files(self, pattern: re.Pattern[str]) -> list[tuple[int, Path]]:
        if not self.path.is_dir():
            return []
        found = ((pattern.fullmatch(file.name), file) for file in self.path.iterdir())
        return sorted(((int(match[1]), file) for match, file in found if match), reverse=True)

    def drop_superseded(self, last_reported: int) -> None:
        """Keep the newest checkpoint and the newest that counts."""
        checkpoints = self.checkpoints()
        counting = [epoch for epoch, _ in checkpoints if epoch <= last_reported][:1]
        keep = {checkpoints[0][0], *counting} if checkpoints else set()
        for epoch, file in checkpoints:
            if epoch not in keep:
                file.unlink(missing_ok=True)

    def drop_checkpoints(self) -> None:
        """Remove every checkpoint, and what a kill in the middle of saving one left behind."""
        kept = [*self.checkpoints(), *self._files(_INHERITED)]
        for file in [*(file for _, file in kept), *self.path.glob(".saving-*")]:
            file.unlink(missing_ok=True)

    def close(self) -> None:
        self._journal.close()
        if self._owed:
            self._passes = 0
            with suppress(TuneLRError, OSError):  # only something to look at
                self.keep_decisions(self._owed)


class TrialMemory:
    """In place of a folder, for a trial that runs alone: its newest checkpoint, kept in memory."""

    on_a_copy = False

    def __init__(self) -> None:
        self._newest: tuple[int, io.BytesIO] | None = None

    def reports(self) -> list[Report]:
        """None: nobody resumes from here."""
        return []

    def append(self, report: Report) -> None:
        """Nothing to keep."""

    def save(self, epoch: int, state: Any, last_reported: int) -> None:
        """As ``TrialFolder.save``, a copy of the state and the same refusals included."""
        file = io.BytesIO()
        _write(state, file, prove=self._newest is None)
        self._newest = (epoch, file)

    def keep_decisions(self, objects: Mapping[str, Any]) -> None:
        """Nothing: who runs it has the schedule."""

    def load(self) -> tuple[int, Any] | None:
        """The newest checkpoint, as ``(epoch, state)``, its tensors on the CPU."""
        import torch

        if self._newest is None:
            return None
        epoch, file = self._newest
        file.seek(0)
        return epoch, torch.load(file, map_location="cpu", weights_only=True)

    def close(self) -> None:
        """Nothing to let go of."""


@contextmanager
def _space_to_write(folder: Path) -> Iterator[None]:
    """Raise ``StorageFull`` where the block fails for want of space; torch hides that in a RuntimeError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        if full or (isinstance(error, RuntimeError) and shutil.disk_usage(folder).free < _SCARCE):
            raise StorageFull(
                f"{folder} cannot be written to: no space is left, or it is read-only"
            ) from error
        raise


def _write(state: Any, file: IO[bytes], prove: bool) -> None:
    """Write a checkpoint; with ``prove``, refuse at once what could not be read back after a kill."""
    import torch

    try:
        torch.save(state, file)
        if prove:
            file.seek(0)
            torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.PickleError, AttributeError, TypeError) as error:
        reason = str(error).split("\n")[0]
        raise BadInput(
            "trial.save(state)", reason, "tensors, numbers, strings, lists and dicts (a state_dict) only"
        ) from error
