"""Search spaces that several tests use."""

from __future__ import annotations

from tune_lr.space import SearchSpace

#: A logarithmic range, a ratio, a choice, a knob that waits for it, and a constant.
SMALL = SearchSpace.from_dict(
    {
        "name": "small",
        "knobs": {
            "lr": {"type": "float", "low": 0.01, "high": 1.0, "log": True},
            "min_lr_ratio": {"type": "float", "low": 0.01, "high": 0.5, "log": True},
            "smooth": {"type": "categorical", "values": [True, False]},
            "window": {"type": "int", "low": 2, "high": 9, "default": 4, "when": {"smooth": True}},
            "momentum": {"type": "constant", "value": 0.9},
        },
    }
)
