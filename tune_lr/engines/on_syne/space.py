"""A search space as Syne Tune's ``config_space``, and back.

Syne Tune's spaces are flat and know neither conditions nor defaults. A knob with a condition is always drawn
there, and ``space.values(config)`` drops it again where it is inactive; ``space.flat(values)`` fills it in
for a point that goes the other way. What a domain cannot say (default, condition, description) rides on it as
a private attribute, which copies and pickles keep, so that reading back gives an equal space.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from syne_tune import config_space as syne

from tune_lr.errors import BadInput
from tune_lr.space import CategoricalKnob, ConstantKnob, FloatKnob, IntKnob, Knob, SearchSpace, within

#: A leading underscore keeps it out of what Syne Tune writes about a domain.
_RIDER = "_tune_lr"
#: A quantized range with more values than this is no list of categories.
_MOST_VALUES = 1000


def to_syne(space: SearchSpace) -> dict[str, Any]:
    """``space`` as a dict from knob to Syne Tune domain, or plain value for a constant.

    A constant under a condition is a choice of one.
    """
    return {name: _domain(knob) for name, knob in space.knobs.items()}


def _domain(knob: Knob) -> Any:
    if isinstance(knob, ConstantKnob) and not knob.when:
        return knob.value
    if isinstance(knob, FloatKnob):
        domain = (syne.loguniform if knob.log else syne.uniform)(knob.low, knob.high)
    elif isinstance(knob, IntKnob):
        domain = (syne.lograndint if knob.log else syne.randint)(knob.low, knob.high)
    elif isinstance(knob, CategoricalKnob):
        domain = syne.choice(list(knob.values))
    else:
        domain = syne.choice([knob.value])  # type: ignore[attr-defined]
    setattr(domain, _RIDER, knob.to_dict())
    return domain


def from_syne(config_space: Mapping[str, Any], name: str = "syne_tune") -> SearchSpace:
    """The space that a Syne Tune ``config_space`` describes; of :func:`to_syne`'s result, an equal one.

    Ordinal, finite and quantized domains become categories in their order.

    Raises:
        BadInput: a domain or a constant has no counterpart here; the knob is named.
    """
    knobs = {}
    for key, domain in config_space.items():
        with within(f"config_space[{key!r}]"):
            knobs[key] = _read(domain)
    return SearchSpace(name, knobs)


def _read(domain: Any) -> Knob:
    if not isinstance(domain, syne.Domain):
        return ConstantKnob(domain)
    rider = getattr(domain, _RIDER, {})
    said = {field: rider[field] for field in ("default", "when", "description") if field in rider}
    if isinstance(domain, syne.Categorical):
        if rider.get("type") == "constant" and len(domain.categories) == 1:
            return ConstantKnob(domain.categories[0], **said)
        return CategoricalKnob(tuple(domain.categories), **said)
    if isinstance(domain, syne.FiniteRange):
        return CategoricalKnob(tuple(dict.fromkeys(domain.values)), **said)
    sampler = domain.get_sampler()
    spread = sampler.sampler if isinstance(sampler, syne.Quantized) else sampler
    log = isinstance(spread, (syne.Float._LogUniform, syne.Integer._LogUniform))
    if not (log or isinstance(spread, (syne.Float._Uniform, syne.Integer._Uniform))):
        raise BadInput("domain", domain, "uniform, loguniform, randint, lograndint, choice or a finite range")
    if spread is not sampler:
        return CategoricalKnob(_grid(domain, sampler.q), **said)
    if domain.lower == domain.upper:
        return ConstantKnob(domain.cast(domain.lower), **said)
    kind = IntKnob if isinstance(domain, syne.Integer) else FloatKnob
    return kind(domain.lower, domain.upper, log, **said)


def _grid(domain: Any, q: float) -> tuple[float, ...]:
    """The multiples of ``q`` inside the bounds, both included."""
    first = math.ceil(domain.lower / q - 1e-9)
    last = math.floor(domain.upper / q + 1e-9)
    if last - first >= _MOST_VALUES:
        raise BadInput("quantized domain", domain, f"at most {_MOST_VALUES} values")
    return tuple(domain.cast(i * q) for i in range(first, last + 1))
