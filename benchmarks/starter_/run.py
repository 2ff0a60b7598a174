"""Which parts there are, what those to go will cost, and recording them in worker processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from resumable import alive
from starter_.record import CHUNK, Part, read, record, seconds_an_epoch
from starter_.tasks import TASKS

from tune_lr.bench.pool import run_each


def plan(tasks: Sequence[str], configs: int, epochs: int, seeds: int) -> list[Part]:
    """Every part; the first configurations of all tasks come first, so that a part of it all is of use."""
    return [
        Part(task, seed, first, min(first + CHUNK, configs), epochs)
        for seed in range(seeds)
        for first in range(0, configs, CHUNK)
        for task in tasks
    ]


def missing(parts: Sequence[Part], out: Path) -> list[Part]:
    """The parts of which no sound file is there. Temporary files that a kill left behind are removed."""
    for left in out.glob("*/.*.npz.*"):
        if not alive(left.name.rpartition(".")[2]):
            left.unlink(missing_ok=True)
    return [part for part in parts if read(part, out) is None]


def seconds_of(parts: Sequence[Part], tell: bool = True) -> float:
    """What parts will take on one core; a table of the epochs that this rests on is printed."""
    total = 0.0
    for task in dict.fromkeys(part.task for part in parts):
        epochs = sum((one.last - one.first) * one.epochs for one in parts if one.task == task)
        taken = seconds_an_epoch(task)
        total += epochs * taken
        if tell:
            facts = f"{TASKS[task].family:<14} {1000 * taken:5.1f} ms an epoch, {epochs:6} epochs"
            print(f"  {task:<19} {facts}: {epochs * taken / 60:5.1f} min", file=sys.stderr, flush=True)
    return total


def run(parts: Sequence[Part], out: Path, workers: int) -> None:
    """Record parts, telling every few seconds how far it is."""
    progress = Progress(len(parts))
    asked = [(part, out) for part in parts]
    run_each(record, asked, workers if len(parts) > 1 else 1, progress.step)


class Progress:
    """One line on standard error every few seconds."""

    def __init__(self, parts: int, every: float = 10.0) -> None:
        self.parts, self.every = parts, every
        self.done, self.began, self.told = 0, time.monotonic(), time.monotonic()

    def step(self, part: Part) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.told < self.every and self.done < self.parts:
            return
        self.told = now
        left = (now - self.began) / self.done * (self.parts - self.done) / 60
        what = f"{part.task}, seed {part.seed}, configurations {part.first} to {part.last - 1}"
        print(
            f"{self.done}/{self.parts} parts, about {left:.1f} min left: {what}", file=sys.stderr, flush=True
        )
