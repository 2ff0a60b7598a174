"""The folder of a study: one file a finished cell, so that a study that was cut off goes on where it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_lr.bench.code import versions
from tune_lr.bench.contenders import contender_named, space_of
from tune_lr.bench.files import Torn, read_cell, read_study
from tune_lr.bench.plan import Cell, Settings
from tune_lr.errors import BadInput, JobFailed, MissingExtra
from tune_lr.journal import write_json
from tune_lr.place import locked

if TYPE_CHECKING:
    import pandas as pd


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
        content = read_study(path / "study.json")
        if content is None:
            raise BadInput("--out", str(path), "the folder of a study (it holds study.json)")
        return cls(path, Settings(**content["settings"]))

    @classmethod
    def create(cls, path: Path, settings: Settings) -> Study:
        """The study in a folder, made if there is none.

        Raises:
            BadInput: the folder holds something else, or a study with other settings.
        """
        study = cls(path, settings)
        found = study._same()
        if not found and path.exists() and (not path.is_dir() or any(map(_shown, path.iterdir()))):
            raise BadInput("--out", str(path), "a new or empty folder, or that of a study to go on with")
        return study

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Have the folder alone, with what is asked and with what it was begun written down in it.

        What a cell was run with stands in its own file: versions change while a study is away.

        Raises:
            BadInput: the folder cannot be written to, another process runs this study, or has begun another
                in its place meanwhile.
        """
        with ExitStack() as held:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                held.enter_context(locked(self.path))
                before = self._same()
                now = datetime.now(timezone.utc).isoformat(timespec="seconds")
                first = {"settings": self.settings.to_json(), "versions": versions(), "begun": now}
                write_json(self.path / "study.json", {**first, **before, "seen": now})
                (self.path / "cells").mkdir(exist_ok=True)
                for torn in self.path.glob("cells/.*.json.*"):  # of a process that was killed as it wrote
                    torn.unlink(missing_ok=True)
            except OSError as error:
                raise BadInput("--out", str(self.path), f"a place to write to ({error.strerror})") from error
            yield

    def _same(self) -> dict[str, Any]:
        """What study.json holds, nothing if it is not there; it must be of the same settings."""
        found = read_study(self.path / "study.json") or {}
        if found and found["settings"] != self.settings.to_json():
            before = " ".join(f"--{name} {value}" for name, value in found["settings"].items())
            raise BadInput("--out", str(self.path), f"a new folder: the study there was begun with {before}")
        return found

    def facts(self) -> dict[str, Any]:
        """Settings, versions and dates."""
        return read_study(self.path / "study.json") or {}

    def write(self, result: dict[str, Any]) -> None:
        """Keep what a finished cell came to.

        Raises:
            JobFailed: it cannot be written, as on a full disk.
        """
        file = self._file(Cell(**result["cell"]))
        try:
            write_json(file, result)
        except OSError as error:
            for torn in file.parent.glob(f".{file.name}.*"):
                with suppress(OSError):
                    torn.unlink()
            raise JobFailed(
                f"cannot write {file} ({error.strerror}); finished cells are kept, and the same command "
                "goes on"
            ) from error

    def left(self, cells: Iterable[Cell]) -> list[Cell]:
        """The cells that are not finished; one whose file is torn is not.

        Raises:
            BadInput: a finished one was tuned over another search space than the shipped one is now, or a
                file among those of the cells holds something else.
        """
        left = []
        wanted = list(cells)
        for cell in wanted:
            try:
                found = read_cell(self._file(cell), self.settings)
            except Torn:
                found = None
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
        for file in sorted(set(self._files()) - {self._file(cell) for cell in wanted}):
            read_cell(file, self.settings)  # the report would trip over it after hours
        return left

    def results(self) -> list[dict[str, Any]]:
        """What every finished cell came to, in the order of their names.

        Raises:
            BadInput: no cell is finished, or a file among those of the cells is torn or holds something else.
        """
        found = [content for file in self._files() if (content := read_cell(file, self.settings)) is not None]
        if not found:
            raise BadInput("--out", str(self.path), "a study of which a cell at least is finished")
        return found

    def _files(self) -> list[Path]:
        return sorted(filter(_shown, (self.path / "cells").glob("*.json")))

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


def _shown(file: Path) -> bool:
    """Not one of those that are only there meanwhile."""
    return not file.name.startswith(".")


def _bare(space: Any) -> Any:
    """A space without what it says of itself."""
    if not isinstance(space, dict):
        return space
    return {key: _bare(value) for key, value in space.items() if key != "description"}
