"""Tiny trainers for the engines' own tests."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

import tune_lr

LOADED_IN = os.getpid()


def steady(config, trial):
    """A value that shrinks at the configuration's own pace, and checkpoints that hold it."""
    state = trial.load() or {"value": 1.0}
    value = state["value"]
    for _ in trial.epochs():
        value *= 1 - config["lr"] / 2 * torch.rand(()).item()
        trial.save({"value": value})
        trial.report(val_loss=value)


def slow(config, trial):
    """As steady, an epoch in a few hundredths of a second."""
    state = trial.load() or {"value": 1.0}
    value = state["value"]
    for epoch in trial.epochs():
        print("pid", os.getpid(), "epoch", epoch, flush=True)
        time.sleep(0.04)
        value *= 1 - config["lr"] / 2 * torch.rand(()).item()
        trial.save({"value": value})
        trial.report(val_loss=value)


def ends(config, trial):
    """Ends as the configuration says."""
    print("a last word } { [tune-metric]: {")
    for epoch in trial.epochs():
        if epoch == 2:
            how = config["how"]
            if how == "raise":
                raise ValueError("on purpose")
            if how == "exit":
                sys.exit(4)
            if how == "os-exit":
                os._exit(5)
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "nan":
                trial.report(val_loss=float("nan"))
                continue
        trial.report(val_loss=1.0 / epoch)


def silent(config, trial):
    """Never reports."""
    for _ in trial.epochs():
        pass


def helper(config, trial):
    """Starts a process that outlives it, unless somebody ends it."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(config["note"]).write_text(str(child.pid))
    for _ in trial.epochs():
        trial.report(val_loss=1.0)


def forever(config, trial):
    """An epoch that never ends."""
    Path(config["note"]).write_text(str(os.getpid()))
    for _ in trial.epochs():
        time.sleep(600)


def where(config, trial):
    """Where it runs, and with what."""
    for _ in trial.epochs():
        print("loaded in", LOADED_IN, "runs in", os.getpid())
        trial.report(
            val_loss=1.0,
            forked=int(os.getpid() != LOADED_IN),
            threads=torch.get_num_threads(),
            devices=int(os.environ.get("CUDA_VISIBLE_DEVICES", "-1").split(",")[0]),
        )


def scheduled(config, trial):
    """A loss that one weight has, under an optimizer and a schedule; reports the LR that it trains with."""
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=config["lr"], momentum=config["momentum"])
    schedule = tune_lr.build_schedule(config, optimizer, trial.max_epochs)
    trial.resume(optimizer=optimizer, schedule=schedule)
    for _ in trial.epochs():
        time.sleep(config.get("pause", 0.0))
        group = optimizer.param_groups[0]
        used = {"lr": group["lr"], "momentum": group["momentum"]}
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
        schedule.step(None)
        trial.save()
        trial.report(val_loss=abs(config["lr"] - 0.3), **used)
