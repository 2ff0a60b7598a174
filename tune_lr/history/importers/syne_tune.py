"""Syne Tune's experiment folders (0.13 to 0.16): ``metadata.json`` and ``results.csv.zip``, a folder a trial.

The table is rewritten only now and then, so after a kill the trials' own output (``<id>/std.out``) has
reports that the table lacks; they are taken from there. ``tuner.dill`` is never opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.columns import flat_config, trials_of
from tune_lr.history.files import bad, head, read_bytes, read_json, unzip
from tune_lr.history.importers import syne_tune_folders as folders
from tune_lr.history.importers.syne_tune_space import space_of
from tune_lr.history.importers.syne_tune_table import RESOURCES, STEPS, Results, results
from tune_lr.history.log import Asked, Fidelity, Log, Mode, Skipped

if TYPE_CHECKING:
    import pandas as pd

_PACKED, _PLAIN, _METADATA = "results.csv.zip", "results.csv", "metadata.json"
#: Where the experiment's facts name the column that counts epochs.
_SAID = ("time_attr", "resource_attr")
#: Of ``metadata.json``, what is no fact of the task.
_TECHNICAL = frozenset({"config_space", "metric_names", "metric_mode", "metric", "max_t", "time_attr"})
_MOST_FACTS, _LONGEST_FACT = 50, 1000
_LARGEST_METADATA = 64 * 1024**2


class SyneTune:
    """An experiment's folder, by its table or its ``metadata.json``."""

    name: ClassVar[str] = "syne-tune"

    def claims(self, path: Path) -> bool:
        if os.path.isfile(path / _PACKED):
            return True
        if not os.path.isfile(path / _METADATA):
            return False
        start = head(path / _METADATA)
        return b"st_tuner_" in start or (b'"metric_mode"' in start and b'"config_space"' in start)

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:

        metadata = _metadata(path, skipped)
        said = _said_of(metadata, *_SAID)
        try:
            table = _table(path, said, skipped)
        except BadInput as error:  # an experiment without a report has an empty one
            skipped.add(path.name, str(error))
            table = Results()
        trials, printed = _trials(path, table, metadata, skipped)
        if not trials:
            raise bad(path, "at least one trial in its table or its folders")
        objectives = _objectives(metadata)
        metric, mode = next(iter(objectives.items()))
        resource = table.resource if table.ids else printed.resource
        yield Log(
            source=self.name,
            name=str(metadata.get("tuner_name") or path.resolve().name),
            trials=trials_of(trials, skipped),
            reports=_reports(table, printed, {row["trial_id"]: at for at, row in enumerate(trials)}, skipped),
            metric=metric,
            mode=mode,
            modes={name: said for name, said in objectives.items() if name and said},
            fidelity=_fidelity(resource),
            counts_from=0 if resource is None else None,
            space=space_of(metadata.get("config_space")),
            descriptors=_facts(metadata),
        )


def _metadata(path: Path, skipped: Skipped) -> dict[str, Any]:
    if not os.path.lexists(path / _METADATA):
        return {}
    try:
        content = read_json(path / _METADATA, _LARGEST_METADATA)
    except BadInput as error:
        skipped.add(_METADATA, str(error))
        return {}
    return content if isinstance(content, dict) else {}


def _said_of(metadata: Mapping[str, Any], *names: str) -> Any:
    """The first of some facts that stands in the metadata or among the scheduler's own attributes."""
    own = metadata.get("scheduler_kwargs")
    for facts in (metadata, own if isinstance(own, dict) else {}):
        for name in names:
            if facts.get(name) is not None:
                return facts[name]
    return None


def _table(path: Path, said: object, skipped: Skipped) -> Results:
    if os.path.lexists(path / _PACKED):
        return results(unzip(path / _PACKED, _PLAIN), said, _PACKED, skipped)
    if os.path.lexists(path / _PLAIN):
        return results(read_bytes(path / _PLAIN), said, _PLAIN, skipped)
    return Results()


