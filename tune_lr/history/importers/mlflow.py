"""MLflow's file stores: a folder ``mlruns``, in it a folder an experiment, in it a folder a run.

The text files are read directly. MLflow's own reader makes folders in a store that it opens, and recent
versions refuse file stores unless an environment variable allows them; neither suits a stranger's log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.files import entries, head, read_bytes
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.history.matching import CONFIG

_META = "meta.yaml"
_LINE = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_STATUSES = {"1": "running", "2": "running", "3": "completed", "4": "failed", "5": "stopped"}
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_LARGEST_META, _LARGEST_PARAM, _LARGEST_METRIC = 1024**2, 64 * 1024, 512 * 1024**2
_DEEPEST = 4
_SEEDS = ("seed", "random_seed")


class MLflow:
    """A store, or one experiment of it."""

    name: ClassVar[str] = "mlflow"

    def claims(self, path: Path) -> bool:
        if not path.is_dir():
            return False
        return _is_experiment(path) or any(_is_experiment(one) for one in entries(path, path)[:100])

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        experiments = [path] if _is_experiment(path) else entries(path, path, skipped)
        found = False
        for folder in experiments:
            if folder.is_dir() and _is_experiment(folder):
                log = _experiment(self.name, folder, skipped)
                if log is not None:
                    found = True
                    yield log
        if not found:
            raise BadInput("store", path.name, "one that has an experiment with a run")


def _is_experiment(folder: Path) -> bool:
    begin = head(folder / _META, 4096)
    return b"experiment_id:" in begin and b"artifact_location:" in begin


def _experiment(source: str, folder: Path, skipped: Skipped) -> Log | None:
    import pandas as pd

    try:
        meta = _meta(folder / _META)
    except BadInput as error:
        skipped.add(folder.name, str(error))
        meta = {}
    name = meta.get("name") or folder.name
    if meta.get("lifecycle_stage") == "deleted":
        skipped.add(name, "an experiment that was deleted")
        return None
    runs = [
        (begun, row, reports)
        for run in entries(folder, folder, skipped)
        if run.is_dir() and (run / _META).is_file()
        for begun, row, reports in _run(run, skipped)
    ]
    runs.sort(key=lambda one: one[0])
    trials = [row for _, row, _ in runs]
    frames = [
        {"trial": np.full(len(reports["epoch"]), position, np.int64), **reports}
        for position, (_, _, reports) in enumerate(runs)
    ]
    if not trials:
        skipped.add(name, "an experiment without a run")
        return None
    return Log(
        source=source,
        name=name,
        part=meta.get("experiment_id", ""),
        trials=pd.DataFrame(trials),
        reports=_together(frames),
    )


def _together(frames: list[dict[str, Any]]) -> Any:
    """The runs' columns below one another."""
    import pandas as pd

    names = dict.fromkeys(name for frame in frames for name in frame)
    sizes = [len(frame["trial"]) for frame in frames]
    columns = {}
    for name in names:
        parts = [frame.get(name, np.full(size, np.nan)) for frame, size in zip(frames, sizes, strict=True)]
        columns[name] = np.concatenate(parts)
    return pd.DataFrame(columns)


def _run(folder: Path, skipped: Skipped) -> Iterator[tuple[float, dict[str, Any], dict[str, Any]]]:
    """When a run began (ms), its row, and its reports as columns; nothing where it does not count."""
    try:
        meta = _meta(folder / _META)
    except BadInput as error:
        skipped.add(folder.name, str(error))
        return
    if meta.get("lifecycle_stage") == "deleted":
        skipped.add("runs", "a run that was deleted")
        return
    row: dict[str, Any] = {
        "trial_id": meta.get("run_id") or meta.get("run_uuid") or folder.name,
        "status": _STATUSES.get(meta.get("status", "")),
    }
    for name, file in _named_files(folder / "params", folder, skipped):
        try:
            row[CONFIG + name] = _value(read_bytes(file, _LARGEST_PARAM).decode("utf-8", "replace").strip())
        except BadInput as error:
            skipped.add(f"{folder.name}/params", str(error))
    histories = {}
    for name, file in _named_files(folder / "metrics", folder, skipped):
        try:
            histories[name] = _history(file, f"{folder.name}/metrics/{name}", skipped)
        except BadInput as error:
            skipped.add(f"{folder.name}/metrics", str(error))
    begun = meta.get("start_time", "")
    yield float(begun) if _WHOLE.fullmatch(begun) else 0.0, *_joined(row, histories)


