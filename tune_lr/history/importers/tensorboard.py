"""TensorBoard's log folders, and those of Lightning, which lie beside or in place of them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history import files
from tune_lr.history.columns import most_columns
from tune_lr.history.importers.tensorboard_curves import curves, finals
from tune_lr.history.importers.tensorboard_events import read_run
from tune_lr.history.importers.tensorboard_run import Run
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.journal import in_utf8
from tune_lr.plain_yaml import plain_content
from tune_lr.plain_yaml import read_text as read_yaml

_EVENTS = "tfevents"
#: Folders that hold a part of the run above them (Keras and PyTorch's add_scalars write so).
_PARTS = frozenset({"train", "training", "validation", "valid", "val", "test", "eval", "evaluation"})
_TIME = re.compile(r"\d{9,}(\.\d+)?")
_METRICS, _HPARAMS = "metrics.csv", "hparams.yaml"


class TensorBoard:
    """A folder with one folder of event files (or of Lightning's ``metrics.csv``) a run."""

    name: ClassVar[str] = "tensorboard"

    def claims(self, path: Path) -> bool:
        if path.is_file():
            return _is_events(path)
        if not path.is_dir():
            return False
        below = files.entries(path, path)
        return _is_run(path, path) or any(_is_run(folder, path) for folder in below if folder.is_dir())

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        runs = {key: run for key, run in _runs(path, skipped).items() if run}
        if not runs:
            raise files.bad(path, "event files with scalars in them")
        named = {*asked.rename, *([asked.metric] if asked.metric else [])}
        yield _log(path, runs, named, skipped)


def _is_events(path: Path) -> bool:
    return _EVENTS in path.name and not path.name.endswith(".profile-empty")


def _is_run(folder: Path, root: Path) -> bool:
    """Whether a folder is one run: event files in it or its parts, or what Lightning writes without them."""
    below = files.entries(folder, root)
    names = {entry.name for entry in below if entry.is_file()}
    if any(_EVENTS in name for name in names) or {_METRICS, _HPARAMS} <= names:
        return True
    parts = [entry for entry in below if entry.name.lower() in _PARTS and entry.is_dir()]
    return any(_is_events(file) for part in parts for file in files.entries(part, root))


def _runs(path: Path, skipped: Skipped) -> dict[str, Run]:
    """Every run below a path by its name, its parts joined to it."""
    if path.is_file():
        return {path.parent.name or path.name: read_run([path], path, skipped)}
    found: dict[Path, list[Path]] = {}
    for file in files.walk(path, lambda one: _is_events(one) or one.name == _METRICS, skipped):
        found.setdefault(file.parent, []).append(file)
    runs: dict[Path, Run] = {}
    for folder, inside in found.items():
        events = [file for file in inside if _is_events(file)]
        try:
            run = read_run(events, path, skipped)
            if not run.values and folder / _METRICS in inside:
                _take_metrics(run, folder / _METRICS, skipped)
            run.knobs |= _hparams(folder, path, skipped) if not run.knobs else {}
        except BadInput as error:
            skipped.add(folder.relative_to(path), str(error))
            continue
        runs[folder] = run
    joined = _joined(runs, path)
    return {
        path.name if folder == path else str(folder.relative_to(path)): run for folder, run in joined.items()
    }


def _joined(runs: dict[Path, Run], root: Path) -> dict[Path, Run]:
    """Runs with what libraries write into folders of their own below a run's."""
    children: dict[Path, list[Path]] = {}
    for folder in runs:
        children.setdefault(folder.parent, []).append(folder)
    joined = dict(runs)
    for parent, below in children.items():
        if parent != root and not parent.is_relative_to(root):
            continue
        described = [child for child in below if _TIME.fullmatch(child.name) and runs[child].knobs]
        for child in below:
            run = runs[child]
            if child.name.lower() in _PARTS:
                into = joined.setdefault(parent, Run())
                into.adopt(run, {tag: f"{child.name}/{tag}" for tag in (*run.values, *run.finals)})
                into.knobs = into.knobs or run.knobs
            elif parent in runs and (tag := _of_scalars(child.name, run)):
                joined[parent].adopt(run, tag)
            elif parent in runs and [child] == described and not runs[parent].knobs:
                joined[parent].knobs = run.knobs
                joined[parent].adopt(run, {})
            else:
                continue
            joined.pop(child)
    return joined


def _of_scalars(name: str, run: Run) -> dict[str, str] | None:
    """The tag in a folder by PyTorch's ``add_scalars``: ``loss_train`` holds ``loss`` of ``train``."""
    if len(run.values) != 1 or run.knobs or run.finals:
        return None
    (tag,) = run.values
    start = f"{tag.replace('/', '_')}_"
    return {tag: f"{tag}/{name.removeprefix(start)}"} if name.startswith(start) else None


def _take_metrics(run: Run, path: Path, skipped: Skipped) -> None:
    """The curves in the table of Lightning's CSVLogger: each row has a step and some of the metrics."""
    import pandas as pd

    from tune_lr.history.importers.table import read_table

    asked, own = Asked(columns={"epoch": "step", "layout": "long", "knobs": []}), Skipped()
    read = read_table(path, asked, own)
    for _, _, reports in read.rows.logs():
        steps = reports["epoch"].to_numpy()
        for name in reports.columns.drop(["trial", "epoch", "seconds"], errors="ignore"):
            values = pd.to_numeric(reports[name]).to_numpy("float64")
            there = ~np.isnan(values)
            run.steps[name].extend(steps[there].tolist())
            run.values[name].extend(values[there].tolist())
            run.times[name].extend([math.nan] * int(there.sum()))
    for (where, why), times in own.counts.items():
        if "'epoch'" not in why:  # it stands beside the step, and is no metric
            skipped.add(f"{path.parent.name}/{where}", why, times)


def _hparams(folder: Path, root: Path, skipped: Skipped) -> dict[str, Any]:
    """The knobs in Lightning's ``hparams.yaml``."""
    path = folder / _HPARAMS
    if not path.is_file() or not files.leads_inside(path, root):
        return {}
    where = path.relative_to(root)
    try:
        with files.open_plain(path):  # an ordinary file
            content = plain_content(read_yaml(path, str(where), _HPARAMS))
    except BadInput as error:
        skipped.add(where, str(error))
        return {}
    return dict(_flat(content, "")) if isinstance(content, dict) else {}


def _flat(content: dict[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield in_utf8(before + name), value


def _log(path: Path, runs: dict[str, Run], named: Collection[str], skipped: Skipped) -> Log:
    import pandas as pd

    trials: dict[str, Any] = {"trial_id": [*runs]}
    if any(run.status for run in runs.values()):
        trials["status"] = pd.Series([run.status for run in runs.values()], dtype=object)
    trials |= finals([*runs.values()], skipped)
    for name, column in _knobs([*runs.values()], skipped).items():
        trials[f"config/{name}"] = pd.Series(_whole(column), dtype=object).infer_objects()
    reports = curves([*runs.values()], named, skipped)
    return Log(TensorBoard.name, path.name, pd.DataFrame(trials), pd.DataFrame(reports))


def _knobs(runs: list[Run], skipped: Skipped) -> dict[str, list[Any]]:
    """The knobs of all runs, a column a knob; None where a run has none."""
    found: dict[str, list[Any]] = {}
    most = most_columns(len(runs))
    for place, run in enumerate(runs):
        for name, value in run.knobs.items():
            if name not in found and len(found) >= most:
                skipped.add("hparams", "a knob beside very many others")
            else:
                found.setdefault(name, [None] * len(runs))[place] = _knob(value, name, skipped)
    return found


def _knob(value: Any, name: str, skipped: Skipped) -> Any:
    """A knob's value if it is text, a finite number or truth."""
    usable = isinstance(value, (str, bool, int, float))
    if usable and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            usable = math.isfinite(value) and abs(value) < 2**63
        except OverflowError:
            usable = False
    if not usable:
        skipped.add(name[:100], "a knob that is no text, finite number or truth", value is not None)
        return None
    return in_utf8(value) if isinstance(value, str) else value


def _whole(column: list[Any]) -> list[Any]:
    """Numbers as whole ones where all of a column are: the plugin of hyperparameters knows only floats."""
    numbers = [value for value in column if isinstance(value, float)]
    if not numbers or not all(value.is_integer() for value in numbers):
        return column
    return [int(value) if isinstance(value, float) else value for value in column]
