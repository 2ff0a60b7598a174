"""Search spaces in tables."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_lr.space import CategoricalKnob, ConstantKnob, FloatKnob, IntKnob, SearchSpace
from tune_lr.space.knobs import Knob
from tune_lr.spacefile import load_space, space_names
from tune_lr.views.words import short


def list_spaces(console: Console) -> None:
    """Print the shipped spaces."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("space", "knobs", "what it is for"):
        table.add_column(name, justify="right" if name == "knobs" else "left")
    for name in space_names():
        space = load_space(name)
        table.add_row(Text(name), str(space.dimension), Text(space.description))
    console.print(table)
    console.print(Text("One of them:  tune-lr spaces NAME   As a file to edit:  tune-lr spaces NAME --yaml"))


def show_space(space: SearchSpace, console: Console) -> None:
    """Print the knobs of one space."""
    console.print(
        Text(f"{space.name}: {space.description}" if space.description else space.name, style="bold")
    )
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("knob", "kind", "range", "default", "when", ""):
        table.add_column(name)
    for name, knob in space.knobs.items():
        default = "" if isinstance(knob, ConstantKnob) else short(knob.start())
        cells = (name, _kind(knob), _range(knob), default, _when(knob), knob.description)
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def _kind(knob: Knob) -> str:
    return f"log {knob.kind}" if isinstance(knob, (FloatKnob, IntKnob)) and knob.log else knob.kind


def _range(knob: Knob) -> str:
    if isinstance(knob, (FloatKnob, IntKnob)):
        return f"{short(knob.low)} to {short(knob.high)}"
    values = knob.values if isinstance(knob, CategoricalKnob) else (getattr(knob, "value", ""),)
    return ", ".join(short(value) for value in values)


def _when(knob: Knob) -> str:
    said = (f"{name} is {' or '.join(map(short, allowed))}" for name, allowed in knob.when.items())
    return " and ".join(said)
