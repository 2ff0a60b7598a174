"""GreedyLR against the published implementation: same traces, same states, each goes on from the other's.

They agree wherever the published one does what it says; test_greedy_defects.py has the rest. So a relative
threshold is drawn only with positive metrics, and ``eps`` below the smallest whole step of the LR.
"""

from __future__ import annotations

import inspect
import itertools
import json
import math
import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tune_lr.schedules import GreedyLR

Published: Any = pytest.importorskip("transformers.optimization").GreedyLR

#: What a state of ours has besides.
OURS = {"after_change", "history"}
SEEDS_A_BATCH, BATCHES, STEPS = 500, 10, 120


def optimizer(lrs: list[float]) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return torch.optim.SGD(groups, lr=0.1)


def draw_settings(rng: random.Random) -> tuple[list[float], dict[str, Any]]:
    """LRs of one to three groups, and settings that both implementations accept."""
    lrs = [10 ** rng.uniform(-4, 0.5) for _ in range(rng.choice([1, 1, 2, 3]))]
    low: Any = [lr * rng.choice([1, 0.9, 0.5, 0.1, 1e-3, 0]) for lr in lrs]
    high: Any = [lr * rng.choice([1, 1.1, 2, 10, 1e3]) for lr in lrs]
    if rng.random() < 0.4:
        low, high = min(low), max(high)
    factor = rng.choice([0.95, 0.5, 0.1, 0.99, rng.uniform(0.01, 0.99)])
    smallest = (min(low) if isinstance(low, list) else low) * (1 - factor)
    return lrs, {
        "mode": rng.choice(["min", "max"]),
        "factor": factor,
        "patience": rng.choice([0, 0, 1, 2, 3, 5, 10]),
        "threshold": rng.choice([0, 1e-6, 1e-6, 1e-3, 0.1]),
        "threshold_mode": rng.choice(["rel", "abs"]),
        "cooldown": rng.choice([0, 0, 1, 3]),
        "warmup": rng.choice([0, 0, 1, 3]),
        "min_lr": low,
        "max_lr": high,
        "eps": rng.choice([0, *(eps for eps in (1e-8, 1e-8, 1e-4, 0.9 * smallest) if eps < smallest)]),
        "smooth": rng.random() < 0.5,
        "window_size": rng.choice([1, 2, 3, 5, 10, 50]),
        "reset_start": rng.choice([0, 1, 2, 3, 5, 20, 500]),
    }


def draw_losses(rng: random.Random, count: int, positive: bool) -> list[float]:
    """Noise, curves, plateaus, few distinct values (so that there are ties), changes of sign and size."""
    losses = _draw_losses(rng, count)
    return [abs(loss) + 0.01 for loss in losses] if positive else losses


