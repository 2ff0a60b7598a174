"""The driver without any engine: what it hands out, decides and writes, and that replaying rebuilds it."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest

from tune_lr.driver import Driver
from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.journal import Journal, Report
from tune_lr.record import Record
from tune_lr.searchers.base import WAIT
from tune_lr.trials.folder import TrialFolder
from tune_lr.trials.run import Leg, Outcome

SPACE = {"name": "line", "knobs": {"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}}}
COMPLETED, ENDED = Outcome("completed"), Outcome("ended")


def job(**asked: Any) -> Job:
    what = {"trainer": "x.py:train", "space": SPACE, "searcher": "random", "trials": 12, "max_epochs": 9}
    return Job.make({**what, **asked})


def loss(leg: Leg, epoch: int) -> float:
    return abs(math.log(leg.config["lr"] / 0.03)) + 1 / epoch


def step(driver: Driver, leg: Leg, reached: dict[str, int]) -> bool:
    """Train one epoch of a leg; whether it goes on."""
    reached[leg.trial_id] = epoch = reached.get(leg.trial_id, 0) + 1
    if leg.folder:
        folder = TrialFolder(Path(leg.folder))
        folder.append(Report(epoch, 0.1 * epoch, {"val_loss": loss(leg, epoch)}))
        folder.close()
    decision = driver.report(leg.trial_id, Report(epoch, 0.1 * epoch, {"val_loss": loss(leg, epoch)}))
    if decision == "continue" and epoch < leg.max_epochs:
        return True
    driver.finish(leg.trial_id, COMPLETED if decision == "continue" else ENDED)
    return False


def run(driver: Driver, workers: int = 1, seed: int = 0, stop_after: int | None = None) -> None:
    """A made-up engine: legs advance an epoch at a time, in random order with several workers."""
    reached = {trial.trial_id: trial.epochs for trial in driver.record.trials.values()}
    chance, legs, steps = random.Random(seed), [], 0
    while True:
        while len(legs) < workers and isinstance(leg := driver.next(), Leg):
            legs.append(leg)
        if not legs or steps == stop_after:
            return
        leg = chance.choice(legs)
        steps += 1
        if not step(driver, leg, reached):
            legs.remove(leg)


def decisions(record: Record) -> list[tuple[Any, ...]]:
    return [
        (t.trial_id, t.status, t.config, [(r.epoch, r.metrics) for r in t.reports])
        for t in record.trials.values()
    ]


SCHEDULERS = ["asha", "asha-promote", "median", "none"]
#: What proposes and what judges: every rule of ours with random search, and the model in both places.
PAIRS = [
    *(("random", rule) for rule in [*SCHEDULERS, "freeze-thaw"]),
    ("prior", "freeze-thaw"),
    ("prior", "asha"),
]


@pytest.mark.parametrize(("searcher", "scheduler"), PAIRS)
@pytest.mark.parametrize("limit", [{}, {"budget": "40epochs"}, {"stop_when": "gain<50%/3"}], ids=str)
def test_a_kill_after_any_line_changes_nothing(
    tmp_path: Path, searcher: str, scheduler: str, limit: dict[str, str]
) -> None:
    asked = job(searcher=searcher, trial_scheduler=scheduler, **limit)
    whole = Experiment.open(None, asked)
    with whole.drive() as driver:
        run(driver)
    lines = [event for event in whole.journal.read() if event["event"] != "close"]
    for cut in range(1, len(lines)):
        journal = Journal(tmp_path / f"{cut}.jsonl")
        for event in lines[:cut]:
            if event["event"] != "pause":
                journal.append(event)
        again = Experiment.open(None, asked)
        again.journal = journal
        with again.drive() as driver:
            run(driver)
        assert decisions(again.record()) == decisions(whole.record()), f"killed after line {cut}"


@pytest.mark.parametrize(("searcher", "scheduler"), PAIRS)
def test_reports_that_only_a_trials_folder_has_are_taken_in(
    tmp_path: Path, searcher: str, scheduler: str
) -> None:
    asked = job(searcher=searcher, trial_scheduler=scheduler)
    whole = Experiment.open(None, asked)
    with whole.drive() as driver:
        run(driver)
    killed = Experiment.open(tmp_path / "x", asked)
    with killed.drive() as driver:
        run(driver, stop_after=20)
    killed.journal.close()
    # The driver was killed before it heard the last report: only the trial wrote it down.
    file = tmp_path / "x" / "journal.jsonl"
    kept = [e for e in Journal(file).read() if e["event"] not in ("pause", "close")]
    last = max(number for number, event in enumerate(kept) if event["event"] == "report")
    file.unlink()
    journal = Journal(file)
    for event in kept[:last]:
        journal.append(event)
    journal.close()
    resumed = Experiment.open(tmp_path / "x")
    with resumed.drive() as driver:
        assert driver.record.epochs == 20
        run(driver)
    assert decisions(resumed.record()) == decisions(whole.record())


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("epochs", [1, 7, 25])
def test_the_budget_is_spent_to_the_epoch(scheduler: str, workers: int, epochs: int) -> None:
    experiment = Experiment.open(
        None, job(trial_scheduler=scheduler, workers=workers, budget=f"{epochs}epochs")
    )
    with experiment.drive() as driver:
        run(driver, workers)
        assert driver.next() is None
    record = experiment.record()
    assert record.epochs == epochs
    assert not record.with_status("running")


def test_a_larger_budget_goes_on_with_what_was_cut_off() -> None:
    experiment = Experiment.open(None, job(trial_scheduler="none", budget="13epochs"))
    with experiment.drive() as driver:
        run(driver)
    assert [t.status for t in experiment.record().trials.values()] == ["completed", "paused"]
    experiment.change({"budget": "20epochs"})
    with experiment.drive() as driver:
        leg = driver.next()
        assert isinstance(leg, Leg)
        assert leg.trial_id == "0001"


def test_promotion_waits_while_others_run() -> None:
    experiment = Experiment.open(None, job(trial_scheduler="asha-promote", trials=2, workers=3))
    with experiment.drive() as driver:
        first, second = driver.next(), driver.next()
        assert isinstance(first, Leg)
        assert isinstance(second, Leg)
        assert driver.next() is WAIT
        for leg in (first, second):
            assert driver.report(leg.trial_id, Report(1, 0.1, {"val_loss": 1.0})) == "pause"
            driver.finish(leg.trial_id, ENDED)
        assert driver.next() is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_a_loss_that_is_no_number_ends_the_trial_as_diverged(value: float | None) -> None:
    experiment = Experiment.open(None, job(trial_scheduler="none", trials=2))
    with experiment.drive() as driver:
        leg = driver.next()
        assert isinstance(leg, Leg)
        driver.report(leg.trial_id, Report(1, 0.1, {"val_loss": 0.01}))
        assert driver.report(leg.trial_id, Report(2, 0.2, {"val_loss": value})) == "stop"
        driver.finish(leg.trial_id, ENDED)
        good = driver.next()
        assert isinstance(good, Leg)
        driver.report(good.trial_id, Report(1, 0.1, {"val_loss": 0.5}))
    assert experiment.best is not None
    assert experiment.best.trial_id == good.trial_id
    assert experiment.record().trials[leg.trial_id].status == "diverged"


def test_hearing_a_report_again_changes_nothing() -> None:
    experiment = Experiment.open(None, job())
    with experiment.drive() as driver:
        leg = driver.next()
        assert isinstance(leg, Leg)
        driver.report(leg.trial_id, Report(1, 0.1, {"val_loss": 1.0}))
        before = experiment.journal.read()
        assert driver.report(leg.trial_id, Report(1, 0.2, {"val_loss": 7.0})) == "continue"
        assert experiment.journal.read() == before


def test_a_failed_trial_keeps_its_traceback_and_the_job_goes_on() -> None:
    experiment = Experiment.open(None, job(trials=3))
    with experiment.drive() as driver:
        leg = driver.next()
        assert isinstance(leg, Leg)
        driver.report(leg.trial_id, Report(1, 0.1, {"val_loss": 1.0}))
        driver.finish(leg.trial_id, Outcome("failed", "Traceback ... ZeroDivisionError"))
        assert isinstance(driver.next(), Leg)
    trial = experiment.record().trials[leg.trial_id]
    assert (trial.status, trial.error) == ("failed", "Traceback ... ZeroDivisionError")


def test_a_trainer_that_never_works_ends_the_job() -> None:
    experiment = Experiment.open(None, job())
    with experiment.drive() as driver:
        for _ in range(3):
            leg = driver.next()
            assert isinstance(leg, Leg)
            driver.finish(leg.trial_id, Outcome("failed", "boom"))
        assert driver.next() is None
        assert "boom" in str(driver.failure)
    assert experiment.record().status == "failed"


def test_a_fatal_failure_ends_the_job_at_once() -> None:
    experiment = Experiment.open(None, job())
    with experiment.drive() as driver:
        leg = driver.next()
        assert isinstance(leg, Leg)
        driver.finish(leg.trial_id, Outcome("failed", "never reported", "at first"))
        assert driver.next() is None


def test_trial_seeds_differ_and_are_repeatable() -> None:
    def seeds(seed: int) -> list[int]:
        with Experiment.open(None, job(seed=seed)).drive() as driver:
            legs = [driver.next() for _ in range(5)]
        return [leg.seed for leg in legs if isinstance(leg, Leg)]

    assert seeds(1) == seeds(1)
    assert len(set(seeds(1) + seeds(2))) == 10


@pytest.mark.parametrize(("keep", "left"), [("best", 1), (0, 0), (3, 3), ("all", 6)])
def test_checkpoints_of_finished_losers_go(tmp_path: Path, keep: Any, left: int) -> None:
    asked = job(trials=6, trial_scheduler="none", max_epochs=2, keep_checkpoints=keep)
    experiment = Experiment.open(tmp_path / "x", asked)
    with experiment.drive() as driver:
        while isinstance(leg := driver.next(), Leg):
            folder = TrialFolder(Path(str(leg.folder)))
            for epoch in (1, 2):
                folder.save(epoch, {"epoch": epoch}, epoch)
                driver.report(leg.trial_id, Report(epoch, 0.1, {"val_loss": loss(leg, epoch)}))
            driver.finish(leg.trial_id, COMPLETED)
    holders = {file.parent.name for file in (tmp_path / "x").glob("trials/*/checkpoint-*.pt")}
    assert len(holders) == left
    if keep == "best":
        assert experiment.best is not None
        assert holders == {experiment.best.trial_id}


def test_an_option_that_is_not_the_schedulers_is_named() -> None:
    experiment = Experiment.open(None, job(trial_scheduler_options={"reduction_facto": 4}))
    with pytest.raises(BadInput, match=r"reduction_facto.*reduction_factor"), experiment.drive():
        pass


def test_listeners_hear_everything() -> None:
    heard: list[str] = []
    experiment = Experiment.open(None, job(trials=2))
    with experiment.drive((lambda event, record: heard.append(event["event"]),)) as driver:
        run(driver)
    assert heard == [event["event"] for event in experiment.journal.read()]


def test_a_listener_that_fails_costs_nothing() -> None:
    def broken(event: Any, record: Record) -> None:
        raise BrokenPipeError

    experiment = Experiment.open(None, job(trials=2))
    with pytest.warns(UserWarning, match="hears no more"), experiment.drive((broken,)) as driver:
        run(driver)
    assert experiment.record().status == "finished"
    assert len(experiment.record().trials) == 2


def test_what_is_raised_after_the_last_report_is_kept() -> None:
    experiment = Experiment.open(None, job(trials=1, max_epochs=1))
    with experiment.drive() as driver:
        leg = driver.next()
        assert isinstance(leg, Leg)
        driver.report(leg.trial_id, Report(1, 0.1, {"val_loss": 1.0}))
        driver.finish(leg.trial_id, Outcome("failed", "Traceback ... OSError: disk full"))
    (trial,) = experiment.record().trials.values()
    assert (trial.status, trial.error) == ("completed", "Traceback ... OSError: disk full")


def test_the_budget_counts_epochs_not_reports() -> None:
    experiment = Experiment.open(None, job(trial_scheduler="none", trials=9, budget="20epochs"))
    with experiment.drive() as driver:
        while isinstance(leg := driver.next(), Leg):
            for epoch in (3, 6, 9):
                if driver.report(leg.trial_id, Report(epoch, 0.1, {"val_loss": 1.0})) != "continue":
                    break
            driver.finish(leg.trial_id, ENDED)
    assert experiment.record().epochs == 21  # the last report came three epochs after the eighteenth


def test_a_trial_that_still_runs_takes_no_checkpoint_from_one_that_ended(tmp_path: Path) -> None:
    experiment = Experiment.open(tmp_path / "x", job(trials=2, trial_scheduler="none", max_epochs=2))
    with experiment.drive() as driver:
        good, doomed = driver.next(), driver.next()
        assert isinstance(good, Leg)
        assert isinstance(doomed, Leg)
        driver.report(doomed.trial_id, Report(1, 0.1, {"val_loss": 0.1}))
        TrialFolder(Path(str(good.folder))).save(2, {"epoch": 2}, 2)
        driver.report(good.trial_id, Report(2, 0.1, {"val_loss": 0.2}))
        driver.finish(good.trial_id, COMPLETED)
        driver.report(doomed.trial_id, Report(2, 0.2, {"val_loss": math.nan}))
        driver.finish(doomed.trial_id, ENDED)
    assert list((tmp_path / "x" / "trials" / good.trial_id).glob("checkpoint-2.pt"))


def test_one_that_returns_early_ends_nothing_but_itself() -> None:
    experiment = Experiment.open(None, job(trials=3))
    with experiment.drive() as driver:
        leg = driver.next()
        assert isinstance(leg, Leg)
        driver.report(leg.trial_id, Report(1, 0.1, {"val_loss": 1.0}))
        driver.finish(leg.trial_id, COMPLETED)
        second = driver.next()
        assert isinstance(second, Leg)
        driver.finish(second.trial_id, Outcome("failed", "never reported", "at first"))
        assert isinstance(driver.next(), Leg)


def test_an_epoch_that_a_failed_trial_left_goes_to_another() -> None:
    experiment = Experiment.open(None, job(budget="2epochs", workers=3))
    with experiment.drive() as driver:
        first, second = driver.next(), driver.next()
        assert isinstance(first, Leg)
        assert isinstance(second, Leg)
        assert driver.next() is WAIT
        driver.report(first.trial_id, Report(1, 0.1, {"val_loss": 1.0}))
        driver.finish(first.trial_id, ENDED)
        driver.finish(second.trial_id, Outcome("failed", "boom"))
        assert isinstance(driver.next(), Leg)


@pytest.mark.parametrize("name", ["../../elsewhere", "a/b", "", "a\\b", "."])
def test_a_journal_cannot_name_a_folder_elsewhere(name: str) -> None:
    event = {"event": "ask", "time": 0.0, "trial_id": name, "values": {}, "config": {}, "why": {}}
    with pytest.raises(BadInput, match="journal"):
        Record.of([event])


def test_a_searcher_that_proposes_something_else_on_replay_is_told_of() -> None:
    first = Experiment.open(None, job(trials=2))
    with first.drive() as driver:
        run(driver)
    events = first.journal.read()
    for event in events:
        if event["event"] == "ask":
            event["values"] = {"lr": 0.5}
    again = Experiment.open(None, job(trials=3))
    again.journal = Journal(None)
    for event in events:
        again.journal.append(event)
    with pytest.warns(UserWarning, match="proposes another configuration"), again.drive():
        pass


@pytest.mark.parametrize("name", ["seed", "max_epochs", "space"])
def test_what_the_job_gives_is_no_option(name: str) -> None:
    for kind in ("searcher", "trial_scheduler"):
        experiment = Experiment.open(None, job(**{f"{kind}_options": {name: 5}}))
        with pytest.raises(BadInput, match=name), experiment.drive():
            pass


def test_a_full_disk_ends_the_job_and_blames_no_trial() -> None:
    experiment = Experiment.open(None, job(trials=3))
    with experiment.drive() as driver:
        leg = driver.next()
        assert isinstance(leg, Leg)
        driver.report(leg.trial_id, Report(1, 0.1, {"val_loss": 1.0}))
        driver.finish(leg.trial_id, Outcome("failed", "no space is left", "storage"))
        assert driver.next() is None
        assert "no space" in str(driver.failure)
    assert experiment.record().trials[leg.trial_id].unfinished
    with experiment.drive() as driver:
        again = driver.next()
        assert isinstance(again, Leg)
        assert again.trial_id == leg.trial_id
