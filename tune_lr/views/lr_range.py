"""A learning-rate range test as a table, a line of YAML, a picture and a CSV file."""

from __future__ import annotations

import bisect
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_lr.errors import BadInput, MissingExtra
from tune_lr.views.canvas import dress, sheet
from tune_lr.views.words import short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLE, PICTURE = "range.csv", "range.png"
_FAINT, _LINE, _SPAN = "#56B4E9", "#0072B2", "#E69F00"


@dataclass(frozen=True)
class Sweep:
    """What there is to show.

    Args:
        title: of what trainer.
        lrs: growing; shape (n,).
        losses: one for each.
        smoothed: the same, smoothed.
        bounds: the proposed low, high and first LR; None where there are none.
    """

    title: str
    lrs: Sequence[float]
    losses: Sequence[float]
    smoothed: Sequence[float]
    bounds: tuple[float, float, float] | None


def show(sweep: Sweep, console: Console) -> None:
    """Print the proposal as a table, and as the line for a space file; nothing where there is none."""
    if sweep.bounds is None:
        return
    low, high, suggestion = sweep.bounds
    at_the_end = high == sweep.lrs[-1]
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("", "lr", "loss", "what happens there"):
        table.add_column(name, justify="left" if name in ("", "what happens there") else "right")
    high_says = (
        "the sweep ends, and nothing blew up: try a larger --high"
        if at_the_end
        else "beyond it the loss rises, or blows up"
    )
    for name, lr, says in (
        ("low", low, "the loss begins to fall"),
        ("to begin with", suggestion, "a tenth of high" if suggestion > low else "as low"),
        ("high", high, high_says),
    ):
        table.add_row(Text(name), Text(written(lr)), Text(short(_loss_at(sweep, lr))), Text(says))
    console.print(table)
    console.print(Text("For a space file (tune-lr spaces NAME --yaml prints one to edit):"))
    console.print(Text(f"  {yaml_line(low, high, suggestion)}"), soft_wrap=True)


def yaml_line(low: float, high: float, suggestion: float) -> str:
    """The knob ``lr`` as it stands in a space file, its numbers to two digits."""
    return (
        f"lr: {{type: float, low: {written(low)}, high: {written(high)}, log: true, "
        f"default: {written(suggestion)}}}"
    )


def written(lr: float) -> str:
    """Two digits of an LR, as every YAML reader takes them for a number."""
    text = f"{lr:.2g}"
    if "e" in text:
        digits, _, exponent = text.partition("e")
        return f"{digits if '.' in digits else digits + '.0'}e{int(exponent):+d}"
    return text if "." in text else f"{text}.0"


def write(sweep: Sweep, folder: Path) -> tuple[list[str], MissingExtra | None]:
    """Write the table and the picture into a folder, if there is anything to see.

    Returns:
        The names of the files; and, where there can be no picture, the extra that it needs.

    Raises:
        BadInput: the folder cannot be written to.
    """
    if not sweep.lrs:
        return [], None
    try:
        with open(folder / TABLE, "w", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines)
            writer.writerow(("lr", "loss", "smoothed"))
            writer.writerows(zip(sweep.lrs, sweep.losses, sweep.smoothed, strict=True))
        figure(sweep).savefig(folder / PICTURE, dpi=150, format="png")
    except MissingExtra as missing:
        return [TABLE], missing
    except OSError as error:
        raise BadInput("out", str(folder), f"a folder to write to ({error.strerror})") from error
    return [TABLE, PICTURE], None


def figure(sweep: Sweep) -> Figure:
    """The losses over the LR, and the proposed range, made without a display.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    picture = sheet(7.5, 4.2)
    axes = picture.subplots()
    dress(axes, f"range test of {sweep.title}", "learning rate", "training loss")
    axes.set_xscale("log")
    axes.plot(sweep.lrs, sweep.losses, color=_FAINT, alpha=0.6, linewidth=1.0, label="loss of each step")
    axes.plot(sweep.lrs, sweep.smoothed, color=_LINE, linewidth=2.2, label="smoothed")
    if sweep.bounds is not None:
        low, high, suggestion = sweep.bounds
        axes.axvspan(low, high, color=_SPAN, alpha=0.18, label=f"lr from {written(low)} to {written(high)}")
        axes.axvline(suggestion, color=_SPAN, linewidth=2, label=f"to begin with: {written(suggestion)}")
    axes.set_ylim(*_view(sweep))
    axes.legend(frameon=False, fontsize=9, loc="lower left")
    return picture


def _loss_at(sweep: Sweep, lr: float) -> float:
    return sweep.smoothed[min(bisect.bisect_left(sweep.lrs, lr), len(sweep.lrs) - 1)]


def _view(sweep: Sweep) -> tuple[float, float]:
    """The losses worth looking at: up to twice the fall above the lowest, where it blows up."""
    first, lowest = sweep.smoothed[0], min(sweep.smoothed)
    head = sweep.losses[: max(1, len(sweep.losses) // 2)]
    top = min(max(sweep.losses), max(*head, first + 0.6 * (first - lowest)))
    bottom = min(sweep.losses)
    margin = 0.05 * (top - bottom) or 0.05 * abs(top) or 1.0
    return bottom - margin, top + margin
