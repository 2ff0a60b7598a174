"""The recorded tasks: what is trained, on what, with which optimizer, in batches of what size.

They are chosen to differ in what suits them: how noisy a batch is (small batches, wrong labels, noise on
the inputs), how soon the net learns all it can, whether it then overfits, and whether a rate that is too
high ends in NaN or (with clipped gradients, or normed layers) only costs accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from starter_ import data, nets
from torch import Tensor, nn

from tune_lr.bench.tasks import TASKS as STUDIED
from tune_lr.bench.tasks import Data, Task
from tune_lr.trials.loop import fit
from tune_lr.trials.trial import Trial

HEAVY, PLAIN, ADAMW = (
    {"optimizer": "sgd", "momentum": 0.9},
    {"optimizer": "sgd", "momentum": 0.0},
    {"optimizer": "adamw", "weight_decay": 0.01},
)


@dataclass(frozen=True, eq=False)
class Recorded(Task):
    """A task of the data set.

    Args:
        net: the net in a few words; ``about`` says the data.
        family: ``mlp``, ``cnn``, ``recurrent``, ``attention``, ``linear`` or ``factorization``.
        kind: ``classification``, ``regression`` or ``language``.
        source: what made the data.
        fixed: optimizer and its settings, and the norm that gradients are clipped to, in every trial.
        size: samples a batch.
        steps: batches an epoch.
        noise: standard deviation of what is added to the inputs of every batch.
        flips: the share of training labels that are drawn at random.
    """

    net: str
    family: str
    kind: str
    source: str
    fixed: Mapping[str, Any]
    size: int
    steps: int
    noise: float = 0.0
    flips: float = 0.0

    @property
    def constant(self) -> float:
        """The validation loss of the best answer that is the same for all samples: chance."""
        seen = made(self)
        if not self.classes:
            return float(self.loss(seen.y.mean(dim=0).expand_as(seen.y_val), seen.y_val))
        shares = torch.bincount(seen.y.flatten(), minlength=self.classes) / seen.y.numel()
        return float(-shares.clamp_min(1e-9).log()[seen.y_val.flatten()].mean())

    def facts(self) -> dict[str, Any]:
        """What is known of the task before it is trained, by name: its descriptors."""
        seen = made(self)
        told = ("family", "kind", "about", "net", "source", "classes", "noise", "flips")
        found: dict[str, Any] = {name: getattr(self, name) for name in told}
        found |= {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "clip_norm": 0.0, **self.fixed}
        return found | {
            "parameters": self.parameters,
            "batch_size": self.size,
            "steps_per_epoch": self.steps,
            "samples": len(seen.x),
            "val_samples": len(seen.x_val),
            "chance_loss": float(f"{self.constant:.6g}"),
        }


class Batches:
    """The batches of an epoch: samples in an order drawn anew, begun over where there are too few of them."""

    def __init__(self, task: Recorded, seen: Data) -> None:
        self.task, self.seen = task, seen

    def __len__(self) -> int:
        return self.task.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        task, x, y = self.task, self.seen.x, self.seen.y
        order = torch.randperm(len(x))
        while len(order) < task.steps * task.size:
            order = torch.cat([order, torch.randperm(len(x))])
        for rows in order[: task.steps * task.size].split(task.size):
            inputs = x[rows]
            yield inputs + task.noise * torch.randn_like(inputs) if task.noise else inputs, y[rows]


@cache
def made(task: Recorded) -> Data:
    """The data of a task, made once a process."""
    found = task.data()
    return data.flipped(found, task.flips, task.classes) if task.flips else found


def train(config: dict[str, Any], trial: Trial, task: Recorded) -> None:
    """Train as the ready loop does; reports ``val_loss`` and, where there are classes, ``val_accuracy``."""
    seen = made(task)
    torch.manual_seed(trial.seed)
    model = task.model()

    def validate(net: nn.Module) -> dict[str, Any]:
        scores = net(seen.x_val)
        found = {"val_loss": task.loss(scores, seen.y_val)}
        if task.classes:
            found["val_accuracy"] = (scores.argmax(dim=-1) == seen.y_val).float().mean()
        return found

    batches = Batches(task, seen)
    fit(trial, {**config, **task.fixed}, model=model, train=batches, validate=validate, loss=task.loss)


def _task(
    about: str, make: Callable[[], Data], net: str, model: Callable[[], nn.Module], **other: Any
) -> Recorded:
    return Recorded(about, make, model, net=net, **other)


_DIGITS, _HELP = "scikit-learn load_digits", "Python pydoc_data.topics"
_CLIP = {"clip_norm": 1.0}

TASKS: dict[str, Recorded] = {
    # Nets of linear layers
    "digits-mlp": _task(
        "handwritten digits, a tenth of the labels wrong", partial(data.digits, 64), "one hidden layer of 32",
        partial(nets.mlp, 64, 32, 10), family="mlp", kind="classification", source=_DIGITS, classes=10,
        fixed=HEAVY, size=32, steps=25, flips=0.1,
    ),
    "cancer-mlp": _task(
        "breast cancer, all of it in every batch", STUDIED["breast-cancer"].data, "one hidden layer of 24",
        partial(nets.mlp, 30, 24, 2), family="mlp", kind="classification",
        source="scikit-learn load_breast_cancer", classes=2, fixed=PLAIN, size=426, steps=30,
    ),
    "wine-mlp": _task(
        "kinds of wine, noise on the inputs", data.wine, "one hidden layer of 32, dropout",
        partial(nets.mlp, 13, 32, 3, dropout=0.3), family="mlp", kind="classification",
        source="scikit-learn load_wine", classes=3, fixed=ADAMW, size=8, steps=16, noise=1.0,
    ),
    "friedman-mlp": _task(
        "Friedman's first function, with noise", data.friedman, "one hidden layer of 48, tanh",
        partial(nets.mlp, 10, 48, 1, act=nn.Tanh), family="mlp", kind="regression",
        source="scikit-learn make_friedman1", classes=0, fixed=ADAMW, size=400, steps=30,
    ),
    "hastie-deep": _task(
        "whether ten normal numbers lie outside a ball", data.hastie, "three hidden layers of 24, tanh",
        partial(nets.mlp, 10, 24, 24, 24, 2, act=nn.Tanh), family="mlp", kind="classification",
        source="scikit-learn make_hastie_10_2", classes=2, fixed=HEAVY, size=150, steps=30,
    ),
    "moons-normed": _task(
        "two half moons that overlap", data.moons, "two hidden layers of 16, layer norm",
        partial(nets.mlp, 2, 16, 16, 2, norm=True), family="mlp", kind="classification",
        source="scikit-learn make_moons", classes=2, fixed=HEAVY, size=337, steps=25,
    ),
    # Convolutions
    "digits-cnn": _task(
        "handwritten digits under noise", partial(data.digits, 1, 8, 8), "two convolutions, batch norm",
        partial(nets.cnn, 6, 12, norm=True), family="cnn", kind="classification", source=_DIGITS, classes=10,
        fixed=HEAVY, size=16, steps=25, noise=0.4,
    ),
    "digits-cnn-flips": _task(
        "handwritten digits, a quarter of the labels wrong", partial(data.digits, 1, 8, 8),
        "two convolutions, batch norm", partial(nets.cnn, 8, 16, norm=True),
        family="cnn", kind="classification", source=_DIGITS, classes=10,
        fixed=ADAMW, size=24, steps=25, flips=0.25,
    ),
    "waves-cnn": _task(
        "which two sines a noisy signal is made of", data.waves, "two convolutions along time, batch norm",
        nets.wave_cnn, family="cnn", kind="classification", source="generated", classes=6, fixed=HEAVY,
        size=16, steps=25,
    ),
    # Recurrent nets
    "letters-gru": _task(
        "next letter of Python's help pages", data.letters, "embedding and GRU of 32",
        STUDIED["letters"].model,
        family="recurrent", kind="language", source=_HELP, classes=data.LETTERS, fixed={**ADAMW, **_CLIP},
        size=12, steps=16,
    ),
    "rows-gru": _task(
        "handwritten digits, row by row", partial(data.digits, 8, 8), "GRU of 24, its last state",
        partial(nets.Recurrent, 8, 24, 10, last=True), family="recurrent", kind="classification",
        source=_DIGITS, classes=10, fixed=ADAMW, size=16, steps=25, noise=0.2,
    ),
    "series-gru": _task(
        "next value of a noisy sine", data.series, "GRU of 16", partial(nets.Recurrent, 1, 16, 1, last=False),
        family="recurrent", kind="regression", source="generated", classes=0, fixed={**HEAVY, **_CLIP},
        size=8, steps=20,
    ),
    # Attention
    "letters-attention": _task(
        "next letter of Python's help pages", data.letters, "transformer of one block, width 24",
        partial(nets.LetterAttention, data.LETTERS), family="attention", kind="language", source=_HELP,
        classes=data.LETTERS, fixed=ADAMW, size=8, steps=25,
    ),
    "patches-attention": _task(
        "handwritten digits in 16 patches, a tenth of the labels wrong", data.patches,
        "transformer of one block, width 16", partial(nets.PatchAttention, 4, 10), family="attention",
        kind="classification", source=_DIGITS, classes=10, fixed=HEAVY, size=16, steps=20, flips=0.1,
    ),
    # Linear models
    "classes-softmax": _task(
        "five classes of forty columns, a seventh of the labels wrong, all of it in every batch",
        data.classes, "softmax", partial(nn.Linear, 40, 5), family="linear", kind="classification",
        source="scikit-learn make_classification", classes=5, fixed=PLAIN, size=1200, steps=30,
    ),
    "squares": _task(
        "a linear target, badly conditioned, with noise", data.squares, "least squares",
        partial(nn.Linear, 30, 1), family="linear", kind="regression", source="scikit-learn make_regression",
        classes=0, fixed={**HEAVY, **_CLIP}, size=8, steps=30,
    ),
    "diabetes-squares": _task(
        "progress of diabetes", STUDIED["diabetes"].data, "least squares", partial(nn.Linear, 10, 1),
        family="linear", kind="regression", source="scikit-learn load_diabetes", classes=0, fixed=ADAMW,
        size=6, steps=30,
    ),
    "letters-softmax": _task(
        "next letter of Python's help pages", data.triples, "softmax, linear in the three letters before",
        partial(nets.LetterLines, data.LETTERS), family="linear", kind="language", source=_HELP,
        classes=data.LETTERS, fixed=ADAMW, size=32, steps=30,
    ),
    # Factorizations
    "ratings": _task(
        "ratings of films by users, with noise", data.ratings, "factors of rank 4 and biases",
        partial(nets.Factors, data.USERS, data.FILMS, 4), family="factorization", kind="regression",
        source="generated", classes=0, fixed=ADAMW, size=32, steps=30,
    ),
    "clicks": _task(
        "whether users clicked on films", data.clicks, "factors of rank 3 and biases",
        partial(nets.Factors, data.USERS, data.FILMS, 3, outputs=2), family="factorization",
        kind="classification", source="generated", classes=2, fixed=ADAMW, size=64, steps=25,
    ),
    "digits-autoencoder": _task(
        "handwritten digits, to be rebuilt", data.pictures, "one hidden layer of 16",
        partial(nets.mlp, 64, 16, 64), family="factorization", kind="regression", source=_DIGITS, classes=0,
        fixed=HEAVY, size=479, steps=25,
    ),
}  # fmt: skip
