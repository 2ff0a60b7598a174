"""The tasks of the study: small nets on data that scikit-learn and Python bring along.

All are trained by the ready loop with the same number of steps an epoch, so that a run of so many epochs is
as many steps of every schedule on every task. Data and the split into training and validation set are fixed;
the seed of a trial decides the initial weights and the order of the batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from tune_lr.errors import MissingExtra, UnknownName
from tune_lr.trials.loop import fit
from tune_lr.trials.optimizers import build_optimizer
from tune_lr.trials.trial import Trial

#: Batches an epoch, on every task.
STEPS = 15
_CONTEXT = 16
_LETTERS = " \n.,:;()[]'\"_-=<>*abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Data:
    """Inputs and targets to train on and to validate on, samples first."""

    x: Tensor
    y: Tensor
    x_val: Tensor
    y_val: Tensor


@dataclass(frozen=True)
class Task:
    """A net, its data and its loss.

    Args:
        about: the task in a few words.
        data: makes the data; called once a process.
        model: makes a net with fresh weights.
        classes: how many classes there are to tell apart; 0 for a regression of a standardized target.
    """

    about: str
    data: Callable[[], Data]
    model: Callable[[], nn.Module]
    classes: int

    @property
    def chance(self) -> float:
        """The loss of one answer for all samples: ln(classes), or the variance of the target, which is 1."""
        return math.log(self.classes) if self.classes else 1.0

    @property
    def parameters(self) -> int:
        """How many numbers the net learns."""
        return sum(parameter.numel() for parameter in self.model().parameters())

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy (nats), or mean squared error."""
        if not self.classes:
            return nn.functional.mse_loss(scores, targets)
        return nn.functional.cross_entropy(scores.flatten(0, -2), targets.flatten())


class Batches:
    """``STEPS`` batches an epoch, drawn anew each time without repeating a sample within the epoch.

    Iterated by the ready loop; the global generator decides the order.
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y
        self.size = min(96, len(x) // STEPS)

    def __len__(self) -> int:
        return STEPS

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.x))
        for start in range(0, STEPS * self.size, self.size):
            rows = order[start : start + self.size]
            yield self.x[rows], self.y[rows]


def train(config: dict[str, Any], trial: Trial) -> None:
    """The trainer of every cell: ``config["task"]`` says which task, the other keys how to train it.

    Besides what the ready loop reports: ``val_loss``, ``val_accuracy`` (NaN for a regression) and
    ``passes``, the forward passes in training so far. A line search makes more of them than steps.

    Raises:
        UnknownName: there is no such task.
    """
    task = task_named(config["task"])
    data = loaded(config["task"])
    torch.manual_seed(trial.seed)
    model = task.model()
    passes = _count_passes(model)
    own = build_optimizer(config, _by_layer(model)) if config.get("per") == "group" else None

    def validate(net: nn.Module) -> Mapping[str, Any]:
        scores = net(data.x_val)
        right = (scores.argmax(dim=-1) == data.y_val).float().mean() if task.classes else math.nan
        return {"val_loss": task.loss(scores, data.y_val), "val_accuracy": right, "passes": passes[0]}

    batches = Batches(data.x, data.y)
    fit(trial, config, model=model, train=batches, validate=validate, loss=task.loss, optimizer=own)


def task_named(name: str) -> Task:
    """The task of that name.

    Raises:
        UnknownName: there is none.
    """
    if name not in TASKS:
        raise UnknownName("task", name, TASKS)
    return TASKS[name]


@cache
def loaded(name: str) -> Data:
    """The data of a task, made once a process.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        return TASKS[name].data()
    except ModuleNotFoundError as error:
        raise MissingExtra("tune-lr bench", "bench") from error


def _by_layer(model: nn.Module) -> list[dict[str, Any]]:
    """A parameter group for each layer, which makes a difference to a schedule with a rate for each group."""
    layers = (list(module.parameters(recurse=False)) for module in model.modules())
    return [{"params": parameters} for parameters in layers if parameters]


def _count_passes(model: nn.Module) -> list[int]:
    """A list whose one number counts the forward passes of the net in training mode from now on."""
    count = [0]

    def seen(net: nn.Module, _: Any) -> None:
        count[0] += net.training

    model.register_forward_pre_hook(seen)
    return count


def _split(x: Tensor, y: Tensor, part: float = 0.75) -> Data:
    """Three quarters to train on, the rest to validate on; columns standardized by what is trained on."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y, cut = x[order], y[order], int(len(x) * part)
    mean, scale = x[:cut].mean(dim=0), x[:cut].std(dim=0).clamp_min(1e-6)
    x = (x - mean) / scale
    if y.is_floating_point():
        y = (y - y[:cut].mean()) / y[:cut].std()
    return Data(x[:cut], y[:cut], x[cut:], y[cut:])


def _digits(shape: tuple[int, ...]) -> Data:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    images = torch.tensor(x / 16, dtype=torch.float32)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    images, labels = images[order].reshape(-1, *shape), torch.tensor(y)[order]
    return Data(images[:1437], labels[:1437], images[1437:], labels[1437:])


def _diabetes() -> Data:
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    return _split(torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32).reshape(-1, 1))


def _breast_cancer() -> Data:
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    return _split(torch.tensor(x, dtype=torch.float32), torch.tensor(y))


def _letters() -> Data:
    """The help pages of Python itself, in pieces of ``_CONTEXT`` letters; the targets are the next ones."""
    from pydoc_data.topics import topics

    pages = "\n".join(topics[name] for name in sorted(topics)).lower()[:60_000]
    number = {letter: i for i, letter in enumerate(_LETTERS)}
    pieces = torch.tensor([number.get(letter, 0) for letter in pages]).unfold(0, _CONTEXT + 1, _CONTEXT)
    cut = int(len(pieces) * 0.9)
    x, y = pieces[:, :-1], pieces[:, 1:]
    return Data(x[:cut], y[:cut], x[cut:], y[cut:])


class _LetterModel(nn.Module):
    """Scores for every next letter, from the letters before it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(_LETTERS), 16)
        self.read = nn.GRU(16, 32, batch_first=True)
        self.score = nn.Linear(32, len(_LETTERS))

    def forward(self, letters: Tensor) -> Tensor:
        scores: Tensor = self.score(self.read(self.embed(letters))[0])
        return scores


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def _cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 12, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12 * 4 * 4, 10),
    )


TASKS: dict[str, Task] = {
    "digits-mlp": Task(
        "handwritten digits, one hidden layer", lambda: _digits((64,)), lambda: _mlp(64, 32, 10), 10
    ),
    "digits-cnn": Task("handwritten digits, two convolutions", lambda: _digits((1, 8, 8)), _cnn, 10),
    "diabetes": Task("regression on a table, one hidden layer", _diabetes, lambda: _mlp(10, 32, 1), 0),
    "breast-cancer": Task(
        "two classes on a table, one hidden layer", _breast_cancer, lambda: _mlp(30, 16, 2), 2
    ),
    "letters": Task("next letter of Python's help pages, a GRU", _letters, _LetterModel, len(_LETTERS)),
}
