"""What a person sees while a job runs: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import IO, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tune_lr.budget import Budget, parse_budget
from tune_lr.journal import Status
from tune_lr.objective import Objective
from tune_lr.record import Record, TrialRecord, headline
from tune_lr.views.incumbent import Incumbent
from tune_lr.views.trust import Trust, told, trust_of
from tune_lr.views.words import about, counted, duration, short, tally

#: So many failures are told one by one.
_FAILURES_TOLD = 10
_SECONDS_BETWEEN_QUIET_LINES = 60.0
_SECONDS_TO_TELL = 60.0


class Tally:
    """How far a job is, in numbers."""

    def __init__(self, asked: Mapping[str, Any], record: Record, now: float) -> None:
        self.objective = Objective(asked["metric"], asked["mode"], asked["scope"])
        self.trials, self.max_epochs = int(asked["trials"]), int(asked["max_epochs"])
        self.limits = parse_budget(asked["budget"]) if asked["budget"] else Budget()
        self.incumbent = Incumbent.of(record, self.objective)
        self.epochs, self.began, self._past = record.epochs, now, record.past_seconds
        self._of: dict[str, tuple[Status, int]] = {
            trial.trial_id: (trial.status, trial.epochs) for trial in record.trials.values()
        }
        self._whys = {trial.trial_id: trial.why for trial in record.trials.values()}
        self._progress_before, self._epochs_before = self.progress, self.epochs

    def hear(self, trial: TrialRecord, epochs: int) -> None:
        """Take in a trial that changed, and the epochs of all."""
        self._of[trial.trial_id] = (trial.status, trial.epochs)
        self._whys[trial.trial_id] = trial.why
        self.epochs = epochs
        self.incumbent.update(trial)

    @property
    def trust(self) -> Trust | None:
        """What the history does; None where there is none."""
        return trust_of(self._whys.values())

    @property
    def counts(self) -> Counter[Status]:
        """How many trials have which status."""
        return Counter(status for status, _ in self._of.values())

    @property
    def progress(self) -> float:
        """Trials dealt with, those that run counted by their epochs."""
        parts = (
            epochs / self.max_epochs if status == "running" else 1.0 for status, epochs in self._of.values()
        )
        return sum(parts)

    def part(self, now: float) -> float:
        """How much of the job is done, from 0 to 1, by whichever limit comes first."""
        parts = [self.progress / self.trials]
        if self.limits.epochs:
            parts.append(self.epochs / self.limits.epochs)
        if self.limits.seconds:
            parts.append(self.seconds(now) / self.limits.seconds)
        return min(1.0, max(parts))

    def seconds(self, now: float) -> float:
        """Wall-clock seconds of all sessions."""
        return self._past + now - self.began

    def left(self, now: float) -> float | None:
        """Seconds left, estimated, or None where it is too early to tell."""
        spent, guesses = now - self.began, []
        done, epochs = self.progress - self._progress_before, self.epochs - self._epochs_before
        if done >= 3 or (done >= 1 and spent > _SECONDS_TO_TELL):  # the first trial pays for imports
            guesses.append((self.trials - self.progress) / done * spent)
        if self.limits.epochs and epochs >= self.max_epochs:
            guesses.append((self.limits.epochs - self.epochs) / epochs * spent)
        if self.limits.seconds:
            guesses.append(self.limits.seconds - self.seconds(now))
        return max(0.0, min(guesses)) if guesses else None


class Progress:
    """A listener that shows how a job goes: ``tune(..., listeners=(Progress(),))``.

    Args:
        stream: where to; None for standard output. A terminal gets a live display, anything else (a file,
            a pipe, a notebook) plain lines.
        every: at least so many seconds between two plain lines.
    """

    def __init__(self, stream: IO[str] | None = None, every: float = 5.0) -> None:
        self._stream, self._every = stream, every
        self._tally: Tally | None = None
        self._live: Live | None = None
        self._lock = threading.Lock()
        self._say: Callable[[str], None] = print
        self._last_line = 0.0
        self._failures = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __call__(self, event: Mapping[str, Any], record: Record) -> None:
        """Hear of an event."""
        if event["event"] == "session":
            self._begin(event, record)
            return
        if self._tally is None:
            return
        trial = record.trials.get(event.get("trial_id", ""))
        if trial is not None:
            with self._lock:
                self._tally.hear(trial, record.epochs)
            if event["event"] == "end" and trial.status == "failed":
                self._tell_failure(trial)
        if event["event"] == "close":
            self.stop()
        elif self._live is None and trial is not None:
            self._maybe_line(trial.status != "running")

    def stop(self) -> None:
        """Take the live display away."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    # The two ways to show ---------------------------------------------------------------------------

    def _begin(self, event: Mapping[str, Any], record: Record) -> None:
        self.stop()
        asked = event["asked"]
        self._tally, self._failures = Tally(asked, record, event["time"]), 0
        stream = self._stream or sys.stdout
        console = Console(file=stream)
        self._say = _printer(stream)
        self._say(_opening(asked))
        self._last_line = time.monotonic() - self._every + min(1.0, self._every)
        if _can_redraw(console, stream):
            self._say = lambda text: console.print(Text(text), soft_wrap=True)
            self._live = Live(console=console, get_renderable=self._picture, transient=True)
            self._live.start()

    def _maybe_line(self, news: bool) -> None:
        wait = self._every if news else max(self._every, _SECONDS_BETWEEN_QUIET_LINES)
        if time.monotonic() - self._last_line >= wait and self._tally:
            self._last_line = time.monotonic()
            self._say(line(self._tally, time.time()))

    def _tell_failure(self, trial: TrialRecord) -> None:
        self._failures += 1
        if self._failures <= _FAILURES_TOLD:
            self._say(f"trial {trial.trial_id} failed: {headline(trial.error or '')}")
        if self._failures == _FAILURES_TOLD:
            self._say("(further failures are counted, not told)")

    def _picture(self) -> Group:
        """The live display, drawn a few times a second from another thread."""
        with self._lock:
            return picture(self._tally, time.time()) if self._tally else Group()


