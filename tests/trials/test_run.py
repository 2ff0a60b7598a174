"""One leg of a trial: how it ends, whatever the trainer does."""

from __future__ import annotations

import math
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from tune_lr.errors import BadInput, MissingExtra, UnknownName
from tune_lr.journal import CONTINUE, PAUSE, STOP, Decision, Report
from tune_lr.trials.run import Leg, Outcome, run_leg

LEG = Leg(trial_id="t", config={"lr": 0.1}, seed=5, max_epochs=4, metric="val_loss", device="cpu")


def go_on(report: Report) -> Decision:
    return CONTINUE


def at_epoch_two(decision: Decision) -> Any:
    return lambda report: decision if report.epoch == 2 else CONTINUE


def well_behaved(config: dict[str, Any], trial: Any) -> None:
    trial.resume(model=torch.nn.Linear(1, 1))
    for epoch in trial.epochs():
        trial.save()
        trial.report(val_loss=1.0 / epoch)


def unsaved(config: dict[str, Any], trial: Any) -> None:
    for epoch in trial.epochs():
        trial.report(val_loss=1.0 / epoch)


def raising(config: dict[str, Any], trial: Any) -> None:
    for _ in trial.epochs():
        trial.report(val_loss=1.0)
        raise RuntimeError("the dog ate the batch")


def exiting(config: dict[str, Any], trial: Any) -> None:
    for _ in trial.epochs():
        trial.report(val_loss=1.0)
        sys.exit(3)


def silent(config: dict[str, Any], trial: Any) -> None:
    for _ in trial.epochs():
        pass


def misnamed(config: dict[str, Any], trial: Any) -> None:
    for _ in trial.epochs():
        trial.report(loss=1.0)


def test_a_trainer_that_returns_has_completed() -> None:
    assert run_leg(LEG, well_behaved, go_on) == Outcome("completed")


@pytest.mark.parametrize("decision", [STOP, PAUSE])
def test_a_decision_ends_it(decision: Decision) -> None:
    assert run_leg(replace(LEG, must_save=True), well_behaved, at_epoch_two(decision)) == Outcome("ended")


def test_an_exception_fails_it_with_the_traceback() -> None:
    outcome = run_leg(LEG, raising, go_on)
    assert (outcome.status, outcome.fatal) == ("failed", "never")
    assert "the dog ate the batch" in (outcome.error or "")
    assert "in raising" in (outcome.error or "")


def test_leaving_by_sys_exit_fails_it_unless_it_was_to_end() -> None:
    outcome = run_leg(LEG, exiting, go_on)
    assert (outcome.status, outcome.error) == ("failed", "the trainer left with sys.exit(3)")
    assert run_leg(LEG, exiting, lambda report: STOP) == Outcome("ended")
    assert run_leg(replace(LEG, max_epochs=1), exiting, go_on) == Outcome("completed")


def test_ctrl_c_gets_through() -> None:
    def interrupted(config: dict[str, Any], trial: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_leg(LEG, interrupted, go_on)


@pytest.mark.parametrize("trainer", [silent, misnamed])
def test_a_metric_that_never_comes_would_fail_every_trial(trainer: Any) -> None:
    outcome = run_leg(LEG, trainer, go_on)
    assert (outcome.status, outcome.fatal) == ("failed", "at first")
    assert "val_loss" in (outcome.error or "")


def test_pausing_a_trainer_that_never_saves_is_refused_with_the_reason() -> None:
    outcome = run_leg(replace(LEG, must_save=True), unsaved, at_epoch_two(PAUSE))
    assert (outcome.status, outcome.fatal) == ("failed", "always")
    assert "trial.save()" in (outcome.error or "")
    assert run_leg(replace(LEG, must_save=True), unsaved, at_epoch_two(STOP)) == Outcome("ended")
    assert run_leg(LEG, unsaved, go_on) == Outcome("completed")


def test_a_paused_trial_goes_on_where_it_was(tmp_path: Path) -> None:
    leg, heard = replace(LEG, folder=str(tmp_path)), []

    def channel(report: Report) -> Decision:
        heard.append(report.epoch)
        return PAUSE if report.epoch == 2 else CONTINUE

    assert run_leg(leg, well_behaved, channel) == Outcome("ended")
    assert run_leg(leg, well_behaved, channel) == Outcome("completed")
    assert heard == [1, 2, 3, 4]


def test_what_the_driver_never_heard_is_said_again_first(tmp_path: Path) -> None:
    leg, heard = replace(LEG, folder=str(tmp_path)), []

    def channel(report: Report) -> Decision:
        heard.append(report.epoch)
        return PAUSE if report.epoch == 2 else CONTINUE

    assert run_leg(leg, well_behaved, channel) == Outcome("ended")
    assert run_leg(replace(leg, heard=1), well_behaved, channel) == Outcome("ended")
    assert run_leg(replace(leg, heard=2), well_behaved, channel) == Outcome("completed")
    assert heard == [1, 2, 2, 3, 4]


def test_the_trainer_finds_generators_seeded_and_its_threads_set() -> None:
    found: list[tuple[float, int]] = []

    def train(config: dict[str, Any], trial: Any) -> None:
        found.append((float(torch.rand(())), torch.get_num_threads()))
        config["lr"] = math.nan
        unsaved(config, trial)

    before = torch.get_num_threads()
    for cpus in (1, 2):
        torch.rand(7)
        run_leg(replace(LEG, cpus=cpus), train, go_on)
    expected = float(torch.rand((), generator=torch.Generator().manual_seed(5)))
    assert found == [(expected, 1), (expected, 2)]
    assert torch.get_num_threads() == before
    assert LEG.config == {"lr": 0.1}


def test_a_leg_waits_for_an_earlier_one_to_let_go(tmp_path: Path) -> None:
    done: list[Outcome] = []
    leg = replace(LEG, folder=str(tmp_path))
    thread = threading.Thread(target=lambda: done.append(run_leg(leg, well_behaved, go_on)))
    with FileLock(tmp_path / ".lock"):
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        assert not (tmp_path / "reports.jsonl").exists()
    thread.join(20)
    assert done == [Outcome("completed")]


def test_a_leg_travels_as_json() -> None:
    leg = replace(LEG, config={"lr": 0.1, "note": 'it\'s "quoted" {or} not'}, must_save=True)
    assert Leg.from_json(leg.to_json()) == leg


@pytest.mark.parametrize(
    ("error", "fatal"),
    [
        (MissingExtra("optimizer 'prodigy'", "rivals"), "at first"),
        (UnknownName("optimizer", "sdg", ["sgd"]), "at first"),
        (UnknownName("schedule", "cosin", ["cosine"]), "at first"),
        (BadInput("device", "cuda", "auto or cpu"), "at first"),
        (BadInput("optimizer", 3, "a name"), "never"),
        (BadInput("lr", -1, "a number above 0"), "never"),
    ],
)
def test_what_every_trial_would_fail_with_ends_the_job_at_first(error: Exception, fatal: str) -> None:
    def train(config: Any, trial: Any) -> None:
        raise error

    outcome = run_leg(LEG, train, lambda report: CONTINUE)
    assert (outcome.status, outcome.fatal) == ("failed", fatal)
    assert str(outcome.error).startswith(f"{error}\n")
