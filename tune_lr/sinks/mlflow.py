"""MLflow: runs where ``MLFLOW_TRACKING_URI`` says, else in a database in the experiment's folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from tune_lr.journal import Report
from tune_lr.objective import Objective
from tune_lr.record import TrialRecord
from tune_lr.sinks.base import Sink, numbers

#: The tag by which a run is found again.
_TRIAL = "tune_lr.trial"
_FINISHED = {"completed": "FINISHED", "stopped": "FINISHED", "failed": "FAILED", "diverged": "FAILED"}


class MLflow(Sink):
    """An experiment of that name, a run a trial; a trial that goes on is the same run."""

    def __init__(self, folder: Path, objective: Objective, name: str) -> None:
        super().__init__(folder, objective, name)
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve() / 'mlflow.db'}"
        self._client = MlflowClient(tracking_uri=uri)
        there = self._client.get_experiment_by_name(name)
        # What a server keeps lies where the server says.
        place = None if os.environ.get("MLFLOW_TRACKING_URI") else str(folder.resolve() / "mlflow")
        self._id = there.experiment_id if there else self._client.create_experiment(name, place)
        self._runs: dict[str, str] = {}

    def begin(self, trial: TrialRecord) -> None:
        self._runs[trial.trial_id] = self._again(trial) or self._new(trial)

    def _again(self, trial: TrialRecord) -> str | None:
        found: Any = self._client.search_runs(
            [self._id], f"tags.`{_TRIAL}` = '{trial.trial_id}'", max_results=1
        )
        if not found:
            return None
        run = str(found[0].info.run_id)
        self._client.update_run(run, status="RUNNING")
        return run

    def _new(self, trial: TrialRecord) -> str:
        made = self._client.create_run(
            self._id,
            tags={_TRIAL: trial.trial_id, "tune_lr.folder": str(self.folder)},
            run_name=trial.trial_id,
        )
        run = str(made.info.run_id)
        for knob, value in trial.config.items():
            self._client.log_param(run, knob, value)
        return run

    def report(self, trial: TrialRecord, report: Report) -> None:
        for metric, value in numbers(report).items():
            self._client.log_metric(self._runs[trial.trial_id], metric, value, step=report.epoch)

    def end(self, trial: TrialRecord) -> None:
        run, best = self._runs.pop(trial.trial_id), self.best(trial)
        if best is not None:
            self._client.log_metric(run, f"best_{self.objective.metric}", best)
        self._client.set_tag(run, "tune_lr.status", trial.status)
        self._client.set_terminated(run, _FINISHED.get(trial.status, "KILLED"))

    def close(self) -> None:
        while self._runs:
            self._client.set_terminated(self._runs.popitem()[1], "KILLED")
