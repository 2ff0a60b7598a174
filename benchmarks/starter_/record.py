"""Recording one part of the data set: a few configurations of one task under one seed, in a file of its own.

A file is put in place whole or not at all, and says in ``key`` what it was made from: the task, its data,
its first weights and the configurations. So a recording can be killed at any time and called again, and
what was made from something else is made anew. Nothing in it depends on the clock or on the process.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from starter_.tasks import TASKS, Recorded, made, train

from tune_lr.journal import CONTINUE, STOP, Decision, Report
from tune_lr.space import SearchSpace
from tune_lr.spacefile import load_space
from tune_lr.trials.trial import Trial

SPACE = "greedy_lr"
#: What is kept of a report, in this order.
METRICS = ("val_loss", "val_accuracy", "lr")
#: Configurations a part: some ten seconds.
CHUNK = 16
_SOBOL_SEED = 13


@dataclass(frozen=True)
class Part:
    """Configurations ``first`` to ``last`` (which is not among them) of a task under a seed."""

    task: str
    seed: int
    first: int
    last: int
    epochs: int

    def path(self, out: Path) -> Path:
        name = f"{self.epochs}epochs-seed{self.seed}-{self.first:03}-{self.last:03}.npz"
        return out / self.task / name


class Quick(Trial):
    """A trial that nobody resumes, and that saves no checkpoint: it would be a sixth of the time."""

    def save(self, state: Any = None) -> None:
        pass


@cache
def space() -> SearchSpace:
    return load_space(SPACE)


@cache
def values(count: int) -> list[dict[str, Any]]:
    """The configurations as points of the space: its default, then a scrambled Sobol sequence."""
    engine = torch.quasirandom.SobolEngine(space().dimension, scramble=True, seed=_SOBOL_SEED)
    cube = engine.draw(max(count - 1, 1), dtype=torch.float64).numpy()
    return [space().default(), *(space().decode(point) for point in cube)][:count]


def seed_of(seed: int, number: int) -> int:
    """What a trial is seeded with: each has its own, as in any job, and so its own luck."""
    return 10_000 * seed + number


def curves(task: Recorded, point: dict[str, Any], seed: int, epochs: int) -> NDArray[np.float32]:
    """One training: the metrics by epoch, shape ``(len(METRICS), epochs)``; NaN from where it diverged on."""
    found = np.full((len(METRICS), epochs), math.nan, np.float32)

    def hear(report: Report) -> Decision:
        loss = report.metrics["val_loss"]
        if loss is None or not math.isfinite(np.float32(loss)):
            return STOP
        told = (report.metrics.get(name) for name in METRICS)
        found[:, report.epoch - 1] = [math.nan if value is None else value for value in told]
        return CONTINUE

    trial = Quick(seed=seed, max_epochs=epochs, device="cpu", metric="val_loss", channel=hear)
    with np.errstate(over="ignore"):
        train(space().config(point), trial, task)
    return found


@cache
def fingerprint(name: str) -> str:
    """A hash of the task: its facts but for the words, its net with its first weights, and its data."""
    task, found = TASKS[name], hashlib.sha256()
    torch.manual_seed(0)
    model = task.model()
    facts = {name: fact for name, fact in task.facts().items() if name not in ("about", "net", "source")}
    found.update(json.dumps([facts, repr(model)], sort_keys=True).encode())
    for tensor in (*model.state_dict().values(), *vars(made(task)).values()):
        found.update(tensor.detach().contiguous().numpy().tobytes())
    return found.hexdigest()


def key(part: Part) -> str:
    """A hash of all that the content of a part follows from, but for the code."""
    told = [
        fingerprint(part.task),
        part.seed,
        part.epochs,
        values(part.last)[part.first :],
        space().to_dict(),
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def read(part: Part, out: Path) -> NDArray[np.float32] | None:
    """A part's curves, shape ``(configurations, metrics, epochs)``; None where no sound file of it is."""
    try:
        with np.load(part.path(out), allow_pickle=False) as file:
            found, made_from = file["curves"], str(file["key"])
    except (OSError, ValueError, KeyError, EOFError):
        return None
    except Exception as error:  # what zipfile raises has no other parent
        if type(error).__module__ != "zipfile":
            raise
        return None
    shape = (part.last - part.first, len(METRICS), part.epochs)
    return found if made_from == key(part) and found.shape == shape else None


def record(part: Part, out: Path) -> Part:
    """Train the configurations of a part and put its file in place."""
    torch.set_num_threads(1)
    task = TASKS[part.task]
    one = partial(curves, task, epochs=part.epochs)
    points = enumerate(values(part.last)[part.first :], part.first)
    found = np.stack([one(point, seed=seed_of(part.seed, number)) for number, point in points])
    path = part.path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.savez(file, curves=found, key=np.array(key(part)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return part


def seconds_an_epoch(name: str, epochs: int = 4) -> float:
    """What an epoch of the default configuration takes on this core; the first, which warms up, left out."""
    torch.set_num_threads(1)
    times: list[float] = []

    def hear(report: Report) -> Decision:
        times.append(time.perf_counter())
        return CONTINUE

    train(
        space().config(space().default()),
        Quick(max_epochs=epochs + 1, device="cpu", channel=hear),
        TASKS[name],
    )
    return float(np.median(np.diff(times)))
