"""Log folders as PyTorch's SummaryWriter, tensorboardX, TensorBoard's own writer and Lightning write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tune_lr.history.importers.tensorboard import TensorBoard
from tune_lr.history.log import Asked, Log, Skipped

EXPECTED: dict[str, Any] = {
    "trials": 3,
    "reports": 3 + 2 + 2,
    "metric": None,
    "knobs": {"lr", "patience", "smooth", "optimizer"},
    "first": {0: 0.5, 1: 0.25, 2: 0.125},
}


def make(folder: Path) -> Path:
    """Three runs by PyTorch's writer: two with hyperparameters in the plugin, one without."""
    from torch.utils.tensorboard import SummaryWriter

    path = folder / "runs"
    curves = {"a": [0.5, 0.25, 0.125], "b": [0.75, 0.5], "c": [1.0, float("nan")]}
    knobs: dict[str, dict[str, Any]] = {
        "a": {"lr": 0.1, "patience": 3, "smooth": True, "optimizer": "adam"},
        "b": {"lr": 1.0, "patience": 5, "smooth": False, "optimizer": "sgd"},
    }
    for name, values in curves.items():
        with SummaryWriter(str(path / name)) as writer:
            if name in knobs:
                writer.add_hparams(knobs[name], {}, run_name=".")
            for step, value in enumerate(values):
                writer.add_scalar("val/loss", value, step)
                writer.add_scalar("lr", 0.1, step)
            writer.add_text("remark", "a text", 0)
    return path


def make_tensors(folder: Path) -> Path:
    """Scalars as tensors, by TensorBoard's own writer, in the folders that Keras makes."""
    from tensorboard.summary import Writer

    path = folder / "keras"
    for run in ("one", "two"):
        for part, factor in (("train", 1.0), ("validation", 2.0)):
            writer = Writer(str(path / run / part))
            for step in range(3):
                writer.add_scalar("epoch_loss", factor * (step + 1) / 8, step)
            writer.close()
    return path


def make_lightning(folder: Path, logger: str) -> Path:
    """Two versions by a logger of Lightning's (``csv`` or ``tensorboard``)."""
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    kind = CSVLogger if logger == "csv" else TensorBoardLogger
    for lr in (0.1, 0.2):
        log = kind(str(folder), name="lightning_logs")
        log.log_hyperparams({"lr": lr, "model": {"width": 8}})
        for step in (9, 19):
            log.log_metrics({"val_loss": lr * step, "epoch": step // 10}, step)
        log.save()
        log.finalize("success")
    return folder / "lightning_logs"


def read(path: Path) -> tuple[Log, Skipped]:
    assert TensorBoard().claims(path)
    skipped = Skipped()
    (log,) = TensorBoard().read(path, Asked(), skipped)
    return log, skipped


def only(path: Path) -> Log:
    log, skipped = read(path)
    assert not skipped, skipped.counts
    return log


def curve(log: Log, trial: str, metric: str) -> dict[int, float]:
    place = log.trials["trial_id"].tolist().index(trial)
    rows = log.reports[(log.reports["trial"] == place) & log.reports[metric].notna()]
    return dict(zip(rows["epoch"].tolist(), rows[metric].tolist(), strict=True))
