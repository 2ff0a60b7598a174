"""A search space as Ray Tune's ``param_space``, and back.

Ray's spaces are flat for our purpose: a knob with a condition is always drawn there, and
``space.values(config)`` drops it again where it is inactive; ``space.flat(values)`` fills it in for a point
that goes the other way. What a domain cannot say (default, condition, description) rides on it as an
attribute, which copies and pickles keep, so that reading back gives an equal space.

The upper bound of Ray's ``randint`` and ``lograndint`` is exclusive; that of a knob is inclusive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ray import tune
from ray.tune.search import sample as domains

from tune_lr.errors import BadInput
from tune_lr.space import CategoricalKnob, ConstantKnob, FloatKnob, IntKnob, Knob, SearchSpace, within

_RIDER = "_tune_lr"
#: A quantized range with more values than this is no list of categories.
_MOST_VALUES = 1000


def to_ray(space: SearchSpace) -> dict[str, Any]:
    """``space`` as a dict from knob to Ray Tune domain, or plain value for a constant.

    A constant under a condition is a choice of one.
    """
    return {name: _domain(knob) for name, knob in space.knobs.items()}


def _domain(knob: Knob) -> Any:
    if isinstance(knob, ConstantKnob) and not knob.when:
        return knob.value
    if isinstance(knob, FloatKnob):
        domain = (tune.loguniform if knob.log else tune.uniform)(knob.low, knob.high)
    elif isinstance(knob, IntKnob):
        domain = (tune.lograndint if knob.log else tune.randint)(knob.low, knob.high + 1)
    elif isinstance(knob, CategoricalKnob):
        domain = tune.choice(list(knob.values))
    else:
        domain = tune.choice([knob.value])  # type: ignore[attr-defined]
    setattr(domain, _RIDER, knob.to_dict())
    return domain


def from_ray(param_space: Mapping[str, Any], name: str = "ray_tune") -> SearchSpace:
    """The space that a flat Ray Tune ``param_space`` describes; of :func:`to_ray`'s result, an equal one.

    Quantized domains and ``grid_search`` become categories in their order.

    Raises:
        BadInput: a domain or a constant has no counterpart here (``sample_from``, ``randn``, nested dicts);
            the knob is named.
    """
    knobs = {}
    for key, domain in param_space.items():
        with within(f"param_space[{key!r}]"):
            knobs[key] = _read(domain)
    return SearchSpace(name, knobs)


def _read(domain: Any) -> Knob:
    if isinstance(domain, dict) and set(domain) == {"grid_search"}:
        return CategoricalKnob(tuple(domain["grid_search"]))
    if not isinstance(domain, domains.Domain):
        return ConstantKnob(domain)
    rider = getattr(domain, _RIDER, {})
    said = {field: rider[field] for field in ("default", "when", "description") if field in rider}
    if isinstance(domain, domains.Categorical):
        if rider.get("type") == "constant" and len(domain.categories) == 1:
            return ConstantKnob(domain.categories[0], **said)
        return CategoricalKnob(tuple(domain.categories), **said)
    sampler = domain.get_sampler()
    spread = sampler.sampler if isinstance(sampler, domains.Quantized) else sampler
    log = isinstance(spread, domains.LogUniform)
    if not (log or isinstance(spread, domains.Uniform)):
        raise BadInput("domain", domain, "uniform, loguniform, randint, lograndint, choice or grid_search")
    # Quantized by one, whole numbers keep Ray's exclusive upper bound; otherwise the bound is inclusive.
    if spread is not sampler and not (isinstance(domain, domains.Integer) and sampler.q == 1):
        return CategoricalKnob(_grid(domain, sampler.q), **said)
    if isinstance(domain, domains.Integer):
        return _int(domain.lower, domain.upper - 1, log, said)
    if domain.lower == domain.upper:
        return ConstantKnob(float(domain.lower), **said)
    return FloatKnob(domain.lower, domain.upper, log, **said)


def _int(low: int, high: int, log: bool, said: dict[str, Any]) -> Knob:
    return ConstantKnob(low, **said) if low == high else IntKnob(low, high, log, **said)


def _grid(domain: Any, q: float) -> tuple[float, ...]:
    """The multiples of ``q`` inside the bounds, both included."""
    first = math.ceil(domain.lower / q - 1e-9)
    last = math.floor(domain.upper / q + 1e-9)
    if last - first >= _MOST_VALUES:
        raise BadInput("quantized domain", domain, f"at most {_MOST_VALUES} values")
    return tuple(domain.cast(i * q) for i in range(first, last + 1))
