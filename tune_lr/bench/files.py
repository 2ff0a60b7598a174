"""Reading what a study wrote, with distrust: files are damaged, edited, copied, and come from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tune_lr.bench.plan import Cell, Settings
from tune_lr.bench.tasks import TASKS
from tune_lr.errors import BadInput

_REDO = "or no such file: its cell is run again by the command that asks for it"
_NEW = "or a new folder for the study"

#: How contents are described: ``whole`` (no bool), ``text``, ``number`` (finite), ``loss`` (a number or
#: None), a dict of what must be there, or a list of one such description, of which there is one or more.
_SETTINGS = dict.fromkeys(("trials", "epochs", "seeds", "seed"), "whole")
_STUDY = {"settings": _SETTINGS, "versions": {}, "begun": "text", "seen": "text"}
_RUN = {"setting": "text", "seed": "whole", "seconds": "number"} | dict.fromkeys(
    ("train_10", "train_50", "train_100", "val_loss", "val_accuracy", "passes"), "loss"
)
_CELL = {
    "cell": dict.fromkeys(("task", "optimizer", "contender"), "text"),
    "code": "text",
    "settings": _SETTINGS,
    "space": {"name": "text", "knobs": {}},
    "knobs": "whole",
    "tuned": {"config": {}, "losses": ["loss"], "source": "text"}
    | dict.fromkeys(("trials", "epochs", "diverged"), "whole"),
    "default": {},
    "runs": [_RUN],
    "seconds": "number",
}
#: What cells hold since it is noted there; of older ones the study tells it.
_LATER = {"versions": {}, "cores": "whole", "ended": "text"}


class Torn(BadInput):
    """A file that is not whole, as a full disk or a power cut leaves it."""


def read_study(file: Path) -> dict[str, Any] | None:
    """The content of ``study.json``, or None where there is none.

    Raises:
        BadInput: it is damaged, or not of a study.
    """
    content = _read(file, _NEW)
    if content is not None:
        _require(content, _STUDY, file, _NEW)
        if set(content["settings"]) != set(_SETTINGS):
            raise _foreign(file, "settings that are not known", _NEW)
        try:
            Settings(**content["settings"])
        except BadInput as error:
            raise _foreign(file, str(error), _NEW) from None
    return content


def read_cell(file: Path, settings: Settings) -> dict[str, Any] | None:
    """What a finished cell came to, or None where there is no such file.

    Args:
        file: whose name tells the cell.
        settings: those of the study.

    Raises:
        Torn: the file is not whole.
        BadInput: it holds something else, another cell, or one with other settings.
    """
    content = _read(file, _REDO)
    if content is None:
        return None
    later = {key: shape for key, shape in _LATER.items() if key in content}
    _require(content, _CELL | later, file, _REDO)
    cell, runs = Cell(*(content["cell"][key] for key in ("task", "optimizer", "contender"))), content["runs"]
    if cell.name != file.stem:
        raise _foreign(file, f"it holds the cell {cell.name}", _REDO)
    if cell.task not in TASKS:
        raise _foreign(file, f"there is no task {cell.task}", _REDO)
    if content["settings"] != settings.to_json():
        raise _foreign(file, "its settings are others than those of study.json", _REDO)
    trainings = [(run["setting"], run["seed"]) for run in runs]
    expected = [(setting, seed) for setting in ("tuned", "default") for seed in settings.fresh]
    if sorted(trainings) != sorted(expected):
        raise _foreign(file, f"runs: not {len(settings.fresh)} seeds of both configurations", _REDO)
    return content


def _read(file: Path, remedy: str) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput("--out", str(file), f"a file that can be read ({error.strerror})") from error
    except ValueError as error:
        raise Torn("--out", str(file), f"a file as tune-lr bench wrote it, {remedy} ({error})") from error
    except RecursionError:
        raise _foreign(file, "it is nested too deeply", remedy) from None
    if not isinstance(content, dict):
        raise _foreign(file, "it holds no object", remedy)
    return content


def _require(content: Mapping[str, Any], shape: Any, file: Path, remedy: str) -> None:
    if fault := _fault(content, shape, ""):
        raise _foreign(file, fault, remedy)


def _fault(value: Any, shape: Any, where: str) -> str | None:
    """What is wrong with a value, or None."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{where or 'it'}: no object"
        for key, inner in shape.items():
            name = f"{where}.{key}" if where else key
            if key not in value:
                return f"{name} is missing"
            if fault := _fault(value[key], inner, name):
                return fault
        return None
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            return f"{where}: no list with something in it"
        faults = (_fault(one, shape[0], f"{where}[{number}]") for number, one in enumerate(value))
        return next((fault for fault in faults if fault), None)
    if shape == "text":
        return None if isinstance(value, str) else f"{where}: no text"
    if shape == "whole":
        return None if type(value) is int else f"{where}: no whole number"
    if value is None and shape == "loss":
        return None
    return None if type(value) in (int, float) and abs(value) < 1e300 else f"{where}: no number"


def _foreign(file: Path, fault: str, remedy: str) -> BadInput:
    return BadInput("--out", str(file), f"a file as tune-lr bench wrote it, {remedy} ({fault})")
