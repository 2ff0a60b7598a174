"""What one `step` of GreedyLR costs, beside three schedulers that people would take instead, in one run.

    python benchmarks/step_cost.py [--steps 1000] [--rounds 101]

Eight columns: one parameter group or eight, the loss a float or a tensor, smoothed (the mean of 50 losses) or
not. A row is a scheduler; the figure is the median, over rounds in which the rows take turns, of the CPU time
of a step (so that other work on the machine does not count) in a run of noisy, falling losses, in which
GreedyLR at its defaults raises and cuts the LR. Then the ratios of those medians, GreedyLR's over each
other's: below 1.0, GreedyLR is the faster. The neutral row is GreedyLR against itself.

The bare rule is GreedyLR's without its comforts: a function of four locals (best loss, good and bad steps,
LR) and the loss, called in a loop that writes the LR where it changed; with a bare running mean before it
where smoothed. It takes no settings, checks nothing, keeps no history, has no state to save and one LR for
all groups. transformers' GreedyLR needs transformers; without it its row is left out.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any, NamedTuple

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from tune_lr.schedules import GreedyLR


class Column(NamedTuple):
    groups: int
    loss: str
    smooth: bool

    def __str__(self) -> str:
        return f"{self.groups} {self.loss}{' smooth' if self.smooth else ''}"


COLUMNS = [Column(*choice) for choice in product((1, 8), ("float", "tensor"), (False, True))]
Run = Callable[[list[Any], Column], float]


def optimizer(groups: int) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)], lr=0.1)


def losses(steps: int) -> list[float]:
    """A training curve with noise, on which raises and cuts alternate."""
    rng = random.Random(0)
    return [2.3 * math.exp(-3 * i / steps) + rng.gauss(0, 0.02) for i in range(steps)]


def timed(step: Callable[[Any], Any], observed: Iterable[Any]) -> float:
    begin = time.thread_time()
    for loss in observed:
        step(loss)
    return time.thread_time() - begin


def greedy(observed: list[Any], column: Column) -> float:
    return timed(GreedyLR(optimizer(column.groups), smooth=column.smooth).step, observed)


def published(observed: list[Any], column: Column) -> float:
    from transformers.optimization import GreedyLR as Published

    return timed(Published(optimizer(column.groups), smooth=column.smooth).step, observed)


def plateau(observed: list[Any], column: Column) -> float:
    return timed(ReduceLROnPlateau(optimizer(column.groups), factor=0.95).step, observed)


def cosine(observed: list[Any], column: Column) -> float:
    opt = optimizer(column.groups)
    schedule = CosineAnnealingLR(opt, T_max=len(observed))
    opt.step()  # or torch warns of the order
    begin = time.thread_time()
    for _ in observed:  # it looks at no loss
        schedule.step()
    return time.thread_time() - begin


def bare_rule(loss: float, best: float, good: int, bad: int, lr: float) -> tuple[float, int, int, float]:
    if loss < best - 1e-6:
        best, good, bad = loss, good + 1, 0
        if good > 10:
            good, lr = 0, min(lr / 0.95, 1.0)
    else:
        good, bad = 0, bad + 1
        if bad > 10:
            bad, lr = 0, max(lr * 0.95, 1e-3)
    return best, good, bad, lr


def bare_mean(loss: float, window: deque[float], total: float) -> tuple[float, float]:
    window.append(loss)
    total += loss
    if len(window) > 50:
        total -= window.popleft()
    return total / len(window), total


def bare(observed: list[Any], column: Column) -> float:
    best, good, bad, lr = math.inf, 0, 0, 0.1
    groups = optimizer(column.groups).param_groups
    if not column.smooth:
        begin = time.thread_time()
        for loss in observed:
            before = lr
            best, good, bad, lr = bare_rule(float(loss), best, good, bad, lr)
            if lr != before:
                for group in groups:
                    group["lr"] = lr
        return time.thread_time() - begin
    window: deque[float] = deque()
    total = 0.0
    begin = time.thread_time()
    for loss in observed:
        mean, total = bare_mean(float(loss), window, total)
        before = lr
        best, good, bad, lr = bare_rule(mean, best, good, bad, lr)
        if lr != before:
            for group in groups:
                group["lr"] = lr
    return time.thread_time() - begin


ROWS: dict[str, Run] = {
    "GreedyLR": greedy,
    "ReduceLROnPlateau": plateau,
    "CosineAnnealingLR": cosine,
    "transformers' GreedyLR": published,
    "bare rule": bare,
    "neutral: GreedyLR": greedy,
}


def measure(steps: int, rounds: int) -> dict[str, dict[Column, float]]:
    """Nanoseconds a step: medians over rounds in which every row and column has a turn."""
    try:
        import transformers.optimization  # noqa: F401
    except ModuleNotFoundError:
        ROWS.pop("transformers' GreedyLR")
    floats = losses(steps)
    observed = {"float": floats, "tensor": [torch.tensor(loss) for loss in floats]}
    taken: dict[str, dict[Column, list[float]]] = {name: {c: [] for c in COLUMNS} for name in ROWS}
    turns, rng = list(ROWS.items()), random.Random(1)
    for turn in range(rounds + 1):
        for column in COLUMNS:
            rng.shuffle(turns)  # who comes first finds the losses in no cache, who follows itself a warm one
            for name, run in turns:
                seconds = run(observed[column.loss], column)
                if turn:  # the first round warms up
                    taken[name][column].append(seconds / steps * 1e9)
    return {name: {c: statistics.median(t) for c, t in row.items()} for name, row in taken.items()}


def show(title: str, rows: dict[str, dict[Column, float]], digits: int) -> None:
    print(f"\n{title:26}" + "".join(f"{column!s:>16}" for column in COLUMNS))
    for name, row in rows.items():
        print(f"{name:26}" + "".join(f"{row[column]:16.{digits}f}" for column in COLUMNS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000, help="steps in a run")
    parser.add_argument("--rounds", type=int, default=101, help="runs a figure is the median of")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    medians = measure(asked.steps, asked.rounds)
    print(
        f"torch {torch.__version__}, Python {sys.version.split()[0]}; "
        f"{asked.rounds} runs of {asked.steps} steps"
    )
    print("columns: parameter groups, what the loss is, smoothed or not")
    show("ns per step", medians, 0)
    own = medians.pop("GreedyLR")
    show("GreedyLR's over", {n: {c: own[c] / row[c] for c in COLUMNS} for n, row in medians.items()}, 2)


if __name__ == "__main__":
    main()
