"""A plain Syne Tune script, without tune-lr's own engine, that adopts its search space and GreedyLR.

Syne Tune's Tuner, LocalBackend and ASHA are its own; the two lines marked "tune-lr" are all that changes.
The file is its own entry point: Syne Tune starts it again, with a configuration, for every trial.
Run it:  python examples/plain_syne_tune.py
"""

import argparse

import torch
from syne_tune import Reporter, StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.optimizer.baselines import ASHA
from syne_tune.utils import add_config_json_to_argparse, load_config_json
from torch import nn

from tune_lr import build_schedule, load_space
from tune_lr.engines.on_syne.space import to_syne

EPOCHS, BATCH = 9, 48


def digits():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    x, y = torch.tensor(images / 16, dtype=torch.float32)[order], torch.tensor(labels)[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def train(config):
    torch.manual_seed(0)
    report = Reporter()
    x, y, x_val, y_val = digits()
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=0.9)
    schedule = build_schedule(config, optimizer)  # tune-lr, in place of ReduceLROnPlateau(optimizer)
    for epoch in range(1, EPOCHS + 1):
        for rows in torch.randperm(len(x)).split(BATCH):
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step(loss.item())
        with torch.no_grad():
            val_loss = nn.functional.cross_entropy(model(x_val), y_val).item()
        report(epoch=epoch, val_loss=val_loss, lr=optimizer.param_groups[0]["lr"])


def main():
    config_space = to_syne(load_space("greedy_lr"))  # tune-lr, in place of {"lr": loguniform(...), ...}
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point=__file__, pass_args_as_json=True, rotate_gpus=False),
        scheduler=ASHA(
            config_space, metric="val_loss", time_attr="epoch", max_t=EPOCHS, do_minimize=True, random_seed=0
        ),
        stop_criterion=StoppingCriterion(max_num_trials_finished=4),
        n_workers=2,
        sleep_time=0.5,
    )
    tuner.run()
    number, config = tuner.best_config()
    print(f"best configuration, of trial {number}: {config}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    add_config_json_to_argparse(parser)
    arguments, _ = parser.parse_known_args()
    if arguments.st_config_json_filename is None:
        main()
    else:
        train(load_config_json(vars(arguments)))
