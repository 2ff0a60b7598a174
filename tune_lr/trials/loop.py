"""The ready PyTorch loop: the usual training, so that a trainer is a model, its data and one call."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tune_lr.errors import BadInput
from tune_lr.schedules import Schedule, build_schedule, step_every
from tune_lr.schedules.stepping import evaluation_of, settle
from tune_lr.trials.optimizers import build_optimizer, effective_lr, set_mode
from tune_lr.trials.randomness import seed_everything
from tune_lr.trials.trial import Trial

Criterion = Callable[[Any, Any], Tensor]
Validate = Callable[[nn.Module], Mapping[str, Any]]


def fit(
    trial: Trial,
    config: Mapping[str, Any],
    *,
    model: nn.Module,
    train: Iterable[Any],
    validate: Validate | Iterable[Any],
    loss: Criterion,
    optimizer: Optimizer | None = None,
) -> None:
    """Train ``model`` as ``config`` says, from the newest checkpoint on, until the trial is to end.

    After every epoch a checkpoint is saved and one report made: what ``validate`` found, ``train_loss``
    (mean over the epoch's batches), ``lr`` (of the first parameter group, after the epoch) and, where the
    optimizer makes a rate of its own of it (Prodigy, D-Adaptation, schedule-free), ``effective_lr``. A
    training loss that is not finite ends the training with a report in which it, ``val_loss`` and the job's
    metric are NaN.

    These keys of ``config`` are read, besides the schedule's knobs:

    * ``optimizer``: a registered name, ``sgd`` if missing, and its knobs (``lr``, ``weight_decay``,
      ``momentum``, ``beta1``, ``beta2``, ...); one with modes (schedule-free) is switched as it should be;
    * ``schedule``: a registered name, ``greedy`` if missing;
    * ``step_every``: ``batch`` (default: the schedule sees every training loss) or ``epoch`` (it sees
      ``val_loss``, or the training loss where ``validate`` gives none; not for schedules that need the
      gradients or the loss of each batch anew);
    * ``clip_norm``: the gradient's largest norm, no clipping if missing or 0; schedules see it clipped;
    * ``mixed_precision``: float16 autocast and loss scaling, on CUDA only; off if missing. Not for schedules
      that compare losses of one batch (``line-search``).

    The global generators are seeded with ``trial.seed`` before the first batch; seed before you build the
    model (workers do) and the whole trial is repeatable, interrupted or not.

    Args:
        trial: the handle; its ``device`` is where the model and each batch go.
        config: what to train with.
        model: called with the inputs of a batch.
        train: batches ``(inputs, targets)``, iterated anew each epoch: a DataLoader, or a list. Its own
            ``generator``, if any, is saved along.
        validate: a function of the model (in eval mode, without gradients) that returns name -> number;
            or batches, for the mean ``loss`` over their samples as ``val_loss``.
        loss: ``loss(model(inputs), targets)`` is the scalar to minimize, a mean over the batch.
        optimizer: one of your own, in place of what the config says.

    Raises:
        BadInput: a setting cannot be used, or ``train`` cannot be iterated anew.
    """
    batches = _count(train)
    seed_everything(trial.seed)
    model.to(trial.device)
    training = _assemble(trial, config, model, loss, optimizer, batches)
    generator = getattr(train, "generator", None)
    trial.resume(**training.states(), **({} if generator is None else {"generator": generator}))
    with _repeatable(trial.device):
        for _ in trial.epochs():
            train_loss = training.epoch(train)
            if not math.isfinite(train_loss):
                lost = dict.fromkeys(("val_loss", trial.metric or "val_loss"), math.nan)
                trial.report(**{**lost, "train_loss": train_loss, **training.lrs()})
                return
            found = training.validate(validate)
            if training.step_every == "epoch":
                training.schedule.step(found.get("val_loss", train_loss))
            trial.save()
            trial.report(**{"train_loss": train_loss, **training.lrs(), **found})


@dataclass
class _Training:
    """What is trained, and how one batch and one epoch of it go."""

    model: nn.Module
    optimizer: Optimizer
    schedule: Schedule
    scaler: Any
    loss: Criterion
    device: torch.device
    step_every: Literal["batch", "epoch"]
    clip_norm: float

    def lrs(self) -> dict[str, float]:
        """The LR of the first parameter group, and the one in effect where that is another."""
        effective = effective_lr(self.optimizer)
        lr = {"lr": float(self.optimizer.param_groups[0]["lr"])}
        return lr if effective is None else {**lr, "effective_lr": effective}

    def states(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        names = ("model", "optimizer", "schedule", "scaler")
        return {name: getattr(self, name) for name in names}

    def epoch(self, train: Iterable[Any]) -> float:
        """Train on every batch once; the mean loss, or the first that is not finite, at once."""
        self.model.train()
        set_mode(self.optimizer, training=True)
        total, count = 0.0, 0
        for batch in train:
            value = self.batch(*_pair(batch, self.device))
            if not math.isfinite(value):
                return value
            total, count = total + value, count + 1
        return total / count

    def batch(self, inputs: Any, targets: Any) -> float:
        """One step of the optimizer, and of the schedule if it steps by batch; the loss before it."""

        @torch.no_grad()
        def evaluate() -> Tensor:
            return self.loss(self.model(inputs), targets)

        again = evaluation_of(self.optimizer, self.schedule, evaluate)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, enabled=self.scaler.is_enabled()):
            loss = self.loss(self.model(inputs), targets)
        value = float(loss.detach())
        if not math.isfinite(value):
            return value
        self.scaler.scale(loss).backward()
        if self.clip_norm or self.schedule.needs == "gradient":
            self.scaler.unscale_(self.optimizer)
        if self.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        if self.step_every == "batch":
            settle(self.schedule, self.update, value, again)
        else:
            self.update()
        return value

    def update(self) -> None:
        """The optimizer's step, left out where loss scaling was too much for float16."""
        self.scaler.step(self.optimizer)
        self.scaler.update()

    @torch.no_grad()
    def validate(self, how: Validate | Iterable[Any]) -> dict[str, Any]:
        """What the validation comes to, by name."""
        self.model.eval()
        set_mode(self.optimizer, training=False)  # and so it is saved
        if callable(how):
            return dict(how(self.model))
        total, samples = 0.0, 0
        for batch in how:
            inputs, targets = _pair(batch, self.device)
            total += float(self.loss(self.model(inputs), targets)) * len(targets)
            samples += len(targets)
        if samples == 0:
            raise BadInput(
                "validate", how, "a function of the model, or batches of which there is one or more"
            )
        return {"val_loss": total / samples}


def _assemble(
    trial: Trial,
    config: Mapping[str, Any],
    model: nn.Module,
    loss: Criterion,
    optimizer: Optimizer | None,
    batches: int,
) -> _Training:
    optimizer = optimizer or build_optimizer(config, model.parameters())
    schedule = build_schedule(config, optimizer, total_epochs=trial.max_epochs, steps_per_epoch=batches)
    every, mixed = step_every(config), bool(config.get("mixed_precision", False))
    _check_it_can_be_served(schedule, config.get("schedule"), every, mixed)
    mixed = mixed and _can_mix(trial.device)
    scaler = torch.amp.GradScaler(trial.device.type, enabled=mixed)
    clip_norm = float(config.get("clip_norm") or 0.0)
    return _Training(model, optimizer, schedule, scaler, loss, trial.device, every, clip_norm)


def _check_it_can_be_served(schedule: Schedule, name: Any, every: str, mixed: bool) -> None:
    """Refuse settings under which a schedule cannot have what it needs."""
    if every == "epoch" and schedule.needs in ("gradient", "closure"):
        what = "gradient" if schedule.needs == "gradient" else "loss, evaluated again,"
        raise BadInput("step_every", every, f"batch: schedule '{name}' needs the {what} of every batch")
    if mixed and schedule.needs == "closure":
        expected = f"false: schedule '{name}' compares losses of one batch, for which float16 is too coarse"
        raise BadInput("mixed_precision", mixed, expected)


def _count(train: Iterable[Any]) -> int:
    """How many batches an epoch has, at least one."""
    count = len(train) if isinstance(train, Sized) else 0
    if count < 1:
        raise BadInput("train", train, "a DataLoader or a list, of one batch or more")
    return count


def _can_mix(device: torch.device) -> bool:
    return device.type == "cuda"


def _pair(batch: Any, device: torch.device) -> tuple[Any, Any]:
    """The inputs and targets of a batch, on the device."""
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise BadInput("a batch", type(batch).__name__, "a pair (inputs, targets)")
    inputs, targets = (_to(part, device) for part in batch)
    return inputs, targets


def _to(part: Any, device: torch.device) -> Any:
    if isinstance(part, Mapping):
        return {name: _to(value, device) for name, value in part.items()}
    if isinstance(part, (tuple, list)):
        return [_to(value, device) for value in part]
    return part.to(device) if hasattr(part, "to") else part


@contextmanager
def _repeatable(device: torch.device) -> Iterator[None]:
    """Convolutions on CUDA by algorithms that give the same sums each time."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    if device.type == "cuda":
        cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
