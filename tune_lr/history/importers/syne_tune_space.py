"""The search space that stands in Syne Tune's ``metadata.json``, as a space file has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tune_lr.errors import BadInput
from tune_lr.history.files import parse_json
from tune_lr.space import SearchSpace

_NAME = "syne_tune"
_MOST_KNOBS = 1000


def space_of(text: object) -> dict[str, Any] | None:
    """The space of a ``config_space``, which is JSON in a text; None where it is none.

    A domain that has no counterpart here is left out. A quantized or finite range is the whole range.
    """
    try:
        domains = parse_json(text, "config_space") if isinstance(text, str) else text
        if not isinstance(domains, Mapping) or len(domains) > _MOST_KNOBS:
            return None
        knobs = {str(name): knob for name, domain in domains.items() if (knob := _knob(name, domain))}
        return SearchSpace.from_dict({"name": _NAME, "knobs": knobs}).to_dict()
    except BadInput:
        return None


def _knob(name: object, domain: Any) -> dict[str, Any] | None:
    """One knob that may stand in a space file; None where there is none such."""
    try:
        found = _said(domain) if isinstance(domain, Mapping) else _constant(domain)
        SearchSpace.from_dict({"name": _NAME, "knobs": {name: found}})
    except (BadInput, KeyError, TypeError, IndexError):
        return None
    return found


def _said(domain: Mapping[str, Any]) -> dict[str, Any]:
    kind, said = domain["domain_cls"], domain["domain_kwargs"]
    if "categories" in said:
        values = said["categories"]
        return {"type": "categorical", "values": values} if len(values) > 1 else _constant(values[0])
    low, high = said["lower"], said["upper"]
    if low == high:
        return _constant(low)
    log = said.get("log_scale") is True or domain.get("sampler_cls") == "LogUniform"
    whole = kind == "Integer" or said.get("cast_int") is True
    return {"type": "int" if whole else "float", "low": low, "high": high, "log": log}


def _constant(value: Any) -> dict[str, Any]:
    return {"type": "constant", "value": value}
