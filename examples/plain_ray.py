"""A plain Ray Tune script, without tune-lr's own engine, that adopts its search space and GreedyLR.

Ray's Tuner, search and ASHA are Ray's own; the two lines marked "tune-lr" are all that changes.
Run it:  python examples/plain_ray.py
"""

import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from torch import nn

from tune_lr import build_schedule, load_space
from tune_lr.engines.on_ray.space import to_ray

EPOCHS, BATCH = 9, 48


def digits():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    x, y = torch.tensor(images / 16, dtype=torch.float32)[order], torch.tensor(labels)[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def train(config):
    torch.manual_seed(0)
    x, y, x_val, y_val = digits()
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=0.9)
    schedule = build_schedule(config, optimizer)  # tune-lr, in place of ReduceLROnPlateau(optimizer)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step(loss.item())
        with torch.no_grad():
            val_loss = nn.functional.cross_entropy(model(x_val), y_val).item()
        tune.report({"val_loss": val_loss, "lr": optimizer.param_groups[0]["lr"]})


def main():
    param_space = to_ray(load_space("greedy_lr"))  # tune-lr, in place of {"lr": tune.loguniform(...), ...}
    tuner = tune.Tuner(
        train,
        param_space=param_space,
        tune_config=tune.TuneConfig(
            metric="val_loss",
            mode="min",
            num_samples=4,
            scheduler=ASHAScheduler(max_t=EPOCHS, reduction_factor=3),
            reuse_actors=True,
        ),
    )
    best = tuner.fit().get_best_result()
    print(f"best val_loss {best.metrics['val_loss']:.4f} with {best.config}")


if __name__ == "__main__":
    main()
