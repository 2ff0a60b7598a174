"""When a whole job ends early, and why."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import tune_lr
from tests.samples.spaces import SMALL
from tune_lr import Job
from tune_lr.ending import Condition, Ending, conditions
from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gain<0.001/20", Condition("gain<0.001/20", "gain", 0.001, last=20)),
        ("gain < 1% / 5 trials", Condition("gain < 1% / 5 trials", "gain", 0.01, True, 5)),
        ("gain<1e-3/200epochs", Condition("gain<1e-3/200epochs", "gain", 0.001, False, 200, "epochs")),
        ("best<=.5", Condition("best<=.5", "best", 0.5)),
        ("time>10m", Condition("time>10m", "time", 600.0)),
    ],
)
def test_what_is_written_is_read(text: str, expected: Condition) -> None:
    assert conditions(text) == (expected,)
    assert len(conditions(f"{text}, time>1h")) == 2


def test_large_may_be_good() -> None:
    assert conditions("best>0.9", "max")[0].amount == -0.9
    with pytest.raises(BadInput, match="best>VALUE, since mode is max"):
        conditions("best<0.9", "max")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gain",
        "gain<0/20",
        "gain<-1/20",
        "gain<0.1/0",
        "gain<0.1",
        "gain>0.1/3",
        "best<",
        "best<nan",
        "time>soon",
        "time>20epochs",
        "best<0.1,,",
        "rm -rf /",
        "best>0.5",
        "gain<1e999x/3",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="stop_when"):
        Job.make({"trainer": "t.py", "space": SMALL.to_dict(), "stop_when": text})


def heard(text: str, losses: list[list[float | None]], mode: str = "min") -> tuple[str | None, int]:
    """Trials one after the other, with their losses; why it ended, and after how many reports."""
    ending, reports = Ending(conditions(text, mode)), 0
    for trial in losses:
        for epoch in range(len(trial)):
            if ending.over(lambda: 0.0):
                return ending.why, reports
            known = [loss for loss in trial[: epoch + 1] if loss is not None]
            ending.hear(epoch == 0, None if trial[epoch] is None else min(known))
            reports += 1
    ending.over(lambda: 0.0)
    return ending.why, reports


def test_too_little_gain_of_the_last_trials() -> None:
    same = [[1.0, 1.0]] * 20
    assert heard("gain<0.001/3", same) == ("gain<0.001/3", 9)  # the first, three more, and the next begins
    better = [[1.0 - 0.1 * n] for n in range(9)]
    assert heard("gain<0.001/3", better) == (None, 9)
    assert heard("gain<0.31/3", better)[1] == 5
    slow_start = [[1.0], [1.0], [1.0, 0.2], [1.0], [1.0], [1.0], [1.0]]
    assert heard("gain<0.001/3", slow_start) == ("gain<0.001/3", 8)


def test_gain_as_a_share_and_over_epochs() -> None:
    assert heard("gain<1%/2", [[100.0], [99.5], [99.4], [99.3]]) == ("gain<1%/2", 4)
    assert heard("gain<1%/2", [[100.0], [90.0], [80.0], [70.0], [60.0]])[0] is None
    assert heard("gain<0.001/4epochs", [[1.0] * 9]) == ("gain<0.001/4epochs", 5)


def test_a_target_and_trials_that_diverge() -> None:
    assert heard("best<0.5", [[1.0, 0.7], [0.9, 0.5, 0.4]]) == ("best<0.5", 4)
    lost: list[list[float | None]] = [[None]] * 9
    assert heard("gain<0.1/2", lost) == (None, 9)  # nothing was there to be improved
    assert heard("gain<0.1/2", [[1.0], *lost])[1] == 4


def test_the_time() -> None:
    ending = Ending(conditions("time>10s"))
    assert not ending.over(lambda: 9.9)
    assert ending.over(lambda: 10.0)
    assert ending.why == "time>10s"


def train(config: dict[str, Any], trial: tune_lr.Trial) -> None:
    start = (trial.load() or {"from": 0})["from"]
    for epoch in trial.epochs():
        trial.save({"from": epoch})
        trial.report(val_loss=abs(math.log10(config["lr"]) + 2) + 1 / epoch + 0 * start)


@pytest.mark.parametrize("engine", ["inline", "syne-tune", "ray"])
def test_every_engine_ends_alike_says_why_and_goes_on_when_asked(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if engine == "ray":
        request.getfixturevalue("local_ray")
    asked = {"searcher": "random", "trials": 40, "max_epochs": 3, "progress": False, "seed": 1}
    out = tmp_path / "x"
    tune_lr.tune(train, SMALL, out=out, engine=engine, stop_when="gain<0.05/6", **asked)
    record = Experiment.open(out).record()
    assert (record.status, record.why) == ("finished", "gain<0.05/6")
    assert 7 <= len(record.trials) < 40
    cut_off = [trial for trial in record.trials.values() if trial.reason == "stop-when"]
    assert {trial.status for trial in cut_off} <= {"paused"}
    inline = tune_lr.tune(train, SMALL, stop_when="gain<0.05/6", **asked)
    assert inline.to_pandas()["val_loss"].tolist() == Experiment.open(out).to_pandas()["val_loss"].tolist()
    more = len(record.trials) + 1
    tune_lr.resume(out, train, stop_when="none", trials=more, progress=False)
    record = Experiment.open(out).record()
    assert (record.status, record.why, len(record.trials)) == ("finished", None, more)
    assert not [trial for trial in record.trials.values() if trial.unfinished]
