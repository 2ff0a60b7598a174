"""What schedules must remember, in bytes: one rate for all parameters against a rate for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tune_lr import registry
from tune_lr.schedules import build_schedule
from tune_lr.trials.run import threads

#: Nets of three sizes: inputs and hidden units of a perceptron with 10 outputs.
NETS = ((64, 32), (256, 256), (784, 1024))
#: More than the window of losses is long that GreedyLR keeps where it smooths them.
_STEPS = 60
_CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "greedy": {"schedule": "greedy"},
    "greedy, smoothed": {"schedule": "greedy", "smooth": True, "window_size": 50},
    "hypergradient-all": {"schedule": "hypergradient", "per": "all"},
    "hypergradient-group": {"schedule": "hypergradient", "per": "group"},
    "hypergradient-parameter": {"schedule": "hypergradient", "per": "parameter"},
}


def measure() -> list[dict[str, Any]]:
    """Bytes of schedule state after a few steps of Adam.

    Returns:
        A row for each net: ``parameters``, and the bytes by schedule. Nothing where there is no hypergradient
        to compare with.
    """
    if "hypergradient" not in registry.PARTS["schedules"]:
        return []
    rows = []
    # Several threads take ten times as long where they share their cores, and the nets are small.
    with threads(1), torch.random.fork_rng():
        torch.manual_seed(0)
        for inputs, hidden in NETS:
            model = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 10))
            row: dict[str, Any] = {"parameters": sum(p.numel() for p in model.parameters())}
            for name, config in _CONFIGS.items():
                row[name] = state_bytes(_state_after_steps(model, inputs, config))
            rows.append(row)
    return rows


def state_bytes(state: Any) -> int:
    """The size of a state: tensors by their storage's elements, 8 for any other number, 1 for a letter."""
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, Mapping):
        return sum(map(state_bytes, state.values()))
    if isinstance(state, (list, tuple, set)):
        return sum(map(state_bytes, state))
    return len(state) if isinstance(state, (str, bytes)) else 8 * (state is not None)


def _state_after_steps(model: nn.Module, inputs: int, config: Mapping[str, Any]) -> dict[str, Any]:
    """The schedule's state after ``_STEPS`` steps; its ``needs`` is nothing, loss or gradient."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = build_schedule(config, optimizer, 1, steps_per_epoch=_STEPS)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        loss = model(torch.randn(8, inputs)).square().mean()
        loss.backward()
        if schedule.needs == "gradient":
            schedule.step(loss.item())
            optimizer.step()
        else:
            optimizer.step()
            schedule.step(loss.item())
    return schedule.state_dict()
