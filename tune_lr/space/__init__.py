"""Knob kinds and SearchSpace: which configurations there are, as pure values."""

from __future__ import annotations

from tune_lr.space.choices import CategoricalKnob, ConstantKnob
from tune_lr.space.kinds import KINDS, knob_from_dict
from tune_lr.space.knobs import Knob
from tune_lr.space.ranges import FloatKnob, IntKnob
from tune_lr.space.search_space import SearchSpace
from tune_lr.space.values import Value, within

__all__ = [
    "KINDS",
    "CategoricalKnob",
    "ConstantKnob",
    "FloatKnob",
    "IntKnob",
    "Knob",
    "SearchSpace",
    "Value",
    "knob_from_dict",
    "within",
]
