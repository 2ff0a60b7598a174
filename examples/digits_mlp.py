"""A small net on scikit-learn's handwritten digits, with the training loop written out by hand.

Tune it:   tune-lr run examples/digits_mlp.py --space greedy_lr --trials 40 --max-epochs 27
Debug it:  python examples/digits_mlp.py
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

import tune_lr
from tune_lr.schedules import training_step

BATCH = 48  # 30 batches an epoch


def digits():
    """Training and validation set: images (1437 and 360, 64 pixels each, from 0 to 1) and their digits."""
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    x, y = torch.tensor(images / 16, dtype=torch.float32)[order], torch.tensor(labels)[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


DIGITS = digits()  # here, not in train(): workers are made once this file is loaded


def train(config, trial):
    """What every trial runs. ``config`` holds the knobs, ``trial`` says how long, and listens."""
    torch.manual_seed(trial.seed)
    x, y, x_val, y_val = (part.to(trial.device) for part in DIGITS)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).to(trial.device)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=config["lr"],
        momentum=config.get("momentum", 0.9),
        weight_decay=config.get("weight_decay", 0.0),
    )
    batches = -(-len(x) // BATCH)
    schedule = tune_lr.build_schedule(config, optimizer, trial.max_epochs, steps_per_epoch=batches)
    trial.resume(model=model, optimizer=optimizer, schedule=schedule)  # the newest checkpoint, if any
    by_epoch = config.get("step_every") == "epoch"  # which plateau asks for

    for _ in trial.epochs():  # begins where the checkpoint left off, ends when the trial is to stop
        for rows in torch.randperm(len(x)).split(BATCH):

            def gradients(rows=rows):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
                loss.backward()
                return loss

            if by_epoch:
                optimizer.step(gradients)
            else:
                training_step(optimizer, schedule, gradients)  # the schedule sees every batch

        with torch.no_grad():
            scores = model(x_val)
            val_loss = nn.functional.cross_entropy(scores, y_val)
            val_accuracy = (scores.argmax(dim=1) == y_val).float().mean()
        if by_epoch:
            schedule.step(val_loss.item())
        trial.save()  # what resume() was given
        trial.report(val_loss=val_loss, val_accuracy=val_accuracy, lr=optimizer.param_groups[0]["lr"])


if __name__ == "__main__":
    space = tune_lr.load_space("greedy_lr")
    train(space.config(space.default()), tune_lr.Trial(max_epochs=3))
