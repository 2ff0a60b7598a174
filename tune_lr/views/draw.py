"""Pictures of an experiment, or of one of its trials, as files."""

from __future__ import annotations

import os
from pathlib import Path

from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment

_PICTURES = (".png", ".svg", ".pdf")


def write(experiment: Experiment, file: Path, trial: str | None = None) -> None:
    """Draw the experiment, or one trial's learning rate, into a file; its suffix says how.

    Raises:
        BadInput: another suffix, a place that cannot be written, or a trial that has no decisions.
        MissingExtra: what draws it is not installed.
    """
    suffix = file.suffix.lower()
    if suffix not in (*_PICTURES, ".html"):
        raise BadInput(
            "--out", str(file), f"a file that ends with one of: {', '.join((*_PICTURES, '.html'))}"
        )
    temporary = file.with_name(f".{os.getpid()}{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _draw(experiment, temporary, suffix, trial)
        os.replace(temporary, file)
    except OSError as error:
        raise BadInput("--out", str(file), f"a place to write to ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True) if temporary.parent.is_dir() else None


def _draw(experiment: Experiment, file: Path, suffix: str, trial: str | None) -> None:
    if suffix == ".html":
        from tune_lr.views import page, trial_page

        drawn = page.page(experiment) if trial is None else trial_page.page(experiment, trial)
        file.write_text(drawn, encoding="utf-8")
        return
    experiment.plot(trial).savefig(file, dpi=150, format=suffix[1:])
