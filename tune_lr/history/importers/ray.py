"""Ray Tune's experiment folders (2.x): a folder a trial, with ``params.json`` and ``result.json``.

``experiment_state-*.json`` is read as plain JSON for the trials' status; what is pickled in it, and every
pickle beside it (``search_gen_state-*.json`` is one in spite of its name), is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeGuard

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.columns import Columns, flat_config
from tune_lr.history.files import entries, head, json_lines, open_plain, read_json, read_text
from tune_lr.history.log import Asked, Log, Skipped

#: What Ray adds to every result.
_RAYS_OWN = frozenset(
    {
        "config",
        "done",
        "timestamp",
        "date",
        "pid",
        "hostname",
        "node_ip",
        "trial_id",
        "experiment_id",
        "experiment_tag",
        "episodes_total",
        "iterations_since_restore",
        "time_this_iter_s",
        "time_since_restore",
        "time_total_s",
        "training_iteration",
        "timesteps_total",
        "timesteps_since_restore",
        "warmup_time",
        "checkpoint_dir_name",
        "should_checkpoint",
        "trial_name",
        "agent_timesteps_total",
    }
)
#: TERMINATED is said of trials that came to their end and of those that were stopped early.
_STATUSES = {"ERROR": "failed", "PAUSED": "paused", "RUNNING": "running"}
_DEEPEST = 6
_LONGEST_ERROR = 64 * 1024


class Ray:
    """An experiment's folder, or the folder of one of its trials."""

    name: ClassVar[str] = "ray"

    def claims(self, path: Path) -> bool:
        if not path.is_dir():
            return False
        if _is_trial(path):
            return True
        for below in entries(path, path)[:1000]:
            if below.name.startswith("experiment_state-") and below.suffix == ".json":
                return True
            if below.is_dir() and _is_trial(below):
                return True
        return False

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        import pandas as pd

        folders = [path] if _is_trial(path) else [one for one in entries(path, path, skipped) if one.is_dir()]
        statuses = _statuses(path, skipped)
        trials: list[dict[str, Any]] = []
        own: dict[str, list[Any]] = {"trial": [], "epoch": [], "seconds": []}
        metrics = Columns()
        for folder in folders:
            if not _is_trial(folder):
                continue
            row = _trial(folder, skipped)
            for result in _results(folder, skipped):
                epoch, seconds = result.get("training_iteration"), result.get("time_total_s")
                if not _is_number(epoch):
                    skipped.add(folder.name, "a result without a training_iteration")
                    continue
                name = result.get("trial_id")
                row["trial_id"] = name if isinstance(name, str) and name else row["trial_id"]
                own["trial"].append(len(trials))
                own["epoch"].append(epoch if abs(epoch) < 2**60 else np.nan)
                own["seconds"].append(seconds if _is_number(seconds) and abs(seconds) < 2**60 else np.nan)
                metrics.add(_metrics(result))
            row["status"] = row["status"] or statuses.get(row["trial_id"])
            trials.append(row)
        if not trials:
            raise BadInput("folder", path.name, "at least one trial with a params.json or a result.json")
        yield Log(
            source=self.name,
            name=path.resolve().name,
            trials=pd.DataFrame(trials),
            reports=pd.DataFrame({**own, **metrics.arrays(besides=own)}),
            fidelity="epochs",
            counts_from=1,
        )


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float)


def _is_trial(folder: Path) -> bool:
    return (folder / "result.json").is_file() or (
        (folder / "params.json").is_file() and (folder / "progress.csv").is_file()
    )


def _trial(folder: Path, skipped: Skipped) -> dict[str, Any]:
    """What is known of a trial besides its results."""
    row: dict[str, Any] = {"trial_id": folder.name, "status": None, "error": None}
    if (folder / "params.json").exists():
        try:
            row.update(flat_config(read_json(folder / "params.json"), f"{folder.name}/params.json", skipped))
        except BadInput as error:
            skipped.add(folder.name, str(error))
    if (folder / "error.txt").is_file():
        row["status"] = "failed"
        try:
            row["error"] = read_text(folder / "error.txt", _LONGEST_ERROR)
        except BadInput as error:
            skipped.add(folder.name, str(error))
    return row


def _results(folder: Path, skipped: Skipped) -> Iterator[Mapping[str, Any]]:
    """The rows of ``result.json``, or of ``progress.csv`` where that has none."""
    found = False
    if (folder / "result.json").exists():
        try:
            for result in json_lines(folder / "result.json", skipped, f"{folder.name}/result.json"):
                found = True
                yield result
        except BadInput as error:
            skipped.add(folder.name, str(error))
    if not found and (folder / "progress.csv").exists() and head(folder / "progress.csv"):
        try:
            yield from _progress(folder / "progress.csv")
        except BadInput as error:
            skipped.add(folder.name, str(error))


def _progress(file: Path) -> Iterator[Mapping[str, Any]]:
    import pandas as pd

    try:
        with open_plain(file) as content:
            frame = pd.read_csv(content, on_bad_lines="skip", encoding_errors="replace")
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        raise BadInput("file", file.name, f"a table ({error})") from None
    names = [name for name in frame.columns if not str(name).startswith("config/")]
    for row in zip(*(frame[name].tolist() for name in names), strict=True):
        yield dict(zip(names, row, strict=True))


def _metrics(result: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """The numbers of a result; those of nested results under names joined with "/"."""
    found: dict[str, Any] = {}
    for name, value in result.items():
        if not prefix and name in _RAYS_OWN:
            continue
        if isinstance(value, dict):
            if depth < _DEEPEST:
                found.update(_metrics(value, f"{prefix}{name}/", depth + 1))
        elif type(value) in (int, float):
            found[f"{prefix}{name}"] = value
    return found


def _statuses(path: Path, skipped: Skipped) -> dict[str, str]:
    """Trial -> status, from the newest experiment state; nothing where there is none that can be read."""
    states = [
        p for p in entries(path, path) if p.name.startswith("experiment_state-") and p.suffix == ".json"
    ]
    found: dict[str, str] = {}
    for state in states[-1:]:
        try:
            content = read_json(state)
        except BadInput as error:
            skipped.add(state.name, str(error))
            continue
        listed = content.get("trial_data", content.get("checkpoints")) if isinstance(content, dict) else None
        for one in listed if isinstance(listed, list) else []:
            text = one[0] if isinstance(one, list) and one else one
            try:
                trial = json.loads(text) if isinstance(text, str) else text
            except (ValueError, RecursionError):
                skipped.add(state.name, "a trial that is no JSON")
                continue
            if isinstance(trial, dict) and isinstance(trial.get("trial_id"), str):
                status = _STATUSES.get(str(trial.get("status")))
                if status:
                    found[trial["trial_id"]] = status
    return found