def _trials(
    path: Path, table: Results, metadata: Mapping[str, Any], skipped: Skipped
) -> tuple[list[dict[str, Any]], folders.Printed]:
    """A row a trial, in the order of their numbers, and the reports that the table may lack."""
    inside = folders.folders(path, skipped)
    places = {name: place for place, name in enumerate(table.ids)}
    names = sorted({*places, *inside}, key=lambda name: (not name.isdecimal(), len(name), name))
    most, said = _said_of(metadata, "max_t"), _said_of(metadata, *_SAID)
    printed = folders.Printed(table.resource, settled=bool(table.ids))
    rows = []
    for position, name in enumerate(names):
        place, folder = places.get(name), inside.get(name)
        status, final, config, error, where = None, False, None, None, _PACKED
        if place is not None:
            config = table.configs[place]
            status, final = _status(table, place, most)
        elif folder is not None:
            config, where = folders.config(folder, skipped), f"{name}/config.json"
        if folder is not None and not final:
            status, error, more = _of_folder(folder, status, place is not None)
            if more:
                printed.read(folder / "std.out", position, said, f"{name}/std.out", skipped)
        rows.append(
            {"trial_id": name, "status": status, "error": error, **flat_config(config, where, skipped)}
        )
    return rows, printed


def _status(table: Results, place: int, most: object) -> tuple[str | None, bool]:
    """A trial's status as its last row tells it, and whether nothing else can tell more."""
    status, decision = table.statuses[place], table.decisions[place]
    if status == "failed":
        return "failed", False
    if decision == "stop":
        # Also a trial that is through is told to stop; where nobody says how long one is, the epochs tell.
        if not isinstance(most, (int, float)):
            return None, True
        return "completed" if table.last[place] >= most else "stopped", True
    if decision == "pause" or status == "paused":
        return "paused", False
    return ("completed", True) if status == "completed" else (None, False)


def _of_folder(folder: Path, status: str | None, told: bool) -> tuple[str | None, str | None, bool]:
    """Status and error of a trial that may have gone on, and whether it may have printed more reports.

    ``told`` is whether the table knows the trial, ``status`` what it says.
    """
    if status == "failed":
        return status, folders.failure(folder), False
    if not os.path.lexists(folder / "std.out"):
        return status if told else "running", None, False
    marker = folders.marker(folder)
    if marker == "pause":
        return "paused", None, status is None
    if marker == "end" and (error := folders.failure(folder)):
        return "failed", error, True
    # Nothing tells whether an end came by itself, so that the epochs tell.
    return None if marker else "running", None, True


def _reports(
    table: Results, printed: folders.Printed, positions: Mapping[str, int], skipped: Skipped
) -> pd.DataFrame:
    """The table's reports, and those that were printed and the table lacks."""
    import pandas as pd

    own = {"trial": np.array(printed.trial, np.int64), "epoch": np.array(printed.epoch, np.int64)}
    told = dict(table.reports)
    told["trial"] = np.array([positions[name] for name in table.ids], np.int64)[told["trial"]]
    reports: pd.DataFrame = pd.DataFrame(told, copy=False)
    if not len(own["trial"]):
        return reports
    more = pd.DataFrame({**own, **printed.metrics.arrays(besides=own, skipped=skipped)})
    known = reports.loc[reports["trial"].isin(more["trial"].unique()), ["trial", "epoch"]]
    lacking = ~pd.MultiIndex.from_frame(more[["trial", "epoch"]]).isin(pd.MultiIndex.from_frame(known))
    joined: pd.DataFrame = pd.concat([reports, more[lacking]], ignore_index=True) if len(reports) else more
    return joined


def _objectives(metadata: Mapping[str, Any]) -> dict[str | None, Mode | None]:
    """Every metric that was optimized and its direction, the first first; of several either may be a list."""
    names, modes = metadata.get("metric_names"), metadata.get("metric_mode")
    names = names if isinstance(names, list) and names else [names]
    modes = modes if isinstance(modes, list) and modes else [modes] * len(names)
    known: dict[object, Mode] = {"min": "min", "max": "max"}
    pairs = zip_longest(names, modes[: len(names)])
    return {
        name if isinstance(name, str) else None: known.get(mode) if isinstance(mode, str) else None
        for name, mode in pairs
    }


def _fidelity(resource: str | None) -> Fidelity | None:
    if resource is None:
        return "epochs"
    return "steps" if resource in STEPS else "epochs" if resource in RESOURCES else None


def _facts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """What a person or the scheduler says of the experiment in a word."""
    found = {
        name: str(value)[:_LONGEST_FACT]
        for name, value in metadata.items()
        if isinstance(value, (str, int, float)) and name not in _TECHNICAL and not name.startswith("st_")
    }
    return dict(list(found.items())[:_MOST_FACTS])
