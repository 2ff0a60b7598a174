"""What the app of Weights & Biases exports as CSV: the table of runs, charts, and the history of a run."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history import files
from tune_lr.history.columns import MOST_CELLS
from tune_lr.history.importers.table import Table, read_table
from tune_lr.history.importers.table_columns import metric_like, shipped_knobs
from tune_lr.history.importers.table_csv import CsvFile, header
from tune_lr.history.importers.table_files import TEXT_SUFFIXES, Retype, TooLarge, suffix_of
from tune_lr.history.importers.table_values import numbers, whole
from tune_lr.history.importers.wandb_curves import Points, reports_of
from tune_lr.history.log import Asked, Fidelity, Log, Skipped

Kind = Literal["runs", "chart", "history"]

_MIN, _MAX, _DASH = "__MIN", "__MAX", " - "
#: What the table of runs tells of each run besides its configuration and its summary.
_ABOUT = frozenset(
    {"Name", "ID", "State", "Notes", "User", "Tags", "Created", "Runtime", "Sweep", "Agent", "GitHub"}
    | {"Description", "Updated", "Host", "Hostname", "Project", "Entity", "Commit", "URL", "Command", "OS"}
    | {
        "Duration",
        "Job Type",
        "End Time",
        "Start Time",
        "Last Active",
        "Python Version",
        "Git Commit",
        "Group",
    }
)
_LOGGED = re.compile(
    r"_|(?:trainer|train|training|val|valid|validation|test|eval|system|gradients)/|global_step$"
)


@dataclass
class _Export:
    """What several files of one project say together."""

    trials: Any = None
    #: Name and id of a run -> the rows that bear it.
    places: dict[str, list[int]] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    points: defaultdict[int, defaultdict[str, list[Points]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    axes: set[str] = field(default_factory=set)

    @property
    def rows(self) -> int:
        return 0 if self.trials is None else len(self.trials)

    def place(self, name: str) -> int | None:
        """The row of a run, a new one where no table names it; None where several bear the name."""
        known = self.places.get(name)
        if known is not None:
            return known[0] if len(known) == 1 else None
        return self.others.setdefault(name, self.rows + len(self.others))


class WandB:
    """Exports of one project, a file or a folder of files that belong together by the names of runs."""

    name: ClassVar[str] = "wandb"

    def claims(self, path: Path) -> bool:
        if path.is_file():
            return _is_export(path)
        if not path.is_dir():
            return False
        below = files.entries(path, path)
        tables = [file for file in below if suffix_of(file) in TEXT_SUFFIXES]
        return len(tables) > 1 and not any(one.is_dir() for one in below) and all(map(_is_export, tables))

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        found = [path] if path.is_file() else files.entries(path, path, skipped)
        tables = [file for file in found if suffix_of(file) in TEXT_SUFFIXES]
        if asked.columns is not None:  # the person knows better what the columns mean
            for file in tables:
                yield from Table().read(file, asked, skipped)
            return
        export, order = _Export(), {"runs": 0, "chart": 2, "history": 1}
        kinds: dict[Path, Kind] = {}
        metrics: set[str] = set()
        for file in tables:
            names = header(file) or []
            if (kind := _kind(names)) is not None:
                kinds[file] = kind
                metrics |= _metrics(names, kind)
        for file in sorted(kinds, key=lambda one: order[kinds[one]]):
            try:
                _READ[kinds[file]](export, file, asked, metrics, skipped)
            except BadInput as error:
                if len(kinds) == 1:
                    raise
                skipped.add(file.name, str(error))
        if not export.rows and not export.others:
            raise files.bad(path, "exports of Weights & Biases that can be read")
        yield _log(path, export, skipped)


def _is_export(path: Path) -> bool:
    return suffix_of(path) in TEXT_SUFFIXES and _kind(header(path) or []) is not None


def _kind(header: list[str]) -> Kind | None:
    """Which export a file with this header is."""
    names = {*header}
    if "_step" in names and names & {"_runtime", "_timestamp"}:
        return "history"
    if {"Name", "State"} <= names and names & (_ABOUT - {"Name", "State"}):
        return "runs"
    twins = any(_DASH in name and {name + _MIN, name + _MAX} <= names for name in names)
    return "chart" if twins else None


def _metrics(header: list[str], kind: Kind) -> set[str]:
    """The metrics that a chart or history shows: they are no knobs of the table of runs."""
    if kind == "chart":
        return {name.rpartition(_DASH)[2] for name in header}
    return {*header} if kind == "history" else set()


def _read_runs(export: _Export, path: Path, asked: Asked, metrics: set[str], skipped: Skipped) -> None:
    """The table of runs. Configuration and summary stand there side by side under bare names."""
    import pandas as pd

    own = Skipped()
    table = CsvFile(path, own)
    shipped = shipped_knobs(asked.space)

    def is_knob(name: str) -> bool:
        here = asked.rename.get(name, name)
        if name in _ABOUT or here == asked.metric or name in metrics:
            return False
        return here in shipped or not (metric_like(name) or _LOGGED.match(name) or here == "epoch")

    knobs = [
        name for name in table.kinds if is_knob(name) and table.kinds[name] != "other" and name != "seed"
    ]
    columns = {"layout": "wide", "status": "State", "knobs": knobs}
    read = read_table(path, Asked(metric=asked.metric, rename=asked.rename, columns=columns), own)
    ((_, trials, _),) = read.rows.logs()
    for (where, why), times in own.counts.items():
        skipped.add(where, why, 0 if why.startswith("column") else times)
    labels = [name for name in ("Name", "ID") if name in table.kinds]
    names = {label: _texts(path, label, len(trials)) for label in labels}
    before = export.rows
    for label in labels:
        for row, name in enumerate(names[label]):
            rows = export.places.setdefault(name, [])
            if before + row not in rows:
                rows.append(before + row)
    trials = trials.drop(
        columns=[name for name in map(str, trials) if name in _ABOUT or name.startswith("_")]
    )
    trials["trial_id"] = names[labels[-1]]
    export.trials = trials if before == 0 else pd.concat([export.trials, trials], ignore_index=True)


def _texts(path: Path, name: str, rows: int) -> list[str]:
    table = CsvFile(path, Skipped())
    texts = [text for batch in _batches(table, [name], {name}) for text in batch[name].to_pylist()]
    return [text or str(row) for row, text in enumerate([*texts, *[None] * rows][:rows])]


def _read_chart(export: _Export, path: Path, asked: Asked, metrics: set[str], skipped: Skipped) -> None:
    """A chart: a column of steps; of every run one of the metric, of its least and of its greatest."""
    table = CsvFile(path, skipped, "number")
    axis = next(iter(table.kinds))
    curves = [
        name for name in table.kinds if _DASH in name and not name.endswith((_MIN, _MAX)) and name != axis
    ]
    export.axes.add(axis)
    for batch in _batches(table, [axis, *curves], set()):
        steps = numbers(batch[axis], axis, path.name, skipped)
        good = whole(steps)
        skipped.add(path.name, "a row whose step is no whole number", int((~good).sum()))
        for name in curves:
            run, _, metric = name.rpartition(_DASH)
            if metric.startswith("_"):
                continue
            there = good & batch[name].is_valid().to_numpy(zero_copy_only=False)
            place = export.place(run)
            if place is None:
                skipped.add(path.name, f"a curve of run {run[:100]!r}, a name that several runs bear")
            elif there.any():
                values = numbers(batch[name], name, path.name, skipped)
                export.points[place][metric].append((steps[there].astype("int64"), values[there]))


def _batches(table: CsvFile, wanted: list[str], texts: set[str]) -> list[dict[str, Any]]:
    """All batches of some columns, once each column is of one kind.

    Raises:
        BadInput: they cannot be read, or hold more than a log would.
    """
    names = {*wanted}
    for _ in wanted:
        try:
            return _bounded(table, names, texts)
        except Retype:
            continue
    return _bounded(table, names, names)


def _bounded(table: CsvFile, names: set[str], texts: set[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cells = 0
    with closing(table.batches(names, texts)) as batches:
        for batch in batches:
            cells += sum(map(len, batch.values()))
            if cells > MOST_CELLS:
                raise TooLarge(table.path.name, len(names))
            found.append(batch)
    return found


def _read_history(export: _Export, path: Path, asked: Asked, metrics: set[str], skipped: Skipped) -> None:
    """The history of one run, which its file's name names."""
    names = header(path) or []
    columns = {"layout": "long", "epoch": "_step", "knobs": []}
    columns |= {"seconds": "_runtime"} if "_runtime" in names else {}
    own = Skipped()
    read = read_table(path, Asked(columns=columns), own)
    place = export.place(path.name.partition(".")[0])
    for _, _, reports in read.rows.logs():
        steps = reports["epoch"].to_numpy()
        for name in reports.columns.drop(["trial", "epoch"]):
            values = reports[name].to_numpy("float64")
            there = ~np.isnan(values)
            if place is not None and there.any() and not name.startswith(("_", "system/", "Unnamed")):
                export.points[place][name].append((steps[there], values[there]))
    for (where, why), times in own.counts.items():
        skipped.add(where, why, 0 if why.startswith("column '_") else times)
    if place is None:
        skipped.add(path.name, "a history of a run whose name several runs bear")


_READ = {"runs": _read_runs, "chart": _read_chart, "history": _read_history}


def _log(path: Path, export: _Export, skipped: Skipped) -> Log:
    import pandas as pd

    others = pd.DataFrame({"trial_id": [*export.others]})
    trials = others if export.trials is None else export.trials
    if export.trials is not None and len(others):
        trials = pd.concat([trials, others], ignore_index=True)
    trials["trial_id"] = _unique(trials["trial_id"].tolist())
    reports = pd.DataFrame(reports_of(export.points, skipped))
    fidelity: Fidelity | None = "epochs" if {axis.lower() for axis in export.axes} == {"epoch"} else None
    name = path.name if path.is_dir() else path.name.partition(".")[0]
    return Log(WandB.name, name, trials, reports, fidelity=fidelity)


def _unique(names: list[str]) -> list[str]:
    """Names of runs, which several may share, as ids of trials."""
    seen: set[str] = set()
    numbered: Counter[str] = Counter()
    unique = []
    for name in names:
        chosen = name
        while chosen in seen:
            numbered[name] += 1
            chosen = f"{name}-{numbered[name] + 1}"
        seen.add(chosen)
        unique.append(chosen)
    return unique
