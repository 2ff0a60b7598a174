"""Which parts there are, what those to go will cost, and recording them in worker processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from starter_.record import CHUNK, Part, read, record, seconds_an_epoch
from starter_.tasks import TASKS


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
        if not _alive(left.name.rpartition(".")[2]):
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
    for part in _done(parts, out, workers):
        progress.step(part)


def _done(parts: Sequence[Part], out: Path, workers: int) -> Iterator[Part]:
    """In this process for one worker; else as they come. After Ctrl-C the workers leave at once."""
    if workers == 1 or len(parts) < 2:
        yield from (record(part, out) for part in parts)
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    context, before = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, initializer=_leave_with_parent) as pool:
        futures = [pool.submit(record, part, out) for part in parts]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()
            raise


def _leave_with_parent() -> None:
    """In a worker: leave Ctrl-C to the process that began it, and end when that does, however it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


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
