"""A small net on scikit-learn's handwritten digits, as a Lightning module.

Tune it:   tune-lr run examples/lightning_module.py --space greedy_lr --trials 40 --max-epochs 27
Debug it:  python examples/lightning_module.py
Needs:     pip install 'tune-lr[lightning,examples]'
"""

import logging
import tempfile
import warnings

import torch
from lightning.pytorch import LightningModule, Trainer
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tune_lr
from tune_lr.trials.lightning import TrialCallback, with_schedule

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # no news of devices
warnings.filterwarnings("ignore", module="lightning")  # no advice on workers for data of this size


def digits():
    """Training and validation set: images (1437 and 360, of 64 numbers from 0 to 1) and their digits."""
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    x, y = torch.tensor(images / 16, dtype=torch.float32)[order], torch.tensor(labels)[order]
    return TensorDataset(x[:1437], y[:1437]), TensorDataset(x[1437:], y[1437:])


DIGITS = digits()  # here, not in train(): workers are made once this file is loaded


class Digits(LightningModule):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 10))

    def training_step(self, batch, index):
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss)  # what a schedule hears that is stepped every batch
        return loss

    def validation_step(self, batch, index):
        scores = self.net(batch[0])
        self.log("val_loss", nn.functional.cross_entropy(scores, batch[1]))
        self.log("val_accuracy", (scores.argmax(dim=1) == batch[1]).float().mean())

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.config["lr"], momentum=0.9)
        return with_schedule(self.config, optimizer, self)


def train(config, trial):
    torch.manual_seed(trial.seed)
    training_set, validation_set = DIGITS
    callback = TrialCallback(trial, "val_loss", "val_accuracy")
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_epochs=trial.max_epochs,
            callbacks=[callback],
            accelerator="gpu" if trial.device.type == "cuda" else trial.device.type,
            devices=1,
            default_root_dir=folder,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(
            Digits(config),
            DataLoader(training_set, batch_size=64, shuffle=True),  # 23 batches an epoch
            DataLoader(validation_set, batch_size=360),
            ckpt_path=callback.checkpoint(),
        )


if __name__ == "__main__":
    space = tune_lr.load_space("greedy_lr")
    train(space.config(space.default()), tune_lr.Trial(max_epochs=3))
