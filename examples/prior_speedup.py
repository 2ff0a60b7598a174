"""What the prior is worth on a task that it has never seen: real jobs on both engines, with it and without.

The task, a residual net on three spirals that wind into each other, is none of those that the starter prior
was learned from (docs/data.md). Each job is run under several seeds with the starter prior, with none, and
with one that lies: the starter's recordings with the ranks turned round after every epoch, so that it
recommends what was worst; and beside them random search under ASHA. A job that is there already is not run
again, so the script may be killed and called again.

Run it:    python examples/prior_speedup.py                  # some ten minutes on two cores
A look:    python examples/prior_speedup.py --seeds 1 --engines inline --budget 30 --workers 1
Tune it:   tune-lr run examples/prior_speedup.py --space greedy_lr --trials 40 --max-epochs 27
"""

import argparse
import json
import math
from itertools import accumulate
from pathlib import Path

import torch
from torch import nn

import tune_lr

ARMS, WIDTH, BATCH = 3, 24, 50
#: Shares of the budget at which the jobs are compared.
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)


def spirals(count, seed):
    """Points along the arms of spirals that turn once, off by some noise, and which arm each is of."""
    generator = torch.Generator().manual_seed(seed)
    arm = torch.randint(ARMS, (count,), generator=generator)
    radius = torch.rand(count, generator=generator).sqrt()
    angle = 2 * torch.pi * (arm / ARMS + radius)
    points = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    return 2 * points + 0.1 * torch.randn(count, 2, generator=generator), arm


class Residual(nn.Module):
    """What goes in, and a hidden layer's correction of it."""

    def __init__(self):
        super().__init__()
        self.correction = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, x):
        return x + self.correction(x)


X, Y = spirals(1500, seed=0)  # here, and not once a trial
X_VAL, Y_VAL = spirals(500, seed=1)


def train(config, trial):
    """What every trial runs: the ready loop, under SGD."""
    torch.manual_seed(trial.seed)
    model = nn.Sequential(nn.Linear(2, WIDTH), Residual(), Residual(), Residual(), nn.Linear(WIDTH, ARMS))
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), BATCH, shuffle=True)

    def validate(net):
        scores = net(X_VAL.to(trial.device))
        return {"val_loss": nn.functional.cross_entropy(scores, Y_VAL.to(trial.device))}

    tune_lr.fit(
        trial,
        {**config, "optimizer": "sgd", "momentum": 0.9},
        model=model,
        train=batches,
        validate=validate,
        loss=nn.functional.cross_entropy,
    )


def turned_round(history, space):
    """The prior of a history in which the best trial of every epoch has the value of the worst, and so on."""
    reports = history.to_pandas()
    reports = reports[reports["trial_id"].str.endswith("-0")]  # one seed is enough for a lie

    def exchanged(losses):
        known = losses.dropna().sort_values()
        return known.set_axis(known.index[::-1]).reindex(losses.index)

    lies = reports.assign(val_loss=reports.groupby(["task", "epoch"])["val_loss"].transform(exchanged))
    kept = [name for name in lies if name in ("task", "trial_id", "epoch", "val_loss") or "config/" in name]
    return tune_lr.Prior.fit(tune_lr.History.from_pandas(lies[kept], "val_loss", "min"), space)


def best_so_far(experiment, epochs):
    """The lowest val_loss after each of the first epochs that the job paid for, as its journal has them."""
    lines = [json.loads(line) for line in (experiment.path / "journal.jsonl").read_text().splitlines()]
    losses = [line["metrics"]["val_loss"] for line in lines if line["event"] == "report"]
    finite = [loss if isinstance(loss, float) and math.isfinite(loss) else math.inf for loss in losses]
    return list(accumulate(finite, min))[:epochs]


def middle(curves):
    """The median over the seeds, by epoch."""
    return [sorted(losses)[len(losses) // 2] for losses in zip(*curves, strict=False)]


def needed(curve, value):
    """How many epochs until a curve is as low as a value; None if it never is."""
    return next((epoch for epoch, loss in enumerate(curve, 1) if loss <= value), None)


def run(asked, methods):
    """Every job that is not there yet: ``(engine, method) -> what each seed had after each epoch``."""
    found = {}
    for engine in asked.engines:
        for name, parts in methods.items():
            budget = asked.budget * (asked.longer if parts["prior"] == "none" else 1)
            found[engine, name] = []
            for seed in range(asked.seeds):
                experiment = tune_lr.tune(
                    f"{Path(__file__).resolve()}:train",
                    "greedy_lr",
                    engine=engine,
                    trials=200,
                    max_epochs=asked.max_epochs,
                    budget=f"{budget}epochs",
                    workers=asked.workers,
                    seed=seed,
                    out=asked.out / f"{engine}-{name}-{seed}",
                    progress=False,
                    **parts,
                )
                found[engine, name].append(best_so_far(experiment, budget))
    return found


def table(found, budget):
    """As Markdown: medians at shares of the budget, each with the epochs that it takes without a prior."""
    at = [max(round(share * budget), 1) for share in SHARES]
    heads = ["engine", "method", *[f"after {epochs}" for epochs in at], "the seeds, at the end"]
    rows, notes = [heads, ["---"] * 2 + ["---:"] * len(at) + ["---"]], []
    for (engine, name), curves in found.items():
        curve, without = middle(curves), middle(found.get((engine, "none"), []))
        cells = [f"{curve[epochs - 1]:.3f}" for epochs in at]
        if without and name != "none":
            takes = [needed(without, curve[epochs - 1]) or f"over {len(without)}" for epochs in at]
            cells = [f"{cell} ({epochs})" for cell, epochs in zip(cells, takes, strict=True)]
        for other in ("none", "random"):
            if (engine, other) in found and name not in ("none", "random"):
                epochs = needed(curve, middle(found[engine, other])[budget - 1])
                when = f"after {epochs}" if epochs else f"not within {budget}"
                notes.append(f"{engine}, {name}: what {other} has after {budget} epochs, it has {when}.")
        ends = sorted(curve[budget - 1] for curve in curves)
        rows.append([engine, name, *cells, ", ".join(f"{end:.3f}" for end in ends)])
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", *notes])


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", nargs="+", default=["syne-tune", "ray"])
    parser.add_argument("--methods", nargs="+", default=["starter", "none", "turned-round", "random"])
    parser.add_argument("--seeds", type=int, default=5, help="an odd number, so that a median is a job's")
    parser.add_argument("--budget", type=int, default=90, help="epochs of a job")
    parser.add_argument("--longer", type=int, default=4, help="budgets of a job without a prior")
    parser.add_argument("--max-epochs", type=int, default=27)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/prior_speedup"))
    asked = parser.parse_args(arguments)
    methods = {
        "starter": {"prior": "starter"},
        "none": {"prior": "none"},
        "random": {"prior": "none", "searcher": "random", "trial_scheduler": "asha"},
    }
    if "turned-round" in asked.methods:
        from tune_lr.prior.starter import starter_history

        methods["turned-round"] = {"prior": turned_round(starter_history(), tune_lr.load_space("greedy_lr"))}
    print(table(run(asked, {name: methods[name] for name in asked.methods}), asked.budget))


if __name__ == "__main__":
    main()
