"""MLflow's file store: a folder an experiment, in it a folder a run, in it a file a parameter or metric."""

from __future__ import annotations

import math
import re
from pathlib import Path

from tune_lr.errors import BadInput
from tune_lr.history import files
from tune_lr.history.columns import LARGEST_WHOLE
from tune_lr.history.importers.mlflow_log import STATUSES, Experiment, Run
from tune_lr.history.log import Skipped
from tune_lr.plain_yaml import plain_content

META = "meta.yaml"
_LARGEST_META, _LARGEST_TEXT = 1024**2, 64 * 1024
_DEEPEST = 8
_RESERVED = frozenset({"tags", "datasets", "traces", "models"})
_PARENT = "mlflow.parentRunId"
_NUMBERED = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
#: What a run's own file says in a line each. A YAML parser would take longer than all the rest.
_SAID = re.compile(r"^(status|lifecycle_stage|start_time): *'?([\w-]{1,30})'? *$", re.MULTILINE | re.ASCII)


def is_experiment(folder: Path) -> bool:
    """Whether a folder is an experiment of a file store; raises nothing."""
    said = files.head(folder / META, 4096)
    return b"experiment_id:" in said and b"artifact_location:" in said


def read_folder(folder: Path, root: Path, skipped: Skipped) -> Experiment | None:
    """An experiment; None where it was deleted.

    Raises:
        BadInput: its own file cannot be read.
    """
    text = files.read_text(folder / META, _LARGEST_META)
    try:
        meta = plain_content(text)
    except BadInput as error:
        skipped.add(folder.name, f"its name: {error}")
        meta = {}
    meta = meta if isinstance(meta, dict) else {}
    name = meta.get("name") if isinstance(meta.get("name"), str) and meta["name"] else folder.name
    found = Experiment(str(name), folder.name)
    if meta.get("lifecycle_stage") == "deleted":
        skipped.add(found.name[:100], "an experiment that was deleted")
        return None
    found.facts = dict(_texts(folder / "tags", root, folder.name, skipped))
    for run in files.entries(folder, root, skipped):
        if run.name not in _RESERVED and run.is_dir() and (run / META).is_file():
            try:
                _take(found, run, root, skipped)
            except BadInput as error:
                skipped.add(f"{folder.name}/{run.name}", str(error))
    return found


def _take(found: Experiment, folder: Path, root: Path, skipped: Skipped) -> None:
    """Take a run in."""
    where = f"{folder.parent.name}/{folder.name}"
    said = dict(_SAID.findall(files.read_text(folder / META, _LARGEST_META)))
    if "status" not in said:
        skipped.add(f"{where}/{META}", "how the run ended, which it does not say")
    status = _NUMBERED.get(said.get("status", ""), said.get("status"))
    if said.get("lifecycle_stage") == "deleted":
        skipped.add(found.name[:100], "a run that was deleted")
    elif status == "SCHEDULED":
        skipped.add(found.name[:100], "a run that was never begun")
    else:
        began = said.get("start_time", "")
        position = len(found.runs)
        found.runs.append(
            Run(
                folder.name,
                STATUSES.get(status or ""),
                float(began) if began.isdigit() else math.nan,
                _parent(folder, root, where, skipped),
            )
        )
        found.params += [
            (position, name, text) for name, text in _texts(folder / "params", root, where, skipped)
        ]
        for name, file in _named(folder / "metrics", root, skipped):
            try:
                _points(found, position, name, files.read_bytes(file), f"{where}/metrics/{name}", skipped)
            except BadInput as error:
                skipped.add(f"{where}/metrics/{name}", str(error))


def _parent(folder: Path, root: Path, where: str, skipped: Skipped) -> str:
    """The run that a run stands in, "" for none."""
    file = folder / "tags" / _PARENT
    if not file.is_file():
        return ""
    if not files.leads_inside(file, root):  # the folder of the tags may be a link too
        skipped.add(f"{where}/tags", "a link that leads out of the folder")
        return ""
    return files.head(file, 100).decode("utf-8", "replace").strip()


def _texts(folder: Path, root: Path, where: str, skipped: Skipped) -> list[tuple[str, str]]:
    """Names and contents of the small files in a folder."""
    found = []
    for name, file in _named(folder, root, skipped):
        try:
            found.append((name, files.read_text(file, _LARGEST_TEXT)))
        except BadInput as error:
            skipped.add(f"{where}/{folder.name}/{name}", str(error))
    return found


def _named(folder: Path, root: Path, skipped: Skipped) -> list[tuple[str, Path]]:
    """The files below a folder by their names; a "/" in a name of MLflow's is a folder here."""
    if folder.is_symlink() and not files.leads_inside(folder, root):
        skipped.add(f"{folder.parent.name}/{folder.name}", "a link that leads out of the folder")
        return []
    if not folder.is_dir():
        return []
    found, waiting = [], [(folder, "", 0)]
    while waiting:
        at, before, depth = waiting.pop()
        for entry in files.entries(at, root, skipped):
            if not entry.is_dir():
                found.append((before + entry.name, entry))
            elif depth < _DEEPEST and not entry.is_symlink():
                waiting.append((entry, f"{before}{entry.name}/", depth + 1))
    return found


def _points(found: Experiment, run: int, name: str, content: bytes, where: str, skipped: Skipped) -> None:
    """A metric's file: a line a value, "time value step"; the data set behind it in newer versions."""
    words = content.split()
    try:
        if len(words) != 3 * (content.count(b"\n") + (not content.endswith(b"\n"))):
            raise ValueError
        times, values, steps = [*map(float, words[::3])], [*map(float, words[1::3])], [*map(int, words[2::3])]
        if steps and not -LARGEST_WHOLE < min(steps) <= max(steps) < LARGEST_WHOLE:
            raise ValueError
    except ValueError:
        times, values, steps = _line_by_line(content, where, skipped)
    if not values:
        if not content.strip():
            skipped.add(where, "a metric without a value")
        return
    metric = found.metrics.setdefault(name, len(found.metrics))
    rows = len(values)
    for column, more in zip(found.points, ([run] * rows, [metric] * rows, steps, values, times), strict=True):
        column.extend(more)


def _line_by_line(content: bytes, where: str, skipped: Skipped) -> tuple[list[float], list[float], list[int]]:
    """Times, values and steps of the lines that can be read; the oldest versions write no step."""
    points: list[tuple[float, float, int]] = []
    for line in content.splitlines():
        words = line.split()
        try:
            if not 2 <= len(words) <= 7:
                raise ValueError
            point = float(words[0]), float(words[1]), int(words[2]) if len(words) > 2 else 0
            if abs(point[2]) >= LARGEST_WHOLE:
                raise ValueError
            points.append(point)
        except ValueError:
            skipped.add(where, "a line that is no time, value and step", bool(words))
    return [time for time, _, _ in points], [one for _, one, _ in points], [step for _, _, step in points]
