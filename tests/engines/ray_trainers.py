"""Trainers of the tests of engine ray; each misbehaves in its own way."""

from __future__ import annotations

import os
import sys
import time
from typing import Any


def good(config: dict[str, Any], trial: Any) -> None:
    """Says where it is, and what it thinks of its learning rate."""
    state = {"seen": 0}
    found = trial.load()
    if found is not None:
        state = found
    for epoch in trial.epochs():
        time.sleep(config.get("pause", 0.0))
        state = {"seen": state["seen"] + 1}
        print(f"epoch {epoch} in {os.getcwd()}")
        os.write(2, b"from below\n")
        trial.save(state)
        trial.report(val_loss=abs(config["lr"] - 0.3) + 1 / epoch, lr=config["lr"], seen=state["seen"])


def slow(config: dict[str, Any], trial: Any) -> None:
    for epoch in trial.epochs():
        time.sleep(0.1)
        trial.report(val_loss=config["lr"] / epoch)


def catches_everything(config: dict[str, Any], trial: Any) -> None:
    """User code that swallows whatever passes through it."""
    for epoch in trial.epochs():
        try:
            trial.report(val_loss=config["lr"] + epoch)
        except:  # noqa: E722
            time.sleep(60)
    time.sleep(0.2)


def dies_at_the_start(config: dict[str, Any], trial: Any) -> None:
    if trial.id == "0001":
        os._exit(7)
    good(config, trial)


def exits_and_lingers(config: dict[str, Any], trial: Any) -> None:
    """Ends the interpreter's thread after its loop."""
    good(config, trial)
    sys.exit(3)


def leaves_its_pid(config: dict[str, Any], trial: Any) -> None:
    """Slow enough to be killed, and says which process trains which epoch."""
    state = trial.load() or {"seen": 0}
    for epoch in trial.epochs():
        with open(os.environ["EPOCHS_LOG"], "a") as log:
            log.write(f"{os.getpid()} {trial.id} {epoch}\n")
        time.sleep(0.05)
        state = {"seen": state["seen"] + 1}
        trial.save(state)
        trial.report(val_loss=abs(config["lr"] - 0.3) + 1 / epoch, seen=state["seen"])
