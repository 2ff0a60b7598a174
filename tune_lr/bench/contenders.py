"""Who takes part: schedules under each optimizer, and optimizers that claim to need none. Pure values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_lr import registry
from tune_lr.errors import UnknownName
from tune_lr.space import SearchSpace
from tune_lr.spacefile import load_space, space_names

#: Whom the study is about.
GREEDY = "greedy"
#: Under which every schedule is tried.
OPTIMIZERS = ("sgd", "adam", "adamw")


@dataclass(frozen=True)
class Contender:
    """One that GreedyLR is measured against, or GreedyLR itself.

    Args:
        name: as the report calls it.
        space: the shipped space that it is tuned over.
        schedule: its name in the registry.
        fixed: knobs of the space that are not searched.
        optimizer: the optimizer that it is itself; empty for a schedule, which is tried under each.
        beside: the optimizer under which GreedyLR is compared with it, where it is an optimizer itself.
    """

    name: str
    space: str
    schedule: str = "constant"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    optimizer: str = ""
    beside: str = ""

    @property
    def registered(self) -> bool:
        """Whether its schedule, its optimizer and its space are there."""
        optimizers = registry.PARTS.get("optimizers", dict.fromkeys(OPTIMIZERS, ""))
        return (
            self.schedule in registry.PARTS["schedules"]
            and self.space in space_names()
            and (not self.optimizer or self.optimizer in optimizers)
        )

    def optimizers(self, asked: Iterable[str]) -> tuple[str, ...]:
        """The optimizers among those asked for with which it is trained, or its own beside one of them."""
        if self.optimizer:
            return (self.optimizer,) if self.beside in asked else ()
        return tuple(asked)

    def opponent(self, optimizer: str) -> str:
        """The optimizer of the GreedyLR that a cell of this contender is compared with."""
        return self.beside or optimizer


def _schedule(name: str, space: str = "", schedule: str = "", **fixed: Any) -> Contender:
    return Contender(name, space or name.replace("-", "_"), schedule or name, fixed)


def _optimizer(name: str, space: str, beside: str, **fixed: Any) -> Contender:
    """One with its weight decay and betas fixed to what the schedules train with: only the step is tuned."""
    return Contender(name, space, fixed=fixed, optimizer=name, beside=beside)


_ALL = (
    _schedule(GREEDY, "greedy_lr"),
    _schedule("constant"),
    _schedule("linear"),
    _schedule("cosine"),
    _schedule("cosine-restarts"),
    _schedule("step"),
    _schedule("exponential"),
    _schedule("polynomial"),
    _schedule("one-cycle"),
    _schedule("warmup-stable-decay"),
    _schedule("plateau"),
    _schedule("hypergradient-all", "hypergradient", "hypergradient", per="all"),
    _schedule("hypergradient-group", "hypergradient", "hypergradient", per="group"),
    _schedule("hypergradient-parameter", "hypergradient", "hypergradient", per="parameter"),
    _schedule("line-search"),
    _optimizer("prodigy", "prodigy", "adamw", weight_decay=0.01, beta2=0.999),
    _optimizer("dadapt-adam", "dadaptation", "adam", weight_decay=0.0, beta2=0.999),
    _optimizer("dadapt-sgd", "dadaptation", "sgd", weight_decay=0.0, momentum=0.9),
    _optimizer("schedule-free-sgd", "schedule_free_sgd", "sgd", weight_decay=0.0, momentum=0.9),
    _optimizer("schedule-free-adamw", "schedule_free_adamw", "adamw", weight_decay=0.01, beta1=0.9),
)

CONTENDERS: dict[str, Contender] = {one.name: one for one in _ALL}


def contender_named(name: str) -> Contender:
    """The contender of that name.

    Raises:
        UnknownName: there is none, or its schedule, optimizer or space is not registered.
    """
    if name not in CONTENDERS or not CONTENDERS[name].registered:
        raise UnknownName("contender", name, registered())
    return CONTENDERS[name]


def registered() -> list[str]:
    """The names of all contenders that can run, in the order of the report."""
    return [name for name, one in CONTENDERS.items() if one.registered]


def space_of(contender: Contender, optimizer: str, task: str) -> SearchSpace:
    """What a cell is tuned over: the contender's shipped space, with task and optimizer as constants.

    The ranges and defaults are the shipped ones, that of ``lr`` among them.
    """
    content = load_space(contender.space).to_dict()
    wanted = {**contender.fixed, "task": task, "optimizer": optimizer, "schedule": contender.schedule}
    knobs = {name: {"type": "constant", "value": value} for name, value in wanted.items()}
    for name, knob in content["knobs"].items():
        if name not in wanted and (kept := _under(knob, wanted)) is not None:
            knobs[name] = kept
    return SearchSpace.from_dict({"name": contender.space, "knobs": knobs})


def default_rate(contender: Contender) -> float | None:
    """The LR of the contender's default configuration, or None where its space has no ``lr``."""
    values = load_space(contender.space).default()
    return values.get("lr")


def _under(knob: Mapping[str, Any], fixed: Mapping[str, Any]) -> dict[str, Any] | None:
    """A knob once some of the knobs that it depends on are fixed; None if it never takes part then."""
    when = dict(knob.get("when") or {})
    for name in set(when) & set(fixed):
        allowed = when.pop(name)
        if fixed[name] not in (allowed if isinstance(allowed, list) else [allowed]):
            return None
    kept = {key: value for key, value in knob.items() if key != "when"}
    return {**kept, "when": when} if when else kept
