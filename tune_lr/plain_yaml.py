"""YAML that travels between people: plain data only.

No tags, no anchors or aliases, no duplicate keys, true and false as the only booleans, and a limit on size
and depth. Numbers are read as people write them (``1e-4`` is one, which YAML 1.1 takes for text).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from tune_lr.errors import BadInput

LARGEST_FILE = 128 * 1024
DEEPEST = 8


def read_text(path: Path, shown: str, what: str) -> str:
    """The text of a file that is not too large.

    Args:
        path: the file.
        shown: its name in messages.
        what: what it is, in messages (``space file``).

    Raises:
        BadInput: it cannot be read, is too large, or no text.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise BadInput(what, shown, f"a file of at most {LARGEST_FILE} bytes")
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(what, shown, "a text file in UTF-8") from None
    except OSError as error:
        raise BadInput(what, shown, f"a file that can be read ({error.strerror})") from error


def dump_plain(content: Any) -> str:
    """Plain data as YAML, of which :func:`plain_content` makes the same."""
    # What does not print is escaped, since PyYAML loses some of it (U+0085) otherwise.
    prints = json.dumps(content, ensure_ascii=False).isprintable()
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=prints, width=100)
    return text


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


#: libyaml, where PyYAML was built with it: the same in a tenth of the time.
_Fast: Any = type("_Fast", (getattr(yaml, "CSafeLoader", _Loader),), {"yaml_implicit_resolvers": {}})


class _Dumper(yaml.SafeDumper):
    """Quotes what either schema would take for something else than text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, (_pattern, _first) in _RESOLVERS.items():
    for _class in (_Loader, _Fast, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), _first)

_AMBIGUOUS = re.compile(r"(?:yes|no|on|off)\Z", re.IGNORECASE)


def plain_content(text: str) -> Any:
    """The plain data in ``text``.

    Raises:
        BadInput: it is no YAML, or uses what is not let through; the line is named.
    """
    if len(text) > LARGEST_FILE:
        raise BadInput("size", len(text), f"at most {LARGEST_FILE} characters")
    try:
        try:
            return _content(text, _Fast)
        except yaml.YAMLError:  # the slow one says better why
            return _content(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInput(f"line {line}", error.problem, "YAML that can be read") from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput("text", str(error).splitlines()[0], "YAML that can be read") from None


def _content(text: str, kind: Any) -> Any:
    _refuse_tricks(text, kind)
    loader = kind(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _plain(node, loader)
    finally:
        loader.dispose()


def _refuse_tricks(text: str, kind: Any) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=kind):
        line = f"line {event.start_mark.line + 1 if event.start_mark else 1}"
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if anchor is not None:
            raise BadInput(line, f"&{anchor}", "no anchors and aliases: write the value out")
        if tag is not None:
            raise BadInput(line, tag, "no tag: such a file is plain data")
        if isinstance(event, yaml.ScalarEvent) and not event.style and _AMBIGUOUS.match(event.value):
            raise BadInput(line, event.value, "true or false, or quotes around it if text is meant")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise BadInput(line, f"depth {depth}", f"at most {DEEPEST} levels")


def _plain(node: yaml.Node, loader: Any) -> Any:
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
