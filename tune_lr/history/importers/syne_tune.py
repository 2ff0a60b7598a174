"""Syne Tune's experiment folders (0.13 to 0.16): ``metadata.json`` and ``results.csv.zip``, a folder a trial.

The table is rewritten only now and then, so after a kill the trials' own output (``<id>/std.out``) has
reports that the table lacks; they are taken from there. ``tuner.dill`` is never opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.columns import Columns, flat_config
from tune_lr.history.files import entries, head, lines, open_plain, read_json, unzip
from tune_lr.history.log import Asked, Log, Skipped

if TYPE_CHECKING:
    import pandas as pd

_TABLE, _METADATA = "results.csv.zip", "metadata.json"
_REPORT = re.compile(rb"\[tune-metric\]:\s*(\{.*\})\s*$")
#: Names under which trainers count their epochs, the likeliest first.
_RESOURCES = ("epoch", "epochs", "training_iteration", "iteration", "step", "steps", "batch")
_OWN_COUNT = "st_worker_iter"
_STATUSES = {"completed": "completed", "paused": "paused", "failed": "failed"}
#: The table's last word on a trial is that it runs; its folder may know more.
_OPEN = "open"


class SyneTune:
    """An experiment's folder, by its table or its ``metadata.json``."""

    name: ClassVar[str] = "syne-tune"

    def claims(self, path: Path) -> bool:
        if not path.is_dir():
            return False
        if (path / _TABLE).is_file():
            return True
        return (path / _METADATA).is_file() and b"syne_tune" in head(path / _METADATA).lower()

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        import pandas as pd

        metadata = _metadata(path, skipped)
        table = _table(path, skipped)
        resource = _resource(metadata, table)
        found = {} if table is None else _of_table(table, resource, skipped)
        trials, frames, known = _of_folders(path, found, resource, skipped)
        if not trials:
            raise BadInput("folder", path.name, "at least one trial in its table or its folders")
        if table is not None and len(table):
            told = _reports(table, known, resource, skipped)
            frames = [told, *(frame[~frame["epoch"].isin(_epochs(told, frame))] for frame in frames)]
        reports = pd.concat(frames, ignore_index=True) if frames else _no_reports()
        metric, mode = _objective(metadata)
        yield Log(
            source=self.name,
            name=str(metadata.get("name") or metadata.get("tuner_name") or path.resolve().name),
            trials=pd.DataFrame(trials),
            reports=reports,
            metric=metric,
            mode=mode,
            fidelity="epochs" if resource in (*_RESOURCES[:4], _OWN_COUNT) else None,
            counts_from=0 if resource == _OWN_COUNT else None,
            descriptors=_facts(metadata),
            versions={"syne-tune": str(metadata["version"])} if "version" in metadata else {},
        )


def _metadata(path: Path, skipped: Skipped) -> dict[str, Any]:
    if not (path / _METADATA).exists():
        return {}
    try:
        content = read_json(path / _METADATA)
    except BadInput as error:
        skipped.add(_METADATA, str(error))
        return {}
    return content if isinstance(content, dict) else {}


def _table(path: Path, skipped: Skipped) -> pd.DataFrame | None:
    import io

    import pandas as pd

    try:
        if (path / _TABLE).exists():
            content: Any = io.BytesIO(unzip(path / _TABLE, "results.csv"))
        elif (path / "results.csv").is_file():
            content = open_plain(path / "results.csv")
        else:
            return None
        with content:
            table = pd.read_csv(
                content,
                on_bad_lines="skip",
                encoding_errors="replace",
                low_memory=False,
                dtype={"trial_id": str},
            )
    except BadInput as error:
        skipped.add(_TABLE, str(error))
        return None
    except (ValueError, OverflowError, pd.errors.ParserError) as error:  # an experiment without a report
        skipped.add(_TABLE, f"no table ({str(error).splitlines()[0] if str(error) else error!r})")
        return None
    if "trial_id" not in table:
        skipped.add(_TABLE, "a table without a column trial_id")
        return None
    unnamed = table["trial_id"].isna()
    skipped.add(_TABLE, "a row that names no trial", int(unnamed.sum()))
    return table[~unnamed] if unnamed.any() else table


def _resource(metadata: Mapping[str, Any], table: pd.DataFrame | None) -> str:
    """The column that counts epochs."""
    said = metadata.get("resource_attr", metadata.get("time_attr"))
    columns = set() if table is None else set(table.columns)
    for name in (said, *_RESOURCES):
        if isinstance(name, str) and (name in columns or (table is None and name == said)):
            return name
    return _OWN_COUNT


def _of_table(table: pd.DataFrame, resource: str, skipped: Skipped) -> dict[str, dict[str, Any]]:
    """Trial -> its row: status and configuration, each from where the table says it."""
    ids = table["trial_id"].astype(str)
    first, last = table[~ids.duplicated()], table[~ids.duplicated(keep="last")]
    configs = [name for name in table.columns if str(name).startswith("config_")]
    found: dict[str, dict[str, Any]] = {}
    for trial, values in zip(
        first["trial_id"].astype(str), first[configs].itertuples(index=False), strict=True
    ):
        config = dict(zip((str(name)[len("config_") :] for name in configs), values, strict=True))
        known = {name: value for name, value in config.items() if value == value}
        found[trial] = {"trial_id": trial, "status": None, **flat_config(known, trial, skipped)}
    said = last.get("st_status", last["trial_id"])
    for trial, status in zip(last["trial_id"].astype(str), said, strict=True):
        found[trial]["status"] = _STATUSES.get(str(status).rpartition(".")[2].lower(), _OPEN)
    if "st_decision" in table:
        for trial, decision in zip(last["trial_id"].astype(str), last["st_decision"], strict=True):
            if found[trial]["status"] == _OPEN and decision in ("STOP", "PAUSE"):
                # A trial that is told to stop at its last epoch is complete: the epochs tell.
                found[trial]["status"] = "paused" if decision == "PAUSE" else None
    return found


