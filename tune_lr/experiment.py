"""One tuning job and its results, on disk or in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_lr import registry
from tune_lr.assembly import assemble
from tune_lr.description import CHANGEABLE, DESCRIPTION, described, prior_told, require_same
from tune_lr.driver import Driver, Listener
from tune_lr.errors import BadInput
from tune_lr.job import NO_PRIOR, UNUSED, Job
from tune_lr.journal import Journal
from tune_lr.mirror import Mirror, is_uri
from tune_lr.objective import Objective
from tune_lr.place import absolute, locked, require_free, shown
from tune_lr.record import Best, Record
from tune_lr.signals import undisturbed
from tune_lr.space import SearchSpace
from tune_lr.tables import decisions_table, reports_table, trials_table, write_parquet
from tune_lr.trials.decisions import of_trial

if TYPE_CHECKING:
    import pandas as pd

    from tune_lr.prior.prior import Prior

FILES = (DESCRIPTION, "journal.jsonl", "reports.parquet", "trials.parquet")
#: Where a folder keeps its prior, and in which files.
PRIOR = "prior"
_PRIOR_FILES = ("prior.json", "trials.parquet")

#: What an experiment's status may be once its driver has ended.
ENDED = frozenset({"finished", "failed", "interrupted"})


class Experiment:
    """An experiment's folder, or one in memory. Made by ``open``; read at any time, also while it runs."""

    def __init__(self, job: Job, path: Path | None, mirror: Mirror | None = None, new: bool = False) -> None:
        self.job, self.path, self._mirror, self._new = job, path, mirror, new
        self.journal = Journal(path / "journal.jsonl" if path else None)
        #: What its prior is, in a few words (``starter, 21 tasks``, ``none``); None until one is taken.
        self.prior_told = prior_told(path / DESCRIPTION) if path else None
        self._prior: Prior | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None, job: Job | None = None) -> Experiment:
        """Open the experiment in a folder or at an fsspec URI; with a job, make it where there is none.

        ``open(None, job)`` lives in memory. With a job, an experiment that is there already is opened if
        it is the same job, but for what may be changed (``trials``, ``budget``, ``workers``, ...).

        Raises:
            BadInput: there is no experiment, the path is a file or something else's folder, or the
                experiment there is another job's.
        """
        if path is None:
            if job is None:
                raise BadInput("experiment", None, "a folder, or a job to run in memory")
            return cls(job, None)
        mirror = Mirror(str(path)) if is_uri(path) else None
        if mirror:
            mirror.pull()
        folder = mirror.local if mirror else absolute(path)
        found = Job.read(folder / DESCRIPTION)
        if found is None:
            if job is None:
                raise BadInput(
                    "experiment", str(path), "the folder of an experiment (it holds experiment.json)"
                )
            require_free(folder, str(path))
            if mirror:
                mirror.require_free()
            return cls._create(job, folder, mirror)
        experiment = cls(found, folder, mirror)
        if job is not None:
            name = f"{path} (copied to {folder})" if mirror else str(path)
            require_same(found, job, name, experiment.prior_told)
        if job is not None:
            experiment.change({name: getattr(job, name) for name in CHANGEABLE})
        return experiment

    @classmethod
    def _create(cls, job: Job, folder: Path, mirror: Mirror | None) -> Experiment:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            experiment = cls(job, folder, mirror, new=True)
            experiment._describe("created")
        except OSError as error:
            raise BadInput("out", str(folder), f"a place to write to ({error.strerror})") from error
        return experiment

    def discard_if_empty(self) -> None:
        """Remove a folder that ``open`` has just made and in which no trial was ever begun."""
        if not (self._new and self.path):
            return
        with suppress(BadInput, OSError), locked(self.path):  # not where another process drives it
            if self.record().trials:
                return
            own = [*(f"{PRIOR}/{name}" for name in _PRIOR_FILES), *FILES, ".lock"]
            for name in own:  # and nothing that somebody else put there
                (self.path / name).unlink(missing_ok=True)
            if (self.path / PRIOR).is_dir():
                (self.path / PRIOR).rmdir()
            self.path.rmdir()

    def repair(self) -> None:
        """Write the tables of an experiment whose driver was killed while it wrote them.

        Raises:
            BadInput: another process runs it.
        """
        if self.path is None or self.record().status not in ENDED:
            return
        journal = self.path / "journal.jsonl"
        tables = [self.path / name for name in ("reports.parquet", "trials.parquet")]
        if all(file.exists() and file.stat().st_mtime >= journal.stat().st_mtime for file in tables):
            return
        with locked(self.path):
            record = self.record()
            self._write_tables(record)
            self._describe(record.status)

    def change(self, changes: Mapping[str, Any]) -> None:
        """Ask something else of this experiment from its next session on.

        Raises:
            BadInput: a change would make it another experiment.
        """
        for name in changes:
            if name not in CHANGEABLE:
                raise BadInput(name, changes[name], f"a change to one of: {', '.join(sorted(CHANGEABLE))}")
        job = self.job.changed(changes)
        if job != self.job and self.path:
            with locked(self.path):
                self.job = job
                self._describe(self.record().status)
        self.job = job

    # The prior --------------------------------------------------------------------------------------

    def take_prior(self, prior: Prior | None, told: str) -> None:
        """Have every session of this experiment begin with a prior; a folder keeps it, whatever comes of
        what it was learned from.

        Args:
            prior: what the searcher gets; None for nothing.
            told: what it is, in a few words.

        Raises:
            BadInput: it cannot be written, or another process runs the experiment.
        """
        self._prior, self.prior_told = prior, told
        if self.path is None:
            return
        with locked(self.path):
            if prior is not None:
                prior.save(self.path / PRIOR)
                self._prior = None  # what is read from there is what every later session has
            self._describe(self.record().status)

    @property
    def prior(self) -> Prior | None:
        """What its searcher begins with (BadInput: it is damaged, or no longer there)."""
        if self._prior is None and self.path and self.prior_told not in (None, NO_PRIOR, UNUSED):
            from tune_lr.prior.prior import Prior

            self._prior = Prior.load(self.path / PRIOR)
        return self._prior

    # Running ----------------------------------------------------------------------------------------

    @contextmanager
    def drive(self, listeners: tuple[Listener, ...] = ()) -> Iterator[Driver]:
        """A driver for an engine to run, this process being the experiment's only one.

        At the end, however it comes, the tables are written and nothing that was reported is lost.

        Raises:
            BadInput: another process runs the experiment, or an option is not the searcher's or trial
                scheduler's.
        """
        with ExitStack() as stack:
            if self.path:
                stack.enter_context(locked(self.path))
            if self._mirror:
                stack.enter_context(self._mirror.following())
            searcher, scheduler = assemble(self.job, prior=self.prior)
            driver = Driver(self.job, self.journal, self.path, searcher, scheduler, listeners)
            self._describe("running")
            status = "failed"
            try:
                yield driver
                status = "failed" if driver.failure else "finished"
            except KeyboardInterrupt:
                status = "interrupted"
                raise
            finally:
                self._end(driver, status)

    def _end(self, driver: Driver, status: str) -> None:
        """Close a session: each step is taken, whatever becomes of the one before."""
        with undisturbed(), ExitStack() as last_first:
            last_first.callback(self._describe, status)
            last_first.callback(self._write_tables, driver.record)
            last_first.callback(self.journal.close)
            last_first.callback(driver.close, status)

    # Results ----------------------------------------------------------------------------------------

    @cached_property
    def space(self) -> SearchSpace:
        return self.job.search_space

    @property
    def objective(self) -> Objective:
        return self.job.objective

    def record(self) -> Record:
        """The state of the experiment as the journal has it now."""
        return Record.of(self.journal.read())

    @property
    def where(self) -> str:
        """The folder or URI that it lies at; a folder below the current one without the way to that."""
        return self.uri or (shown(self.path) if self.path else "memory")

    @property
    def uri(self) -> str | None:
        """The URI that its folder is a copy of, if any."""
        return self._mirror.uri if self._mirror else None

    @property
    def best(self) -> Best | None:
        """The best trial, or None where none has a finite value."""
        return self.record().best(self.objective)

    def to_pandas(self) -> pd.DataFrame:
        """One row a report, as in ``reports.parquet``."""
        return reports_table(self.record())

    def trials(self) -> pd.DataFrame:
        """One row a trial, as in ``trials.parquet``."""
        return trials_table(self.record(), self.objective)

    def decisions(self, trial_id: str) -> pd.DataFrame:
        """What a trial's schedule decided up to its last checkpoint, as ``schedule.history`` has it.

        Columns: ``schedule``, its name in ``trial.resume``, then ``first last decision loss lr lrs``, as of
        ``schedules.decisions.Decision``. A copy of another trial begins with that one's decisions.

        Raises:
            BadInput: there is no such trial, it has no decisions, or their file is damaged.
        """
        trial = self.record().named(trial_id)
        return decisions_table(of_trial(self.path, trial.trial_id, trial.config, trial.epochs))

    def plot(self, trial: str | None = None) -> Any:
        """A matplotlib figure: loss curves, LR curves, and the best so far against epochs spent.

        With the name of a trial: its LR step by step, and the losses that moved it (from ``decisions``).
        """
        if trial is not None:
            return registry.load("views", "trial-plot")(self, trial)
        return registry.load("views", "plot")(self)

    def __repr__(self) -> str:
        record = self.record()
        counts = f"{len(record.trials)} trials, {record.epochs} epochs"
        return f"<Experiment in {self.where}: {record.status}, {counts}>"

    # Files ------------------------------------------------------------------------------------------

    def _write_tables(self, record: Record) -> None:
        if self.path:
            write_parquet(reports_table(record), self.path / "reports.parquet")
            write_parquet(trials_table(record, self.objective), self.path / "trials.parquet")

    def _describe(self, status: str) -> None:
        if self.path:
            described(self.path / DESCRIPTION, self.job, status, status in ENDED, self.prior_told)
