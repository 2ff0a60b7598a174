"""What a journal says of a run."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tune_lr import Job
from tune_lr.comparing.figures import busy_over_time, figures, rung_agreement
from tune_lr.comparing.run import Run, read_run
from tune_lr.errors import BadInput
from tune_lr.journal import CONTINUE, STOP

SPACE = {"name": "one", "knobs": {"lr": {"type": "float", "low": 0.1, "high": 1.0}}}
JOB = Job.make({"trainer": "t.py", "space": SPACE, "max_epochs": 3, "workers": 2, "prior": "none"})


def ask(time: float, trial: str) -> dict[str, Any]:
    config = {"lr": 0.5}
    return {"event": "ask", "time": time, "trial_id": trial, "values": config, "config": config, "why": {}}


def report(
    time: float, trial: str, epoch: int, seconds: float, loss: Any, decision: str = CONTINUE, **more: Any
) -> dict[str, Any]:
    told = {"event": "report", "time": time, "trial_id": trial, "epoch": epoch, "seconds": seconds}
    return {**told, "metrics": {"val_loss": loss}, "decision": decision, **more}


#: Two workers; the second session begins 100 s after the first was killed.
EVENTS: list[dict[str, Any]] = [
    {"event": "session", "time": 1000.0, "asked": {}},
    ask(1001.0, "0000"),
    ask(1001.0, "0001"),
    report(1003.0, "0000", 1, 1.0, 5.0),
    report(1003.5, "0001", 1, 2.0, 4.0, STOP, status="stopped"),
    report(1004.5, "0000", 2, 2.0, 3.0),
    {"event": "session", "time": 1104.5, "asked": {}},
    {"event": "resume", "time": 1105.5, "trial_id": "0000", "by": "driver"},
    report(1107.5, "0000", 3, 3.0, None, STOP, status="diverged"),
    ask(1107.5, "0002"),
    {"event": "end", "time": 1109.5, "trial_id": "0002", "status": "failed", "error": "out of luck"},
    {"event": "close", "time": 1110.0, "status": "finished"},
]


@pytest.fixture
def run() -> Run:
    return read_run("it", 3, JOB, EVENTS, memory=2**20)


def test_reports_in_the_seconds_of_the_run(run: Run) -> None:
    assert run.reports["time"].tolist() == [3.0, 3.5, 4.5, 7.5]
    assert run.reports["spent"].tolist() == [1, 2, 3, 4]
    assert run.reports["best"].tolist() == [5.0, 4.0, 3.0, 3.0]
    assert math.isnan(run.reports["loss"].iloc[-1])
    assert (run.method, run.seed, run.workers, run.status) == ("it", 3, 2, "finished")
    assert run.statuses == {"diverged": 1, "stopped": 1, "failed": 1}


def test_legs_and_what_they_waited_for(run: Run) -> None:
    legs = run.legs.set_index(["trial_id", "begun"])
    assert legs.index.tolist() == [("0000", 1.0), ("0001", 1.0), ("0000", 5.5), ("0002", 7.5)]
    assert legs["ended"].tolist() == [4.5, 3.5, 7.5, 9.5]
    assert legs["start_up"].tolist()[:3] == [1.0, 0.5, 1.0]
    assert legs["trained"].tolist() == [2.0, 2.0, 1.0, 0.0]


def test_figures_at_a_budget(run: Run) -> None:
    found = figures(run, "epochs", 3)
    assert (found["best"], found["seconds"], found["trained"], found["begun"]) == (3.0, 4.5, 4.0, 2.0)
    assert found["overhead"] == pytest.approx(1 - 4.0 / 9.0)
    assert found["busy"] == pytest.approx((3.5 + 2.5) / 9.0)
    assert found["decision"] == pytest.approx(0.5)
    assert found["memory"] == 2**20
    assert figures(run, "seconds", 3.2)["epochs"] == 1
    assert math.isinf(figures(run, "seconds", 0.5)["best"])


def test_how_many_workers_were_busy(run: Run) -> None:
    found = busy_over_time(run, points=19)
    assert max(found["workers"]) == pytest.approx(2.0)
    assert found["workers"][0] == 0.0
    assert sum(found["workers"]) * 0.5 == pytest.approx(3.5 + 2.5 + 2.0 + 2.0)


def test_how_well_a_rung_told_the_end() -> None:
    events: list[dict[str, Any]] = [{"event": "session", "time": 0.0, "asked": {}}]
    for number in range(6):
        name = f"{number:04d}"
        events.append(ask(1.0, name))
        events += [report(1.0, name, epoch, epoch, number / epoch + 1) for epoch in (1, 2, 3)]
    assert rung_agreement(read_run("it", 0, JOB, events), 1) == (6, pytest.approx(1.0))
    count, rho = rung_agreement(read_run("it", 0, JOB, events[:9]), 1)
    assert count == 2
    assert math.isnan(rho)


def test_a_journal_that_is_none() -> None:
    with pytest.raises(BadInput, match="journal"):
        read_run("it", 0, JOB, [{"event": "ask", "time": 0.0, "trial_id": "../x", "why": {}}])
    empty = read_run("it", 0, JOB, [])
    assert len(empty.reports) == len(empty.legs) == 0
