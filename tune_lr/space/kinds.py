"""The kinds of knob by the name that a space file gives them, and how a mapping becomes a knob."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields

from tune_lr.errors import BadInput, UnknownName
from tune_lr.space.choices import CategoricalKnob, ConstantKnob
from tune_lr.space.knobs import Knob
from tune_lr.space.ranges import FloatKnob, IntKnob

KINDS: dict[str, type[Knob]] = {one.kind: one for one in (FloatKnob, IntKnob, CategoricalKnob, ConstantKnob)}


def knob_from_dict(content: object) -> Knob:
    """The knob that ``content`` describes (``type`` and that kind's fields, as in a space file).

    Raises:
        BadInput: a field is missing, unknown (near matches are listed) or cannot be used.
    """
    if not isinstance(content, Mapping):
        raise BadInput("content", content, "a mapping such as {type: float, low: 0.0, high: 1.0}")
    kind = content.get("type")
    if not isinstance(kind, str):
        raise BadInput("type", kind, f"one of: {', '.join(sorted(KINDS))}")
    if kind not in KINDS:
        raise UnknownName("type", kind, KINDS)
    known = {one.name: one for one in fields(KINDS[kind])}
    for key in content:
        if key != "type" and key not in known:
            raise UnknownName("field", str(key), ["type", *known])
    given = {str(key): value for key, value in content.items() if key != "type"}
    for name, one in known.items():
        if one.default is MISSING and one.default_factory is MISSING and name not in given:
            raise BadInput(name, None, f"a value: a knob of type {kind} needs it")
    return KINDS[kind](**given)
