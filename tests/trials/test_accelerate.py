"""Accelerate with the schedules of tune-lr: what it passes on, when, and what it saves; on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from tune_lr.schedules import GreedyLR, build_schedule
from tune_lr.schedules.as_torch import as_torch

pytest.importorskip("accelerate")

from accelerate import Accelerator
from accelerate.scheduler import AcceleratedScheduler
from accelerate.utils import GradientAccumulationPlugin

EPOCHS, SAMPLES, BATCH = 4, 32, 8
STEPS = SAMPLES // BATCH
KNOBS = {"factor": 0.7, "patience": 0, "min_lr": 1e-3, "max_lr": 10.0}


def data() -> Any:
    x = torch.randn(SAMPLES, 4, generator=torch.Generator().manual_seed(1))
    return DataLoader(TensorDataset(x, x.sum(dim=1, keepdim=True)), batch_size=BATCH)


class Training:
    """A loop of Accelerate's, that notes the LR before every step and what the schedule was told after it."""

    def __init__(self, make: Any, **how: Any) -> None:
        torch.manual_seed(0)
        self.accelerator = Accelerator(cpu=True, **how)
        model, optimizer = nn.Linear(4, 1), None
        optimizer = SGD(model.parameters(), lr=0.1)
        prepared = self.accelerator.prepare(model, optimizer, data(), make(optimizer))
        self.model, self.optimizer, self.loader, self.schedule = prepared
        self.lrs: list[float] = []
        self.losses: list[float] = []
        self.synced: list[bool] = []

    def epoch(self, by_batch: bool = True) -> None:
        total = 0.0
        for x, y in self.loader:
            with self.accelerator.accumulate(self.model):
                loss = nn.functional.mse_loss(self.model(x), y)
                self.accelerator.backward(loss)
                self.optimizer.step()
                if by_batch:
                    self.note(loss.item())
                self.optimizer.zero_grad()
            total += loss.item()
        if not by_batch:
            self.note(total)

    def note(self, metric: float) -> None:
        self.lrs.append(self.optimizer.param_groups[0]["lr"])
        self.losses.append(metric)
        self.synced.append(self.accelerator.sync_gradients)
        self.schedule.step(metric)


def plain(metrics: list[float], config: dict[str, Any]) -> list[float]:
    """The LR before every metric of a plain loop."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule, lrs = build_schedule({"lr": 0.1, **config}, optimizer, EPOCHS, STEPS), []
    for metric in metrics:
        lrs.append(optimizer.param_groups[0]["lr"])
        schedule.step(metric)
    return lrs


def greedy(optimizer: Any) -> Any:
    return GreedyLR(optimizer, **KNOBS)


def test_the_metric_is_passed_on_every_batch() -> None:
    training = Training(greedy)
    for _ in range(EPOCHS):
        training.epoch()
    assert isinstance(training.schedule, AcceleratedScheduler)
    assert training.lrs == plain(training.losses, KNOBS)
    assert len({*training.lrs}) > 4


@pytest.mark.parametrize("adjust", [True, False])
def test_while_gradients_are_gathered_it_is_not_stepped(adjust: bool) -> None:
    plugin = GradientAccumulationPlugin(num_steps=2, adjust_scheduler=adjust)
    training = Training(greedy, gradient_accumulation_plugin=plugin)
    for _ in range(EPOCHS):
        training.epoch()
    stepped = [loss for loss, synced in zip(training.losses, training.synced, strict=True) if synced]
    assert len(stepped) == EPOCHS * STEPS // 2
    lrs = [lr for lr, synced in zip(training.lrs, training.synced, strict=True) if synced]
    assert lrs == plain(stepped, KNOBS)


def test_once_an_epoch_it_is_stepped_whatever_the_optimizer_did() -> None:
    training = Training(greedy, gradient_accumulation_steps=3, step_scheduler_with_optimizer=False)
    for _ in range(EPOCHS):
        training.epoch(by_batch=False)
    assert training.lrs == plain(training.losses, KNOBS)
    assert len(training.lrs) == EPOCHS


@pytest.mark.parametrize("name", ["constant", "cosine", "plateau", "greedy"])
def test_a_config_names_any_schedule(name: str) -> None:
    """As one of torch's where Accelerate shall skip and save it; else it stays as it is, and works too."""
    config = {"lr": 0.1, "schedule": name}
    shaped = Training(lambda optimizer: as_torch(build_schedule(config, optimizer, EPOCHS, STEPS)))
    bare = Training(lambda optimizer: build_schedule(config, optimizer, EPOCHS, STEPS))
    for _ in range(EPOCHS):
        shaped.epoch()
        bare.epoch()
    assert shaped.lrs == bare.lrs == pytest.approx(plain(shaped.losses, config), rel=1e-12)
    assert isinstance(shaped.schedule, AcceleratedScheduler)


def test_its_state_rides_in_accelerates_checkpoint(tmp_path: Path) -> None:
    whole, first, second = Training(greedy), Training(greedy), Training(greedy)
    for _ in range(EPOCHS):
        whole.epoch()
    first.epoch()
    first.accelerator.save_state(str(tmp_path))
    second.accelerator.load_state(str(tmp_path))
    for _ in range(EPOCHS - 1):
        second.epoch()
    assert first.lrs + second.lrs == whole.lrs
    assert first.losses + second.losses == whole.losses
