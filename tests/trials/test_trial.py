"""The trial's handle alone: what it reports, what it keeps, and what a kill at any moment leaves."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tune_lr.errors import BadInput
from tune_lr.journal import CONTINUE, PAUSE, STOP, Decision, Report
from tune_lr.trials.folder import TrialFolder
from tune_lr.trials.randomness import seed_everything
from tune_lr.trials.trial import Trial


class Listener:
    """A channel that keeps what it hears and answers as it is told."""

    def __init__(self, decisions: dict[int, Decision] | None = None) -> None:
        self.reports: list[Report] = []
        self._decisions = decisions or {}

    def __call__(self, report: Report) -> Decision:
        self.reports.append(report)
        return self._decisions.get(report.epoch, CONTINUE)

    @property
    def epochs(self) -> list[int]:
        return [report.epoch for report in self.reports]


def open_trial(folder: Path | None, max_epochs: int = 6, **more: Any) -> tuple[Trial, Listener]:
    listener = more.pop("channel", None) or Listener()
    return Trial("t", max_epochs=max_epochs, folder=folder, channel=listener, **more), listener


def draw() -> list[float]:
    """One number of each global generator."""
    return [random.random(), float(np.random.random()), float(torch.rand(()))]


# Epochs and reports


def test_epochs_count_from_one_to_the_last() -> None:
    trial, _ = open_trial(None, max_epochs=3)
    assert list(trial.epochs()) == [1, 2, 3]


@pytest.mark.parametrize("decision", [STOP, PAUSE])
def test_epochs_end_at_the_decision_and_code_after_the_loop_runs(decision: Decision) -> None:
    trial, listener = open_trial(None, channel=Listener({2: decision}))
    cleaned_up = False
    for epoch in trial.epochs():
        trial.report(val_loss=1.0 / epoch)
    cleaned_up = True
    assert (listener.epochs, trial.decision, cleaned_up) == ([1, 2], decision, True)
    assert list(trial.epochs()) == []


def test_a_report_before_training_goes_nowhere_but_the_folder(tmp_path: Path) -> None:
    trial, listener = open_trial(tmp_path, metric="val_loss")
    trial.report(val_loss=2.3)
    assert not trial.reported
    for _ in trial.epochs():
        trial.report(val_loss=1.0)
        break
    assert listener.epochs == [1]
    assert [report.epoch for report in TrialFolder(tmp_path).reports()] == [1]
    assert [json.loads(line)["epoch"] for line in (tmp_path / "reports.jsonl").open()] == [0, 1]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (torch.tensor(0.5), 0.5),
        (torch.tensor([0.25]), 0.25),
        (torch.tensor(3), 3),
        (torch.tensor(0.5, requires_grad=True), 0.5),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.array([1.5]), 1.5),
        (True, 1),
        (7, 7),
        (None, None),
    ],
)
def test_values_become_plain_numbers(given: Any, kept: Any) -> None:
    trial, listener = open_trial(None)
    next(trial.epochs())
    trial.report(val_loss=given)
    assert listener.reports[0].metrics == {"val_loss": kept}
    assert type(listener.reports[0].metrics["val_loss"]) is type(kept)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_no_finite_number_is_kept_as_it_came(tmp_path: Path, value: float | None) -> None:
    trial, listener = open_trial(tmp_path)
    next(trial.epochs())
    trial.report(val_loss=value)
    for report in (listener.reports[0], TrialFolder(tmp_path).reports()[0]):
        kept = report.metrics["val_loss"]
        assert kept == value or (kept is not None and math.isnan(kept) and math.isnan(value or 0.0))


@pytest.mark.parametrize("value", ["good", torch.zeros(2), np.zeros(3), [1.0], object(), 1 + 2j])
def test_what_is_no_number_is_refused_by_name(value: Any) -> None:
    trial, listener = open_trial(None)
    next(trial.epochs())
    with pytest.raises(BadInput, match=r"trial.report\(score=...\)"):
        trial.report(score=value)
    assert listener.reports == []


def test_a_missing_metric_is_named_with_what_was_reported() -> None:
    trial, listener = open_trial(None, metric="val_loss")
    next(trial.epochs())
    with pytest.raises(BadInput, match=r"'val_loss'.*accuracy, loss") as caught:
        trial.report(loss=1.0, accuracy=0.5)
    assert (caught.value.field, listener.reports) == ("metric", [])


def test_two_reports_in_an_epoch_are_refused() -> None:
    trial, listener = open_trial(None)
    next(trial.epochs())
    trial.report(val_loss=1.0)
    with pytest.raises(BadInput, match="one report an epoch"):
        trial.report(accuracy=0.5)
    assert listener.epochs == [1]


def test_a_report_is_on_disk_before_anyone_hears_of_it(tmp_path: Path) -> None:
    seen: list[int] = []

    def channel(report: Report) -> Decision:
        seen.extend(report.epoch for report in TrialFolder(tmp_path).reports())
        return CONTINUE

    trial = Trial(folder=tmp_path, channel=channel)
    next(trial.epochs())
    trial.report(val_loss=1.0)
    assert seen == [1]


def test_alone_it_prints_what_it_hears(capsys: pytest.CaptureFixture[str]) -> None:
    trial = Trial(max_epochs=1)
    for _ in trial.epochs():
        trial.report(val_loss=0.123456789, other=None)
    assert capsys.readouterr().out == "epoch 1  val_loss 0.123457  other None\n"


def test_seconds_go_on_over_the_legs_of_a_trial(tmp_path: Path) -> None:
    TrialFolder(tmp_path).append(Report(1, 100.0, {"val_loss": 1.0}))
    trial, listener = open_trial(tmp_path)
    next(trial.epochs())
    trial._epoch = 2
    trial.report(val_loss=1.0)
    assert 100.0 <= listener.reports[0].seconds < 110.0


def test_devices() -> None:
    assert Trial(device="meta").device == torch.device("meta")
    assert Trial().device.type in ("cpu", "cuda", "mps")
    for name in ("cuda:99", "nope", "cpu:x", ""):
        with pytest.raises(BadInput, match=r"device: .* one of this machine: auto, cpu"):
            _ = Trial(device=name).device


# Checkpoints


class Walk:
    """Something to checkpoint, whose path depends on all three global generators."""

    def __init__(self) -> None:
        self.position = torch.zeros(3, dtype=torch.float64)

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]

    def step(self) -> float:
        self.position += torch.tensor(draw(), dtype=torch.float64)
        return float(self.position.sum())


class Killed(Exception):
    """Stands for SIGKILL: nothing after it runs."""


def walk(
    folder: Path | None, order: str, kill_at: int = 0, kill_before: str = "", max_epochs: int = 6
) -> dict[int, float]:
    """One leg; dies in epoch ``kill_at`` before ``kill_before`` (step, save, report), or lives."""
    seed_everything(3)
    trial, listener = open_trial(folder, max_epochs)
    walker = Walk()
    trial.resume(walker=walker)
    draw()  # what a trainer draws on the way must not matter
    value = math.nan
    try:
        for epoch in trial.epochs():
            for what in ("step", *order.split()):
                if epoch == kill_at and what == kill_before:
                    raise Killed
                if what == "step":
                    value = walker.step()
                elif what == "save":
                    trial.save()
                else:
                    trial.report(val_loss=value)
    except Killed:
        pass
    trial.close()
    return {report.epoch: float(report.metrics["val_loss"] or 0.0) for report in listener.reports}


@pytest.mark.parametrize("kill_before", ["step", "save", "report"])
@pytest.mark.parametrize("kill_at", [1, 2, 6])
@pytest.mark.parametrize("order", ["save report", "report save"])
def test_a_kill_leaves_no_hole_and_the_curve_is_the_same_to_the_bit(
    tmp_path: Path, order: str, kill_at: int, kill_before: str
) -> None:
    whole = walk(tmp_path / "whole", order)
    first = walk(tmp_path / "cut", order, kill_at, kill_before)
    second = walk(tmp_path / "cut", order)
    assert {**first, **second} == whole
    assert all(whole[epoch] == value for epoch, value in first.items())
    assert sorted(second) == list(range(min(second), 7))
    assert min(second) >= kill_at - 1 or kill_at == 1  # at most one epoch is trained twice
    on_disk = TrialFolder(tmp_path / "cut").reports()
    assert [report.epoch for report in on_disk] == [1, 2, 3, 4, 5, 6]
    assert {report.epoch: report.metrics["val_loss"] for report in on_disk} == whole


def test_a_checkpoint_counts_only_with_its_report(tmp_path: Path) -> None:
    trial, _ = open_trial(tmp_path)
    for epoch in trial.epochs():
        trial.save({"epoch": epoch})
        if epoch == 3:
            break
        trial.report(val_loss=1.0)
    assert [epoch for epoch, _ in TrialFolder(tmp_path).checkpoints()] == [3, 2]
    again, _ = open_trial(tmp_path)
    assert again.load() == {"epoch": 2}
    assert next(again.epochs()) == 3


def test_a_torn_report_does_not_count(tmp_path: Path) -> None:
    trial, _ = open_trial(tmp_path)
    for epoch in trial.epochs():
        trial.save({"epoch": epoch})
        trial.report(val_loss=1.0)
        if epoch == 2:
            break
    trial.close()
    file = tmp_path / "reports.jsonl"
    file.write_bytes(file.read_bytes()[:-5])
    again, listener = open_trial(tmp_path)
    assert again.load() == {"epoch": 1}
    for _ in again.epochs():
        again.report(val_loss=1.0)
        break
    assert listener.epochs == [2]
    assert [report.epoch for report in TrialFolder(tmp_path).reports()] == [1, 2]


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "text"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, damage: str) -> None:
    trial, _ = open_trial(tmp_path)
    for epoch in trial.epochs():
        trial.save({"epoch": epoch, "weights": torch.zeros(100)})
        trial.report(val_loss=1.0)
        if epoch == 3:
            break
    file = tmp_path / "checkpoint-3.pt"
    whole = file.read_bytes()
    noise = bytes(np.random.default_rng(0).integers(0, 256, len(whole), dtype=np.uint8))
    file.write_bytes({"empty": b"", "cut": whole[:-300], "noise": noise, "text": b"hello\n"}[damage])
    again, _ = open_trial(tmp_path)
    with pytest.warns(UserWarning, match="passed over"):
        assert again.load()["epoch"] == 2
    assert list(again.epochs()) == [3, 4, 5, 6]


def test_only_needed_checkpoints_are_kept(tmp_path: Path) -> None:
    trial, _ = open_trial(tmp_path, max_epochs=9)
    for epoch in trial.epochs():
        trial.save({"epoch": epoch})
        trial.report(val_loss=1.0)
        assert len(list(tmp_path.glob("*.pt"))) <= 2
    (tmp_path / ".saving-7").write_bytes(b"left by a kill")
    TrialFolder(tmp_path).drop_checkpoints()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["reports.jsonl"]


def test_a_finished_trial_has_no_epochs_left(tmp_path: Path) -> None:
    walk(tmp_path, "save report")
    trial, _ = open_trial(tmp_path)
    assert trial.resume(walker=Walk()) == 6
    assert list(trial.epochs()) == []
    assert trial.reported


def test_a_trial_that_never_saved_begins_anew_and_reports_each_epoch_once_on_disk(tmp_path: Path) -> None:
    for _ in range(2):
        trial, listener = open_trial(tmp_path, max_epochs=3)
        assert trial.load() is None
        for _ in trial.epochs():
            trial.report(val_loss=1.0)
        assert (listener.epochs, trial.saved) == ([1, 2, 3], False)
        trial.close()
    assert [report.epoch for report in TrialFolder(tmp_path).reports()] == [1, 2, 3]


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("hostile", [lambda: 0, object(), Path("x"), {"deep": [Listener()]}])
def test_a_state_that_could_not_be_read_back_is_refused_at_once(
    tmp_path: Path, hostile: Any, in_memory: bool
) -> None:
    trial, _ = open_trial(None if in_memory else tmp_path)
    next(trial.epochs())
    with pytest.raises(BadInput, match="tensors, numbers, strings, lists and dicts"):
        trial.save({"weights": torch.zeros(2), "hostile": hostile})
    assert list(tmp_path.iterdir()) == []
    assert trial.load() is None
    assert not trial.saved


def test_what_is_kept_in_memory_is_a_copy() -> None:
    trial, _ = open_trial(None)
    weights = torch.zeros(2)
    next(trial.epochs())
    trial.save({"weights": weights})
    weights += 1
    assert trial.load()["weights"].tolist() == [0, 0]


def test_save_without_anything_to_save_says_what_to_do() -> None:
    with pytest.raises(BadInput, match=r"trial.resume\(model=..., ...\)"):
        open_trial(None)[0].save()


def test_resume_names_what_the_checkpoint_lacks(tmp_path: Path) -> None:
    trial, _ = open_trial(tmp_path)
    trial.resume(model=Walk())
    next(trial.epochs())
    trial.save()
    trial.report(val_loss=1.0)
    again, _ = open_trial(tmp_path)
    with pytest.raises(BadInput, match=r"'optimizer'.*holds: model"):
        again.resume(model=Walk(), optimizer=Walk())


def test_a_generator_of_ones_own_is_resumed(tmp_path: Path) -> None:
    def leg(epochs: int) -> list[float]:
        trial, _ = open_trial(tmp_path, max_epochs=epochs)
        generator = torch.Generator().manual_seed(5)
        trial.resume(generator=generator)
        drawn = []
        for _ in trial.epochs():
            drawn.append(float(torch.rand((), generator=generator)))
            trial.save()
            trial.report(val_loss=1.0)
        return drawn

    expected = torch.rand(4, generator=torch.Generator().manual_seed(5)).tolist()
    assert leg(2) + leg(4) == pytest.approx(expected)


_SAVES_FOR_EVER = """
import sys, torch
from pathlib import Path
from tune_lr.trials.trial import Trial
trial = Trial(max_epochs=10**6, folder=Path(sys.argv[1]), channel=lambda report: "continue")
print("ready", flush=True)
for epoch in trial.epochs():
    trial.save({"epoch": epoch, "weights": torch.zeros(10_000)})
    trial.report(val_loss=1.0)
