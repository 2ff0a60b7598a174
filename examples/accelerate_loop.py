"""Regression on scikit-learn's diabetes data, in a loop of one's own under Hugging Face Accelerate.

Tune it:   tune-lr run examples/accelerate_loop.py --space greedy_lr --trials 40 --max-epochs 27
Debug it:  python examples/accelerate_loop.py
Needs:     pip install 'tune-lr[huggingface,examples]'
"""

import torch
from accelerate import Accelerator
from sklearn.datasets import load_diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tune_lr
from tune_lr.schedules.as_torch import as_torch


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
    torch.manual_seed(trial.seed)
    training_set, validation_set = DIABETES
    accelerator = Accelerator(cpu=trial.device.type == "cpu", gradient_accumulation_steps=2)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=0.9)
    loader = DataLoader(training_set, batch_size=16, shuffle=True)  # 23 batches and 12 steps an epoch
    schedule = tune_lr.build_schedule(config, optimizer, trial.max_epochs, steps_per_epoch=12)
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, as_torch(schedule))
    trial.resume(model=model, optimizer=optimizer, schedule=schedule)
    x_val, y_val = (part.to(accelerator.device) for part in validation_set.tensors)

    for _ in trial.epochs():
        model.train()
        for x, y in loader:
            with accelerator.accumulate(model):
                loss = nn.functional.mse_loss(model(x), y)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step(loss.item())  # passed on with every step that the optimizer really takes
                optimizer.zero_grad()

        model.eval()
        with torch.no_grad():
            val_loss = nn.functional.mse_loss(model(x_val), y_val)
        trial.save()
        trial.report(val_loss=val_loss, lr=schedule.get_last_lr()[0])


if __name__ == "__main__":
    space = tune_lr.load_space("greedy_lr")
    train(space.config(space.default()), tune_lr.Trial(max_epochs=3))
