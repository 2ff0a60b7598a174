"""tune-lr's own experiments: ``experiment.json`` and ``journal.jsonl``.

The journal is read line by line into columns. Nothing else of the folder is needed: the tables and the
trials' own files say the same. Where ``experiment.json`` is damaged, what the journal says of the job counts.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.columns import LARGEST_WHOLE, Columns, flat_config, trials_of
from tune_lr.history.files import head, json_lines, read_json
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.journal import NON_FINITE, Status
from tune_lr.objective import is_scope
from tune_lr.space import SearchSpace

_DESCRIPTION, _JOURNAL = "experiment.json", "journal.jsonl"
#: How a journal begins.
_SESSION = b'{"event":"session"'
#: Of the job, what is a fact of the task.
_FACTS = ("trainer", "engine", "searcher", "trial_scheduler", "seed")
_STATUSES = frozenset(get_args(Status))
_LARGEST_DESCRIPTION = 64 * 1024**2


class TuneLR:
    """An experiment's folder; a job that was killed counts as far as its journal goes."""

    name: ClassVar[str] = "tune-lr"

    def claims(self, path: Path) -> bool:
        journal = path / _JOURNAL
        if not os.path.isfile(journal):
            return False
        return os.path.isfile(path / _DESCRIPTION) or head(journal, len(_SESSION)) == _SESSION

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:

        heard = _Heard()
        for event in json_lines(path / _JOURNAL, skipped):
            heard.hear(event, skipped)
        if not heard.trials:
            raise BadInput("journal", path.name, "one that tells of at least one trial")
        said, versions = _description(path, skipped)
        job = {**heard.job, **said}
        task: dict[str, Any] = job["task"] if isinstance(job.get("task"), dict) else {}
        facts = {name: str(job[name]) for name in _FACTS if isinstance(job.get(name), (str, int))}
        yield Log(
            source=self.name,
            name=_task_name(path, job, task),
            trials=trials_of(heard.trials, skipped),
            reports=heard.reports(skipped),
            metric=job["metric"] if isinstance(job.get("metric"), str) else None,
            mode=job["mode"] if job.get("mode") in ("min", "max") else None,
            scope=_scope(job, _DESCRIPTION if "scope" in said else _JOURNAL, skipped),
            fidelity="epochs",
            counts_from=1,
            space=_space(job.get("space"), skipped),
            descriptors={**facts, **{str(k): str(v) for k, v in task.items()}},
            versions=versions,
        )


class _Heard:
    """The journal's events so far, as columns."""

    def __init__(self) -> None:
        #: What the newest session was asked: the job without its space.
        self.job: dict[str, Any] = {}
        self.trials: list[dict[str, Any]] = []
        self._at: dict[str, int] = {}
        self._of, self._epochs, self._seconds = array("q"), array("q"), array("d")
        self._metrics = Columns()

    def hear(self, event: Mapping[str, Any], skipped: Skipped) -> None:
        kind, trial = event.get("event"), event.get("trial_id")
        if kind == "session" and isinstance(event.get("asked"), dict):
            self.job = event["asked"]
        elif not isinstance(trial, str):
            return
        elif kind == "ask":
            self._ask(event, trial, skipped)
        elif trial not in self._at:
            skipped.add(_JOURNAL, "a line about a trial that was never begun")
        elif kind == "report":
            self._report(event, self._at[trial], skipped)
        elif kind in ("end", "pause", "resume"):
            status = {"pause": "paused", "resume": "running"}.get(str(kind), event.get("status"))
            self._turn(self._at[trial], status, event.get("error"))

    def _ask(self, event: Mapping[str, Any], trial: str, skipped: Skipped) -> None:
        if trial in self._at:
            skipped.add(_JOURNAL, "a trial that was begun before")
            return
        self._at[trial] = len(self.trials)
        config = flat_config(event.get("config"), _JOURNAL, skipped)
        self.trials.append({"trial_id": trial, "status": "running", "error": None, **config})

    def _turn(self, at: int, status: object, error: object) -> None:
        row = self.trials[at]
        if isinstance(status, str) and status in _STATUSES:
            row["status"] = status
            row["error"] = error if isinstance(error, str) else None

    def _report(self, event: Mapping[str, Any], at: int, skipped: Skipped) -> None:
        epoch, metrics = event.get("epoch"), event.get("metrics")
        if type(epoch) is not int or not 0 <= epoch < LARGEST_WHOLE or not isinstance(metrics, dict):
            skipped.add(_JOURNAL, "a report that has no epoch or no metrics")
            return
        if epoch == 0:
            skipped.add(_JOURNAL, "a report before the first epoch")
            return
        self._of.append(at)
        self._epochs.append(epoch)
        self._seconds.append(_seconds(event.get("seconds")))
        self._metrics.add(metrics, NON_FINITE)
        if "status" in event:
            self._turn(at, event["status"], None)

    def reports(self, skipped: Skipped) -> Any:
        import pandas as pd

        own = {
            "trial": np.frombuffer(self._of, np.int64) if self._of else np.array([], np.int64),
            "epoch": np.frombuffer(self._epochs, np.int64) if self._of else np.array([], np.int64),
            "seconds": np.frombuffer(self._seconds, np.float64) if self._of else np.array([]),
        }
        return pd.DataFrame({**own, **self._metrics.arrays(besides=own, skipped=skipped)})


def _seconds(said: object) -> float:
    if type(said) is float or (type(said) is int and abs(said) < LARGEST_WHOLE):
        return float(said)
    return np.nan


def _description(path: Path, skipped: Skipped) -> tuple[dict[str, Any], dict[str, str]]:
    """The job and the versions, as far as ``experiment.json`` has them."""
    try:
        content = read_json(path / _DESCRIPTION, _LARGEST_DESCRIPTION)
    except BadInput as error:
        skipped.add(_DESCRIPTION, str(error))
        return {}, {}
    if not isinstance(content, dict) or not isinstance(content.get("job"), dict):
        skipped.add(_DESCRIPTION, "no description of a job")
        return {}, {}
    versions = content.get("versions")
    return content["job"], {str(k): str(v) for k, v in versions.items()} if isinstance(versions, dict) else {}


def _scope(job: Mapping[str, Any], where: str, skipped: Skipped) -> str:
    """What decides about a trial; its best report where the job does not say what we know."""
    scope = job.get("scope")
    if is_scope(scope):
        return str(scope)
    if scope is not None:
        skipped.add(where, f"scope {str(scope)[:50]!r}, which is none that is known: best is taken")
    return "best"


def _space(said: object, skipped: Skipped) -> dict[str, Any] | None:
    if said is None:
        return None
    try:
        return SearchSpace.from_dict(said).to_dict()
    except BadInput as error:
        skipped.add(_DESCRIPTION, str(error))
        return None


def _task_name(path: Path, job: Mapping[str, Any], task: Mapping[str, Any]) -> str:
    """What the person called the task, or the trainer's file, module or function, or the folder."""
    if isinstance(task.get("name"), str) and task["name"]:
        return str(task["name"])
    trainer = job.get("trainer")
    if not isinstance(trainer, str):
        return path.resolve().name
    where, _, function = trainer.rpartition(":")
    if where.endswith(".py"):
        name = re.split(r"[/\\]", where)[-1].removesuffix(".py")
    else:  # a function by value has no module
        name = (function if where in ("", "<function>") else where).rpartition(".")[2]
    return name or path.resolve().name
