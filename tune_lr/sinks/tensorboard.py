"""TensorBoard: event files in the experiment's folder. ``tensorboard --logdir FOLDER/tensorboard``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from tune_lr.journal import Report
from tune_lr.objective import Objective
from tune_lr.record import TrialRecord
from tune_lr.sinks.base import Sink, numbers, plain


class TensorBoard(Sink):
    """A folder a trial, with its metrics by epoch, and its knobs beside its best value (HPARAMS)."""

    def __init__(self, folder: Path, objective: Objective, name: str) -> None:
        super().__init__(folder, objective, name)
        self._writers: dict[str, Any] = {}

    def begin(self, trial: TrialRecord) -> None:
        where = self.folder / "tensorboard" / trial.trial_id
        self._writers[trial.trial_id] = SummaryWriter(str(where))

    def report(self, trial: TrialRecord, report: Report) -> None:
        writer = self._writers[trial.trial_id]
        for metric, value in numbers(report).items():
            writer.add_scalar(metric, value, report.epoch)
        writer.flush()

    def end(self, trial: TrialRecord) -> None:
        writer, best = self._writers.pop(trial.trial_id), self.best(trial)
        if best is not None:
            name = f"best/{self.objective.metric}"
            writer.add_hparams(plain(trial.config), {name: best}, run_name=".")
        writer.add_text("status", trial.status)
        writer.close()

    def close(self) -> None:
        while self._writers:
            self._writers.popitem()[1].close()
