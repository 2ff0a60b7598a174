"""The tables that methods are judged on: one set of configurations, and their curves on several tasks.

Read from what the package brings along (a store of the history), from the packed data set (Parquet), from a
folder that is still being recorded, or from an ``.npz`` file of anybody's: ``space`` (JSON, as
``SearchSpace.to_dict``), ``cube`` (a row a configuration, as ``SearchSpace.encode``), and ``curves/<task>``
(configurations x epochs, NaN from where a training diverged).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_lr.errors import BadInput
from tune_lr.history.history import History
from tune_lr.space import SearchSpace

Array = NDArray[np.float64]
METRIC = "val_loss"


@dataclass(frozen=True, eq=False)
class Tables:
    """Recorded curves of the same configurations on several tasks.

    Args:
        space: which the configurations are points of.
        values: the configurations.
        curves: task -> losses after each epoch, shape ``(configurations, epochs)``.
    """

    space: SearchSpace
    values: list[dict[str, Any]]
    curves: Mapping[str, Array]

    def __post_init__(self) -> None:
        shapes = {curve.shape for curve in self.curves.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2 or next(iter(shapes))[0] != len(self.values):
            raise BadInput(
                "tables", sorted(shapes), f"one task or more of shape ({len(self.values)}, epochs)"
            )

    @property
    def tasks(self) -> list[str]:
        return list(self.curves)

    @property
    def epochs(self) -> int:
        return int(next(iter(self.curves.values())).shape[1])

    @cached_property
    def cube(self) -> Array:
        """Coordinates as a replay measures distances in them: a knob that takes no part in the middle."""
        return np.nan_to_num(np.stack([self.space.encode(point) for point in self.values]), nan=0.5)

    @cached_property
    def digest(self) -> str:
        """A hash of all of it."""
        found = hashlib.sha256(json.dumps(self.space.to_dict(), sort_keys=True).encode())
        found.update(np.ascontiguousarray(self.cube.round(9)).tobytes())
        for task, curve in sorted(self.curves.items()):
            found.update(task.encode() + np.ascontiguousarray(curve).tobytes())
        return found.hexdigest()[:16]


def load(path: Path) -> Tables:
    """The tables at a path: a ``.parquet`` file, an ``.npz`` file, a store, or a folder of recorded parts.

    Raises:
        BadInput: there is no such file, or it does not hold what is needed.
    """
    if path.is_dir():
        return _stored(path) if any(path.glob("*.parquet")) else _recorded(path)
    if not path.exists():
        raise BadInput(
            "--tables", str(path), "a packed data set, an .npz file, a store, or a folder of recorded parts"
        )
    return _of_arrays(path) if path.suffix == ".npz" else _packed(path)


def save(tables: Tables, path: Path) -> None:
    """Write an ``.npz`` file that :func:`load` reads."""
    cube = np.stack([tables.space.encode(point) for point in tables.values])
    curves = {f"curves/{task}": curve for task, curve in tables.curves.items()}
    arrays: dict[str, Any] = {"space": np.array(json.dumps(tables.space.to_dict())), "cube": cube, **curves}
    np.savez_compressed(path, **arrays)


def _of_arrays(path: Path) -> Tables:
    with np.load(path, allow_pickle=False) as file:
        for name in ("space", "cube"):
            if name not in file:
                raise BadInput("--tables", str(path), f"an .npz file with an array {name!r}")
        space = SearchSpace.from_dict(json.loads(str(file["space"])))
        values = [space.decode(point) for point in file["cube"]]
        names = [name for name in file.files if name.startswith("curves/")]
        curves = {name.removeprefix("curves/"): np.asarray(file[name], np.float64) for name in names}
    return Tables(space, values, curves)


def _packed(path: Path) -> Tables:
    """Of a packed data set the trainings under the first seed."""
    from starter_ import pack
    from starter_.record import space as recorded_space

    frame, told = pack.read(path)
    space = recorded_space()
    if space.to_dict() != told["space"]:  # else our own, whose knobs stand in their order; the file's do not
        space = SearchSpace.from_dict(told["space"])
    return _of_rows(frame[frame["seed"] == frame["seed"].min()], space)


def _stored(path: Path) -> Tables:
    """Of the store that ships with the package the trainings under the first seed."""
    history = History(path)
    tasks = history.tasks()
    space = SearchSpace.from_dict(tasks[0].space_dict or {})
    frame = history.to_pandas()
    return _of_rows(frame[frame["trial_id"].str.endswith("-0")], space)


def _of_rows(frame: pd.DataFrame, space: SearchSpace) -> Tables:
    """One row a report, of the same configurations in every task."""
    frame = frame.sort_values(["task", "trial_id", "epoch"])
    first = frame[frame["task"] == frame["task"].iloc[0]].drop_duplicates("trial_id")
    knobs = [name for name in frame if name.startswith("config/")]
    configs = first[knobs].rename(columns=lambda name: name.removeprefix("config/")).to_dict("records")
    values = [space.normalize(space.values(config)) for config in configs]
    curves = {
        str(task): rows[METRIC].to_numpy(np.float64).reshape(len(values), -1)
        for task, rows in frame.groupby("task", observed=True)
    }
    return Tables(space, values, curves)


def _recorded(folder: Path) -> Tables:
    """Every task of which all is recorded under seed 0."""
    from starter_.record import CHUNK, Part, read, space, values
    from starter_.tasks import TASKS

    curves = {}
    for task in TASKS:
        parts = [Part(task, 0, first, first + CHUNK, 27) for first in range(0, 256, CHUNK)]
        found = [read(part, folder) for part in parts]
        if all(one is not None for one in found):
            whole = np.concatenate([one for one in found if one is not None])
            curves[task] = whole[:, 0].astype(np.float64)
    if not curves:
        raise BadInput("--tables", str(folder), "a folder with a task that is recorded whole")
    return Tables(space(), values(256), curves)