"""


@pytest.mark.kill
def test_a_real_kill_leaves_at_most_one_epoch_to_train_again(tmp_path: Path, root: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _SAVES_FOR_EVER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert child.stdout is not None
    child.stdout.readline()
    while not (tmp_path / "reports.jsonl").exists() or (tmp_path / "reports.jsonl").stat().st_size < 1000:
        assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    trial, _ = open_trial(tmp_path, max_epochs=10**6)
    state, last = trial.load(), TrialFolder(tmp_path).reports()[-1].epoch
    assert state["epoch"] in (last, last - 1)
    assert next(trial.epochs()) == state["epoch"] + 1


def test_a_checkpoint_between_sparse_reports_counts(tmp_path: Path) -> None:
    """Saved every two epochs, reported every three: the one saved at 4 stands once 6 is reported."""
    trial = Trial(max_epochs=6, folder=tmp_path, channel=lambda report: "continue")
    for epoch in trial.epochs():
        if epoch in (2, 4):
            trial.save({"epoch": epoch})
        if epoch % 3 == 0:
            trial.report(val_loss=1.0)
    trial.close()
    again = Trial(max_epochs=9, folder=tmp_path, channel=lambda report: "continue")
    assert again.load() == {"epoch": 4}
    assert next(again.epochs()) == 5


@pytest.mark.parametrize("name", ["trial_id", "epoch", "seconds"])
def test_names_of_the_tables_own_columns_are_refused(name: str) -> None:
    trial = Trial(max_epochs=1, channel=lambda report: "continue")
    for _ in trial.epochs():
        with pytest.raises(BadInput, match=name):
            trial.report(val_loss=1.0, **{name: 3})


def test_numbers_too_large_for_a_column_become_floats() -> None:
    heard = []

    def channel(report: Report) -> Decision:
        heard.append(report)
        return "continue"

    trial = Trial(max_epochs=1, channel=channel)
    for _ in trial.epochs():
        trial.report(val_loss=1.0, tokens=10**20)
    assert heard[0].metrics["tokens"] == 1e20
    assert isinstance(heard[0].metrics["tokens"], float)


def test_a_loop_without_epochs_is_told_at_its_second_report() -> None:
    trial = Trial(max_epochs=3, channel=lambda report: "continue")
    trial.report(val_loss=2.3)  # an untrained net may be looked at once
    with pytest.raises(BadInput, match=r"within `for epoch in trial\.epochs\(\)"):
        trial.report(val_loss=1.9)
