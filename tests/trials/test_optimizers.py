"""Optimizers by name: what goes wrong is named, and modes are switched where a loop must."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

from tune_lr import registry
from tune_lr.errors import BadInput, MissingExtra, UnknownName
from tune_lr.trials.loop import fit
from tune_lr.trials.optimizers import build_optimizer, effective_lr, knobs_of, set_mode
from tune_lr.trials.trial import Trial


def parameter() -> nn.Parameter:
    return nn.Parameter(torch.ones(3))


def test_without_a_name_it_is_sgd() -> None:
    assert type(build_optimizer({"lr": 0.1}, [parameter()])) is torch.optim.SGD


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="did you mean prodigy"):
        build_optimizer({"optimizer": "prodgy", "lr": 1.0}, [parameter()])
    with pytest.raises(BadInput, match="a name, one of"):
        build_optimizer({"optimizer": 3, "lr": 1.0}, [parameter()])


@pytest.mark.parametrize(
    ("name", "library", "module"),
    [
        ("prodigy", "prodigyopt", "prodigy"),
        ("dadapt-sgd", "pytorch_optimizer", "dadaptation"),
        ("schedule-free-sgd", "schedulefree", "schedule_free"),
    ],
)
def test_a_missing_library_names_the_extra(
    name: str, library: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Absent:
        def find_spec(self, wanted: str, *_: Any) -> None:
            if wanted == library:
                raise ModuleNotFoundError(f"No module named {wanted!r}", name=wanted)

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, library, raising=False)
    monkeypatch.delitem(sys.modules, f"tune_lr.trials.optimizers.{module}", raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'tune-lr\[rivals\]'"):
        build_optimizer({"optimizer": name, "lr": 1.0}, [parameter()])


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_torchs_own_need_an_lr(name: str) -> None:
    with pytest.raises(BadInput, match="a key lr"):
        build_optimizer({"optimizer": name}, [parameter()])


@pytest.mark.parametrize("name", ["prodigy", "dadapt-adam", "dadapt-sgd"])
def test_one_estimate_for_all_groups_takes_one_lr(name: str) -> None:
    groups = [{"params": [parameter()]}, {"params": [parameter()], "lr": 0.1}]
    with pytest.raises(BadInput, match="the same for every parameter group"):
        build_optimizer({"optimizer": name}, groups)
    assert len(build_optimizer({"optimizer": name}, groups[:1]).param_groups) == 1


def test_infinite_growth_is_no_limit_and_other_infinities_are_refused() -> None:
    assert build_optimizer({"optimizer": "prodigy", "growth_rate": float("inf")}, [parameter()])
    for knob in ("lr", "weight_decay", "d0", "d_coef"):
        with pytest.raises(BadInput) as caught:
            build_optimizer({"optimizer": "prodigy", knob: float("inf")}, [parameter()])
        assert caught.value.field == knob


@pytest.mark.parametrize("name", ["schedule-free-sgd", "schedule-free-adamw"])
def test_a_momentum_of_zero_would_divide_by_it(name: str) -> None:
    knob = "momentum" if name.endswith("sgd") else "beta1"
    with pytest.raises(BadInput, match="above 0 and below 1"):
        build_optimizer({"optimizer": name, knob: 0.0}, [parameter()])


def test_a_state_from_another_device_is_brought_home() -> None:
    """D-Adaptation keeps a running sum in its groups, where torch does not look."""
    optimizer = build_optimizer({"optimizer": "dadapt-adam"}, [parameter()])
    optimizer.param_groups[0]["params"][0].grad = torch.ones(3)
    optimizer.step()
    state = optimizer.state_dict()
    assert isinstance(state["param_groups"][0]["numerator_weighted"], torch.Tensor)
    elsewhere = nn.Parameter(torch.ones(3, device="meta"))
    other = build_optimizer({"optimizer": "dadapt-adam"}, [elsewhere])
    other.load_state_dict(state)
    assert other.param_groups[0]["numerator_weighted"].device.type == "meta"


def test_a_part_of_another_package_is_called_with_its_own_knobs(monkeypatch: pytest.MonkeyPatch) -> None:
    def rms(parameters: Any, lr: float, alpha: float = 0.9) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(parameters, lr=lr, alpha=alpha)

    monkeypatch.setattr(registry, "load", lambda kind, name: rms)
    assert knobs_of(rms) == ("lr", "alpha")
    optimizer = build_optimizer({"optimizer": "rms", "lr": 0.3, "alpha": 0.5, "eps": 0.1}, [parameter()])
    assert (optimizer.param_groups[0]["alpha"], optimizer.param_groups[0]["eps"]) == (0.5, 1e-8)


def test_only_what_has_modes_is_switched() -> None:
    plain = build_optimizer({"lr": 0.1}, [parameter()])
    set_mode(plain, training=True)
    free = build_optimizer({"optimizer": "schedule-free-sgd"}, [parameter()])
    set_mode(free, training=True)
    assert free.param_groups[0]["train_mode"]
    set_mode(free, training=False)
    assert not free.param_groups[0]["train_mode"]


def test_the_loop_validates_and_saves_the_average_and_trains_on_from_the_other_point() -> None:
    modes: list[bool] = []
    held: dict[str, Any] = {}

    class Model(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                modes.append(held["optimizer"].param_groups[0]["train_mode"])
            return super().forward(x)

    model = Model(2, 1)
    held["optimizer"] = build_optimizer({"optimizer": "schedule-free-sgd", "lr": 0.1}, model.parameters())

    def validate(model: nn.Module) -> dict[str, float]:
        modes.append(held["optimizer"].param_groups[0]["train_mode"])
        return {"val_loss": 1.0}

    trial = Trial(max_epochs=2, device="cpu", channel=lambda report: "continue")
    batches = [(torch.ones(4, 2), torch.zeros(4, 1))] * 2
    fit(
        trial, {"schedule": "constant"}, model=model, train=batches, validate=validate,
        loss=nn.functional.mse_loss, optimizer=held["optimizer"],
    )  # fmt: skip
    assert modes == [True, True, False] * 2
    state = trial.load()
    assert not state["optimizer"]["param_groups"][0]["train_mode"]
    assert torch.equal(state["model"]["weight"], model.weight)


def test_the_rate_in_effect_follows_the_estimate() -> None:
    p = parameter()
    optimizer = build_optimizer({"optimizer": "prodigy", "lr": 0.5, "d0": 1e-3}, [p])
    assert effective_lr(optimizer) == 5e-4
    for _ in range(20):
        p.grad = p.detach().clone()
        optimizer.step()
    assert effective_lr(optimizer) == 0.5 * optimizer.param_groups[0]["d"]
    assert optimizer.param_groups[0]["d"] > 1e-3
