"""The part of an experiment that decides, alive only while a job runs. Engines ask it and nothing else.

It holds the searcher and the trial scheduler and writes the journal. After a kill a fresh driver feeds the
journal to a fresh searcher and a fresh trial scheduler and stands where the killed one stood.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tune_lr.checkpoints import Checkpoints
from tune_lr.clock import steady
from tune_lr.ending import Ending
from tune_lr.errors import JobFailed, TuneLRError
from tune_lr.job import Job
from tune_lr.journal import CONTINUE, PAUSE, STOP, Decision, Journal, Report, storable
from tune_lr.record import Record, TrialRecord, headline
from tune_lr.searchers.base import WAIT, Searcher, Suggestion, Wait
from tune_lr.stopping.base import TrialScheduler
from tune_lr.telling import retell, tell
from tune_lr.trials.folder import TrialFolder
from tune_lr.trials.run import Leg, Outcome

#: Called after every event with the event and the record it led to.
Listener = Callable[[Mapping[str, Any], Record], None]

#: So many trials that fail before any has reported, and the job ends: the trainer is broken.
_HOPELESS = 3


class Driver:
    """Hands out legs, hears reports, decides, and writes it all down.

    Single-threaded: an engine calls it from one thread.

    Args:
        job: what was asked.
        journal: where it is written.
        folder: the experiment's folder; None keeps everything in memory.
        searcher, scheduler: fresh ones; the journal is replayed into them here.
        listeners: hear of every event.
        clock: seconds, for whoever simulates time; the machine's if not given.
    """

    def __init__(
        self,
        job: Job,
        journal: Journal,
        folder: Path | None,
        searcher: Searcher,
        scheduler: TrialScheduler,
        listeners: tuple[Listener, ...] = (),
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.job, self.journal, self.folder = job, journal, folder
        self.searcher, self.scheduler, self.listeners = searcher, scheduler, listeners
        self.objective, self.limits = job.objective, job.limits
        self.record, self.ending = Record(), Ending(job.endings)
        self._clock = clock or steady()
        #: Why the job cannot go on, if so.
        self.failure: TuneLRError | None = None
        #: Legs under way: a paused trial's last one may be cleaning up when its next begins.
        self._running: Counter[str] = Counter()
        self.checkpoints = Checkpoints(folder, job.checkpoints_kept, self.objective)
        events = journal.read()
        Record.of(events)  # says what is wrong with a damaged journal, before a searcher hears of it
        if events and not scheduler.exact:
            why = (
                "keeps state of its own, so what it decides from here on may differ from an uninterrupted run"
            )
            warnings.warn(f"trial scheduler {job.trial_scheduler} {why}", stacklevel=2)
        for event in events:
            self._replay(event)
        self._write("session", asked=job.model_dump(mode="json", exclude={"space"}))
        self._let_go()  # what a kill kept from being written
        self._take_in_reports()
        self._unfinished = [trial.trial_id for trial in self.record.trials.values() if trial.unfinished]

    # What engines call ------------------------------------------------------------------------------

    def next(self) -> Leg | Wait | None:
        """What a free worker should do; ``WAIT``: nothing now; None: nothing ever again."""
        if self.failure or self._used_up():
            return None
        if self._used_up(under_way=len(self._running)):
            return WAIT  # one that runs may yet fail, and leave its epoch to others
        if self._unfinished:
            return self._go_on(self._unfinished.pop(0), by="driver")
        if (promoted := self.scheduler.resume()) is not None:
            return self._go_on(promoted, by="rule")
        suggestion = self.searcher.ask() if len(self.record.trials) < self.job.trials else None
        if isinstance(suggestion, Suggestion):
            return self._start(suggestion)
        if suggestion is None:
            self.scheduler.nothing_new()
            if (promoted := self.scheduler.resume()) is not None:
                return self._go_on(promoted, by="rule")
        may_come = suggestion is WAIT or self.scheduler.pauses
        return WAIT if self._running and may_come else None

    def report(self, trial_id: str, report: Report) -> Decision:
        """Take in a report and decide; a repeated one changes nothing."""
        trial = self.record.trials[trial_id]
        if report.epoch <= trial.epochs:
            return _decision_of(trial)
        loss = self.objective.read(report.metrics)
        decision, why = self._judge(trial, report.epoch, loss)
        change: dict[str, Any] = {"why": why} if why else {}
        if decision == STOP:
            change["status"] = "diverged" if loss is None else "stopped"
        elif decision == PAUSE:
            change["status"] = "paused"
        elif report.epoch >= self.job.max_epochs:
            change["status"] = "completed"
        self._write("report", trial_id=trial_id, **report.to_json(), decision=decision, **change)
        if trial.ended:
            self._tell_done(trial)
        self._let_go()
        return decision

    def finish(self, trial_id: str, outcome: Outcome) -> None:
        """A leg's worker is free again."""
        self._running -= Counter([trial_id])
        if outcome.error:
            outcome = replace(outcome, error=storable(outcome.error))
        trial = self.record.trials[trial_id]
        if trial_id in self._running:
            return  # it was paused, and is trained on already
        if outcome.fatal == "storage":
            self.failure = self.failure or JobFailed(outcome.error or "no space is left")
            return
        if trial.ended and outcome.error:  # raised by what the trainer does after its last report
            self._write("end", trial_id=trial_id, status=trial.status, error=outcome.error)
        elif not trial.ended and outcome.status != "ended":
            self._write("end", trial_id=trial_id, status=outcome.status, error=outcome.error)
            self._tell_done(trial)
            self._let_go()
        if outcome.status == "failed":
            self._consider_failure(trial_id, outcome)
        self.checkpoints.drop(spare=self._running.keys() | self.scheduler.wanted)

    @property
    def running(self) -> frozenset[str]:
        """The trials that a worker is busy with."""
        return frozenset(self._running)

    # Beginning and end ------------------------------------------------------------------------------

    def close(self, status: str) -> None:
        """Note that what still runs was cut off, and that this session ends."""
        for trial in self.record.with_status("running"):
            self._write("pause", trial_id=trial.trial_id, why="interrupted")
        self._running.clear()
        self.checkpoints.sweep(self.record)
        self._write("close", status=status, **({"why": self.ending.why} if self.ending.why else {}))

    def _replay(self, event: Mapping[str, Any]) -> None:
        """Bring searcher and scheduler to where they stood after this event."""
        trial = self.record.trials.get(event.get("trial_id", ""))
        retell(event, self.record, self.searcher, self.scheduler, self.objective, self.ending)
        ended_before = trial is not None and trial.ended
        self.record.apply(event)
        if trial is not None and trial.ended and not ended_before:
            self._tell_done(trial)

    def _take_in_reports(self) -> None:
        """Reports that a trial wrote down and a killed driver never heard of."""
        for trial in list(self.record.trials.values()):
            if self.folder is None or not trial.unfinished:
                continue
            self._running[trial.trial_id] = 1  # as it was when it reported
            for report in TrialFolder(self.checkpoints.folder_of(trial.trial_id)).reports():
                if report.epoch > trial.epochs and trial.unfinished:
                    self.report(trial.trial_id, report)
            del self._running[trial.trial_id]

    # Deciding ---------------------------------------------------------------------------------------

    def _judge(self, trial: TrialRecord, epoch: int, loss: float | None) -> tuple[Decision, str | None]:
        """Tell first, then decide."""
        score = tell(self.searcher, self.objective, trial, epoch, loss)
        self.ending.hear(not trial.reports, score)
        if score is None:
            return STOP, f"{self.objective.metric} is no finite number"
        decision = self.scheduler.decide(trial.trial_id, epoch, score)
        if epoch >= self.job.max_epochs:
            return CONTINUE, None
        if decision == CONTINUE and self._used_up(len(self._running) - 1 + trial.epochs_to(epoch)):
            return PAUSE, "stop-when" if self.ending.why else "budget"
        return decision, None if decision == CONTINUE else self.job.trial_scheduler

    def _let_go(self) -> None:
        """End the paused trials that the rule has given up."""
        for trial_id in self.scheduler.given_up():
            if not self.record.trials[trial_id].ended:
                self._write("end", trial_id=trial_id, status="stopped", error=None)
                self._tell_done(self.record.trials[trial_id])

    def _used_up(self, under_way: int = 0) -> bool:
        """Whether the job is to end, or the budget has no epoch left beside those that are being trained."""
        if self.ending.over(lambda: self.seconds):
            return True
        epochs, seconds = self.limits.epochs, self.limits.seconds
        if epochs is not None and self.record.epochs + under_way >= epochs:
            return True
        return seconds is not None and self.seconds >= seconds

    @property
    def seconds(self) -> float:
        """Wall-clock seconds that all sessions have taken, this one up to now."""
        began = self.record.began
        return self.record.past_seconds + (self._clock() - began if began is not None else 0.0)

    # Legs -------------------------------------------------------------------------------------------

    def _start(self, suggestion: Suggestion) -> Leg:
        self._write(
            "ask",
            trial_id=suggestion.trial_id,
            values=suggestion.values,
            config=suggestion.config,
            why=suggestion.why,
        )
        self.scheduler.started(suggestion.trial_id, suggestion.config)
        return self._leg(suggestion.trial_id)

    def _go_on(self, trial_id: str, by: str) -> Leg:
        why = {"why": {**self.scheduler.why}} if by == "rule" and self.scheduler.why else {}
        self._write("resume", trial_id=trial_id, by=by, **why)
        return self._leg(trial_id)

    def _leg(self, trial_id: str) -> Leg:
        self._running[trial_id] += 1
        if "checkpoint_of" in (why := self.record.trials[trial_id].why):
            self.checkpoints.copy(why["checkpoint_of"], trial_id)
        digest = hashlib.sha256(f"{self.job.seed}/{trial_id}".encode()).digest()
        return Leg(
            trial_id=trial_id,
            config=self.record.trials[trial_id].config,
            seed=int.from_bytes(digest[:4], "big") >> 1,
            max_epochs=self.job.max_epochs,
            metric=self.job.metric,
            folder=str(self.checkpoints.folder_of(trial_id)) if self.folder else None,
            device=self.job.device,
            cpus=self.job.cpus_per_trial,
            must_save=self.scheduler.pauses,
            heard=self.record.trials[trial_id].epochs,
        )

    # Keeping house ----------------------------------------------------------------------------------

    def _tell_done(self, trial: TrialRecord) -> None:
        self.checkpoints.ended(trial)
        self.searcher.done(trial.trial_id, trial.status)
        self.scheduler.done(trial.trial_id, trial.status)

    def conclude(self) -> None:
        """Once an engine is done: a job none of whose trials came through has failed."""
        failed = self.record.with_status("failed")
        if not self.failure and failed and len(failed) == len(self.record.trials):
            error = failed[-1].error or ""
            self.failure = JobFailed(f"every trial failed, the last with: {headline(error)}", error)

    def _consider_failure(self, trial_id: str, outcome: Outcome) -> None:
        """End the job where going on cannot help."""
        failed = self.record.with_status("failed")
        hopeless = len(failed) >= _HOPELESS and not self.record.epochs
        fatal = outcome.fatal == "always" or (outcome.fatal == "at first" and not self.record.epochs)
        if fatal or hopeless:
            count = "every trial" if hopeless else f"trial {trial_id}"
            error = outcome.error or ""
            self.failure = JobFailed(f"{count} failed, so the job ends: {headline(error)}", error)

    def _write(self, event: str, **what: Any) -> None:
        whole = {"event": event, "time": round(self._clock(), 3), **what}
        self.journal.append(whole)
        self.record.apply(whole)
        for listener in self.listeners:
            try:
                listener(whole, self.record)
            except Exception as error:  # whoever watches must not cost the job anything
                self.listeners = tuple(other for other in self.listeners if other is not listener)
                warnings.warn(f"{listener!r} failed and hears no more: {error!r}", stacklevel=2)


def _decision_of(trial: TrialRecord) -> Decision:
    return {"stopped": STOP, "diverged": STOP, "paused": PAUSE}.get(trial.status, CONTINUE)
