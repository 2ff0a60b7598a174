"""The mapping file: what the columns of a table mean, where their names do not say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr, ValidationError

from tune_lr.errors import BadInput, UnknownName
from tune_lr.journal import Status
from tune_lr.plain_yaml import plain_content, read_text
from tune_lr.space import within

#: What a mapping file looks like, for messages and the documentation.
EXAMPLE = """\
trial: run            # which trial a row belongs to
epoch: iteration
counts_from: 0        # the first epoch's number
knobs: {learning_rate: lr, patience: patience}
metric: val_loss
mode: min
status: {column: state, values: {ok: completed, killed: stopped}}
"""
#: The same in a line.
SHORT_EXAMPLE = "{trial: run, epoch: iteration, knobs: {learning_rate: lr}, metric: val_loss}"


def _one_place(pattern: str) -> str:
    if pattern.count("{epoch}") != 1:
        raise ValueError("a column's name with {epoch} in it once")
    return pattern


_Column = Annotated[StrictStr, Field(min_length=1)]
_Pattern = Annotated[_Column, AfterValidator(_one_place)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StatusColumn(_Strict):
    """Where a trial's status stands, and which word of theirs is which of ours."""

    column: _Column
    values: dict[str, Status] = Field(default_factory=dict)


class Columns(_Strict):
    """What the columns of a table mean.

    Args:
        task: the column that names the task; a table of several tasks is several logs.
        trial: the column that says which trial a row belongs to.
        epoch: the column of the epoch or step.
        counts_from: the number of the first epoch, 0 or 1.
        fidelity: whether ``epoch`` counts epochs or steps.
        seconds: the column of the seconds since the trial began.
        status: the column of the trial's status, alone or with what its words mean.
        seed: the column of the trial's seed.
        error: the column of what went wrong.
        metric: the column of the metric, or of several, of which the first is what was optimized.
        mode: the direction of the first.
        knobs: the columns that are knobs: a list, or column -> knob.
        layout: ``long``, one row a report, or ``wide``, one row a trial.
        wide_curves: names of columns that hold a curve, one column an epoch, as ``val_loss_{epoch}``.
    """

    task: _Column | None = None
    trial: _Column | None = None
    epoch: _Column | None = None
    counts_from: Literal[0, 1] | None = None
    fidelity: Literal["epochs", "steps"] | None = None
    seconds: _Column | None = None
    status: _Column | StatusColumn | None = None
    seed: _Column | None = None
    error: _Column | None = None
    metric: _Column | list[_Column] | None = None
    mode: Literal["min", "max"] | None = None
    knobs: list[_Column] | dict[_Column, _Column] | None = None
    layout: Literal["long", "wide"] | None = None
    wide_curves: _Pattern | list[_Pattern] | None = None

    @property
    def status_column(self) -> str | None:
        return self.status.column if isinstance(self.status, StatusColumn) else self.status

    @property
    def status_words(self) -> Mapping[str, Status]:
        return self.status.values if isinstance(self.status, StatusColumn) else {}

    @property
    def metrics(self) -> list[str]:
        """The columns that are metrics, the one that was optimized first."""
        return _listed(self.metric)

    @property
    def curves(self) -> list[str]:
        return _listed(self.wide_curves)

    @property
    def knob_names(self) -> dict[str, str]:
        """Column -> knob."""
        if isinstance(self.knobs, dict):
            return dict(self.knobs)
        return {name: name.removeprefix("config/") for name in self.knobs or []}

    def named(self) -> set[str]:
        """Every column that is named outright."""
        single = (self.task, self.trial, self.epoch, self.seconds, self.status_column, self.seed, self.error)
        return {name for name in single if name} | set(self.metrics) | set(self.knob_names)


def load_mapping(path: str | Path) -> dict[str, Any]:
    """The mapping that a YAML file holds, as ``Asked.columns`` carries it.

    Raises:
        BadInput: it cannot be read, is no plain YAML, or no mapping; the field is named.
    """
    file = Path(path).expanduser()
    with within(file.name):
        content = plain_content(read_text(file, file.name, "mapping file"))
        checked(content)
    return dict(content)


def checked(content: Any) -> Columns:
    """A mapping as a value.

    Raises:
        BadInput: a field is unknown, or its value unusable.
    """
    if not isinstance(content, Mapping):
        raise BadInput("mapping", content, "fields with names of columns, as trial: run")
    try:
        return Columns.model_validate(dict(content))
    except ValidationError as error:
        raise _readable(error) from None


def metric_of(pattern: str) -> str:
    """The metric whose curve the columns of a pattern hold."""
    bare = re.sub(r"(?:epoch|ep)?[_@/.\- ]*\{epoch\}", "", pattern, flags=re.IGNORECASE).strip("_@/.- ")
    return bare or "value"


def _readable(error: ValidationError) -> BadInput:
    # Of the ways in which a field may be written, the one that fits best was meant.
    first = max(
        error.errors(include_url=False),
        key=lambda one: (one["type"] == "extra_forbidden", len(one["loc"])),
    )
    path = [str(part) for part in first["loc"]]
    field = path[0] if path else "mapping"
    if first["type"] == "extra_forbidden":
        model = Columns if len(path) == 1 else StatusColumn
        return UnknownName("mapping field", path[-1], model.model_fields)
    expected = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if field == "status" and "values" in path[1:-1]:
        return BadInput(f"status of {path[-1]!r}", first["input"], expected)
    plain = {"string_type": "the name of a column", "string_too_short": "the name of a column"}
    return BadInput(field, first["input"], plain.get(first["type"], expected))


def _listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])
