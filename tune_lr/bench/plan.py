"""What the study comes to: which cells, and how much training. Pure values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tune_lr.bench.contenders import CONTENDERS, GREEDY, OPTIMIZERS, registered
from tune_lr.bench.tasks import TASKS
from tune_lr.errors import BadInput, UnknownName

#: So many of the best of a search are trained on further seeds.
FINALISTS = 4
#: Where the seeds begin on which the best of a search are tried again, and those of the final comparison.
#: Those of the search itself are 31-bit digests.
_AGAIN, _FRESH = 500, 1000
#: With more trials the seeds of the one kind would run into those of the other.
_MOST_TRIALS = (_FRESH - _AGAIN) * 5 // 2 * FINALISTS


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
        limits = {
            "trials": (1, _MOST_TRIALS),
            "epochs": (2, 10_000),
            "seeds": (2, 500),
            "seed": (0, 1_000_000),
        }
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
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

    @property
    def again(self) -> list[int]:
        """The seeds on which the best few of a search are tried again."""
        return [1000 * self.seed + _AGAIN + number for number in range(self.repeats)]

    @property
    def fresh(self) -> list[int]:
        """The seeds of the final comparison: others than those of tuning, and the same for every cell."""
        return [1000 * self.seed + _FRESH + number for number in range(self.seeds)]

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
    known = {"--tasks": list(TASKS), "--contenders": registered(), "--optimizers": list(OPTIMIZERS)}
    asked = dict(zip(known, (tasks, contenders, optimizers), strict=True))
    for option, names in asked.items():
        for name in names:
            if name not in known[option]:
                raise UnknownName(option, name, known[option])
    of_tasks, wanted, under = (list(dict.fromkeys(asked[option] or known[option])) for option in known)
    wanted.append(GREEDY)
    return [
        Cell(task, optimizer, name)
        for name, contender in CONTENDERS.items()
        if name in wanted
        for optimizer in contender.optimizers(under)
        for task in of_tasks
    ]


def estimate(
    cells: Iterable[Cell], settings: Settings, seconds: Mapping[tuple[str, str], float], workers: int
) -> float:
    """Seconds that cells will take, from the seconds that an epoch takes by (task, contender)."""
    one_by_one = sum(seconds[cell.task, cell.contender] * settings.epochs_of_a_cell for cell in cells)
    return one_by_one / max(1, workers)
