"""Regression on a table: scikit-learn's diabetes data, trained by the ready loop.

Tune it:   tune-lr run examples/diabetes_mlp.py --space greedy_lr --trials 40 --max-epochs 27
Debug it:  python examples/diabetes_mlp.py
"""

import torch
from sklearn.datasets import load_diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tune_lr


def diabetes():
    """Training and validation set of 354 and 88 patients: 10 columns and a target, all standardized."""
    table, target = load_diabetes(return_X_y=True)
    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(0))
    x = torch.tensor(table, dtype=torch.float32)[order]
    y = torch.tensor(target, dtype=torch.float32).reshape(-1, 1)[order]
    x = (x - x[:354].mean(dim=0)) / x[:354].std(dim=0)
    y = (y - y[:354].mean()) / y[:354].std()
    return TensorDataset(x[:354], y[:354]), TensorDataset(x[354:], y[354:])


DIABETES = diabetes()  # here, not in train(): workers are made once this file is loaded


def train(config, trial):
    """Given batches to validate on, the loop reports their mean loss as ``val_loss``."""
    config = {"clip_norm": 1.0, **config}  # a high rate should cost accuracy, not end in NaN
    torch.manual_seed(trial.seed)
    training_set, validation_set = DIABETES
    tune_lr.fit(
        trial,
        config,
        model=nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 1)),
        train=DataLoader(training_set, batch_size=16, shuffle=True),  # 23 batches an epoch
        validate=DataLoader(validation_set, batch_size=88),
        loss=nn.functional.mse_loss,
    )


if __name__ == "__main__":
    space = tune_lr.load_space("greedy_lr")
    train(space.config(space.default()), tune_lr.Trial(max_epochs=3))
