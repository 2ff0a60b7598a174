"""What the study comes to: which cells, and how much training. Pure values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tune_lr.bench.contenders import CONTENDERS, OPTIMIZERS, contender_named, registered
from tune_lr.bench.tasks import TASKS, task_named
from tune_lr.errors import BadInput, UnknownName

#: So many of the best of a search are trained on further seeds.
FINALISTS = 4


@dataclass(frozen=True)
class Settings:
    """What every cell has in common; results under other settings cannot be compared.

    Args:
        trials: the budget of a cell's tuning, as full-length trainings, those of the default configuration
            and of the best few on further seeds included.
        epochs: the length of every training.
        seeds: how many fresh seeds the final comparison has.
        seed: what all of it is repeatable by.
    """

    trials: int = 50
    epochs: int = 30
    seeds: int = 15
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {"trials": (1, 10_000), "epochs": (2, 10_000), "seeds": (2, 500), "seed": (0, 1_000_000)}
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise BadInput(f"--{name}", value, f"a whole number from {least} to {most}")

    @property
    def budget(self) -> int:
        """Epochs of a cell's tuning."""
        return self.trials * self.epochs

    @property
    def repeats(self) -> int:
        """On how many further seeds each of the best few of a search is trained: two fifths of the budget."""
        return self.trials * 2 // 5 // FINALISTS

    @property
    def search_budget(self) -> int:
        """Epochs of the search itself, the default configuration's included."""
        return (self.trials - self.repeats * FINALISTS) * self.epochs

    @property
    def epochs_of_a_cell(self) -> int:
        """Epochs of tuning, and of the final comparison of the tuned and the default configuration."""
        return self.budget + 2 * self.seeds * self.epochs

    def to_json(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True, order=True)
class Cell:
    """One contender under one optimizer on one task: tuned, and then compared."""

    task: str
    optimizer: str
    contender: str

    @property
    def name(self) -> str:
        """Also the name of its file."""
        return f"{self.task}--{self.optimizer}--{self.contender}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def make_plan(
    tasks: Sequence[str] = (), contenders: Sequence[str] = (), optimizers: Sequence[str] = ()
) -> list[Cell]:
    """Every cell, GreedyLR's first, so that each later one can be compared as soon as it is done.

    Args:
        tasks: names of tasks; all if empty.
        contenders: names of contenders, among which ``greedy`` need not be named; all that are registered
            if empty.
        optimizers: of ``sgd``, ``adam``, ``adamw``; all if empty. An optimizer that is itself a contender
            takes part where the one is asked for that it is compared beside.

    Raises:
        UnknownName: one of them does not exist.
    """
    tasks, optimizers = list(tasks or TASKS), list(optimizers or OPTIMIZERS)
    for task in tasks:
        task_named(task)
    for optimizer in optimizers:
        if optimizer not in OPTIMIZERS:
            raise UnknownName("--optimizers", optimizer, OPTIMIZERS)
    wanted = set(contenders or registered()) | {"greedy"}
    for name in sorted(wanted):
        contender_named(name)
    return [
        Cell(task, optimizer, name)
        for name, contender in CONTENDERS.items()
        if name in wanted
        for optimizer in contender.optimizers(optimizers)
        for task in tasks
    ]


def estimate(
    cells: Iterable[Cell], settings: Settings, seconds: Mapping[tuple[str, str], float], workers: int
) -> float:
    """Seconds that cells will take, from the seconds that an epoch takes by (task, contender)."""
    one_by_one = sum(seconds[cell.task, cell.contender] * settings.epochs_of_a_cell for cell in cells)
    return one_by_one / max(1, workers)
