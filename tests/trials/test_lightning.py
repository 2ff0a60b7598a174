"""Lightning with the schedules of tune-lr, and its reports to a trial; with the real library."""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from tune_lr.errors import BadInput, MissingExtra
from tune_lr.journal import CONTINUE, PAUSE, Decision, Report
from tune_lr.schedules import GreedyLR, build_schedule
from tune_lr.schedules.as_torch import Idle, as_torch
from tune_lr.schedules.hypergradient import Hypergradient
from tune_lr.trials.folder import TrialFolder
from tune_lr.trials.run import Leg, Outcome, run_leg
from tune_lr.trials.trial import Trial

pytest.importorskip("lightning")

from lightning.pytorch import Callback, LightningModule, Trainer

from tune_lr.trials.lightning import TrialCallback, with_schedule

EPOCHS, SAMPLES, BATCH = 4, 32, 8
STEPS = SAMPLES // BATCH
KNOBS = {"factor": 0.7, "patience": 0, "min_lr": 1e-3, "max_lr": 10.0}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        yield
    logger.setLevel(before)


class Net(LightningModule):
    """With shuffling and dropout, so that it draws numbers all the time."""

    def __init__(self, configure: Any) -> None:
        super().__init__()
        self.configure = configure
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))

    def loss(self, batch: Any) -> torch.Tensor:
        return nn.functional.mse_loss(self.net(batch[0]), batch[1])

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        loss = self.loss(batch)
        self.log("train_loss", loss)
        self.log("epoch_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        return self.configure(self)

    def data(self, shuffle: bool = True) -> Any:
        x = torch.randn(SAMPLES, 4, generator=torch.Generator().manual_seed(1))
        return DataLoader(TensorDataset(x, x.sum(dim=1, keepdim=True)), batch_size=BATCH, shuffle=shuffle)

    def train_dataloader(self) -> Any:
        return self.data()

    def val_dataloader(self) -> Any:
        return self.data(shuffle=False)


class Seen(Callback):
    """The metrics and the LR before every batch, in order."""

    def __init__(self) -> None:
        self.lrs: list[float] = []
        self.losses: list[float] = []
        self.validations: list[float] = []

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self.lrs.append(float(trainer.optimizers[0].param_groups[0]["lr"]))

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train_loss"]))

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        if not trainer.sanity_checking:
            self.validations.append(float(trainer.callback_metrics["val_loss"]))


def trainer(folder: Path, *callbacks: Any, **more: Any) -> Trainer:
    return Trainer(
        **{
            "max_epochs": EPOCHS,
            "accelerator": "cpu",
            "default_root_dir": folder,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": any(isinstance(c, TrialCallback) for c in callbacks),
            "callbacks": list(callbacks),
            **more,
        }
    )


def plain(metrics: list[float], config: dict[str, Any]) -> list[float]:
    """The LR before every metric of a plain loop."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule, lrs = build_schedule({"lr": 0.1, **config}, optimizer, EPOCHS, STEPS), []
    for metric in metrics:
        lrs.append(optimizer.param_groups[0]["lr"])
        schedule.step(metric)
    return lrs


# Schedules


def configured(**how: Any) -> Any:
    """``configure_optimizers`` as in the recipe."""

    def configure(net: Net) -> dict[str, Any]:
        optimizer = SGD(net.parameters(), lr=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": GreedyLR(optimizer, **KNOBS), **how}}

    return configure


def test_greedy_is_stepped_once_an_epoch_with_what_it_monitors(tmp_path: Path) -> None:
    seen = Seen()
    trainer(tmp_path, seen).fit(Net(configured(monitor="val_loss", reduce_on_plateau=True)))
    assert seen.lrs[::STEPS] == plain(seen.validations, KNOBS)
    assert len({*seen.lrs}) > 2


def test_greedy_is_stepped_every_batch_with_what_it_monitors(tmp_path: Path) -> None:
    seen = Seen()
    how = {"monitor": "train_loss", "interval": "step", "reduce_on_plateau": True}
    trainer(tmp_path, seen).fit(Net(configured(**how)))
    assert seen.lrs == plain(seen.losses, KNOBS)
    assert len({*seen.lrs}) > 4


def test_with_gathered_gradients_it_is_stepped_when_the_optimizer_is(tmp_path: Path) -> None:
    seen = Seen()
    how = {"monitor": "train_loss", "interval": "step", "reduce_on_plateau": True}
    trainer(tmp_path, seen, accumulate_grad_batches=2).fit(Net(configured(**how)))
    assert seen.lrs[::2] == plain(seen.losses[1::2], KNOBS)


@pytest.mark.parametrize("name", ["constant", "cosine", "linear", "step", "plateau", "greedy"])
@pytest.mark.parametrize("step_every", ["batch", "epoch"])
def test_a_config_names_any_schedule(tmp_path: Path, name: str, step_every: str) -> None:
    seen, config = Seen(), {"lr": 0.1, "schedule": name, "step_every": step_every}
    net = Net(lambda net: with_schedule(config, SGD(net.parameters(), lr=0.1), net))
    trainer(tmp_path, seen).fit(net)
    by_batch = step_every == "batch"
    heard = seen.losses if by_batch else seen.validations
    assert (seen.lrs if by_batch else seen.lrs[::STEPS]) == pytest.approx(plain(heard, config), rel=1e-12)


def test_a_schedule_that_needs_the_gradient_is_stepped_by_the_module(tmp_path: Path) -> None:
    class Own(Net):
        def configure_optimizers(self) -> Any:
            optimizer = SGD(self.parameters(), lr=0.01)
            self.schedule = Hypergradient(optimizer)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": Idle(self.schedule)}}

        def on_before_optimizer_step(self, optimizer: Any) -> None:
            self.schedule.step()

    seen = Seen()
    trainer(tmp_path, seen).fit(Own(None))
    assert len({*seen.lrs}) > 4


def test_what_lightning_cannot_step_is_refused(tmp_path: Path) -> None:
    config = {"lr": 0.1, "schedule": "hypergradient"}
    net = Net(lambda net: with_schedule(config, SGD(net.parameters(), lr=0.1), net))
    with pytest.raises(BadInput, match="needs the loss or nothing"):
        trainer(tmp_path).fit(net)


def test_what_is_a_scheduler_already_stays_itself() -> None:
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(SGD([nn.Parameter(torch.zeros(1))]))
    assert as_torch(plateau) is plateau


# Trials


class Killed(BaseException):
    """Stands for SIGKILL."""


class Curve:
    """A channel that keeps the curve, and may kill or pause the trial."""

    def __init__(self, kill_at: int = 0, pause_at: int = 0) -> None:
        self.kill_at, self.pause_at = kill_at, pause_at
        self.rows: dict[int, dict[str, Any]] = {}

    def __call__(self, report: Report) -> Decision:
        self.rows[report.epoch] = report.metrics
        if report.epoch == self.kill_at:
            raise Killed
        return PAUSE if report.epoch == self.pause_at else CONTINUE


def run(folder: Path, config: dict[str, Any], curve: Curve, *names: str, **more: Any) -> Outcome:
    def train(config: dict[str, Any], trial: Trial) -> None:
        callback = TrialCallback(trial, *names)
        optimizer = torch.optim.Adam if config.get("adam") else SGD
        built = configured(monitor="val_loss") if config.get("by hand") else None
        net = Net(built or (lambda net: with_schedule(config, optimizer(net.parameters(), lr=0.1), net)))
        torch.manual_seed(trial.seed)
        trainer(folder, callback, **more).fit(net, ckpt_path=callback.checkpoint())

    leg = Leg("t", {"lr": 0.1, **config}, 3, EPOCHS, "val_loss", str(folder), device="cpu")
    return run_leg(leg, train, curve)


@pytest.mark.parametrize(
    ("config", "more"),
    [
        ({**KNOBS, "step_every": "epoch", "adam": True}, {}),
        ({**KNOBS, "step_every": "batch"}, {"accumulate_grad_batches": 2}),
        ({"schedule": "cosine"}, {}),
        ({"by hand": True}, {}),
        ({**KNOBS, "step_every": "epoch"}, {"check_val_every_n_epoch": 2, "max_epochs": 2 * EPOCHS}),
    ],
)
@pytest.mark.parametrize("end", [{"kill_at": 3}, {"pause_at": 1}])
def test_a_trial_that_goes_on_takes_the_same_steps(
    tmp_path: Path, config: dict[str, Any], more: dict[str, Any], end: dict[str, int]
) -> None:
    whole, first, second = Curve(), Curve(**end), Curve()
    assert run(tmp_path / "whole", config, whole, **more) == Outcome("completed")
    assert run(tmp_path / "cut", config, first, **more).status == ("failed" if "kill_at" in end else "ended")
    assert len(first.rows) == max(end.values())
    assert run(tmp_path / "cut", config, second, **more) == Outcome("completed")
    assert list(second.rows) == list(range(max(end.get("kill_at", 0), 2), EPOCHS + 1))
    assert {**first.rows, **second.rows} == whole.rows
    tables = [tmp_path / name / "decisions.jsonl" for name in ("whole", "cut")]
    decided = [table.read_bytes() if table.exists() else b"" for table in tables]
    assert decided[0] == decided[1]
    assert bool(decided[0]) == ("schedule" not in config)  # greedy keeps a history
    assert {file.suffix for file in (tmp_path / "cut").iterdir()} <= {".pt", ".jsonl", ".lock", ""}


def test_it_reports_everything_that_was_logged_or_what_it_is_told_to(tmp_path: Path) -> None:
    all_of_it, some = Curve(), Curve()
    run(tmp_path / "all", KNOBS, all_of_it)
    run(tmp_path / "some", KNOBS, some, "val_loss", "epoch_loss")
    assert {*all_of_it.rows[1]} == {"val_loss", "train_loss", "epoch_loss", "lr"}
    assert {*some.rows[1]} == {"val_loss", "epoch_loss", "lr"}
    assert list(some.rows) == [1, 2, 3, 4]
    assert some.rows[4]["val_loss"] < some.rows[1]["val_loss"]


def test_each_of_several_validations_in_an_epoch_is_an_epoch_of_the_trial(tmp_path: Path) -> None:
    curve, cut = Curve(), Curve(pause_at=1)
    assert run(tmp_path / "whole", KNOBS, curve, val_check_interval=0.5, max_epochs=2) == Outcome("completed")
    assert list(curve.rows) == [1, 2, 3, 4]
    assert run(tmp_path / "cut", KNOBS, cut, val_check_interval=0.5, max_epochs=2).status == "ended"
    assert list(cut.rows) == [1]
    assert run(tmp_path / "cut", KNOBS, cut, val_check_interval=0.5, max_epochs=2) == Outcome("completed")
    assert list(cut.rows) == [1, 2, 3, 4]


def test_the_trials_length_ends_the_training(tmp_path: Path) -> None:
    curve = Curve()
    assert run(tmp_path, KNOBS, curve, max_epochs=9) == Outcome("completed")
    assert list(curve.rows) == [1, 2, 3, 4]


def test_bad_use_is_told(tmp_path: Path) -> None:
    outcome = run(tmp_path, KNOBS, Curve(), "val_los")
    assert "names that were logged" in str(outcome.error)
    with pytest.raises(BadInput, match="ckpt_path"):
        trainer(tmp_path, TrialCallback(Trial())).fit(Net(configured(monitor="val_loss")))


class Blind(Net):
    """Has nothing to validate on."""

    def val_dataloader(self) -> Any:
        return []


@pytest.mark.parametrize(
    ("kind", "more", "complaint"),
    [
        (Net, {"limit_val_batches": 0}, "validation: not given; expected a validation_step, val_dataloaders"),
        (Net, {"check_val_every_n_epoch": 9}, "check_val_every_n_epoch=9.* expected one within the training"),
        (Blind, {}, "validation: .* data that is not empty"),
    ],
)
def test_a_training_that_never_validates_is_refused(
    tmp_path: Path, kind: type[Net], more: dict[str, Any], complaint: str
) -> None:
    callback = TrialCallback(Trial())
    net = kind(lambda net: SGD(net.parameters(), lr=0.1))
    with pytest.raises(BadInput, match=complaint):
        trainer(tmp_path, callback, **more).fit(net, ckpt_path=callback.checkpoint())


def test_a_trial_that_is_over_reports_no_more(tmp_path: Path) -> None:
    for _ in range(2):
        curve = Curve()
        assert run(tmp_path, KNOBS, curve, max_epochs=9) == Outcome("completed")
    assert not curve.rows


def test_without_the_library_it_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    monkeypatch.delitem(sys.modules, "tune_lr.trials.lightning")
    with pytest.raises(MissingExtra, match=r"tune-lr\[lightning\]"):
        importlib.import_module("tune_lr.trials.lightning")


# Population-based training


def test_a_trial_that_begins_at_a_copy_trains_with_its_own_settings(tmp_path: Path) -> None:
    def train(folder: str, lr: float, knobs: dict[str, Any], decision: Decision) -> tuple[Trial, Any, Seen]:
        def configure(module: LightningModule) -> Any:
            optimizer = SGD(module.parameters(), lr=lr, momentum=lr)
            return with_schedule({"lr": lr, **knobs}, optimizer, module)

        trial = Trial(max_epochs=EPOCHS, folder=tmp_path / folder, channel=lambda report: decision)
        callback, seen = TrialCallback(trial), Seen()
        made = trainer(tmp_path, callback, seen)
        made.fit(Net(configure), ckpt_path=callback.checkpoint())
        trial.close()
        return trial, made, seen

    train("first", 0.1, {"schedule": "linear", "end_factor": 0.5}, PAUSE)
    for name, knobs in (("second", {"schedule": "linear"}), ("third", {"schedule": "cosine"})):
        TrialFolder(tmp_path / name).inherit(TrialFolder(tmp_path / "first"))
        trial, made, seen = train(name, 0.02, knobs, CONTINUE)
        assert trial.loaded_epoch == 1
        alone = plain([1.0] * EPOCHS * STEPS, knobs)
        assert seen.lrs == pytest.approx([lr / 5 for lr in alone[STEPS:]])
        assert made.optimizers[0].param_groups[0]["momentum"] == 0.02