def _reports(table: pd.DataFrame, known: Mapping[str, int], resource: str, skipped: Skipped) -> pd.DataFrame:
    """The table's reports: trial's position, epoch, seconds, and the trainer's own numbers."""
    import pandas as pd

    counted = table[resource] if resource in table else table.groupby("trial_id").cumcount()
    epochs = pd.to_numeric(counted, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    with np.errstate(invalid="ignore"):
        good = (epochs >= 0) & (epochs < 2**53) & (epochs % 1 == 0)
    skipped.add(_TABLE, f"a report whose {resource} is no whole number", int((~good).sum()))
    table = table[good]
    own = {"trial": table["trial_id"].astype(str).map(known).to_numpy(np.int64)}
    own["epoch"] = epochs[good].astype(np.int64)
    if "st_worker_time" in table:
        own["seconds"] = pd.to_numeric(table["st_worker_time"], errors="coerce").to_numpy()
    left = [name for name in table.columns if _is_metric(str(name), resource)]
    numbers = {str(name): pd.to_numeric(table[name], errors="coerce") for name in left if name not in own}
    metrics = {name: column.to_numpy(np.float64, na_value=np.nan) for name, column in numbers.items()}
    reports: pd.DataFrame = pd.DataFrame({**own, **metrics})
    return reports


def _no_reports() -> pd.DataFrame:
    import pandas as pd

    nothing: pd.DataFrame = pd.DataFrame({"trial": np.array([], np.int64), "epoch": np.array([], np.int64)})
    return nothing


def _epochs(told: pd.DataFrame, printed: pd.DataFrame) -> pd.Series[Any]:
    """The epochs that the table has of the trial that printed something."""
    epochs: pd.Series[Any] = told.loc[told["trial"] == printed["trial"].iloc[0], "epoch"]
    return epochs


def _is_metric(name: str, resource: str) -> bool:
    return not name.startswith(("st_", "config_", "Unnamed")) and name not in ("trial_id", resource)


def _of_folders(
    path: Path, found: dict[str, dict[str, Any]], resource: str, skipped: Skipped
) -> tuple[list[dict[str, Any]], list[pd.DataFrame], dict[str, int]]:
    """All trials in order; the reports that trials printed where the table has none; trial -> position."""
    folders = {one.name: one for one in entries(path, path, skipped) if one.is_dir() and one.name.isdigit()}
    names = sorted({*found, *folders}, key=lambda name: (not name.isdigit(), len(name), name))
    trials, frames = [], []
    known = {name: position for position, name in enumerate(names)}
    for name in names:
        row = found.get(name, {"trial_id": name, "status": _OPEN})
        folder = folders.get(name)
        if folder is not None and (folder / "config.json").is_file() and len(row) <= 2:
            try:
                row.update(flat_config(read_json(folder / "config.json"), f"{name}/config.json", skipped))
            except BadInput as error:
                skipped.add(name, str(error))
        if row["status"] == _OPEN:
            row["status"] = None
            if folder is not None:
                ended = any((folder / marker).exists() for marker in ("end", "stop"))
                row["status"] = None if ended else "running"
                if (folder / "std.out").is_file():
                    frame = _printed(folder / "std.out", known[name], resource, f"{name}/std.out", skipped)
                    frames += [] if frame is None else [frame]
        trials.append(row)
    return trials, frames, known


def _printed(file: Path, position: int, resource: str, where: str, skipped: Skipped) -> pd.DataFrame | None:
    """The reports among what a trial printed."""
    import pandas as pd

    own: dict[str, list[Any]] = {"trial": [], "epoch": [], "seconds": []}
    metrics = Columns()
    try:
        for line in lines(file, skipped, where):
            if (match := _REPORT.search(line)) is None:
                continue
            try:
                report = json.loads(match[1])
            except (ValueError, RecursionError):
                skipped.add(where, "a report that is no JSON")
                continue
            epoch = report.get(resource)
            if type(epoch) not in (int, float) or not 0 <= epoch < 2**53 or epoch % 1:
                skipped.add(where, f"a report whose {resource} is no whole number")
                continue
            own["trial"].append(position)
            own["epoch"].append(int(epoch))
            own["seconds"].append(report.get("st_worker_time"))
            metrics.add({k: v for k, v in report.items() if _is_metric(str(k), resource)})
    except BadInput as error:
        skipped.add(where, str(error))
    if not own["trial"]:
        return None
    seconds = pd.to_numeric(pd.Series(own["seconds"], dtype=object), errors="coerce").to_numpy()
    printed: pd.DataFrame = pd.DataFrame({**own, "seconds": seconds, **metrics.arrays(besides=own)})
    return printed


def _objective(metadata: Mapping[str, Any]) -> tuple[str | None, Literal["min", "max"] | None]:
    names, modes = metadata.get("metric_names"), metadata.get("metric_mode")
    if isinstance(names, str):
        names = [names]
    mode = modes[0] if isinstance(modes, list) and modes else modes
    metric = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else None
    if mode not in ("min", "max"):
        return metric, None
    return metric, "min" if mode == "min" else "max"


def _facts(metadata: Mapping[str, Any]) -> dict[str, str]:
    wanted = ("scheduler_name", "entrypoint", "algorithm", "benchmark")
    return {name: str(metadata[name]) for name in wanted if isinstance(metadata.get(name), str)}
