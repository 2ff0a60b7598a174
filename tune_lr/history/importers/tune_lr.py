"""tune-lr's own experiments: ``experiment.json`` and ``journal.jsonl``.

The journal is read line by line into columns. Nothing else of the folder is needed: the tables and the
trials' own files say the same.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.columns import Columns, flat_config
from tune_lr.history.files import json_lines, read_json
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.journal import NON_FINITE

_DESCRIPTION, _JOURNAL = "experiment.json", "journal.jsonl"
#: Of the job, what is a fact of the task.
_FACTS = ("trainer", "engine", "searcher", "trial_scheduler", "seed")


class TuneLR:
    """An experiment's folder; a job that was killed counts as far as its journal goes."""

    name: ClassVar[str] = "tune-lr"

    def claims(self, path: Path) -> bool:
        return path.is_dir() and (path / _JOURNAL).is_file() and (path / _DESCRIPTION).is_file()

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        import pandas as pd

        job, versions = _description(path, skipped)
        heard = _Heard()
        for event in json_lines(path / _JOURNAL, skipped):
            heard.hear(event, skipped)
        if not heard.trials:
            raise BadInput("journal", path.name, "one that tells of at least one trial")
        task: dict[str, Any] = job["task"] if isinstance(job.get("task"), dict) else {}
        facts = {name: str(job[name]) for name in _FACTS if name in job}
        yield Log(
            source=self.name,
            name=_task_name(path, job, task),
            trials=pd.DataFrame(heard.trials),
            reports=heard.reports(),
            metric=job["metric"] if isinstance(job.get("metric"), str) else None,
            mode=job["mode"] if job.get("mode") in ("min", "max") else None,
            scope=job["scope"] if isinstance(job.get("scope"), str) else "best",
            fidelity="epochs",
            counts_from=1,
            space=job.get("space") if isinstance(job.get("space"), dict) else None,
            descriptors={**facts, **{str(k): str(v) for k, v in task.items()}},
            versions=versions,
        )


class _Heard:
    """The journal's events so far, as columns."""

    def __init__(self) -> None:
        self.trials: list[dict[str, Any]] = []
        self._at: dict[str, int] = {}
        self._of, self._epochs, self._seconds = array("q"), array("q"), array("d")
        self._metrics = Columns()

    def hear(self, event: Mapping[str, Any], skipped: Skipped) -> None:
        kind, trial = event.get("event"), event.get("trial_id")
        if not isinstance(trial, str):
            return
        if kind == "ask" and trial not in self._at:
            self._at[trial] = len(self.trials)
            config = flat_config(event.get("config"), _JOURNAL, skipped)
            self.trials.append({"trial_id": trial, "status": "running", "error": None, **config})
        elif trial not in self._at:
            skipped.add(_JOURNAL, "a line about a trial that was never begun")
        elif kind == "report":
            self._report(event, self._at[trial], skipped)
        elif kind in ("end", "pause", "resume"):
            row = self.trials[self._at[trial]]
            status = {"pause": "paused", "resume": "running"}.get(str(kind), event.get("status"))
            row["status"] = status if isinstance(status, str) else row["status"]
            row["error"] = event["error"] if isinstance(event.get("error"), str) else row["error"]

    def _report(self, event: Mapping[str, Any], at: int, skipped: Skipped) -> None:
        epoch, metrics, seconds = event.get("epoch"), event.get("metrics"), event.get("seconds")
        if type(epoch) is not int or not 0 <= epoch < 2**53 or not isinstance(metrics, dict):
            skipped.add(_JOURNAL, "a report that has no epoch or no metrics")
            return
        if epoch == 0:
            skipped.add(_JOURNAL, "a report before the first epoch")
            return
        self._of.append(at)
        self._epochs.append(epoch)
        self._seconds.append(float(seconds) if isinstance(seconds, (int, float)) else np.nan)
        self._metrics.add(metrics, NON_FINITE)
        if isinstance(status := event.get("status"), str):
            self.trials[at]["status"] = status

    def reports(self) -> Any:
        import pandas as pd

        own = {
            "trial": np.frombuffer(self._of, np.int64) if self._of else np.array([], np.int64),
            "epoch": np.frombuffer(self._epochs, np.int64) if self._of else np.array([], np.int64),
            "seconds": np.frombuffer(self._seconds, np.float64) if self._of else np.array([]),
        }
        return pd.DataFrame({**own, **self._metrics.arrays(besides=own)})


def _description(path: Path, skipped: Skipped) -> tuple[dict[str, Any], dict[str, str]]:
    """The job and the versions; the journal says enough for the rest where the file is damaged."""
    try:
        content = read_json(path / _DESCRIPTION)
    except BadInput as error:
        skipped.add(_DESCRIPTION, str(error))
        return {}, {}
    if not isinstance(content, dict) or not isinstance(content.get("job"), dict):
        skipped.add(_DESCRIPTION, "no description of a job")
        return {}, {}
    versions = content.get("versions")
    return content["job"], {str(k): str(v) for k, v in versions.items()} if isinstance(versions, dict) else {}


def _task_name(path: Path, job: Mapping[str, Any], task: Mapping[str, Any]) -> str:
    """What the person called the task, or the trainer's file, or the folder."""
    if isinstance(task.get("name"), str) and task["name"]:
        return str(task["name"])
    trainer = job.get("trainer")
    if isinstance(trainer, str) and trainer:
        file, _, function = trainer.rpartition(":")
        stem = Path(file or function).stem
        if stem and stem != "<in memory>":
            return stem.rpartition(".")[2] or stem
    return path.resolve().name
