"""The ready loop: what it trains, reports and saves, and that a kill changes nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tune_lr import registry
from tune_lr.errors import BadInput, UnknownName
from tune_lr.journal import CONTINUE, STOP, Decision, Report
from tune_lr.trials import loop
from tune_lr.trials.loop import fit
from tune_lr.trials.run import Leg, Outcome, run_leg

EPOCHS, SAMPLES, BATCH = 5, 40, 8
STEPS = SAMPLES // BATCH


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(SAMPLES, 4, generator=generator)
    return TensorDataset(x, x.sum(dim=1, keepdim=True))


#: The loss of a net that always answers 0.
UNTRAINED = float(data().tensors[1].square().mean())


def trainer(**more: Any) -> Any:
    """A trainer with shuffling and dropout, so that it draws numbers all the time."""

    def train(config: dict[str, Any], trial: Any) -> None:
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))
        settings: dict[str, Any] = {
            "model": model,
            "train": DataLoader(data(), batch_size=BATCH, shuffle=True),
            "validate": DataLoader(data(), batch_size=16),
            "loss": nn.functional.mse_loss,
            **{name: make(model) if name == "optimizer" else make for name, make in more.items()},
        }
        fit(trial, config, **settings)

    return train


class Killed(BaseException):
    """Stands for SIGKILL."""


class Curve:
    """A channel that keeps the curve, and may kill the trial once an epoch is heard of."""

    def __init__(self, kill_at: int = 0, stop_at: int = 0) -> None:
        self.kill_at, self.stop_at = kill_at, stop_at
        self.rows: dict[int, dict[str, Any]] = {}

    def __call__(self, report: Report) -> Decision:
        self.rows[report.epoch] = report.metrics
        if report.epoch == self.kill_at:
            raise Killed
        return STOP if report.epoch == self.stop_at else CONTINUE


def run(
    config: dict[str, Any],
    train: Any = None,
    *,
    folder: Path | None = None,
    metric: str = "val_loss",
    curve: Curve | None = None,
) -> tuple[Curve, Outcome]:
    curve = curve or Curve()
    leg = Leg("t", {"lr": 0.05, **config}, 3, EPOCHS, metric, str(folder) if folder else None, device="cpu")
    return curve, run_leg(leg, train or trainer(), curve)


def test_it_trains_reports_and_saves(tmp_path: Path) -> None:
    curve, outcome = run({}, folder=tmp_path)
    assert outcome == Outcome("completed")
    assert sorted(curve.rows) == list(range(1, EPOCHS + 1))
    assert all(set(row) == {"val_loss", "train_loss", "lr"} for row in curve.rows.values())
    assert curve.rows[EPOCHS]["val_loss"] < 0.3 * UNTRAINED
    assert (tmp_path / f"checkpoint-{EPOCHS}.pt").exists()


def test_it_ends_when_told_to() -> None:
    curve, outcome = run({}, curve=Curve(stop_at=2))
    assert (sorted(curve.rows), outcome) == ([1, 2], Outcome("ended"))


KILLED_CONFIGS = [
    {"patience": 1, "smooth": True, "window_size": 7},
    {"patience": 0, "step_every": "epoch"},
    {"optimizer": "adam", "clip_norm": 0.1},
    {"optimizer": "adamw", "weight_decay": 0.1, "beta1": 0.8},
    {"schedule": "hypergradient", "per": "parameter", "optimizer": "adam"},
    {"schedule": "line-search", "reset": "keep", "optimizer": "adamw"},
    *({"schedule": name} for name in registry.names("schedules")),
]


@pytest.mark.parametrize("config", KILLED_CONFIGS, ids=str)
def test_killed_and_resumed_the_curve_is_the_same_to_the_bit(tmp_path: Path, config: dict[str, Any]) -> None:
    whole, _ = run(config)
    cut: dict[int, Any] = {}
    for kill_at in (1, 3, 0):
        curve, outcome = run(config, folder=tmp_path, curve=Curve(kill_at))
        assert outcome.status == ("failed" if kill_at else "completed"), outcome.error
        assert not set(cut) & set(curve.rows)  # no epoch is trained twice
        cut |= curve.rows
    assert cut == whole.rows


def test_a_loader_with_its_own_generator_is_resumed_too(tmp_path: Path) -> None:
    def train(config: dict[str, Any], trial: Any) -> None:
        generator = torch.Generator().manual_seed(8)
        loader = DataLoader(data(), batch_size=BATCH, shuffle=True, generator=generator)
        trainer(train=loader)(config, trial)

    whole, _ = run({}, train)
    first, _ = run({}, train, folder=tmp_path, curve=Curve(kill_at=2))
    second, _ = run({}, train, folder=tmp_path)
    assert {**first.rows, **second.rows} == whole.rows


def test_mixed_precision_is_harmless_without_cuda() -> None:
    assert run({"mixed_precision": True})[0].rows == run({})[0].rows


def test_loss_scaling_and_autocast_work_and_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, _ = run({})
    monkeypatch.setattr(loop, "_can_mix", lambda device: True)
    config = {"mixed_precision": True, "clip_norm": 1.0}
    whole, outcome = run(config)
    assert outcome == Outcome("completed")
    assert whole.rows != plain.rows
    assert whole.rows[EPOCHS]["val_loss"] < 0.3 * UNTRAINED
    first, _ = run(config, folder=tmp_path, curve=Curve(kill_at=2))
    second, _ = run(config, folder=tmp_path)
    assert {**first.rows, **second.rows} == whole.rows
    state = torch.load(tmp_path / f"checkpoint-{EPOCHS}.pt", weights_only=True)["state"]
    assert state["scaler"]["scale"] >= 1


# Divergence


@pytest.mark.parametrize("metric", ["val_loss", "val_accuracy"])
@pytest.mark.parametrize("step_every", ["batch", "epoch"])
def test_a_training_loss_of_nan_is_reported_once_and_ends_it(metric: str, step_every: str) -> None:
    def validate(model: nn.Module) -> dict[str, float]:
        raise ValueError("Input contains NaN.")  # as scikit-learn's scores do

    curve, outcome = run(
        {"lr": 1e30, "max_lr_ratio": 1.0, "step_every": step_every}, trainer(validate=validate), metric=metric
    )
    assert (outcome, list(curve.rows)) == (Outcome("completed"), [1])
    row = curve.rows[1]
    assert set(row) == {metric, "val_loss", "train_loss", "lr"}
    assert math.isnan(row[metric])
    assert not math.isfinite(row["train_loss"])


def test_a_validation_loss_of_nan_is_passed_on() -> None:
    curve, outcome = run({}, trainer(validate=lambda model: {"val_loss": math.nan}), curve=Curve(stop_at=1))
    assert math.isnan(curve.rows[1]["val_loss"])
    assert math.isfinite(curve.rows[1]["train_loss"])
    assert outcome == Outcome("ended")


# What the schedule and the optimizer see


class Recorder:
    """A schedule that records what it is told."""

    needs = "gradient"

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer, self.seen, self.gradients = optimizer, [], []

    def step(self, loss: float) -> None:
        self.seen.append(loss)
        self.gradients.append([p.grad is not None for p in self.optimizer.param_groups[0]["params"]])

    def get_last_lr(self) -> list[float]:
        return [0.05]

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def build(config: Any, optimizer: Any, total_epochs: int, steps_per_epoch: int) -> Recorder:
        found.update(schedule=Recorder(optimizer), asked=(total_epochs, steps_per_epoch))
        return found["schedule"]

    monkeypatch.setattr(loop, "build_schedule", build)
    return found


def test_by_batch_the_schedule_sees_every_training_loss_and_the_gradients(recorder: dict[str, Any]) -> None:
    curve, _ = run({})
    seen = recorder["schedule"].seen
    assert recorder["asked"] == (EPOCHS, STEPS)
    assert len(seen) == EPOCHS * STEPS
    assert sum(seen[:STEPS]) / STEPS == pytest.approx(curve.rows[1]["train_loss"])
    assert all(map(all, recorder["schedule"].gradients))


def test_by_epoch_the_schedule_sees_the_validation_loss(
    recorder: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "needs", "loss")
    curve, _ = run({"step_every": "epoch"})
    assert recorder["schedule"].seen == [row["val_loss"] for row in curve.rows.values()]


def test_by_epoch_without_a_validation_loss_it_sees_the_training_loss(
    recorder: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "needs", "loss")
    by_score = trainer(validate=lambda model: {"score": 0.9})
    curve, _ = run({"step_every": "epoch"}, by_score, metric="score")
    assert recorder["schedule"].seen == [row["train_loss"] for row in curve.rows.values()]


@pytest.mark.parametrize("name", ["hypergradient", "line-search"])
def test_a_schedule_that_needs_every_batch_is_not_stepped_by_epoch(name: str) -> None:
    with pytest.raises(BadInput, match=rf"step_every: 'epoch' .* batch: schedule '{name}' needs the"):
        _fit_here({"schedule": name, "step_every": "epoch"})


def test_line_search_under_mixed_precision_is_refused() -> None:
    with pytest.raises(BadInput, match=r"mixed_precision: True .* false: schedule 'line-search' compares"):
        _fit_here({"schedule": "line-search", "mixed_precision": True})


def test_line_search_lowers_the_loss_with_dropout_and_clipping() -> None:
    curve, outcome = run({"schedule": "line-search", "lr": 1.0, "momentum": 0.0, "clip_norm": 1.0})
    assert outcome == Outcome("completed")
    assert curve.rows[EPOCHS]["val_loss"] < 0.3 * UNTRAINED


@pytest.mark.parametrize("per", ["all", "parameter"])
def test_hypergradient_sees_unscaled_gradients(monkeypatch: pytest.MonkeyPatch, per: str) -> None:
    """Were they scaled by 65536, the additive rule would move the LR to its bound at once."""
    monkeypatch.setattr(loop, "_can_mix", lambda device: True)
    config = {"schedule": "hypergradient", "rule": "additive", "hyper_lr": 1e-6, "per": per}
    curve, outcome = run({**config, "mixed_precision": True})
    assert outcome == Outcome("completed")
    assert 0.0 < abs(curve.rows[1]["lr"] - 0.05) < 1e-3


def test_validation_runs_in_eval_mode_without_gradients_and_training_goes_on_in_train_mode() -> None:
    modes: list[tuple[bool, bool]] = []

    def validate(model: nn.Module) -> dict[str, float]:
        modes.append((model.training, torch.is_grad_enabled()))
        return {"val_loss": 1.0}

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        modes.append((True, torch.is_grad_enabled()))
        return nn.functional.mse_loss(outputs, targets)

    run({}, trainer(validate=validate, loss=loss))
    assert modes == ([(True, True)] * STEPS + [(False, False)]) * EPOCHS


def test_gradients_are_clipped() -> None:
    moves: list[float] = []

    def train(config: dict[str, Any], trial: Any) -> None:
        model = nn.Linear(4, 1)
        before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()

        def validate(model: nn.Module) -> dict[str, float]:
            moves.append(float((nn.utils.parameters_to_vector(model.parameters()) - before).norm()))
            return {"val_loss": 0.0}

        batch = [(torch.ones(4, 4), torch.full((4, 1), 1e3))]
        fit(trial, config, model=model, train=batch, validate=validate, loss=nn.functional.mse_loss)

    run({"lr": 1.0, "momentum": 0.0, "clip_norm": 0.5}, train, curve=Curve(stop_at=1))
    run({"lr": 1.0, "momentum": 0.0}, train, curve=Curve(stop_at=1))
    assert moves[0] == pytest.approx(0.5, rel=1e-3)
    assert moves[1] > 100


@pytest.mark.parametrize(
    ("config", "kind", "expected"),
    [
        ({}, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0}),
        ({"optimizer": "sgd", "momentum": 0.5, "weight_decay": 0.1}, torch.optim.SGD, {"momentum": 0.5}),
        ({"optimizer": "adam", "beta1": 0.8}, torch.optim.Adam, {"betas": (0.8, 0.999)}),
        ({"optimizer": "adamw"}, torch.optim.AdamW, {"weight_decay": 0.01, "betas": (0.9, 0.999)}),
        ({"optimizer": "adamw", "weight_decay": 0.2, "eps": 0.5}, torch.optim.AdamW, {"weight_decay": 0.2}),
    ],
)
def test_the_config_names_the_optimizer(
    recorder: dict[str, Any], config: dict[str, Any], kind: type, expected: dict[str, Any]
) -> None:
    run(config)
    optimizer = recorder["schedule"].optimizer
    assert type(optimizer) is kind
    assert {name: optimizer.param_groups[0][name] for name in expected} == expected
    assert optimizer.param_groups[0].get("eps", 1e-8) == 1e-8  # eps is a knob of GreedyLR


def test_an_optimizer_of_ones_own_is_used(recorder: dict[str, Any]) -> None:
    own = trainer(optimizer=lambda model: torch.optim.RMSprop(model.parameters(), lr=0.01))
    curve, outcome = run({}, own)
    assert outcome == Outcome("completed")
    assert isinstance(recorder["schedule"].optimizer, torch.optim.RMSprop)
    assert curve.rows[1]["lr"] == 0.01


# The data, and bad input


def test_inputs_may_be_several() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weigh = nn.Linear(2, 1)

        def forward(self, parts: dict[str, torch.Tensor]) -> Any:
            return self.weigh(parts["left"] + parts["right"])

    def train(config: dict[str, Any], trial: Any) -> None:
        batches = [({"left": torch.ones(4, 2), "right": torch.zeros(4, 2)}, torch.ones(4, 1))]
        fit(trial, config, model=Sum(), train=batches, validate=batches, loss=nn.functional.mse_loss)

    curve, outcome = run({"momentum": 0.0}, train)
    assert outcome == Outcome("completed")
    assert curve.rows[EPOCHS]["val_loss"] < curve.rows[1]["val_loss"]


def test_the_validation_loss_is_a_mean_over_samples() -> None:
    uneven = DataLoader(data(), batch_size=SAMPLES - 1)
    curve, _ = run({"lr": 1e-9, "min_lr_ratio": 1.0}, trainer(validate=uneven))
    even, _ = run({"lr": 1e-9, "min_lr_ratio": 1.0}, trainer(validate=DataLoader(data(), batch_size=SAMPLES)))
    assert curve.rows[1]["val_loss"] == pytest.approx(even.rows[1]["val_loss"])


@pytest.mark.parametrize(
    ("config", "more", "said"),
    [
        ({"optimizer": "sdg"}, {}, "did you mean sgd"),
        ({"schedule": "gredy"}, {}, "did you mean greedy"),
        ({"step_every": "week"}, {}, "batch or epoch"),
        ({}, {"train": iter([])}, "a DataLoader or a list"),
        ({}, {"train": []}, "of one batch or more"),
        ({}, {"train": [torch.zeros(2)]}, r"a pair \(inputs, targets\)"),
        ({}, {"validate": []}, "one or more"),
    ],
)
def test_bad_input_is_named(config: dict[str, Any], more: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        _fit_here(config, **more)


def test_a_config_without_lr_says_so() -> None:
    with pytest.raises(BadInput, match="a key lr"):
        fit(_trial(), {}, model=nn.Linear(4, 1), train=[1], validate=[], loss=nn.functional.mse_loss)
    assert issubclass(UnknownName, BadInput)


def _fit_here(config: dict[str, Any], **more: Any) -> None:
    trainer(**more)({"lr": 0.05, **config}, _trial())


def _trial() -> Any:
    from tune_lr.trials.trial import Trial

    return Trial(max_epochs=1, device="cpu")
