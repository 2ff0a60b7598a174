"""A small convolutional net on scikit-learn's handwritten digits, trained by the ready loop.

Tune it:   tune-lr run examples/digits_cnn.py --space greedy_lr --trials 40 --max-epochs 27
Debug it:  python examples/digits_cnn.py
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tune_lr


def digits():
    """Training and validation set: images (1437 and 360, of 1 x 8 x 8, from 0 to 1) and their digits."""
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    x = torch.tensor(images / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)[order]
    y = torch.tensor(labels)[order]
    return TensorDataset(x[:1437], y[:1437]), TensorDataset(x[1437:], y[1437:])


DIGITS = digits()  # here, not in train(): workers are made once this file is loaded


def make_model():
    return nn.Sequential(
        nn.Conv2d(1, 8, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 10),
    )


def train(config, trial):
    """The model, its data, and one call: the loop saves, reports and steps the schedule every batch."""
    torch.manual_seed(trial.seed)
    training_set, validation_set = DIGITS
    x_val, y_val = (part.to(trial.device) for part in validation_set.tensors)

    def validate(model):
        scores = model(x_val)
        return {
            "val_loss": nn.functional.cross_entropy(scores, y_val),
            "val_accuracy": (scores.argmax(dim=1) == y_val).float().mean(),
        }

    tune_lr.fit(
        trial,
        config,
        model=make_model(),
        train=DataLoader(training_set, batch_size=64, shuffle=True),  # 23 batches an epoch
        validate=validate,
        loss=nn.functional.cross_entropy,
    )


if __name__ == "__main__":
    space = tune_lr.load_space("greedy_lr")
    train(space.config(space.default()), tune_lr.Trial(max_epochs=3))
