"""What was asked: one tuning job, as a value that people can write down."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from tune_lr.budget import Budget, parse_budget
from tune_lr.ending import Condition, conditions
from tune_lr.errors import BadInput, Missing, UnknownName, shorten
from tune_lr.objective import Objective
from tune_lr.space import SearchSpace

#: What PyTorch trains on; a number may follow (``cuda:1``).
_DEVICES = ("auto", "cpu", "cuda", "mps", "xpu")
#: The searcher and the trial scheduler that are made for each other; another searcher's scheduler.
PRIOR, FREEZE_THAW, USUAL = "prior", "freeze-thaw", "asha"
#: What a prior may be called instead of where it lies.
AUTO, STARTER, NO_PRIOR = "auto", "starter", "none"
#: What is told of the prior where no part of a job takes one.
UNUSED = "unused"
#: The layout of an experiment's folder, as experiment.json notes it.
FORMAT = 1


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number")
    return value


def _known_device(device: str) -> str:
    kind, _, number = device.partition(":")
    if kind not in _DEVICES or (number and not number.isdigit()):
        raise UnknownName("device", device, _DEVICES)
    return device


# What a training is asked, one trial or a range test.
Epochs = Annotated[int, BeforeValidator(_number), Field(ge=1, lt=2**31)]
Seed = Annotated[int, BeforeValidator(_number), Field(ge=0, lt=2**31)]
Cpus = Annotated[int, BeforeValidator(_number), Field(ge=1, le=4096)]
Device = Annotated[str, AfterValidator(_known_device)]


class Job(BaseModel):
    """One tuning job. The names are those of ``tune-lr run``'s options and of an experiment file's keys.

    ``trials`` is how many configurations are tried at most; ``budget`` (``500epochs``, ``600s``, ``10m``,
    ``2h``) ends the job earlier, and what was running then stays ``paused``; so does ``stop_when``
    (``gain<0.001/20``, ``best<0.1``; see ``ending.conditions``), once that holds. ``prior`` is ``auto``,
    ``starter``, ``none``, or one path or several; a name in angle brackets is that of an object.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trainer: str
    space: dict[str, Any]
    engine: str = "inline"
    searcher: str = PRIOR
    trial_scheduler: str = ""  # never that: without a name it is the one that goes with the searcher
    prior: str | list[str] = AUTO
    trials: int = Field(20, ge=1)
    max_epochs: Epochs = 27
    workers: int = Field(1, ge=1)
    seed: Seed = 0
    metric: str = "val_loss"
    mode: Literal["min", "max"] = "min"
    scope: str = "best"
    budget: str | None = None
    stop_when: str | None = None
    device: Device = "auto"
    cpus_per_trial: Cpus = 1
    gpus_per_trial: float = Field(0, ge=0, le=1024)
    keep_checkpoints: Literal["best", "all"] | int = "best"
    address: str | None = None
    searcher_options: dict[str, Any] = Field(default_factory=dict)
    trial_scheduler_options: dict[str, Any] = Field(default_factory=dict)
    task: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _has_a_trial_scheduler(cls, asked: Any) -> Any:
        """The one that goes with the searcher, where none is named."""
        if not isinstance(asked, dict) or asked.get("trial_scheduler") is not None:
            return asked
        searcher = asked.get("searcher", cls.model_fields["searcher"].default)
        return {**asked, "trial_scheduler": FREEZE_THAW if searcher == PRIOR else USUAL}

    @field_validator("prior", mode="before")
    @classmethod
    def _prior_is_a_word_or_paths(cls, prior: Any) -> Any:
        if prior is None:
            return NO_PRIOR
        several = list(prior) if isinstance(prior, (list, tuple)) else [prior]
        names = [os.fspath(name) if isinstance(name, os.PathLike) else name for name in several]
        words = {AUTO, STARTER, NO_PRIOR}
        if not names or not all(isinstance(name, str) and name.strip() for name in names):
            raise BadInput("prior", prior, "auto, starter, none, or one path or several")
        if len(names) > 1 and words & set(names):
            raise BadInput("prior", prior, "auto, starter or none alone, or paths")
        return names[0] if len(names) == 1 else names

    @field_validator("budget")
    @classmethod
    def _budget_is_readable(cls, text: str | None) -> str | None:
        if text is not None:
            parse_budget(text)
        return text

    @field_validator("trials", "workers", "gpus_per_trial", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any) -> Any:
        return _number(value)

    @field_validator("keep_checkpoints")
    @classmethod
    def _keeps_none_or_more(cls, keep: Literal["best", "all"] | int) -> Literal["best", "all"] | int:
        if isinstance(keep, int) and keep < 0:
            raise ValueError("best, all, or how many to keep")
        return keep

    @classmethod
    def make(cls, asked: Mapping[str, Any]) -> Job:
        """A job from what a person wrote.

        Raises:
            BadInput: a field is unknown or its value unusable; the message names it.
        """
        job = made(cls, asked)
        _ = job.objective, job.search_space, job.endings  # which check themselves
        return job

    @classmethod
    def read(cls, file: Path) -> Job | None:
        """The job that an ``experiment.json`` holds; None where there is no such file.

        Raises:
            BadInput: it is not as tune-lr wrote it, or cannot be read.
        """
        if not file.is_file():
            return None
        try:
            content = json.loads(file.read_text("utf-8"))
            if content.get("format", FORMAT) != FORMAT:
                raise ValueError(
                    f"format {shorten(content['format'])} is another version's; this one reads {FORMAT}"
                )
            # Before there were priors there was none.
            return cls.make({"prior": NO_PRIOR, **content["job"]})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadInput("experiment", str(file), f"the file that tune-lr wrote ({error})") from error

    def changed(self, changes: Mapping[str, Any]) -> Job:
        """This job with some fields replaced, checked anew."""
        return Job.make({**self.model_dump(), **changes})

    @property
    def objective(self) -> Objective:
        return Objective(self.metric, self.mode, self.scope)

    @property
    def search_space(self) -> SearchSpace:
        return SearchSpace.from_dict(self.space)

    @property
    def limits(self) -> Budget:
        """What it may spend. Freeze-thaw would train every trial to its end, if there were no limit."""
        if self.budget:
            return parse_budget(self.budget)
        if self.trial_scheduler == FREEZE_THAW:
            return Budget(epochs=max(math.ceil(self.trials * self.max_epochs / 3), self.max_epochs))
        return Budget()

    @property
    def endings(self) -> tuple[Condition, ...]:
        """What ends it early, whichever holds first."""
        return () if self.stop_when in (None, "none") else conditions(self.stop_when or "", self.mode)

    @property
    def checkpoints_kept(self) -> int | None:
        """How many finished trials keep their checkpoint; None: all."""
        if isinstance(self.keep_checkpoints, int):
            return self.keep_checkpoints
        return 1 if self.keep_checkpoints == "best" else None


