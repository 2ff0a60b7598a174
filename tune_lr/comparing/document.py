"""A comparison as JSON has it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tune_lr.comparing.words import sentence

if TYPE_CHECKING:
    from tune_lr.comparing.comparison import Comparison, Finding


def document(comparison: Comparison) -> dict[str, Any]:
    """All that was found; what is not known is None."""
    table = comparison.to_pandas()
    numbers = table.drop(columns=["method", "seed"]).groupby(table["method"], sort=False)
    found: dict[str, Any] = _plain(
        {
            "sentence": sentence(comparison),
            "metric": comparison.objective.metric,
            "mode": comparison.objective.mode,
            "budget": {comparison.unit: comparison.budget},
            "baseline": comparison.baseline,
            "target": comparison.target,
            "seeds": {name: [run.seed for run in comparison.of(name)] for name in comparison.methods},
            "medians": numbers.median().to_dict("index"),
            "findings": [_told(one) for one in comparison.findings],
            "neutral": [_told(one) for one in comparison.check],
            "speeds": [vars(one) | {"claimed": comparison.claimed(one)} for one in comparison.speeds],
            "agreement": comparison.agreement().to_dict("records"),
        }
    )
    return found


def _told(one: Finding) -> dict[str, Any]:
    return {
        "method": one.method,
        "about": one.about,
        **vars(one.test),
        "p_corrected": one.p,
        "seeds_needed": one.needed,
        "found": one.found,
    }


def _plain(value: Any) -> Any:
    """What JSON can hold."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
