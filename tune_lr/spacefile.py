"""YAML <-> SearchSpace: shipped spaces by name, anyone's by path.

Space files travel between people, so one is read as plain data only: no tags, no anchors or aliases, no
duplicate keys, true and false as the only booleans, and a limit on size and depth. Numbers are read as people
write them (``1e-4`` is one, which YAML 1.1 takes for text).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
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
from tune_lr.space import SearchSpace, within
from tune_lr.space.values import listed, number, scalar, whole

LARGEST_FILE = 128 * 1024
DEEPEST = 8

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
        content = _plain_content(text)
        try:
            _File.model_validate(content)
        except ValidationError as error:
            raise _readable(error) from None
        return SearchSpace.from_dict(content)


def dump_space(space: SearchSpace) -> str:
    """The space as the text of a space file, of which :func:`parse_space` makes an equal one."""
    content = space.to_dict()
    # What does not print is escaped, since PyYAML loses some of it (U+0085) otherwise.
    prints = json.dumps(content, ensure_ascii=False).isprintable()
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=prints, width=100)
    return text


def _read(path: Path, shown: str) -> str:
    if not path.is_file():
        near = path.stem if path.stem in space_names() else None
        hint = f"; the shipped space is called {near}" if near else ""
        raise BadInput("space file", shown, f"the path of a file that exists{hint}")
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise BadInput("space file", shown, f"a file of at most {LARGEST_FILE} bytes")
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput("space file", shown, "a text file in UTF-8") from None
    except OSError as error:
        raise BadInput("space file", shown, f"a file that can be read ({error.strerror})") from error


# What YAML is let through.

_RESOLVERS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
}


class _Loader(yaml.SafeLoader):
    """Safe, and with the few plain types of YAML's newer core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


class _Dumper(yaml.SafeDumper):
    """Quotes what either schema would take for something else than text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, (_pattern, _first) in _RESOLVERS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), _first)

_AMBIGUOUS = re.compile(r"(?:yes|no|on|off)\Z", re.IGNORECASE)


def _plain_content(text: str) -> Any:
    """The plain data in ``text``; raises BadInput with the line where something is wrong."""
    if len(text) > LARGEST_FILE:
        raise BadInput("size", len(text), f"at most {LARGEST_FILE} characters")
    try:
        _refuse_tricks(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else _plain(node, loader)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInput(f"line {line}", error.problem, "YAML that can be read") from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput("text", str(error).splitlines()[0], "YAML that can be read") from None


def _refuse_tricks(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = f"line {event.start_mark.line + 1 if event.start_mark else 1}"
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if anchor is not None:
            raise BadInput(line, f"&{anchor}", "no anchors and aliases: write the value out")
        if tag is not None:
            raise BadInput(line, tag, "no tag: a space file is plain data")
        if isinstance(event, yaml.ScalarEvent) and not event.style and _AMBIGUOUS.match(event.value):
            raise BadInput(line, event.value, "true or false, or quotes around it if text is meant")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise BadInput(line, f"depth {depth}", f"at most {DEEPEST} levels")


def _plain(node: yaml.Node, loader: _Loader) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_plain(one, loader) for one in node.value]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _plain(key_node, loader)
        line = f"line {key_node.start_mark.line + 1}"
        if not isinstance(key, str):
            raise BadInput(line, key, "text as the key (quotes make text)")
        if key in found:
            raise BadInput(line, key, "every key once")
        found[key] = _plain(value_node, loader)
    return found


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
