"""Weights & Biases: a run a trial; without ``WANDB_MODE`` offline, into the experiment's folder."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import wandb

from tune_lr.journal import Report
from tune_lr.objective import Objective
from tune_lr.record import TrialRecord
from tune_lr.sinks.base import Sink, numbers, plain


class WandB(Sink):
    """Runs of one group in the project ``WANDB_PROJECT``, ``tune-lr`` if not set.

    What is offline is sent by ``wandb sync FOLDER/wandb/offline-run-*``.
    """

    def __init__(self, folder: Path, objective: Objective, name: str) -> None:
        super().__init__(folder, objective, name)
        self._mode: Any = os.environ.get("WANDB_MODE", "offline")
        self._runs: dict[str, Any] = {}

    def begin(self, trial: TrialRecord) -> None:
        digest = hashlib.sha256(f"{self.folder.resolve()}/{trial.trial_id}".encode()).hexdigest()
        self._runs[trial.trial_id] = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "tune-lr"),
            group=self.name,
            name=f"{self.name}-{trial.trial_id}",
            id=f"{digest[:12]}-{trial.trial_id}",
            resume="allow" if self._mode != "offline" else None,
            dir=str(self.folder),
            config=plain(trial.config),
            mode=self._mode,
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def report(self, trial: TrialRecord, report: Report) -> None:
        named = {re.sub(r"\s", "_", metric): value for metric, value in numbers(report).items()}
        self._runs[trial.trial_id].log(named, step=report.epoch)

    def end(self, trial: TrialRecord) -> None:
        run, best = self._runs.pop(trial.trial_id), self.best(trial)
        run.summary["status"] = trial.status
        if best is not None:
            run.summary[f"best_{self.objective.metric}"] = best
        run.finish(exit_code=1 if trial.status == "failed" else 0)

    def close(self) -> None:
        while self._runs:
            self._runs.popitem()[1].finish()
