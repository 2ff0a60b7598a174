"""Which cells there are, what they cost, and running those that are not done yet."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robustness_.perturbations import KINDS
from robustness_.problems import PROBLEMS, PUBLISHED
from robustness_.runs import Cell, config_for, configs, default_config, measure, train

from tune_lr import registry

#: In the order of the tables; one that this version of tune-lr does not have is left out.
SCHEDULES = (
    "constant", "linear", "cosine", "cosine-restarts", "step", "exponential", "plateau", "hypergradient",
    "greedy", "greedy+",
)  # fmt: skip
PUBLISHED_SCHEDULES = ("greedy 1", "greedy 10", "cosine", "cosine-restarts", "exponential")


@dataclass(frozen=True)
class Size:
    """How much of the study to run."""

    steps: int = 200
    seeds: int = 30
    tuning_seeds: int = 10
    strength: float = 0.5
    optimizers: tuple[str, ...] = ("sgd", "adam")
    problems: tuple[str, ...] = tuple(PROBLEMS)
    perturbations: tuple[str, ...] = KINDS
    schedules: tuple[str, ...] = SCHEDULES
    published: tuple[str, ...] = tuple(PUBLISHED)


def known(schedules: Sequence[str]) -> list[str]:
    """Those that the registry has."""
    have = registry.names("schedules")
    return [name for name in schedules if name.split(" ")[0].rstrip("+") in have]


def plan(size: Size) -> list[Cell]:
    """Every cell; first the published set-up, which is small."""
    counts = (size.steps, size.seeds, size.tuning_seeds)
    cells = [
        Cell("published", "adam", problem, "none", schedule, *counts, 0.0)
        for problem in size.published
        for schedule in PUBLISHED_SCHEDULES
    ]
    cells += [
        Cell("ours", optimizer, problem, perturbation, schedule, *counts, size.strength)
        for optimizer in size.optimizers
        for problem in size.problems
        for perturbation in size.perturbations
        for schedule in known(size.schedules)
    ]
    return cells


def runs_of(cell: Cell) -> int:
    """Training runs of a cell, at most."""
    finals = cell.seeds * (1 if default_config(cell) is None else 2)
    return len(configs(cell)) * cell.tuning_seeds + finals


def seconds_of(cells: Sequence[Cell]) -> float:
    """What cells will take on one core: a run of each problem and optimizer, the fastest of three."""
    taken: dict[tuple[str, str], float] = {}
    for cell in cells:
        if (cell.optimizer, cell.problem) not in taken:
            times = []
            for seed in range(3):
                began = time.perf_counter()
                train(cell, config_for(cell, 1e-3), seed)
                times.append(time.perf_counter() - began)
            taken[cell.optimizer, cell.problem] = min(times)
    return sum(taken[cell.optimizer, cell.problem] * runs_of(cell) for cell in cells)


def read_cells(path: Path) -> dict[str, dict[str, Any]]:
    """Finished cells by key. A line that is no whole JSON object (torn by a kill) counts as not there."""
    done: dict[str, dict[str, Any]] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                cell = json.loads(line)
                done[cell["key"]] = cell
            except (ValueError, TypeError, KeyError):
                continue
    return done


def whole_places(cells: Sequence[Cell], done: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Finished cells of those places (suite, optimizer, problem, perturbation) that lack no schedule."""

    def place(cell: Cell) -> tuple[str, ...]:
        return cell.suite, cell.optimizer, cell.problem, cell.perturbation

    torn = {place(cell) for cell in cells if cell.key not in done}
    return [done[cell.key] for cell in cells if place(cell) not in torn]


@contextmanager
def keeping(path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that appends a finished cell at once; a torn last line is closed off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")

        def keep(cell: dict[str, Any]) -> None:
            file.write(json.dumps(cell).encode() + b"\n")
            file.flush()

        yield keep


def run(
    cells: Sequence[Cell], path: Path, workers: int = 1, work: Callable[[Cell], dict[str, Any]] = measure
) -> dict[str, dict[str, Any]]:
    """Measure the cells that the file lacks; all cells asked for, by key in the order asked."""
    done = read_cells(path)
    todo = [cell for cell in cells if cell.key not in done]
    progress = Progress(len(todo))
    with keeping(path) as keep:
        for result in _results(todo, workers, work):
            keep(result)
            done[result["key"]] = result
            progress.step(result)
    return {cell.key: done[cell.key] for cell in cells}


def _results(
    todo: Sequence[Cell], workers: int, work: Callable[[Cell], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """In this process for one worker, so that nothing is imported twice; else as they come."""
    if workers == 1 or len(todo) < 2:
        yield from map(work, todo)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(work, cell) for cell in todo]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class Progress:
    """One line on standard error every few seconds."""

    def __init__(self, cells: int, every: float = 10.0) -> None:
        self.cells, self.every = cells, every
        self.done, self.began, self.told = 0, time.monotonic(), time.monotonic()

    def step(self, cell: dict[str, Any]) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.told < self.every and self.done < self.cells:
            return
        self.told = now
        left = (now - self.began) / self.done * (self.cells - self.done) / 60
        what = " ".join(cell[name] for name in ("suite", "optimizer", "problem", "perturbation", "schedule"))
        print(
            f"{self.done}/{self.cells} cells, about {left:.1f} min left: {what}", file=sys.stderr, flush=True
        )
