"""Pictures as files: an experiment, one of its trials, or whatever else has a figure and a page."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PICTURES = (".png", ".svg", ".pdf")


def write(experiment: Experiment, file: Path, trial: str | None = None) -> None:
    """Draw the experiment, or one trial's learning rate, into a file; its suffix says how.

    Raises:
        BadInput: another suffix, a place that cannot be written, or a trial that has no decisions.
        MissingExtra: what draws it is not installed.
    """

    def page() -> str:
        from tune_lr.views import page, trial_page

        return page.page(experiment) if trial is None else trial_page.page(experiment, trial)

    save(file, "--out", lambda: experiment.plot(trial), page)


def save(file: Path, option: str, figure: Callable[[], Figure], page: Callable[[], str]) -> None:
    """Write a picture to the file that ``option`` names: ``page`` where it ends with .html, else ``figure``.

    Raises:
        BadInput: another suffix, or a place that cannot be written.
    """
    suffix = file.suffix.lower()
    if suffix not in (*_PICTURES, ".html"):
        raise BadInput(option, str(file), f"a file that ends with one of: {', '.join((*_PICTURES, '.html'))}")
    temporary = file.with_name(f".{os.getpid()}{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".html":
            temporary.write_text(page(), encoding="utf-8")
        else:
            figure().savefig(temporary, dpi=150, format=suffix[1:])
        os.replace(temporary, file)
    except OSError as error:
        raise BadInput(option, str(file), f"a place to write to ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True) if temporary.parent.is_dir() else None