def _joined(row: dict[str, Any], histories: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metrics of one step as one report; a value without a step of its own belongs to the run."""
    histories = {name: one for name, one in histories.items() if len(one)}
    longest = max((len(one) for one in histories.values()), default=0)
    for name, one in histories.items():
        if len(one) == 1 and longest > 1 and one[0, 2] == 0:
            row[name] = one[0, 1]
    several = {name: one for name, one in histories.items() if name not in row}
    if not several:
        return row, {"epoch": np.array([], np.int64), "seconds": np.array([])}
    began = min(one[:, 0].min() for one in several.values())
    steps = np.unique(np.concatenate([one[:, 2] for one in several.values()]))
    columns: dict[str, Any] = {"epoch": steps.astype(np.int64), "seconds": np.full(len(steps), np.nan)}
    for name, one in several.items():
        at = np.searchsorted(steps, one[:, 2])
        values = np.full(len(steps), np.nan)
        values[at] = one[:, 1]
        columns["seconds"][at] = (one[:, 0] - began) / 1000
        if name not in ("trial", "epoch", "seconds"):
            columns[name] = values
    return row, columns


def _history(file: Path, where: str, skipped: Skipped) -> Any:
    """A metric's file as rows of timestamp (ms), value and step, finite steps only."""
    words = read_bytes(file, _LARGEST_METRIC).split()
    lines = len(words) // 3
    try:
        if len(words) % 3:
            raise ValueError
        rows = np.array(words[: 3 * lines], dtype=np.float64).reshape(lines, 3)
    except ValueError:
        rows = _line_by_line(read_bytes(file, _LARGEST_METRIC), where, skipped)
    steps, times = rows[:, 2], rows[:, 0]
    with np.errstate(invalid="ignore"):
        good = (steps >= 0) & (steps < 2**53) & (steps % 1 == 0) & np.isfinite(times)
    skipped.add(where, "a line whose step or time is no whole number from 0 upwards", int((~good).sum()))
    return rows[good]


def _line_by_line(content: bytes, where: str, skipped: Skipped) -> Any:
    """The lines that can be read: the newest version writes more on a line, the oldest no step."""
    rows = []
    for line in content.splitlines():
        words = line.split()
        try:
            if len(words) < 2:
                raise ValueError
            rows.append((float(words[0]), float(words[1]), float(words[2]) if len(words) > 2 else 0.0))
        except ValueError:
            skipped.add(where, "a line that is no time, value and step", int(bool(words)))
    return np.array(rows, dtype=np.float64).reshape(len(rows), 3)


def _named_files(folder: Path, root: Path, skipped: Skipped, prefix: str = "") -> list[tuple[str, Path]]:
    """The files below a folder by their names; a "/" in a name of MLflow's is a folder here."""
    found: list[tuple[str, Path]] = []
    if not folder.is_dir():
        return found
    for entry in entries(folder, root, skipped):
        if entry.is_dir():
            if prefix.count("/") < _DEEPEST:
                found += _named_files(entry, root, skipped, f"{prefix}{entry.name}/")
        else:
            found.append((f"{prefix}{entry.name}", entry))
    return found


def _meta(file: Path) -> dict[str, str]:
    """The flat lines of a ``meta.yaml``, as text; quotes are taken off."""
    text = read_bytes(file, _LARGEST_META).decode("utf-8", "replace")
    return {match[1]: match[2].strip("'\"") for match in _LINE.finditer(text)}


def _value(text: str) -> Any:
    """A parameter, all of which MLflow keeps as text: a number or boolean where it clearly is one."""
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return {"True": True, "true": True, "False": False, "false": False, "None": None}.get(text, text)
