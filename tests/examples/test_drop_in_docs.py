"""docs/drop_in.md: every block of code runs, after one that names what a reader would have."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tune_lr

PAGE = Path(__file__).resolve().parents[2] / "docs" / "drop_in.md"
CONFIG = {"lr": 0.1, "min_lr": 1e-3, "max_lr": 1.0, "patience": 0}


def blocks(heading: str) -> list[str]:
    """The Python under one heading, in order."""
    section = PAGE.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def examples() -> TensorDataset:
    x = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
    return TensorDataset(x, x.sum(dim=1, keepdim=True))


def reader() -> dict[str, Any]:
    """What a reader has before any block: a model, its optimizer, data, a loss; a trial and its config."""
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    return {
        "torch": torch,
        "tune_lr": tune_lr,
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "batches": DataLoader(examples(), batch_size=8),
        "loss_of": nn.functional.mse_loss,
        "config": CONFIG,
        "trial": tune_lr.Trial(max_epochs=2),
    }


def lrs_of(optimizer: Any) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


@pytest.mark.parametrize("index", range(2))
def test_plain_pytorch(index: int) -> None:
    names = reader()
    before = names["loss_of"](names["model"](examples()[:][0]), examples()[:][1])
    exec(blocks("Plain PyTorch")[index], names)
    assert names["loss_of"](names["model"](examples()[:][0]), examples()[:][1]) < before


@pytest.mark.parametrize("index", range(4))
def test_hugging_face_trainer(index: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformers = pytest.importorskip("transformers")
    shape = {"vocab_size": 16, "n_positions": 8, "n_embd": 8, "n_layer": 1, "n_head": 2}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape, bos_token_id=0, eos_token_id=0))
    words = [
        {"input_ids": part, "labels": part} for part in (torch.arange(6) + torch.arange(16)[:, None]) % 16
    ]
    names = {
        **reader(),
        "Trainer": transformers.Trainer,
        "TrainingArguments": transformers.TrainingArguments,
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "training_set": words,
        "validation_set": words,
        "settings": {
            "output_dir": str(tmp_path), "use_cpu": True, "report_to": "none", "disable_tqdm": True,
            "per_device_train_batch_size": 8,
        },
    }  # fmt: skip
    text = blocks("Hugging Face Trainer")[index]
    if "learning_rate=" not in text:
        names["settings"]["learning_rate"] = 0.1
    exec(text, names)
    scheduler = names["trainer"].lr_scheduler
    assert isinstance(getattr(scheduler, "schedule", scheduler), tune_lr.GreedyLR)
    assert getattr(scheduler, "schedule", scheduler).last_epoch > 1
    if "TrialCallback(trial" in text:
        assert "eval_loss" in capsys.readouterr().out


@pytest.fixture
def quiet() -> Iterator[None]:
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        yield
    logger.setLevel(before)


@pytest.mark.parametrize("index", range(4))
def test_lightning(index: int, tmp_path: Path, quiet: None, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightning")
    from lightning.pytorch import LightningModule, Trainer

    class Net(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(4, 1)

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            loss = nn.functional.mse_loss(self.net(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", nn.functional.mse_loss(self.net(batch[0]), batch[1]))

        def train_dataloader(self) -> Any:
            return DataLoader(examples(), batch_size=8)

        val_dataloader = train_dataloader

    settings = {
        "accelerator": "cpu", "default_root_dir": tmp_path, "logger": False, "enable_progress_bar": False,
        "enable_model_summary": False,
    }  # fmt: skip
    names = {**reader(), "Net": Net, "Trainer": Trainer, "settings": settings}
    text = blocks("Lightning")[index]
    exec(text, names)
    trainer = names.get("trainer")
    if trainer is None:
        trainer = Trainer(max_epochs=4, enable_checkpointing=False, **settings)
        trainer.fit(names["Module"]())
    scheduler = trainer.lr_scheduler_configs[0].scheduler
    assert lrs_of(trainer.optimizers[0]) == pytest.approx(scheduler.get_last_lr())
    if "GreedyLR" in text:
        assert scheduler.last_epoch == (16 if "interval" in text else 4)  # batches or epochs
    if "TrialCallback(trial" in text:
        assert "val_loss" in capsys.readouterr().out
        assert not list(tmp_path.iterdir())


def test_accelerate() -> None:
    accelerate = pytest.importorskip("accelerate")
    names = {**reader(), "Accelerator": accelerate.Accelerator}
    first, second = blocks("Accelerate")
    exec(first, names)
    assert names["schedule"].scheduler.last_epoch == 2  # four batches, gathered by two
    again = {**reader(), "accelerator": names["accelerator"]}
    exec(second, again)
    assert isinstance(again["schedule"], accelerate.scheduler.AcceleratedScheduler)


def test_no_block_is_left_out() -> None:
    headings = ["Plain PyTorch", "Hugging Face Trainer", "Lightning", "Accelerate"]
    assert [len(blocks(heading)) for heading in headings] == [2, 4, 4, 2]
    assert sum(len(blocks(heading)) for heading in headings) == PAGE.read_text("utf-8").count("```python")
