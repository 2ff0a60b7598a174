"""``History``: past experiments, added from any tool's logs, filtered, and read as tables."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tune_lr.errors import BadInput, TuneLRError, UnknownName
from tune_lr.history.adding import replaced_by
from tune_lr.history.entry import Entry, TaskInfo, make_entry
from tune_lr.history.finder import find, here
from tune_lr.history.frames import log_of_frame, reports_frame, trials_frame
from tune_lr.history.importers.base import Importer
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.history.progress import telling
from tune_lr.history.store import Store

if TYPE_CHECKING:
    import pandas as pd

#: Begins the reason why a log was passed over that should not have been.
FAULT = "a fault of tune-lr"

_LOGGER = logging.getLogger(__name__)

Outcome = Literal["new", "known", "replaces", "would be added"]


@dataclass(frozen=True)
class Import:
    """One experiment that was found: what it comes to, and whether it is new."""

    info: TaskInfo
    outcome: Outcome
    skipped: Skipped


@dataclass
class Added:
    """What an ``add`` found: the experiments, and what was passed over beside them."""

    imported: list[Import] = field(default_factory=list)
    skipped: Skipped = field(default_factory=Skipped)


class History:
    """Past experiments.

    Args:
        path: the store: a folder or an fsspec URI. None: the environment variable ``TUNE_LR_HISTORY``, else a
            folder among the user's data. It need not exist.

    Raises:
        BadInput: the path cannot be a store.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._store: Store | None = Store(default_store() if path is None else path)
        self._entries: list[Entry] = []
        self._kept: tuple[Callable[[TaskInfo], bool], ...] = ()

    @classmethod
    def from_pandas(cls, frame: pd.DataFrame, metric: str, mode: Literal["min", "max"]) -> History:
        """A history in memory, of a table with one row a report.

        Args:
            frame: columns ``trial_id``, ``epoch`` (from 1), the metric and ``config/<knob>``; ``task`` where
                there are several, ``status`` and ``seed`` where they are known. Other numbers are metrics.
            metric: what is optimized.
            mode: ``min`` or ``max``.

        Raises:
            BadInput: a column is missing.
        """
        made = cls.__new__(cls)
        made._store, made._entries, made._kept = None, [], ()
        for log in log_of_frame(frame, metric, mode):
            made._entries.append(make_entry(log, Asked(), "pandas", Skipped()))
        return made

    # Adding and removing ----------------------------------------------------------------------------

    def add(
        self,
        path: str | os.PathLike[str],
        *,
        task: str | None = None,
        metric: str | None = None,
        mode: Literal["min", "max"] | None = None,
        describe: Mapping[str, str] | None = None,
        rename: Mapping[str, str] | None = None,
        space: str | None = None,
        mapping: str | os.PathLike[str] | None = None,
        dry_run: bool = False,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Added:
        """Import every experiment at a path, whatever tool wrote it.

        Adding the same log twice changes nothing; a log that has grown since, or gets another task's name or
        metric, takes the place of its earlier import.

        Args:
            path: a file or folder, or an fsspec URI.
            task: the task's name, in place of what the log calls it.
            metric: what was optimized, where the log does not say or another is meant.
            mode: ``min`` or ``max``, likewise.
            describe: facts of the task, as ``{"dataset": "digits"}``.
            rename: names in the log -> names here, of knobs and metrics.
            space: name or file of the search space that the knobs belong to.
            mapping: a file that says what the columns of a table mean.
            dry_run: only look.
            progress: told what is being read, the bytes read so far, and those that there are.

        Raises:
            BadInput: there is no such path, or an option cannot be used. What is wrong with a file of the
                log is in the result's ``skipped``.
        """
        if self._store is None:
            raise BadInput("history", "in memory", "one with a store, as History(folder), to add to")
        columns = None
        if mapping is not None:
            from tune_lr.history.importers.mapping import load_mapping

            columns = load_mapping(Path(mapping))
        if mode not in (None, "min", "max"):
            raise BadInput("--mode", mode, "min or max")
        asked = Asked(task, metric, mode, dict(describe or {}), dict(rename or {}), space, columns)
        added, text = Added(), os.fspath(path)
        earlier = self._store.infos()
        with here(text) as local, telling(progress, local):
            for importer, claimed in find(local, added.skipped):
                origin = _origin(text, claimed.relative_to(local).as_posix())
                logs = _Logs(importer, claimed, asked)
                for log, skipped in logs:
                    try:
                        entry = make_entry(log, asked, origin, skipped)
                        added.imported.append(_take(self._store, entry, skipped, earlier, dry_run))
                    except Exception as error:  # the next of the same file may do
                        skipped.add(log.part or claimed.name, _reason(error))
                        added.skipped.counts.update(skipped.counts)
                added.skipped.counts.update(logs.skipped.counts)
        return added

    def remove(self, name: str) -> list[TaskInfo]:
        """Remove every import of a task, or the one of an id.

        Raises:
            UnknownName: there is neither.
        """
        tasks = self.tasks()
        found = [info for info in tasks if name in (info.task, info.id)]
        if not found:
            raise UnknownName("task", name, {info.task for info in tasks})
        for info in found:
            if self._store is not None:
                self._store.remove(info)
        self._entries = [entry for entry in self._entries if entry.info not in found]
        return found

    # Looking ----------------------------------------------------------------------------------------

    def tasks(self) -> list[TaskInfo]:
        """What there is, one an imported experiment; only the files' footers are read."""
        infos = self._store.infos() if self._store else [entry.info for entry in self._entries]
        return [info for info in infos if all(keep(info) for keep in self._kept)]

    def filter(
        self,
        *,
        task: str | Iterable[str] | None = None,
        space: str | None = None,
        knob: str | None = None,
        metric: str | None = None,
        source: str | None = None,
    ) -> History:
        """The part that has the task (or one of several, or an id), space, knob, metric and source."""
        made = copy.copy(self)
        tasks = None if task is None else {task} if isinstance(task, str) else set(task)
        wanted: list[Callable[[TaskInfo], bool]] = []
        if tasks is not None:
            wanted.append(lambda info: info.task in tasks or info.id in tasks)
        if space is not None:
            wanted.append(lambda info: info.space == space)
        if knob is not None:
            wanted.append(lambda info: knob in info.knobs or knob in info.matched)
        if metric is not None:
            wanted.append(lambda info: metric in info.metrics)
        if source is not None:
            wanted.append(lambda info: info.source == source)
        made._kept = (*self._kept, *wanted)
        return made

    def entries(self) -> list[Entry]:
        """Every import with its tables; only the files of what was filtered are read."""
        if self._store is None:
            return [entry for entry in self._entries if all(keep(entry.info) for keep in self._kept)]
        return [self._store.read(info) for info in self.tasks()]

    def to_pandas(self) -> pd.DataFrame:
        """One row a report: ``task experiment trial_id epoch seconds``, the metrics, ``config/<knob>``."""
        return reports_frame(self.entries())

    def trials(self) -> pd.DataFrame:
        """One row a trial: ``task experiment trial_id status ..``, final values, ``config/<knob>``."""
        return trials_frame(self.entries())

    def __repr__(self) -> str:
        where = self._store.where if self._store else "memory"
        return f"<History in {where}: {len(self.tasks())} imports>"


class _Logs:
    """The experiments that an importer finds, each with what was passed over of it, up to where it fails."""

    def __init__(self, importer: Importer, path: Path, asked: Asked) -> None:
        self._importer, self._path, self._asked = importer, path, asked
        #: What was passed over since the last experiment.
        self.skipped = Skipped()

    def __iter__(self) -> Iterator[tuple[Log, Skipped]]:
        try:
            for log in self._importer.read(self._path, self._asked, self.skipped):
                yield log, self.skipped.handed_over()
        except Exception as error:
            self.skipped.add(self._path.name, _reason(error))


def _reason(error: Exception) -> str:
    """Why a log was passed over; what is no error that is made on purpose is a fault of ours, and said so."""
    if isinstance(error, TuneLRError):
        return str(error)
    _LOGGER.debug("importing a log", exc_info=error)
    return f"{FAULT}, {type(error).__name__}: {error}"


def _take(store: Store, entry: Entry, skipped: Skipped, earlier: list[TaskInfo], dry_run: bool) -> Import:
    """Write an import that is new, unless it is only looked at; ``earlier`` is what the store has."""
    notes = [*entry.info.notes, *skipped.lines()[:50]]
    entry = replace(entry, info=replace(entry.info, notes=notes))
    if any(old.id == entry.info.id for old in earlier):
        return Import(entry.info, "known", skipped)
    older, there = replaced_by(entry, earlier, store), store.has(entry.info)
    if there and not older:  # what took its place has more
        return Import(entry.info, "known", skipped)
    if dry_run:
        return Import(entry.info, "would be added", skipped)
    if there:  # it was replaced, and is wanted again
        for old in older:
            store.restore(entry.info, old)
    else:
        ids = [one for old in older for one in (*old.replaces, old.id)]
        entry = replace(entry, info=replace(entry.info, replaces=ids))
        store.write(entry)
    earlier[:] = [*(old for old in earlier if old not in older), entry.info]
    return Import(entry.info, "replaces" if older else "new", skipped)


def default_store() -> str:
    """Where the history is kept if nobody says: ``TUNE_LR_HISTORY``, else among the user's data."""
    from platformdirs import user_data_path

    return os.environ.get("TUNE_LR_HISTORY") or str(user_data_path("tune-lr") / "history")


def _origin(path: str, inside: str) -> str:
    base = path if "://" in path else os.path.abspath(os.path.expanduser(path))
    return base if inside == "." else f"{base}/{inside}"