def _draw_losses(rng: random.Random, count: int) -> list[float]:
    digits, level = rng.choice([0, 1, 2, 3]), rng.random()
    curve = [2.3 * math.exp(-4 * i / count) + rng.gauss(0, 0.05) for i in range(count)]
    return rng.choice(
        [
            [rng.random() for _ in range(count)],
            [round(3 * rng.random(), digits) for _ in range(count)],
            curve,
            [round(loss, digits) for loss in curve],
            [rng.gauss(0, 1) * rng.choice([1, 1, 1, 100]) for _ in range(count)],
            [rng.choice([0.1, 0.2, 0.3, -0.1]) for _ in range(count)],
            [level + (rng.random() if i < count // 4 else 0) for i in range(count)],
        ]
    )


def trace(schedule: Any, losses: list[float]) -> list[list[float]]:
    lrs = []
    for loss in losses:
        schedule.step(loss)
        lrs.append([float(group["lr"]) for group in schedule.optimizer.param_groups])
        assert list(schedule.get_last_lr()) == lrs[-1]
    return lrs


@pytest.mark.parametrize("batch", range(BATCHES))
def test_thousands_of_random_settings_give_the_published_trace_and_state(batch: int) -> None:
    resets = 0
    for seed in range(batch * SEEDS_A_BATCH, (batch + 1) * SEEDS_A_BATCH):
        rng = random.Random(seed)
        lrs, settings = draw_settings(rng)
        losses = draw_losses(rng, STEPS, positive=settings["threshold_mode"] == "rel")
        ours, published = GreedyLR(optimizer(lrs), **settings), Published(optimizer(lrs), **settings)
        got = trace(ours, losses)
        assert got == trace(published, losses), (seed, settings)
        state = ours.state_dict()
        assert {name: state[name] for name in state.keys() - OURS} == published.state_dict(), (seed, settings)
        resets += any(now == lrs != before for before, now in itertools.pairwise(got))
    assert resets > 5, "the draws no longer reach resets"


@pytest.mark.parametrize("seed", range(150))
def test_each_goes_on_from_the_others_state_in_mid_run(seed: int) -> None:
    rng = random.Random(10_000 + seed)
    lrs, settings = draw_settings(rng)
    losses = draw_losses(rng, 200, positive=settings["threshold_mode"] == "rel")
    cut = rng.randrange(1, 199)
    whole = trace(Published(optimizer(lrs), **settings), losses)
    ours, published = GreedyLR(optimizer(lrs), **settings), Published(optimizer(lrs), **settings)
    trace(ours, losses[:cut])
    trace(published, losses[:cut])
    # What takes over was built with other LRs and settings: the state brings its own.
    to_ours = GreedyLR(optimizer([0.5] * len(lrs)))
    to_published = Published(optimizer([0.5] * len(lrs)))
    to_ours.load_state_dict(json.loads(json.dumps(published.state_dict())))
    to_published.load_state_dict(ours.state_dict())
    assert trace(to_ours, losses[cut:]) == whole[cut:]
    assert trace(to_published, losses[cut:]) == whole[cut:]


@given(
    losses=st.lists(
        st.one_of(
            st.floats(-1e3, 1e3),
            st.sampled_from([0.0, 0.1, 0.2, 0.3, 1.0]),
            st.floats(allow_nan=False, allow_infinity=False, width=16),
        ),
        max_size=80,
    ),
    mode=st.sampled_from(["min", "max"]),
    threshold_mode=st.sampled_from(["rel", "abs"]),
    factor=st.floats(0.05, 0.99),
    threshold=st.sampled_from([0.0, 1e-6, 0.01]),
    counts=st.tuples(*[st.integers(0, 3)] * 4),
    window_size=st.one_of(st.none(), st.integers(1, 8)),
)
def test_any_finite_sequence_gives_the_published_trace(
    losses: list[float],
    mode: str,
    threshold_mode: str,
    factor: float,
    threshold: float,
    counts: tuple[int, ...],
    window_size: int | None,
) -> None:
    settings: dict[str, Any] = {
        **dict(zip(("patience", "cooldown", "warmup", "reset_start"), counts, strict=True)),
        "mode": mode,
        "threshold_mode": threshold_mode,
        "factor": factor,
        "threshold": threshold,
        "smooth": window_size is not None,
        "window_size": window_size or 50,
        "min_lr": [0.01, 0.3],
        "max_lr": [0.2, 0.5],
    }
    if threshold_mode == "rel":
        losses = [abs(loss) + 0.01 for loss in losses]
    lrs = [0.1, 0.4]
    ours, published = GreedyLR(optimizer(lrs), **settings), Published(optimizer(lrs), **settings)
    assert trace(ours, losses) == trace(published, losses)


def test_the_signature_and_the_defaults_are_the_published_ones() -> None:
    ours = inspect.signature(GreedyLR.__init__).parameters
    published = inspect.signature(Published.__init__).parameters
    assert [(p.name, p.default) for p in ours.values()][: len(published)] == [
        (p.name, p.default) for p in published.values()
    ]
    assert {*GreedyLR(optimizer([0.1])).state_dict()} - OURS == {*Published(optimizer([0.1])).state_dict()}


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_poisoned_published_state_recovers(poison: float) -> None:
    settings = {"smooth": True, "window_size": 3, "patience": 0, "max_lr": 10.0}
    published = Published(optimizer([0.1]), **settings)
    trace(published, [1.0, poison, 0.5, 0.5, 0.5, 0.5])
    ours = GreedyLR(optimizer([0.1]))
    ours.load_state_dict(published.state_dict())
    before = ours.get_last_lr()[0]
    assert trace(ours, [0.4, 0.3, 0.2])[-1][0] > before
