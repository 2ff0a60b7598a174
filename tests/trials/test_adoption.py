"""A trial that begins at a copy of another's checkpoint trains with its own settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tune_lr import registry
from tune_lr.schedules import Schedule, build_schedule, training_step
from tune_lr.schedules.as_torch import as_torch
from tune_lr.trials.adoption import adopt, kinds
from tune_lr.trials.folder import TrialFolder
from tune_lr.trials.optimizers import build_optimizer, set_mode
from tune_lr.trials.trial import Trial

EPOCHS, BATCHES = 8, 3
#: Settings of a trial, and of one that begins at a copy of its checkpoint.
FIRST: dict[str, Any] = {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.01, "schedule": "greedy"}
SECOND: dict[str, Any] = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.0, "schedule": "greedy"}


class Training:
    """A small training as a trainer has it."""

    def __init__(self, config: dict[str, Any], folder: Path, batches: int = BATCHES) -> None:
        torch.manual_seed(0)
        self.trial = Trial(max_epochs=EPOCHS, folder=folder, channel=lambda report: "continue")
        self.model, self.batches = torch.nn.Linear(2, 1), batches
        self.optimizer = build_optimizer(config, self.model.parameters())
        self.schedule: Schedule = build_schedule(config, self.optimizer, EPOCHS, batches)
        self.objects = {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}
        self.began_at = self.trial.resume(**self.objects)

    def loss(self) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss = (self.model(torch.ones(4, 2)) - 1.0).square().mean()
        loss.backward()
        return loss

    def train(self, epochs: int) -> Training:
        for epoch in self.trial.epochs():
            set_mode(self.optimizer, training=True)
            for _ in range(self.batches):
                training_step(self.optimizer, self.schedule, self.loss)
            set_mode(self.optimizer, training=False)
            self.trial.save()
            self.trial.report(lr=self.lr)
            if epoch == self.began_at + epochs:
                break
        return self

    @property
    def lr(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])


def copied(tmp_path: Path, first: dict[str, Any], second: dict[str, Any], batches: int = BATCHES) -> Training:
    """A training that begins where another stands after half of its epochs."""
    Training(first, tmp_path / "first").train(EPOCHS // 2)
    TrialFolder(tmp_path / "second").inherit(TrialFolder(tmp_path / "first"))
    return Training(second, tmp_path / "second", batches)


def test_the_optimizer_and_the_schedule_keep_their_own_settings(tmp_path: Path) -> None:
    second = {**SECOND, "factor": 0.5, "patience": 3, "min_lr": 0.001, "max_lr": 0.05}
    made = copied(tmp_path, FIRST, second)
    group = made.optimizer.param_groups[0]
    assert made.began_at == EPOCHS // 2
    assert (group["momentum"], group["weight_decay"]) == (0.9, 0.0)
    assert (made.schedule.factor, made.schedule.patience) == (0.5, 3)  # type: ignore[attr-defined]
    assert 0.001 <= made.lr <= 0.05
    assert all("momentum_buffer" in state for state in made.optimizer.state.values())


def test_lrs_go_on_in_proportion_to_those_that_the_two_began_with(tmp_path: Path) -> None:
    # An improving loss raises the LR every step.
    first = {**FIRST, "lr": 0.01, "factor": 0.9, "patience": 0, "max_lr": 1.0}
    source = Training(first, tmp_path / "alone").train(EPOCHS // 2)
    made = copied(tmp_path, first, {**first, "lr": 0.002})
    assert source.lr > 0.011
    assert made.lr == pytest.approx(source.lr / 5)


def test_from_its_own_checkpoint_on_a_trial_is_loaded_exactly(tmp_path: Path) -> None:
    second = {**SECOND, "factor": 0.8, "patience": 0, "max_lr": 0.1}
    made = copied(tmp_path, FIRST, second).train(2)
    made.trial.close()
    again = Training(second, tmp_path / "second")
    assert again.began_at == EPOCHS // 2 + 2
    assert not again.trial.copied
    assert again.schedule.state_dict() == made.schedule.state_dict()
    assert again.optimizer.state_dict()["param_groups"] == made.optimizer.state_dict()["param_groups"]


@pytest.mark.parametrize("name", registry.names("schedules"))
@pytest.mark.parametrize("before", ["greedy", "cosine", "hypergradient"])
def test_a_trial_may_go_on_from_another_family_of_schedule(tmp_path: Path, before: str, name: str) -> None:
    made = copied(tmp_path, {**FIRST, "schedule": before}, {**SECOND, "schedule": name}, batches=2)
    torch.manual_seed(0)
    fresh = torch.optim.SGD(torch.nn.Linear(2, 1).parameters(), lr=SECOND["lr"])
    alone = build_schedule({**SECOND, "schedule": name}, fresh, EPOCHS, 2)
    if alone.needs == "nothing":  # half of its own run, whose epochs have other numbers of batches
        for _ in range(EPOCHS // 2 * 2):
            alone.step(None)
    if before != name:
        assert made.schedule.get_last_lr() == pytest.approx(alone.get_last_lr(), rel=1e-6)
    made.train(1)


@pytest.mark.parametrize(
    "name", [name for name in registry.names("optimizers") if name not in ("sgd", "adam", "adamw")]
)
def test_what_an_optimizer_has_estimated_is_no_setting(tmp_path: Path, name: str) -> None:
    first = {"optimizer": name, "lr": 1.0, "schedule": "constant", "weight_decay": 0.0, "warmup_steps": 2}
    source = Training(first, tmp_path / "alone").train(EPOCHS // 2)
    made = copied(tmp_path, first, {**first, "lr": 0.5, "weight_decay": 0.1})
    theirs, own = source.optimizer.param_groups[0], made.optimizer.param_groups[0]
    assert (own["lr"], own["weight_decay"]) == (0.5, 0.1)
    learned = {"d", "k", "weight_sum", "lr_max", "g0_norm", "step"} & theirs.keys()
    assert learned
    assert {key: own[key] for key in learned} == {key: theirs[key] for key in learned}
    made.train(1)


def test_of_another_optimizer_nothing_is_taken_over(tmp_path: Path) -> None:
    made = copied(tmp_path, FIRST, {**SECOND, "optimizer": "adamw"})
    assert not made.optimizer.state
    assert made.lr == SECOND["lr"]
    made.train(1)


def test_schedulers_of_pytorch_go_on_at_the_same_step_of_their_own_course(tmp_path: Path) -> None:
    def build(folder: str, lr: float, gamma: float) -> tuple[Trial, Any, Any]:
        trial = Trial(max_epochs=EPOCHS, folder=tmp_path / folder, channel=lambda report: "continue")
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=lr)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma)
        trial.resume(optimizer=optimizer, scheduler=scheduler)
        return trial, optimizer, scheduler

    trial, optimizer, scheduler = build("first", 0.1, 0.9)
    for _ in range(3):
        next(trial.epochs())
        optimizer.step()
        scheduler.step()
    trial.save()
    trial.report(loss=1.0)
    TrialFolder(tmp_path / "second").inherit(TrialFolder(tmp_path / "first"))
    _, optimizer, scheduler = build("second", 0.5, 0.5)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5**4)
    assert (scheduler.gamma, scheduler.base_lrs, scheduler.last_epoch) == (0.5, [0.5], 3)


def test_a_tensor_lr_stays_the_same_tensor(tmp_path: Path) -> None:
    first = Training(FIRST, tmp_path / "first").train(1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1, 2)), torch.nn.Parameter(torch.ones(1))])
    optimizer.param_groups[0]["lr"] = lr = torch.tensor(0.5)
    adopt(optimizer, first.optimizer.state_dict(), None, 0.5)
    assert optimizer.param_groups[0]["lr"] is lr
    assert float(lr) == 0.5


def test_greedy_takes_over_what_fits_its_own_settings(tmp_path: Path) -> None:
    first = {**FIRST, "smooth": True, "window_size": 9, "cooldown": 9, "patience": 0, "threshold": 10.0}
    made = copied(tmp_path, first, {**first, "window_size": 3, "cooldown": 2, "after_change": "ignore"})
    source = torch.load(tmp_path / "first" / f"checkpoint-{EPOCHS // 2}.pt", weights_only=True)["state"][
        "schedule"
    ]
    own = made.schedule.state_dict()
    assert own["_streaming_avg"]["values"] == source["_streaming_avg"]["values"][-3:]
    assert own["cooldown_counter"] == min(2, source["cooldown_counter"])
    assert (own["best"], own["last_epoch"]) == (source["best"], EPOCHS // 2 * BATCHES)
    assert own["history"]["start"] == own["last_epoch"]


def test_wrappers_of_accelerate_are_seen_through(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    from accelerate import Accelerator
    from accelerate.optimizer import AcceleratedOptimizer
    from accelerate.scheduler import AcceleratedScheduler

    Accelerator(cpu=True)
    first, second = Training(FIRST, tmp_path / "first").train(2), Training(SECOND, tmp_path / "second")
    optimizer = AcceleratedOptimizer(second.optimizer)
    schedule = AcceleratedScheduler(as_torch(second.schedule), optimizer)
    before = kinds({"optimizer": first.optimizer, "schedule": first.schedule})
    assert kinds({"optimizer": optimizer, "schedule": schedule, "model": second.model}) == before
    adopt(optimizer, first.optimizer.state_dict(), before["optimizer"], 0.25)
    adopt(schedule, first.schedule.state_dict(), before["schedule"], 0.25)
    assert second.optimizer.param_groups[0]["momentum"] == SECOND["momentum"]
    assert second.optimizer.state
    assert second.lr == SECOND["lr"] * first.lr / FIRST["lr"]