def line(state: Tally, now: float) -> str:
    """How far the job is, in one line."""
    dealt = sum(count for status, count in state.counts.items() if status != "running")
    parts = [f"{dealt} of {counted(state.trials, 'trial')}", tally(state.counts), _best(state)]
    parts += [counted(state.epochs, "epoch"), _times(state, now), told(state.trust)]
    return " | ".join(part for part in parts if part)


def picture(state: Tally, now: float) -> Group:
    """How far the job is, for a live display."""
    dealt = sum(count for status, count in state.counts.items() if status != "running")
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=1.0, completed=state.part(now), width=40),
        Text(f"{dealt} of {counted(state.trials, 'trial')}"),
    )
    best = Text(_best(state) or f"no {state.objective.metric} yet", style="bold" if _best(state) else "dim")
    times = Text(f"{counted(state.epochs, 'epoch')}, {_times(state, now)}", style="dim")
    prior = [Text(said)] if (said := told(state.trust)) else []
    return Group(bar, Text(tally(state.counts)), best, *prior, times)


def _best(state: Tally) -> str:
    value = state.incumbent.value
    if value is None:
        return ""
    return f"best {state.objective.metric} {short(value)} (trial {state.incumbent.trial_id})"


def _times(state: Tally, now: float) -> str:
    left = state.left(now)
    return duration(state.seconds(now)) + (f", {about(left)} left" if left is not None else "")


def _opening(asked: Mapping[str, Any]) -> str:
    limit = f", {asked['budget']} in all" if asked["budget"] else ""
    epochs = counted(int(asked["max_epochs"]), "epoch")
    return (
        f"{counted(int(asked['trials']), 'trial')} of at most {epochs}{limit}: searcher {asked['searcher']}, "
        f"trial scheduler {asked['trial_scheduler']}, engine {asked['engine']}, "
        f"{counted(int(asked['workers']), 'worker')}"
    )


def _can_redraw(console: Console, stream: IO[str]) -> bool:
    dumb = console.is_dumb_terminal or console.is_jupyter or os.environ.get("CI") is not None
    return stream.isatty() and not dumb


def _printer(stream: IO[str]) -> Callable[[str], None]:
    return lambda text: print(text, file=stream, flush=True)
