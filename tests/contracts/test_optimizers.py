"""What every registered optimizer must do; the registry says which there are."""

from __future__ import annotations

import inspect
import io
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tune_lr import registry
from tune_lr.errors import BadInput
from tune_lr.journal import CONTINUE, Decision, Report
from tune_lr.trials.loop import fit
from tune_lr.trials.optimizers import build_optimizer, effective_lr, knobs_of, set_mode
from tune_lr.trials.run import Leg, Outcome, run_leg

NAMES = registry.names("optimizers")
EPOCHS = 4


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def config_of(name: str, **more: Any) -> dict[str, Any]:
    """A config with an ``lr`` only where the optimizer has none of its own."""
    lr = inspect.signature(registry.load("optimizers", name)).parameters["lr"]
    needed = {"lr": 0.05} if lr.default is inspect.Parameter.empty else {}
    return {"optimizer": name, **needed, **more}


def build(name: str, *parameters: nn.Parameter, **more: Any) -> torch.optim.Optimizer:
    return build_optimizer(config_of(name, **more), parameters or [nn.Parameter(torch.ones(2))])


def test_it_is_built_from_a_config_that_has_more_in_it(name: str) -> None:
    parameter = nn.Parameter(torch.ones(2))
    settings = {"eps": 1e-3, "schedule": "greedy", "factor": 0.9, "batch_size": 3, "weight_decay": None}
    optimizer = build(name, parameter, **settings)
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert optimizer.param_groups[0]["params"] == [parameter]
    assert optimizer.param_groups[0].get("eps", 1e-8) == 1e-8  # eps is a knob of GreedyLR


def test_its_knobs_reach_it_and_nothing_is_printed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    optimizer = build(name, lr=0.5, weight_decay=0.1, momentum=0.7, beta1=0.7, beta2=0.8, d0=1e-4)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.1)
    if "momentum" in knobs_of(registry.load("optimizers", name)):
        assert group["momentum"] == 0.7
    if "betas" in group:
        assert tuple(group["betas"]) == (0.7, 0.8)
    if "d" in group:
        assert group["d"] == 1e-4
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("wrong", [math.nan, -1.0, "maybe", [1.0]])
def test_one_knob_wrong_is_named(name: str, wrong: Any) -> None:
    for knob in knobs_of(registry.load("optimizers", name)):
        with pytest.raises(BadInput) as caught:
            build(name, **{knob: wrong})
        assert caught.value.field == knob


def test_a_model_without_parameters_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="one parameter to train or more"):
        build_optimizer(config_of(name), nn.ReLU().parameters())


def quadratic(parameter: torch.Tensor) -> torch.Tensor:
    """Curvatures 1 and 0.2, the minimum at 3 and -1."""
    away = parameter - torch.tensor([3.0, -1.0])
    return 0.5 * (torch.tensor([1.0, 0.2]) * away.square()).sum()


def test_it_converges_on_a_quadratic(name: str) -> None:
    """Adam's steps grow where the gradients have died away, so the minimum may be left again."""
    parameter = nn.Parameter(torch.tensor([0.0, 1.0]))
    optimizer = build(name, parameter)
    target = 0.01 * quadratic(parameter).item()
    for _ in range(60):
        set_mode(optimizer, training=True)
        for _ in range(50):
            optimizer.zero_grad()
            quadratic(parameter).backward()
            optimizer.step()
        set_mode(optimizer, training=False)
        if quadratic(parameter).item() < target:
            return
    pytest.fail(f"{name} has not come near the minimum in 3000 steps")


def test_a_state_goes_on_with_the_same_steps(name: str) -> None:
    def train(parameter: nn.Parameter, optimizer: torch.optim.Optimizer) -> list[float]:
        seen = []
        for _ in range(15):
            set_mode(optimizer, training=True)
            optimizer.zero_grad()
            quadratic(parameter).backward()
            optimizer.step()
            set_mode(optimizer, training=False)
            seen.append(quadratic(parameter).item())
        return seen

    first = nn.Parameter(torch.tensor([0.0, 1.0]))
    optimizer = build(name, first, weight_decay=0.01)
    train(first, optimizer)
    file = io.BytesIO()
    torch.save([optimizer.state_dict(), first.detach()], file)
    file.seek(0)
    state, values = torch.load(file, weights_only=True)
    second = nn.Parameter(values)
    resumed = build(name, second, weight_decay=0.01)
    resumed.load_state_dict(state)
    assert train(second, resumed) == train(first, optimizer)


def test_the_rate_in_effect_is_told_where_it_is_not_lr(name: str) -> None:
    parameter = nn.Parameter(torch.tensor([0.0, 1.0]))
    optimizer = build(name, parameter)
    set_mode(optimizer, training=True)
    for _ in range(3):
        optimizer.zero_grad()
        quadratic(parameter).backward()
        optimizer.step()
    rate = effective_lr(optimizer)
    assert rate is None or 0 < rate < math.inf
    assert (rate is None) == (name in ("sgd", "adam", "adamw"))


# In the ready loop


class Killed(BaseException):
    """Stands for SIGKILL."""


def curve(
    config: dict[str, Any], folder: Path | None = None, kill_at: int = 0
) -> tuple[dict[int, Any], Outcome]:
    rows: dict[int, Any] = {}

    def channel(report: Report) -> Decision:
        rows[report.epoch] = report.metrics
        if report.epoch == kill_at:
            raise Killed
        return CONTINUE

    def train(config: dict[str, Any], trial: Any) -> None:
        x = torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
        batches = DataLoader(TensorDataset(x, x.sum(dim=1, keepdim=True)), batch_size=8, shuffle=True)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))
        nn.init.zeros_(model[3].bias)  # Prodigy keeps less of what begins at zero
        fit(
            trial,
            config,
            model=model,
            train=batches,
            validate=DataLoader(batches.dataset, batch_size=16),
            loss=nn.functional.mse_loss,
        )

    leg = Leg("t", config, 3, EPOCHS, "val_loss", str(folder) if folder else None, device="cpu")
    return rows, run_leg(leg, train, channel)


@pytest.mark.parametrize("schedule", ["constant", "greedy"])
def test_killed_and_resumed_the_curve_is_the_same_to_the_bit(
    name: str, schedule: str, tmp_path: Path
) -> None:
    config = config_of(name, schedule=schedule, patience=1, warmup_steps=7)
    whole, outcome = curve(config)
    assert outcome == Outcome("completed"), outcome.error
    assert all(math.isfinite(value) for row in whole.values() for value in row.values())
    first, _ = curve(config, tmp_path, kill_at=1)
    second, _ = curve(config, tmp_path, kill_at=3)
    third, _ = curve(config, tmp_path)
    assert (list(first), list(second), list(third)) == ([1], [2, 3], [4])
    assert {**first, **second, **third} == whole


def test_the_loop_reports_both_rates(name: str) -> None:
    rows, _ = curve(config_of(name, schedule="constant"))
    given = inspect.signature(registry.load("optimizers", name)).parameters["lr"].default
    lr = config_of(name).get("lr", given)
    assert {row["lr"] for row in rows.values()} == {lr}
    assert all(("effective_lr" in row) == (name not in ("sgd", "adam", "adamw")) for row in rows.values())
