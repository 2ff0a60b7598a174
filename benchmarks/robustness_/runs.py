"""One training run, and one cell: all runs of a schedule on a problem under a perturbation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from robustness_.measures import episodes, finite, spread
from robustness_.perturbations import draw
from robustness_.problems import make_task
from torch.optim import SGD, Adam, Optimizer, lr_scheduler

import tune_lr
from tune_lr.schedules import Schedule, TorchSchedule

#: Raised when a change of the code makes older cells incomparable.
PROTOCOL = 1
LRS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
DEFAULT_LR = 0.01
#: GreedyLR's own knobs, searched beside every second LR: as many configurations as the others have LRs. Set
#: beforehand, for runs as short as these: one free and quick to change, one that raises little and smooths.
GREEDY_KNOBS: tuple[dict[str, Any], ...] = (
    {"factor": 0.9, "patience": 1, "min_lr_ratio": 1e-3, "max_lr_ratio": 10.0},
    {
        "factor": 0.9,
        "patience": 3,
        "min_lr_ratio": 1e-3,
        "max_lr_ratio": 2.0,
        "smooth": True,
        "window_size": 5,
    },
)
#: The settings of the published runs, as near as the algorithm of the paper comes to the class used there.
PUBLISHED_GREEDY: dict[str, Any] = {
    "factor": 0.9, "smooth": True, "window_size": 10, "cooldown": 3, "warmup": 3, "threshold": 1e-6,
    "min_lr": 1e-5, "max_lr": 1.0,
}  # fmt: skip
FIRST_FINAL_SEED = 1000


@dataclass(frozen=True)
class Cell:
    """What is to be run; its text is the key under which it is kept.

    Args:
        suite: ``ours``, or ``published`` for the set-up of the authors' code.
        seeds: of the final runs; ``tuning_seeds`` others choose the LR.
    """

    suite: str
    optimizer: str
    problem: str
    perturbation: str
    schedule: str
    steps: int = 200
    seeds: int = 20
    tuning_seeds: int = 5
    strength: float = 0.5

    @property
    def key(self) -> str:
        return "/".join([str(PROTOCOL), *(str(value) for value in asdict(self).values())])


class Run(NamedTuple):
    """A trace of clean losses (one more than steps), and the first steps of the spikes."""

    trace: list[float]
    starts: tuple[int, ...]


def configs(cell: Cell) -> list[dict[str, Any]]:
    """The configurations among which the tuning seeds choose; as many for every schedule."""
    if cell.schedule == "greedy+":
        return [config_for(cell, lr, knobs) for lr in LRS[::2] for knobs in GREEDY_KNOBS]
    return [config_for(cell, lr) for lr in LRS]


def default_config(cell: Cell) -> dict[str, Any] | None:
    """The schedule's defaults at the default LR; None for what is a tuned one by name."""
    return None if cell.schedule == "greedy+" else config_for(cell, DEFAULT_LR)


def config_for(cell: Cell, lr: float, knobs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A config for ``build_schedule`` with an ``lr``."""
    name = cell.schedule.split(" ")[0].rstrip("+")
    if cell.suite == "published":
        return {"lr": lr, "schedule": name} | _published(cell, lr)
    if name == "greedy":
        space = tune_lr.load_space("greedy_lr")
        return dict(space.config({**space.default(), "lr": lr, **(knobs or {})}))
    return {"lr": lr, "schedule": name}


def _published(cell: Cell, lr: float) -> dict[str, Any]:
    """The knobs of the published runs: ``greedy 1`` and ``greedy 10`` name the patience."""
    if cell.schedule.startswith("greedy"):
        bounds = {"min_lr": min(1e-5, lr), "max_lr": max(1.0, lr)}
        return {**PUBLISHED_GREEDY, **bounds, "patience": int(cell.schedule.split(" ")[1])}
    return {"cosine": {"min_lr": min(1e-5, lr)}, "exponential": {"final_factor": 0.95**cell.steps}}.get(
        cell.schedule, {}
    )


def build(config: Mapping[str, Any], optimizer: Optimizer, cell: Cell) -> Schedule:
    """The schedule of a config; only the published restarts are built by hand: their period is absolute."""
    if cell.suite == "published" and config["schedule"] == "cosine-restarts":
        floor = min(1e-5, config["lr"])
        return TorchSchedule(
            optimizer, lambda opt: lr_scheduler.CosineAnnealingWarmRestarts(opt, T_0=50, eta_min=floor)
        )
    return tune_lr.build_schedule(config, optimizer, total_epochs=1, steps_per_epoch=cell.steps)


def train(cell: Cell, config: Mapping[str, Any], seed: int) -> Run:
    """One run. Task, start and perturbation follow from the seed, whatever the schedule.

    The order of a step: loss and gradient of the batch (perturbed together), optimizer, schedule. The
    schedule sees the perturbed loss. Ends early where the clean loss leaves the finite numbers.
    """
    task = make_task(cell.problem, seed)
    disturb = draw(cell.perturbation, cell.strength, cell.steps, len(task.start), seed + 1_000_000)
    x = task.start.clone().requires_grad_()
    optimizer: Optimizer = {"sgd": SGD, "adam": Adam}[cell.optimizer]([x], lr=config["lr"], foreach=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        schedule = build(config, optimizer, cell)
    first_loss = first_norm = 0.0
    before = -math.inf
    trace: list[float] = []
    for step in range(cell.steps):
        x.grad = None
        clean = task.loss(x)
        loss = clean.item()
        trace.append(loss)
        if not math.isfinite(loss):
            return Run(trace + [math.inf] * (cell.steps + 1 - len(trace)), disturb.starts)
        clean.backward()
        gradient = x.grad
        if step == 0:
            first_loss, first_norm = loss, float(gradient.norm())
        effect = disturb.effect(step, loss, before)
        before = loss
        if effect.keep != 1.0:
            gradient.mul_(effect.keep)
        if effect.push:
            gradient.add_(disturb.directions[step], alpha=effect.push * first_norm)
        seen = loss + effect.shift * first_loss + effect.inflate * abs(loss)
        if schedule.needs == "gradient":
            schedule.step(seen)
            optimizer.step()
        else:
            optimizer.step()
            schedule.step(seen)
    with torch.no_grad():
        trace.append(task.loss(x).item())
    return Run(trace, disturb.starts)


def choose(cell: Cell) -> tuple[dict[str, Any], list[float]]:
    """The configuration with the lowest median final loss over the tuning seeds (of equals the first, which
    has the lower LR), and these medians."""
    medians = [
        spread([train(cell, config, seed).trace[-1] for seed in range(cell.tuning_seeds)])[1]
        for config in configs(cell)
    ]
    return configs(cell)[medians.index(min(medians))], medians


def measure(cell: Cell) -> dict[str, Any]:
    """All runs of a cell, as one JSON object."""
    torch.set_num_threads(1)
    best, medians = choose(cell)
    default = default_config(cell)
    seeds = range(FIRST_FINAL_SEED, FIRST_FINAL_SEED + cell.seeds)
    tuned = [train(cell, best, seed) for seed in seeds]
    plain = tuned if default == best else default and [train(cell, default, seed) for seed in seeds]
    return {
        "key": cell.key,
        **asdict(cell),
        "config": best,
        "tuning": medians,
        "tuned": _told(tuned),
        "default": _told(plain) if plain else None,
    }


def _told(runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "final": [finite(run.trace[-1]) for run in runs],
        "episodes": [[e and e.to_json() for e in episodes(run.trace, run.starts)] for run in runs],
    }
