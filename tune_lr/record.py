"""What an experiment's journal comes to: a pure fold over its events.

Events (every one has ``time``, seconds since 1970):

======== =========================================================================================
session  a driver begins: ``asked``, the job of this session but for its space
ask      a new trial: ``trial_id values config why``
resume   a paused or interrupted trial goes on: ``trial_id by`` (``rule`` or ``driver``), perhaps ``why``
report   ``trial_id epoch seconds metrics decision``, and ``status why`` where the status changes
end      a trial ended without a decision: ``trial_id status error``
pause    a trial was cut off from outside: ``trial_id why``
close    the driver ends: ``status``, and ``why`` where a condition ended the job
======== =========================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_lr.errors import BadInput, UnknownName
from tune_lr.journal import Report, Status
from tune_lr.objective import Objective

#: Why a trial is paused that the job cut off: the budget is used up, or what ends the job early holds.
LIMITS = ("budget", "stop-when")
#: Of so many trials a message lists the names.
_NAMES_TOLD = 10
_TRIAL_ID = re.compile(r"[A-Za-z0-9_-]+")

ENDED: frozenset[Status] = frozenset({"completed", "stopped", "failed", "diverged"})


@dataclass
class TrialRecord:
    """All that the journal knows of one trial."""

    trial_id: str
    values: dict[str, Any]
    config: dict[str, Any]
    why: dict[str, Any]
    status: Status = "running"
    reports: list[Report] = field(default_factory=list)
    #: The epoch of the checkpoint it began with, where it began as a copy of another trial.
    begun_at: int = 0
    #: Why the status is what it is: rung, budget, interrupted, ...
    reason: str | None = None
    error: str | None = None
    #: The losses read so far and how many reports they come from, so that each is read once.
    _read: tuple[Objective, list[float]] | None = field(default=None, repr=False, compare=False)
    _heard: int = field(default=0, repr=False, compare=False)

    @property
    def epochs(self) -> int:
        return self.reports[-1].epoch if self.reports else 0

    def epochs_to(self, epoch: int) -> int:
        """How many epochs it trained, since its last report, to get to this one."""
        return epoch - max(self.epochs, min(self.begun_at, epoch - 1))

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def unfinished(self) -> bool:
        """Cut off by a kill, an interrupt or a limit, not by a rule: it goes on when the job does."""
        return self.status == "running" or (
            self.status == "paused" and self.reason in ("interrupted", *LIMITS)
        )

    def losses(self, objective: Objective) -> list[float]:
        """The finite losses reported so far, in order of epochs."""
        if self._read is None or self._read[0] != objective:
            self._read = (objective, [])
            self._heard = 0
        losses = self._read[1]
        for report in self.reports[self._heard :]:
            loss = objective.loss(report.metrics.get(objective.metric))
            if loss is not None:
                losses.append(loss)
        self._heard = len(self.reports)
        return list(losses)


@dataclass(frozen=True)
class Best:
    """The best trial so far: its value (in the metric's own direction), configuration and epochs."""

    trial_id: str
    value: float
    config: dict[str, Any]
    epochs: int
    status: str


@dataclass
class Record:
    """The state of an experiment: its trials, and what they cost."""

    trials: dict[str, TrialRecord] = field(default_factory=dict)
    #: Epochs trained, over all trials; an epoch trained again after a kill counts once.
    epochs: int = 0
    #: Wall-clock seconds of earlier sessions.
    past_seconds: float = 0.0
    #: When the newest session began and was last heard of.
    began: float | None = None
    seen: float | None = None
    status: str = "created"
    #: The condition that ended the newest session early, if one did.
    why: str | None = None
    #: What led to the newest trial that began or went on, where that was said.
    newest_why: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> Record:
        record = cls()
        for event in events:
            record.apply(event)
        return record

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take in one event. An unknown kind is passed over: a newer version may have written it.

        Raises:
            BadInput: the event lacks something, or holds something else than it should.
        """
        try:
            self._apply(event)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BadInput("journal", dict(event), f"an event as tune-lr writes it ({error!r})") from error

    def _apply(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "session":
            self.past_seconds = self.seconds
            self.began = float(event["time"])
            self.status, self.why = "running", None
        elif kind == "close":
            self.status, self.why = event["status"], event.get("why")
        elif kind == "ask":
            self._begin(event)
        elif event.get("trial_id") in self.trials:
            self._apply_to(self.trials[event["trial_id"]], event)
        self.seen = float(event["time"])

    def _begin(self, event: Mapping[str, Any]) -> None:
        name, why = event["trial_id"], event["why"]
        if not _TRIAL_ID.fullmatch(name):
            raise ValueError("a trial's name is letters, digits, - and _: its folder bears it")
        trial = TrialRecord(name, event["values"], event["config"], why)
        source = self.trials.get(why.get("checkpoint_of", ""))
        trial.begun_at = source.epochs if source else 0
        self.newest_why = why
        self.trials[name] = trial

    def _apply_to(self, trial: TrialRecord, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "report":
            report = Report.from_json(event)
            self.epochs += trial.epochs_to(report.epoch)
            trial.reports.append(report)
            if "status" in event:
                trial.status, trial.reason = event["status"], event.get("why")
        elif kind == "resume":
            trial.status, trial.reason = "running", None
            self.newest_why = {**event.get("why", {})} or self.newest_why
        elif kind == "pause":
            trial.status, trial.reason = "paused", event["why"]
        elif kind == "end":
            trial.status, trial.error = event["status"], event.get("error")

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all sessions, as far as the journal shows."""
        if self.began is None or self.seen is None:
            return self.past_seconds
        return self.past_seconds + max(0.0, self.seen - self.began)

    def named(self, name: str) -> TrialRecord:
        """The trial of that name; its zeros in front may be left out.

        Raises:
            BadInput: there is none.
        """
        if name.isdigit() and name not in self.trials:
            name = next((known for known in self.trials if known.lstrip("0") == name.lstrip("0")), name)
        if name in self.trials:
            return self.trials[name]
        if len(self.trials) <= _NAMES_TOLD:
            raise UnknownName("trial", name, self.trials)
        told = f"{min(self.trials)} to {max(self.trials)}"
        raise BadInput("trial", name, f"one of the {len(self.trials)} trials that are there, {told}")

    def with_status(self, *statuses: Status) -> list[TrialRecord]:
        return [trial for trial in self.trials.values() if trial.status in statuses]

    def ranked(self, objective: Objective) -> list[TrialRecord]:
        """Trials with a finite value that did not diverge, best first (ties: asked first)."""
        usable = [t for t in self.trials.values() if t.status != "diverged" and t.losses(objective)]
        return sorted(usable, key=lambda trial: objective.score(trial.losses(objective)))

    def best(self, objective: Objective) -> Best | None:
        """The best trial, or None where none has a finite value."""
        ranked = self.ranked(objective)
        if not ranked:
            return None
        first = ranked[0]
        value = objective.value(objective.score(first.losses(objective)))
        return Best(first.trial_id, value, dict(first.config), first.epochs, first.status)


def headline(error: str) -> str:
    """The line of a trial's error that says what happened: of a traceback, the exception at its end."""
    lines = [line for line in error.splitlines() if line.strip()]
    if not lines:
        return "no reason was given"
    said = lines[0]
    if said.startswith("Traceback ("):
        last_frame = max((i for i, line in enumerate(lines) if line.startswith("  File ")), default=0)
        after = [line for line in lines[last_frame + 1 :] if not line.startswith(" ")]
        said = (after or lines[-1:])[0]
    harmless = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in said[:400]
    )
    return harmless.strip() if len(said) <= 400 else f"{harmless.strip()}…"
