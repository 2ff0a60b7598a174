"""A trial's folder: its own reports and its checkpoints, written by that trial alone.

``reports.jsonl`` is written before the driver hears of a report, so nothing is lost when the driver is
killed. ``checkpoint-<epoch>.pt`` counts only once that epoch's report is on disk: whatever the order in
which the trainer saves and reports, a kill between the two leaves no hole.
"""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path
from typing import Any

from tune_lr.errors import BadInput
from tune_lr.journal import Journal, Report

_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.pt")


class TrialFolder:
    """``FOLDER/trials/<id>``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = Journal(path / "reports.jsonl")
        self._proven = False

    def reports(self) -> list[Report]:
        """The trial's reports from epoch 1 on, in order, without a torn last one."""
        return [report for report in map(Report.from_json, self._journal.read()) if report.epoch >= 1]

    def append(self, report: Report) -> None:
        self._journal.append(report.to_json())

    def save(self, epoch: int, state: Any, last_reported: int) -> None:
        """Write ``checkpoint-<epoch>.pt`` whole or not at all, and drop the ones it makes needless.

        Raises:
            BadInput: the state holds something that ``torch.load(weights_only=True)`` refuses.
        """
        import torch

        self.path.mkdir(parents=True, exist_ok=True)
        target = self.path / f"checkpoint-{epoch}.pt"
        temporary = self.path / f".saving-{epoch}"
        torch.save(state, temporary)
        if not self._proven:
            _prove_loadable(temporary)
            self._proven = True
        os.replace(temporary, target)
        self.drop_superseded(last_reported)

    def load(self, map_location: Any = "cpu") -> tuple[int, Any] | None:
        """The newest checkpoint that counts, as ``(epoch, state)``; one that cannot be read is passed over."""
        import torch

        reported = {report.epoch for report in self.reports()}
        for epoch, file in self.checkpoints():
            if epoch in reported:
                try:
                    return epoch, torch.load(file, map_location=map_location, weights_only=True)
                except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
                    continue
        return None

    def checkpoints(self) -> list[tuple[int, Path]]:
        """``(epoch, file)``, newest first."""
        if not self.path.is_dir():
            return []
        found = ((_CHECKPOINT.fullmatch(file.name), file) for file in self.path.iterdir())
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
        for _, file in self.checkpoints():
            file.unlink(missing_ok=True)

    def close(self) -> None:
        self._journal.close()


def _prove_loadable(file: Path) -> None:
    """Refuse at the first save what could not be read back after a kill."""
    import torch

    try:
        torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        file.unlink(missing_ok=True)
        reason = str(error).split("\n")[0]
        raise BadInput(
            "trial.save(state)", reason, "tensors, numbers, strings, lists and dicts (a state_dict) only"
        ) from error
