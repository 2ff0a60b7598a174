"""Ray Tune's experiment folders (2.x): a folder a trial, with ``params.json`` and ``result.json``.

``experiment_state-*.json`` is read as plain JSON for what it says of the trials as text; what is pickled in
it, and every pickle beside it (``search_gen_state-*.json`` is one in spite of its name), is left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from tune_lr.errors import BadInput
from tune_lr.history.columns import flat_config, trials_of
from tune_lr.history.files import entries, read_json, read_text
from tune_lr.history.importers.ray_results import CSV, LINES, Results, Told
from tune_lr.history.importers.ray_state import State, is_state, read_state
from tune_lr.history.log import Asked, Log, Skipped

_PARAMS, _ERROR = "params.json", "error.txt"
_OF_A_TRIAL = {_PARAMS, LINES, CSV, _ERROR}
#: What a trial's folder is called: the trainable, the trial's id, its number, knobs and a date.
_NUMBERED = re.compile(r"_[0-9a-f]{5,8}(?:_[0-9]{5,})?_([0-9]{1,9})(?:_|$)")
#: In a folder without an experiment's state so many folders are looked at for a trial.
_LOOKED_AT = 1000
#: How Python shows what is no plain value; it is another text in every process.
_ADDRESS = re.compile(r"\bat 0x[0-9a-f]+", re.IGNORECASE)
_CHANGED = (
    "a trial whose configuration changed on the way, as under population-based training: "
    "its last one is taken for all of its reports"
)
_LONGEST_ERROR = 1024**2
_LONGEST_PARAMS = 64 * 1024**2
#: TERMINATED is said of trials that came to their end and of those that were stopped early.
_STATUSES = {"ERROR": "failed", "PAUSED": "paused", "RUNNING": "running", "PENDING": "running"}


class Ray:
    """An experiment's folder, or the folder of one of its trials."""

    name: ClassVar[str] = "ray"

    def claims(self, path: Path) -> bool:
        if not os.path.isdir(path):
            return False
        if _is_trial(path):
            return True
        below = entries(path, path)
        return any(map(is_state, below)) or any(map(_is_trial, below[:_LOOKED_AT]))

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        import pandas as pd

        state = read_state(path, skipped)
        results, trials, taken = Results(), list[dict[str, Any]](), set[str]()
        for folder in [path] if _is_trial(path) else _folders(path, skipped):
            files = {one.name: one for one in entries(folder, path, skipped)}
            if not files.keys() & _OF_A_TRIAL:
                skipped.add(folder.name, "a folder without a trial of Ray Tune")
                continue
            told = results.read(len(trials), files, folder.name, skipped)
            row = _trial(folder.name, files, told, state, skipped)
            row["trial_id"] = row["trial_id"] if row["trial_id"] not in taken else folder.name
            taken.add(row["trial_id"])
            trials.append(row)
        if not trials:
            raise BadInput("folder", path.name, "at least one folder of a trial that can be read")
        reports = results.reports(skipped)
        yield Log(
            source=self.name,
            name=path.resolve().name,
            trials=trials_of(trials, skipped),
            reports=pd.DataFrame(reports),
            metric=results.names.get(state.metric or ""),
            fidelity="epochs",
            counts_from=1,
            descriptors={"trainable": state.trainable} if state.trainable else {},
        )


def _is_trial(folder: Path) -> bool:
    return os.path.isfile(folder / _PARAMS) and (
        os.path.isfile(folder / LINES) or os.path.isfile(folder / CSV)
    )


def _folders(path: Path, skipped: Skipped) -> list[Path]:
    """The folders in an experiment's, in the order in which their trials were begun."""

    def begun(folder: Path) -> tuple[int, str]:
        found = _NUMBERED.search(folder.name)
        return int(found[1]) if found else 0, folder.name

    return sorted((one for one in entries(path, path, skipped) if os.path.isdir(one)), key=begun)


def _trial(
    name: str, files: Mapping[str, Path], told: Told, state: State, skipped: Skipped
) -> dict[str, Any]:
    """One trial's row."""
    of_state = state.trials.get(name) or state.trials.get(told.trial_id or "")
    trial_id = told.trial_id or (of_state.trial_id if of_state else None) or name
    # A trial that failed and was tried again with success keeps its error.txt.
    if _ERROR in files and (of_state is None or of_state.status != "TERMINATED"):
        status: str | None = "failed"
    elif of_state is None:
        status = None if told.rows else "stopped"
    elif of_state.status == "TERMINATED":
        # Ray says done in a report only where it ends the trial there, be it by a rule or at its limit.
        returned = of_state.done and not told.done
        status = "completed" if returned else None if told.done and told.rows else "stopped"
    else:
        status = _STATUSES.get(of_state.status)
    error = None
    if status == "failed" and _ERROR in files:
        try:
            error = read_text(files[_ERROR], _LONGEST_ERROR)
        except BadInput as problem:
            skipped.add(f"{name}/{_ERROR}", str(problem))
    config = _config(name, files, told, skipped)
    if _changed(told):
        skipped.add(name, _CHANGED)
    return {"trial_id": trial_id, "status": status, "error": error, **config}


def _config(name: str, files: Mapping[str, Path], told: Told, skipped: Skipped) -> dict[str, Any]:
    """A trial's knobs; its results repeat them, should the file of them be lost."""
    config = None
    if _PARAMS in files:
        try:
            config = read_json(files[_PARAMS], _LONGEST_PARAMS)
        except BadInput as problem:
            skipped.add(f"{name}/{_PARAMS}", str(problem))
    return flat_config(config if isinstance(config, dict) else told.config, f"{name}/{_PARAMS}", skipped)


def _changed(told: Told) -> bool:
    """Whether a trial's last result was under other knobs than its first."""
    if told.began is None or told.config is None or told.began is told.config:
        return False
    began, ended = (
        {
            key: value
            for key, value in flat_config(config, "", Skipped()).items()
            if not (isinstance(value, str) and _ADDRESS.search(value))
        }
        for config in (told.began, told.config)
    )
    return began != ended
