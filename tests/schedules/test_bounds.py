"""Whatever the knobs: the LR of a schedule stays finite, and within the bounds that its docstring names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_lr.schedules import build_schedule

Knobs = dict[str, Any]
part = st.floats(0, 1)
above_0 = st.floats(1e-6, 1)
divisor = st.floats(1, 1e6)

#: For each schedule: its knobs, and its lowest and highest LR over the initial one.
SHAPES: dict[str, tuple[dict[str, st.SearchStrategy[Any]], Callable[[Knobs], float]]] = {
    "constant": ({}, lambda k: 1.0),
    "linear": ({"end_factor": part}, lambda k: k["end_factor"]),
    "cosine": ({"min_lr_ratio": part}, lambda k: k["min_lr_ratio"]),
    "cosine-restarts": (
        {"restarts": st.integers(0, 100), "t_mult": st.integers(1, 10), "min_lr_ratio": part},
        lambda k: k["min_lr_ratio"],
    ),
    "step": ({"gamma": above_0, "drops": st.integers(0, 8)}, lambda k: k["gamma"] ** k["drops"]),
    "exponential": ({"final_factor": above_0}, lambda k: k["final_factor"]),
    "polynomial": ({"power": st.floats(1e-3, 100)}, lambda k: 0.0),
    "one-cycle": (
        {
            "pct_start": st.floats(1e-9, 1 - 1e-9),
            "div_factor": divisor,
            "final_div_factor": divisor,
            "anneal_strategy": st.sampled_from(["cos", "linear"]),
        },
        lambda k: 1 / k["div_factor"] / k["final_div_factor"],
    ),
    "warmup-stable-decay": (
        {"warmup_part": st.floats(0, 0.5), "decay_part": st.floats(0, 0.5), "end_factor": part},
        lambda k: 0.0,
    ),
    "plateau": (
        {"factor": st.floats(0.01, 0.99), "patience": st.integers(0, 5), "min_lr_ratio": part},
        lambda k: k["min_lr_ratio"],
    ),
}


@pytest.mark.parametrize("name", sorted(SHAPES))
@settings(max_examples=60, deadline=None)
@given(data=st.data(), steps=st.integers(1, 60), lr=st.floats(1e-8, 10), ratio=st.floats(0.01, 100))
def test_the_lr_stays_in_its_bounds(
    name: str, data: st.DataObject, steps: int, lr: float, ratio: float
) -> None:
    knobs, lowest = SHAPES[name]
    drawn = data.draw(st.fixed_dictionaries({}, optional=knobs) if name == "plateau" else _all(knobs))
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": one} for one in (lr, lr * ratio)]
    optimizer = torch.optim.SGD(groups, lr=lr)
    schedule = build_schedule({"schedule": name, **drawn}, optimizer, steps)
    low = lowest({"min_lr_ratio": 0.0, **drawn})
    losses = data.draw(st.lists(st.floats(), min_size=4, max_size=4))
    for step in range(2 * steps):
        for now, initial in zip(schedule.get_last_lr(), (lr, lr * ratio), strict=True):
            assert 0.0 <= now <= initial * (1 + 1e-9)
            if step <= steps:  # what goes on falling after the end of the run may
                assert now >= initial * (low * (1 - 1e-6) - 1e-12)
        schedule.step(losses[step % 4])


def _all(knobs: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Knobs]:
    return st.fixed_dictionaries(knobs)
