"""The folder of a study: one file a finished cell, so that a study that was cut off goes on where it was."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_lr.bench.contenders import contender_named, space_of
from tune_lr.bench.plan import Cell, Settings
from tune_lr.errors import BadInput, MissingExtra
from tune_lr.journal import write_json
from tune_lr.place import locked

if TYPE_CHECKING:
    import pandas as pd

_PACKAGES = ("tune-lr", "torch", "numpy", "scipy", "statsmodels", "scikit-learn",
             "prodigyopt", "pytorch-optimizer", "schedulefree")  # fmt: skip


class Study:
    """A folder with ``study.json`` (settings, versions, dates) and ``cells/<name>.json``.

    Args:
        path: the folder; made when something is written to it.
        settings: what its cells have in common.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self.settings = path, settings

    @classmethod
    def open(cls, path: Path) -> Study:
        """The study that a folder holds.

        Raises:
            BadInput: there is none.
        """
        content = _read(path / "study.json")
        if content is None:
            raise BadInput("--out", str(path), "the folder of a study (it holds study.json)")
        return cls(path, Settings(**content["settings"]))

    @classmethod
    def create(cls, path: Path, settings: Settings) -> Study:
        """The study in a folder, made if there is none.

        Raises:
            BadInput: the folder holds something else, or a study with other settings.
        """
        found = _read(path / "study.json")
        if found is None and path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise BadInput("--out", str(path), "a new or empty folder, or that of a study to go on with")
        if found is not None and found["settings"] != settings.to_json():
            before = " ".join(f"--{name} {value}" for name, value in found["settings"].items())
            raise BadInput("--out", str(path), f"a new folder: the study there was begun with {before}")
        return cls(path, settings)

    def begin(self) -> None:
        """Write down what is asked, and with what it runs.

        Raises:
            BadInput: the folder cannot be written to.
        """
        try:
            (self.path / "cells").mkdir(parents=True, exist_ok=True)
            before = _read(self.path / "study.json") or {}
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            content = {
                "settings": self.settings.to_json(),
                "versions": versions(),
                "begun": before.get("begun", now),
                "seen": now,
            }
            write_json(self.path / "study.json", content)
        except OSError as error:
            raise BadInput("--out", str(self.path), f"a place to write to ({error.strerror})") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process runs this study meanwhile.

        Raises:
            BadInput: another process does.
        """
        with locked(self.path):
            yield

    def facts(self) -> dict[str, Any]:
        """Settings, versions and dates."""
        return _read(self.path / "study.json") or {}

    def write(self, result: dict[str, Any]) -> None:
        """Keep what a finished cell came to."""
        write_json(self._file(Cell(**result["cell"])), result)

    def left(self, cells: Iterable[Cell]) -> list[Cell]:
        """The cells that are not finished.

        Raises:
            BadInput: a finished one was tuned over another search space than the shipped one is now.
        """
        left = []
        for cell in cells:
            found = _read(self._file(cell))
            if found is None:
                left.append(cell)
                continue
            space = space_of(contender_named(cell.contender), cell.optimizer, cell.task)
            if _bare(found["space"]) != _bare(space.to_dict()):
                raise BadInput(
                    "--out",
                    str(self.path),
                    f"a new folder, or one without {self._file(cell).relative_to(self.path)}: the search "
                    f"space {space.name} has changed since that cell was run",
                )
        return left

    def results(self) -> list[dict[str, Any]]:
        """What every finished cell came to, in the order of their names.

        Raises:
            BadInput: no cell is finished.
        """
        files = sorted((self.path / "cells").glob("*.json"))
        found = [content for file in files if (content := _read(file)) is not None]
        if not found:
            raise BadInput("--out", str(self.path), "a study of which a cell at least is finished")
        return found

    def _file(self, cell: Cell) -> Path:
        return self.path / "cells" / f"{cell.name}.json"


def table(results: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a training of the final comparison.

    Columns ``task optimizer contender setting seed train_10 train_50 train_100 val_loss val_accuracy passes
    seconds``; a loss is missing where the training diverged or failed.
    """
    import pandas as pd

    columns = ["task", "optimizer", "contender", "setting", "seed", "train_10", "train_50", "train_100"]
    columns += ["val_loss", "val_accuracy", "passes", "seconds"]
    rows = [{**result["cell"], **run} for result in results for run in result["runs"]]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    return frame


def require_extra() -> None:
    """Say at once what is missing.

    Raises:
        MissingExtra: scipy, statsmodels or scikit-learn is not installed.
    """
    from importlib.util import find_spec

    if not all(map(find_spec, ("scipy", "statsmodels", "sklearn"))):
        raise MissingExtra("tune-lr bench", "bench")


def versions() -> dict[str, str]:
    """Python and the packages on which results depend, as far as they are installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _read(file: Path) -> dict[str, Any] | None:
    """The content of a file that the study wrote, or None where there is none."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadInput("--out", str(file), f"a file as tune-lr bench wrote it ({error})") from error
    if not isinstance(content, dict):
        raise BadInput("--out", str(file), "a file as tune-lr bench wrote it")
    return content


def _bare(space: Any) -> Any:
    """A space without what it says of itself."""
    if not isinstance(space, dict):
        return space
    return {key: _bare(value) for key, value in space.items() if key != "description"}
