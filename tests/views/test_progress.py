"""What is seen while a job runs: plain lines where no terminal is, and numbers that are right."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
from rich.console import Console

from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.journal import Report
from tune_lr.record import Record
from tune_lr.trials.run import Leg, Outcome
from tune_lr.views.incumbent import Incumbent
from tune_lr.views.progress import Progress, Tally, line, picture
from tune_lr.views.words import about, counted, duration, short, tally

SPACE = {"name": "line", "knobs": {"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}}}
ASKED: dict[str, Any] = {
    "metric": "val_loss", "mode": "min", "scope": "best", "trials": 4, "max_epochs": 10, "budget": None,
    "workers": 1, "engine": "inline", "searcher": "random", "trial_scheduler": "none",
}  # fmt: skip


def run(
    progress: Progress, losses: dict[str, list[float]], failing: tuple[str, ...] = (), **asked: Any
) -> Experiment:
    """A job whose trials report these losses; those of ``failing`` fail afterwards."""
    what = {"searcher": "random", "trials": len(losses), "trial_scheduler": "none", **asked}
    job = Job.make({"trainer": "x.py", "space": SPACE, **what})
    experiment = Experiment.open(None, job)
    with experiment.drive((progress,)) as driver:
        while isinstance(leg := driver.next(), Leg):
            for epoch, loss in enumerate(losses[leg.trial_id], start=1):
                if driver.report(leg.trial_id, Report(epoch, 1.0, {"val_loss": loss})) != "continue":
                    break
            failed = Outcome("failed", "Traceback (most recent call last):\n  File x\nOSError: [b]gone[/b]")
            driver.finish(leg.trial_id, failed if leg.trial_id in failing else Outcome("completed"))
    return experiment


def test_plain_lines_where_no_terminal_is() -> None:
    stream = io.StringIO()
    run(Progress(stream, every=0.0), {"0000": [0.5, 0.25], "0001": [0.75], "0002": [math.nan]}, ("0001",))
    text = stream.getvalue()
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[0].startswith("3 trials of at most 27 epochs: searcher random, trial scheduler none")
    assert "trial 0001 failed: OSError: [b]gone[/b]" in lines
    assert lines[-1].startswith(
        "3 of 3 trials | 1 completed, 1 failed, 1 diverged | best val_loss 0.25 (trial 0000)"
    )


def test_plain_lines_do_not_flood() -> None:
    stream = io.StringIO()
    losses = {f"{i:04d}": [1.0] * 5 for i in range(200)}
    run(Progress(stream, every=60.0), losses, tuple(losses)[50:100])
    assert len(stream.getvalue().splitlines()) <= 14


def test_a_listener_is_used_again_for_another_job() -> None:
    stream = io.StringIO()
    progress = Progress(stream, every=0.0)
    for _ in range(2):
        run(progress, {"0000": [0.5]})
    assert stream.getvalue().count("1 of 1 trial |") >= 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_display_that_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    progress = Progress(stream)
    run(progress, {"0000": [0.5], "0001": [0.25]}, ("0001",))
    assert "\x1b" in stream.getvalue()
    assert "trial 0001 failed: OSError: [b]gone[/b]" in stream.getvalue()
    assert progress._live is None


def test_the_picture_says_how_far_the_job_is() -> None:
    record = Record()
    state = Tally(ASKED, record, now=1000.0)
    console = Console(file=io.StringIO(), width=100)
    console.print(picture(state, 1000.0))
    for trial_id, losses in {"0000": [0.5, 0.125], "0001": [1.0] * 5}.items():
        record.apply(
            {"event": "ask", "time": 1.0, "trial_id": trial_id, "values": {}, "config": {}, "why": {}}
        )
        for epoch, loss in enumerate(losses, start=1):
            event = {"event": "report", "time": 1.0, "trial_id": trial_id, "epoch": epoch, "seconds": 1.0}
            record.apply({**event, "metrics": {"val_loss": loss}, "decision": "continue"})
        if trial_id == "0000":
            record.apply({"event": "end", "time": 1.0, "trial_id": trial_id, "status": "completed"})
        state.hear(record.trials[trial_id], record.epochs)
    assert state.progress == 1.5
    assert state.part(1000.0) == 1.5 / 4
    assert state.left(1030.0) is None  # one trial says little, and the first pays for imports
    assert state.left(1150.0) == pytest.approx(2.5 / 1.5 * 150)
    assert line(state, 1150.0) == (
        "1 of 4 trials | 1 running, 1 completed | best val_loss 0.125 (trial 0000) | 7 epochs | 2 min 30 s, "
        "about 4 min left"
    )
    console.print(picture(state, 1150.0))
    assert "best val_loss 0.125 (trial 0000)" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_budget_bounds_the_estimate() -> None:
    state = Tally({**ASKED, "budget": "100s"}, Record(), now=0.0)
    assert state.left(40.0) == 60.0
    assert state.part(40.0) == 0.4
    assert state.left(140.0) == 0.0
    state = Tally({**ASKED, "budget": "100epochs"}, Record(), now=0.0)
    state.epochs = 20
    assert state.left(40.0) == 160.0


@pytest.mark.parametrize("scope", ["best", "last", "avg-2"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_incumbent_is_the_best_of_the_record(scope: str, mode: str) -> None:
    import random

    from tune_lr.objective import Objective

    chance, objective = random.Random(0), Objective("m", mode, scope)  # type: ignore[arg-type]
    record, incumbent = Record(), Incumbent(objective)
    for step in range(400):
        trial_id = f"{chance.randrange(12):04d}"
        if trial_id not in record.trials:
            ask = {"event": "ask", "time": 0.0, "trial_id": trial_id, "values": {}, "config": {}, "why": {}}
            record.apply(ask)
        metrics = {"m": round(chance.random(), 1) if chance.random() > 0.1 else math.nan}
        event = {"event": "report", "trial_id": trial_id, "epoch": step, "seconds": 0.0, "metrics": metrics}
        diverged = {"status": "diverged"} if chance.random() < 0.05 else {}
        record.apply({**event, "time": 0.0, "decision": "continue", **diverged})
        incumbent.update(record.trials[trial_id])
        best = record.best(objective)
        assert incumbent.value == (best.value if best else None)


def test_words() -> None:
    assert [duration(s) for s in (0.4, 59.4, 65, 3600 * 2 + 61)] == [
        "0 s",
        "59 s",
        "1 min 05 s",
        "2 h 01 min",
    ]
    assert [about(s) for s in (3, 33, 119, 7200)] == [
        "a few seconds",
        "about 30 s",
        "about 2 min",
        "about 2.0 h",
    ]
    assert [short(v) for v in (0.123456, 1e-9, math.nan, 7, True, "a b", "a\tb", "", None)] == [
        "0.1235", "1e-09", "nan", "7", "true", "a b", "'a\\tb'", "''", "",
    ]  # fmt: skip
    assert (counted(1, "trial"), counted(0, "trial")) == ("1 trial", "0 trials")
    assert tally({"stopped": 2, "running": 1}) == "1 running, 2 stopped"
