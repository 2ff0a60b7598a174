"""The one schema of the history: what a log comes to, whatever tool wrote it (docs/history.md)."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tune_lr.errors import BadInput, shorten
from tune_lr.history import matching
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.history.tidy import Tidy, tidy
from tune_lr.history.words import known_metric, likely_metric, likely_mode
from tune_lr.journal import storable
from tune_lr.objective import Objective
from tune_lr.space import SearchSpace
from tune_lr.spacefile import load_space, shipped_spaces

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import TypeAdapter

#: Of a knob that is text so many values are named.
_VALUES_TOLD = 20
#: What a footer holds of a stranger's words.
_LONGEST_TEXT, _MOST_FACTS, _LARGEST_SPACE = 1000, 200, 1024**2
_ID = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class TaskInfo:
    """What an import comes to; it stands in the footer of the import's file.

    Args:
        id: the content's hash.
        task: the name of the task.
        source: the importer.
        origin: what was imported: path or URI, and the part of it after ``#``.
        metric: what was optimized.
        mode: ``min`` or ``max``.
        scope: as ``Objective`` has it.
        fidelity: what ``epoch`` counts, ``epochs`` or ``steps``.
        trials: how many there are.
        reports: how many there are.
        epochs: the largest fidelity reported.
        statuses: status -> how many trials.
        space: the name of the space that the knobs belong to; None where no space fits.
        space_dict: that space, as a space file has it.
        matched: knob of the space -> how many trials have it.
        unmatched: keys of the configurations that are no knob of it.
        outside: how many trials lie outside of it.
        knobs: key of the configurations -> ``low`` and ``high``, or ``values``.
        best: the best value that a trial came to, in the metric's own direction.
        metrics: every value that is reported.
        guessed: what no one said and the names told: ``metric``, ``mode``.
        descriptors: facts of the task.
        versions: what wrote the log.
        notes: what was passed over, or understood in a way that may surprise.
        replaces: ids of earlier imports of the same log, which no longer count.
        by_final: whether a trial's final value decides about it, where it has one, and not its reports.
    """

    id: str
    task: str
    source: str
    origin: str
    metric: str
    mode: str
    scope: str
    fidelity: str
    trials: int
    reports: int
    epochs: int
    statuses: dict[str, int]
    space: str | None
    space_dict: dict[str, Any] | None
    matched: dict[str, int]
    unmatched: list[str]
    outside: int
    knobs: dict[str, dict[str, Any]]
    best: float | None
    metrics: list[str]
    guessed: list[str] = field(default_factory=list)
    descriptors: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    replaces: list[str] = field(default_factory=list)
    by_final: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> TaskInfo:
        """Raises BadInput where the text is not what :meth:`to_json` wrote."""
        try:
            info: TaskInfo = _schema().validate_json(text)
        except ValueError as error:
            raise BadInput("history", "a file", f"what tune-lr wrote ({shorten(str(error))})") from None
        if not all(map(_ID.fullmatch, (info.id, *info.replaces))):
            raise BadInput("history", info.id, "an id as tune-lr writes it, of 16 letters and digits")
        return info


@functools.cache
def _schema() -> TypeAdapter[TaskInfo]:
    from pydantic import TypeAdapter

    return TypeAdapter(TaskInfo)


@dataclass(frozen=True)
class Entry:
    """One import.

    Args:
        info: what it comes to.
        trials: one row a trial: ``trial_id status epochs best seed outside``, final values under the metrics'
            names, ``config/<knob>``, ``error``.
        reports: one row a report, by trial and then by epoch: ``trial`` (position in ``trials``), ``epoch``
            (from 1), ``seconds``, the metrics.
    """

    info: TaskInfo
    trials: pd.DataFrame
    reports: pd.DataFrame


def make_entry(log: Log, asked: Asked, origin: str, skipped: Skipped) -> Entry:
    """A log in the schema of the history; what could not be taken over goes to ``skipped``.

    Raises:
        BadInput: what was optimized is neither said nor told by the names, or a name is unknown.
    """
    made = tidy(log, asked, skipped)
    objective, guessed = _objective(log, asked, made)
    trials, best = made.judged(objective, log.by_final)
    space = _space(log, asked, trials)
    trials["outside"] = matching.outside(trials, space) if space else ""
    info = TaskInfo(
        id="",
        task=storable(asked.task or log.name, _LONGEST_TEXT),
        source=log.source,
        origin=storable(f"{origin}#{log.part}" if log.part else origin),
        metric=objective.metric,
        mode=objective.mode,
        scope=objective.scope,
        fidelity=made.fidelity,
        trials=len(trials),
        reports=len(made.reports),
        epochs=int(made.reports["epoch"].max()) if len(made.reports) else 0,
        statuses={str(name): int(count) for name, count in trials["status"].value_counts().items()},
        space=space.name if space else None,
        space_dict=space.to_dict() if space else None,
        matched=matching.matched_knobs(trials, space) if space else {},
        unmatched=matching.unmatched_keys(trials, space),
        outside=int((trials["outside"] != "").sum()),
        knobs=_extents(trials),
        best=best,
        metrics=made.metrics,
        guessed=guessed,
        descriptors=_texts({**log.descriptors, **asked.describe}),
        versions=_texts(log.versions),
        notes=made.notes,
        by_final=log.by_final and objective.metric in made.trials,
    )
    entry = Entry(info, trials, made.reports)
    return replace(entry, info=replace(info, id=digest(entry)))


def digest(entry: Entry) -> str:
    """A hash of what was imported: neither where it lay nor what wrote the file changes it."""
    found = hashlib.sha256()
    told = asdict(entry.info)
    for name in ("id", "origin", "notes", "replaces", "versions", "by_final"):
        told.pop(name)
    found.update(json.dumps(told, sort_keys=True).encode())
    for name in entry.trials.columns:
        found.update(json.dumps([str(name), entry.trials[name].tolist()], default=str).encode())
    for name in sorted(entry.reports.columns, key=str):
        found.update(str(name).encode())
        found.update(entry.reports[name].to_numpy().tobytes())
    return found.hexdigest()[:16]


def _objective(log: Log, asked: Asked, made: Tidy) -> tuple[Objective, list[str]]:
    guessed = []
    of_log, wanted = made.named(log.metric), asked.metric or made.named(log.metric)
    if wanted is None:
        wanted = likely_metric(made.metrics)
        guessed.append("metric")
    elif asked.metric or made.metrics:
        known = made.named(wanted) in made.metrics and wanted not in made.metrics
        wanted = known_metric(str(made.named(wanted)) if known else wanted, made.metrics)
    said = {str(made.named(name)): mode for name, mode in log.modes.items()}
    if of_log is not None and log.mode is not None:
        said[of_log] = log.mode
    mode = asked.mode or said.get(wanted) or (log.mode if asked.metric is None else None)
    if mode is None:
        mode = likely_mode(wanted)
        guessed.append("mode")
    return Objective(wanted, mode, log.scope), guessed


def _space(log: Log, asked: Asked, trials: pd.DataFrame) -> SearchSpace | None:
    """The space asked for; an experiment of tune-lr's own; else what fits best, shipped or the source's."""
    if asked.space is not None:
        return load_space(asked.space)
    own = None
    if log.space is not None and len(json.dumps(log.space, default=str)) <= _LARGEST_SPACE:
        with suppress(BadInput):
            own = SearchSpace.from_dict(matching.space_named_as_here(log.space, trials))
    if own is not None and log.source == "tune-lr":
        return own
    return matching.best_space(trials, [*shipped_spaces(), *([own] if own else [])]) or own


def _extents(trials: pd.DataFrame) -> dict[str, dict[str, Any]]:
    import pandas as pd

    found: dict[str, dict[str, Any]] = {}
    for name in trials.columns:
        if not str(name).startswith(matching.CONFIG):
            continue
        column = trials[name].dropna()
        numbers = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
        if len(column) and numbers:
            found[str(name)[len(matching.CONFIG) :]] = {
                "low": column.min().item(),
                "high": column.max().item(),
            }
        elif len(column):
            values = [v.item() if hasattr(v, "item") else v for v in column.unique()[:_VALUES_TOLD]]
            values = [v[:_LONGEST_TEXT] if isinstance(v, str) else v for v in values]
            found[str(name)[len(matching.CONFIG) :]] = {"values": values}
    return found


def _texts(found: Mapping[str, Any]) -> dict[str, str]:
    said = [(str(name), str(value)) for name, value in found.items() if value is not None]
    return {name[:_LONGEST_TEXT]: value[:_LONGEST_TEXT] for name, value in said[:_MOST_FACTS]}
