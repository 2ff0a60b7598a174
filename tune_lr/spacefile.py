"""YAML <-> SearchSpace: shipped spaces by name, anyone's by path.

Space files travel between people, so one is read as plain data only (``plain_yaml``).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationError,
)

from tune_lr.errors import BadInput, UnknownName
from tune_lr.plain_yaml import dump_plain, plain_content, read_text
from tune_lr.space import SearchSpace, within
from tune_lr.space.values import listed, number, scalar, whole

_SUFFIXES = (".yaml", ".yml")


def load_space(name_or_path: str | os.PathLike[str]) -> SearchSpace:
    """A shipped space by name (``greedy_lr``), or any space by path (``./my.yaml``, a Path).

    Raises:
        UnknownName: no shipped space has the name; near matches and all names are listed.
        BadInput: there is no such file, or it is no space; file, knob and value are named.
    """
    text = os.fspath(name_or_path) if isinstance(name_or_path, os.PathLike) else name_or_path
    if not isinstance(text, str) or not text or "\0" in text:
        raise BadInput("space", name_or_path, "the name of a shipped space, or the path of a YAML file")
    is_path = not isinstance(name_or_path, str) or text.endswith(_SUFFIXES) or Path(text).name != text
    if not is_path:
        if text not in space_names():
            hint = f" (for a file write ./{text})" if Path(text).exists() else ""
            raise UnknownName(f"space{hint}", text, space_names())
        path = shipped_folder() / f"{text}.yaml"
    else:
        path = Path(text).expanduser()
    return parse_space(_read(path, text if is_path else path.name), source=text if is_path else path.name)


def space_names() -> list[str]:
    """The names of the shipped spaces, sorted."""
    return sorted(file.stem for file in shipped_folder().glob("*.yaml"))


@functools.cache
def shipped_spaces() -> tuple[SearchSpace, ...]:
    """Every shipped space, in the order of their names; read once."""
    return tuple(load_space(name) for name in space_names())


def shipped_folder() -> Path:
    """Where the shipped spaces lie: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "searchspaces"
    return inside if inside.is_dir() else package.parent / "searchspaces"


def parse_space(text: str, source: str = "space file") -> SearchSpace:
    """The space that the YAML ``text`` describes; ``source`` names it in messages.

    Raises:
        BadInput: ``text`` is no YAML, uses what is not allowed in a space file, or describes no space.
    """
    with within(source):
        content = plain_content(text)
        try:
            _File.model_validate(content)
        except ValidationError as error:
            raise _readable(error) from None
        return SearchSpace.from_dict(content)


def dump_space(space: SearchSpace) -> str:
    """The space as the text of a space file, of which :func:`parse_space` makes an equal one."""
    return dump_plain(space.to_dict())


def _read(path: Path, shown: str) -> str:
    if not path.is_file():
        near = path.stem if path.stem in space_names() else None
        hint = f"; the shipped space is called {near}" if near else ""
        raise BadInput("space file", shown, f"the path of a file that exists{hint}")
    return read_text(path, shown, "space file")


# What a space file looks like.


_Number = Annotated[float, BeforeValidator(lambda value: number(value, ""))]
_Whole = Annotated[int, BeforeValidator(lambda value: whole(value, ""))]
_Value = Annotated[Any, BeforeValidator(lambda value: scalar(value, ""))]
_Values = Annotated[Any, BeforeValidator(lambda value: listed(value, ""))]
_Allowed = Annotated[
    Any, BeforeValidator(lambda value: listed(value if isinstance(value, list) else [value], ""))
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class _Knob(_Strict):
    when: dict[str, _Allowed] = {}
    description: StrictStr = ""


class _Float(_Knob):
    type: Literal["float"]
    low: _Number
    high: _Number
    log: StrictBool = False
    default: _Number | None = None


class _Int(_Knob):
    type: Literal["int"]
    low: _Whole
    high: _Whole
    log: StrictBool = False
    default: _Whole | None = None


class _Categorical(_Knob):
    type: Literal["categorical"]
    values: _Values
    default: _Value = None


class _Constant(_Knob):
    type: Literal["constant"]
    value: _Value


class _File(_Strict):
    name: StrictStr
    description: StrictStr = ""
    knobs: dict[str, Annotated[_Float | _Int | _Categorical | _Constant, Field(discriminator="type")]]


_EXPECTED = {
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping such as {type: float, low: 0.0, high: 1.0}",
    "string_type": "text",
    "bool_type": "true or false",
}
_MODELS = {"float": _Float, "int": _Int, "categorical": _Categorical, "constant": _Constant}


def _readable(error: ValidationError) -> BadInput:
    """The first complaint, as file, knob, field and value."""
    # A mistyped key explains the missing one that it was meant for, so it comes first.
    first = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    path, found = [str(part) for part in first["loc"]], first["input"]
    where, model = "", _File
    if path[:1] == ["knobs"] and len(path) > 1:
        where, path = f"knob {path[1]!r}, ", path[2:]
        if path and path[0] in _MODELS:
            model, path = _MODELS[path[0]], path[1:]  # type: ignore[assignment]
    at = where + (path[0] if path else "content")
    if first["type"] == "extra_forbidden":
        return UnknownName(f"{where}field", path[-1], model.model_fields)
    if first["type"] == "missing":
        return BadInput(at, None, "a value: it must be given")
    if first["type"].startswith("union_tag"):
        kind = found.get("type") if isinstance(found, Mapping) else found
        if isinstance(kind, str):
            return UnknownName(f"{where}type", kind, _MODELS)
        return BadInput(f"{where}type", kind, f"one of: {', '.join(sorted(_MODELS))}")
    cause = first.get("ctx", {}).get("error")
    expected = cause.expected if isinstance(cause, BadInput) else _EXPECTED.get(first["type"], first["msg"])
    return BadInput(at, found, expected)
