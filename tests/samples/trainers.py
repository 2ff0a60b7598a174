"""Small trainers that the engines' contract runs: good ones, and every way of going wrong."""

import os
import signal
import sys

import torch

import tune_lr


def good(config, trial):
    """A line fitted by SGD under GreedyLR: random data, so curves depend on every generator's state."""
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"])
    schedule = tune_lr.build_schedule(config, optimizer, trial.max_epochs, steps_per_epoch=5)
    trial.resume(model=model, optimizer=optimizer, schedule=schedule)
    for _ in trial.epochs():
        for _ in range(5):
            x = torch.randn(16, 4)
            loss = (model(x) - x.sum(dim=1, keepdim=True)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step(loss.item())
        print("a brace in the output } { and [tune-metric]: {not json")
        trial.save()
        trial.report(val_loss=loss, lr=optimizer.param_groups[0]["lr"])


def saves_after_reporting(config, trial):
    """The other order: the checkpoint is written once the decision is known."""
    state = trial.load() or {"value": 10.0}
    value = state["value"]
    for _ in trial.epochs():
        value *= 1 - min(config["lr"], 0.5) * torch.rand(()).item()
        trial.report(val_loss=value)
        trial.save({"value": value})


def some_go_wrong(config, trial):
    """By the trial's number: raise, leave, be killed, diverge four ways, catch everything; or be fine."""
    number = int(trial.id) % 9
    for epoch in trial.epochs():
        value = 1.0 / epoch
        if epoch == 2:
            if number == 1:
                raise RuntimeError("out of luck")
            if number == 2:
                sys.exit(3)
            if number == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            if number in (4, 5, 6):
                value = {4: float("nan"), 5: float("inf"), 6: None}[number]
        try:  # noqa: SIM105
            trial.report(val_loss=value)
        except:  # noqa: E722 - what careless code does
            pass


def never_reports(config, trial):
    """Trains, says nothing."""
    for _ in trial.epochs():
        pass


def reports_another_metric(config, trial):
    """Reports, but not what the job optimizes."""
    for _ in trial.epochs():
        trial.report(loss=1.0, accuracy=0.5)


def never_saves(config, trial):
    """Fine, but for trial schedulers that pause."""
    for epoch in trial.epochs():
        trial.report(val_loss=config["lr"] / epoch)
