"""What the pictures have in common: the sheet they are drawn on, and how their axes look."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from tune_lr.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#333333"
#: What is further from nought is left out of pictures, whose margins must be floats too.
FURTHEST = 1e200
_GRID = "#e6e6e6"


def sheet(width: float, height: float) -> Figure:
    """An empty figure of so many inches, made without a display; notebooks show it by themselves.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtra("a picture", "plot") from error

    class Picture(Figure):
        def _repr_png_(self) -> bytes:
            drawn = io.BytesIO()
            self.savefig(drawn, format="png", dpi=110)
            return drawn.getvalue()

    return Picture(figsize=(width, height), layout="constrained", facecolor="white")


def logarithmic(axes: Axes, across: bool = False) -> None:
    """Make the upward axis logarithmic, or the one ``across``, its ticks plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    (axes.set_xscale if across else axes.set_yscale)("log")
    low, high = axes.get_xlim() if across else axes.get_ylim()
    axis = axes.xaxis if across else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if float(high) / float(low) < 1000 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def literal(text: str) -> str:
    """Text that matplotlib takes for no formula."""
    return text.replace("$", r"\$")


def dress(axes: Axes, title: str, across: str, up: str) -> None:
    """Title, labels and grid."""
    from matplotlib.ticker import MaxNLocator

    axes.set_title(literal(title), loc="left", fontsize=11, fontweight="bold", color=INK)
    axes.set_xlabel(literal(across), color=INK)
    axes.set_ylabel(literal(up), color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(True, color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
