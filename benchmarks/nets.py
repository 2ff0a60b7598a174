"""A second set of tables for the judge, of other nets, knobs and scales than the recorded data set.

    python benchmarks/nets.py --out runs/nets.npz               # 24 tasks x 512 configurations x 51 epochs
    python benchmarks/transfer.py --tables runs/nets.npz --run  # judged on them

Seven knobs of a small net (LR, momentum, weight decay, layers, units, dropout, batch size) trained by SGD
with momentum and a cosine schedule, on classification tasks that scikit-learn ships or makes. All
configurations of a batch size are trained in one program, as batched matrix products; some ten minutes of one
core in all, and always the same. What a method was tuned on says little; this is what else it was weighed on.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch counts the cores
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import datasets
from torch import Tensor
from torch.nn.functional import cross_entropy
from transfer_.tables import Tables, save

from tune_lr.space import SearchSpace

TASKS, CONFIGS, EPOCHS = 24, 512, 51
#: Examples to train on and as many to validate on, at most; the widest layer; the most layers.
EXAMPLES, WIDTH, LAYERS = 384, 32, 3

SPACE = SearchSpace.from_dict(
    {
        "name": "nets",
        "description": "Knobs of a small net, for the judge of priors",
        "knobs": {
            "lr": {"type": "float", "low": 1e-4, "high": 0.1, "log": True},
            "momentum": {"type": "float", "low": 0.1, "high": 0.99},
            "weight_decay": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
            "layers": {"type": "int", "low": 1, "high": LAYERS},
            "units": {"type": "int", "low": 8, "high": WIDTH, "log": True},
            "dropout": {"type": "float", "low": 0.0, "high": 0.9},
            "batch_size": {"type": "categorical", "values": [16, 32, 64, 128]},
        },
    }
)


@dataclass(frozen=True)
class Data:
    """Features and classes, to train and to validate on."""

    x: Tensor
    y: Tensor
    x_val: Tensor
    y_val: Tensor


def data(task: int) -> Data:
    """The examples of a task, features scaled."""
    rng = np.random.RandomState(task)
    x, y = _examples(task, rng)
    order = rng.permutation(len(x))
    x = ((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9))[order].astype(np.float32)
    y, half = y[order], min(EXAMPLES, len(x) // 2)
    parts = (x[:half], y[:half], x[half : 2 * half], y[half : 2 * half])
    return Data(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))


def _examples(task: int, rng: np.random.RandomState) -> tuple[NDArray[Any], NDArray[Any]]:
    if task < 3:
        x, y = (datasets.load_digits, datasets.load_breast_cancer, datasets.load_diabetes)[task](
            return_X_y=True
        )
        return x, np.digitize(y, np.quantile(y, [0.33, 0.66])) if task == 2 else y
    count, columns = 900, rng.randint(4, 20)
    if task % 4 == 0:  # a shell: inside or out
        x = rng.randn(count, columns)
        return x, (np.abs(x[:, :3]).sum(axis=1) + rng.rand() * rng.randn(count) > 2.4).astype(np.int64)
    if task % 4 == 1:  # the largest of several waves
        x, mixed = rng.randn(count, columns), rng.randn(columns, rng.randint(2, 7))
        return x, (np.sin(2 * x @ mixed) + 0.3 * rng.rand() * rng.randn(count, mixed.shape[1])).argmax(axis=1)
    told = rng.randint(4, 12)
    return datasets.make_classification(  # type: ignore[no-any-return]
        count, n_features=told + rng.randint(0, 25), n_informative=told, n_redundant=0,
        n_classes=rng.randint(2, 9), n_clusters_per_class=rng.randint(1, 4),
        class_sep=rng.uniform(0.5, 2), flip_y=rng.uniform(0, 0.3), random_state=task,
    )  # fmt: skip


class Nets:
    """Many nets of one batch size, trained side by side; narrow ones are masked, shallow ones skip layers."""

    def __init__(self, values: Sequence[dict[str, Any]], columns: int, classes: int) -> None:
        self.count = len(values)
        units = torch.tensor([float(one["units"]) for one in values])
        depth = torch.tensor([one["layers"] for one in values])
        self._mask = (torch.arange(WIDTH) < units[:, None]).float()[:, None]
        self._on = [(depth > layer).float()[:, None, None] for layer in range(LAYERS)]
        self._keep = 1.0 - _column(values, "dropout")
        inputs = [columns, *[WIDTH] * LAYERS]
        fan = [torch.full((self.count,), float(columns)), *[units] * LAYERS]
        gains = [2.0] * LAYERS + [1.0]
        sizes = [WIDTH] * LAYERS + [classes]
        self._weights = [
            (torch.randn(self.count, inputs[i], sizes[i]) * (gains[i] / fan[i]).sqrt()[:, None, None])
            for i in range(LAYERS + 1)
        ]
        self._biases = [torch.zeros(self.count, 1, size) for size in sizes]
        self.parameters = [p.requires_grad_() for p in (*self._weights, *self._biases)]

    def __call__(self, x: Tensor, training: bool = False) -> Tensor:
        """Logits, shape ``(nets, examples, classes)``."""
        hidden = x.expand(self.count, *x.shape)
        for layer in range(LAYERS):
            new = torch.relu(torch.baddbmm(self._biases[layer], hidden, self._weights[layer])) * self._mask
            if training:
                new = new * (torch.rand_like(new) < self._keep) / self._keep
            hidden = new if layer == 0 else self._on[layer] * new + (1 - self._on[layer]) * hidden
        return torch.baddbmm(self._biases[-1], hidden, self._weights[-1])


def losses(logits: Tensor, y: Tensor) -> Tensor:
    """The mean cross-entropy of each net."""
    flat = cross_entropy(logits.flatten(0, 1), y.repeat(len(logits)), reduction="none")
    return flat.view(len(logits), -1).mean(dim=1)


def curves(values: Sequence[dict[str, Any]], found: Data, batch: int, epochs: int) -> NDArray[np.float32]:
    """The validation losses of configurations of one batch size, shape ``(configurations, epochs)``."""
    nets = Nets(values, found.x.shape[1], int(found.y.max()) + 1)
    lr, momentum, decay = (_column(values, name) for name in ("lr", "momentum", "weight_decay"))
    speeds = [torch.zeros_like(p) for p in nets.parameters]
    made = np.full((len(values), epochs), np.nan, np.float32)
    for epoch in range(epochs):
        now = lr * 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))
        for rows in torch.randperm(len(found.x)).split(batch):
            if len(rows) == batch:
                loss = losses(nets(found.x[rows], training=True), found.y[rows]).sum()
                slopes = torch.autograd.grad(loss, nets.parameters)
                with torch.no_grad():
                    for p, speed, slope in zip(nets.parameters, speeds, slopes, strict=True):
                        speed.mul_(momentum).add_(slope + decay * p)
                        p.sub_(now * speed)
        with torch.no_grad():
            made[:, epoch] = losses(nets(found.x_val), found.y_val).numpy()
    made[~np.isfinite(made)] = np.nan
    return made


def _column(values: Sequence[dict[str, Any]], name: str) -> Tensor:
    return torch.tensor([float(one[name]) for one in values])[:, None, None]


def record(task: int, values: Sequence[dict[str, Any]], epochs: int) -> NDArray[np.float64]:
    """All configurations of a task, shape ``(configurations, epochs)``."""
    torch.manual_seed(task)
    found, made = data(task), np.empty((len(values), epochs))
    for batch in (16, 32, 64, 128):
        rows = [i for i, one in enumerate(values) if one["batch_size"] == batch]
        if rows:
            made[rows] = curves([values[i] for i in rows], found, batch, epochs)
    return made


def main(arguments: list[str] | None = None) -> None:
    """Record the tasks that are asked for, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--configs", type=int, default=CONFIGS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=Path("runs/nets.npz"))
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    engine = torch.quasirandom.SobolEngine(SPACE.dimension, scramble=True, seed=5)
    values = [SPACE.decode(row) for row in engine.draw(asked.configs, dtype=torch.float64).numpy()]
    made = {}
    for task in range(asked.tasks):
        made[f"net-{task:02}"] = record(task, values, asked.epochs)
        print(f"{task + 1}/{asked.tasks} tasks, the best {np.nanmin(made[f'net-{task:02}']):.4g}", flush=True)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    save(Tables(SPACE, values, made), asked.out)


if __name__ == "__main__":
    main()