Asked = TypeVar("Asked", bound=BaseModel)


def made(model: type[Asked], asked: Mapping[str, Any]) -> Asked:
    """What was asked, as a model has it.

    Raises:
        BadInput: a field is unknown or its value unusable; the message names it.
    """
    try:
        return model(**asked)
    except ValidationError as error:
        raise _readable(error, model) from None


def _readable(error: ValidationError, model: type[BaseModel]) -> BadInput:
    """The first thing that pydantic found wrong, in the words of this family of errors."""
    first = error.errors()[0]
    field = str(first["loc"][0]) if first["loc"] else "job"
    if first["type"] == "extra_forbidden":
        return UnknownName("job field", field, model.model_fields)
    if first["type"] == "missing":
        return Missing(field, "a value")
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, BadInput):
        return cause
    return BadInput(field, first["input"], _expected(first["type"], first["msg"], first.get("ctx", {})))


def _expected(kind: str, message: str, limits: Mapping[str, Any]) -> str:
    """What would be right, where pydantic says what is wrong."""
    if kind == "greater_than_equal":
        return f"a number of at least {limits['ge']}"
    if kind == "less_than_equal":
        return f"a number of at most {limits['le']}"
    if kind == "less_than":
        return f"a number below {limits['lt']}"
    if kind.startswith("int"):
        return "a whole number"
    if kind.startswith("float"):
        return "a number"
    if kind.startswith("string"):
        return "text"
    return message.removeprefix("Input should be ").removeprefix("Value error, ")
