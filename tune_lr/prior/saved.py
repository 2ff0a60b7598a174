"""A prior as a folder that travels: ``prior.json`` and ``trials.parquet``, read as data, and checked."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import secrets
import shutil
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tune_lr.errors import BadInput, shorten
from tune_lr.history.files import parse_json, read_bytes
from tune_lr.prior.features import of_cube
from tune_lr.prior.fidelity import FRACTIONS
from tune_lr.prior.kernels import Kernel
from tune_lr.prior.saved_trials import packed, unpacked
from tune_lr.prior.tasks import PastTask
from tune_lr.space import SearchSpace

Array = NDArray[np.float64]

FORMAT = 1
FACTS, TRIALS = "prior.json", "trials.parquet"
#: What a file of a stranger may hold.
_LARGEST_FACTS, _LARGEST_TRIALS = 64 * 1024**2, 2 * 1024**3
_VERSIONS_OF = ("tune-lr", "numpy", "scipy")

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, lt=2**40)]
_Text = Annotated[str, Field(max_length=4000)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Kernel(_Part):
    lengths: list[_Positive]
    signal: _Positive
    noise: _Positive


class _Task(_Part):
    name: _Text
    id: Annotated[str, Field(max_length=100_000)]
    source: _Text
    descriptors: dict[_Text, _Text]
    metric: _Text
    mode: Literal["min", "max"]
    configurations: Annotated[int, Field(ge=2, lt=2**31)]
    columns: Annotated[int, Field(ge=1, le=100_000)]
    stride: Annotated[int, Field(ge=1, lt=2**40)]
    dropped: dict[_Text, _Count]


class _Facts(_Part):
    format: Literal[1]
    space: dict[str, Any]
    kernel: _Kernel
    noise: list[_Positive]
    tasks: Annotated[list[_Task], Field(min_length=1, max_length=100_000)]
    notes: list[_Text]
    versions: dict[_Text, _Text]
    sha256: str


class Saved(NamedTuple):
    """What a prior is made of (``tune_lr.prior.prior.Prior``)."""

    space: SearchSpace
    tasks: tuple[PastTask, ...]
    kernel: Kernel
    noise: Array
    notes: tuple[str, ...]


def write(saved: Saved, where: str | os.PathLike[str]) -> None:
    """Write a prior to a folder or an fsspec URI.

    A folder is put in place whole. At a URI, where nothing can be renamed, the facts come last, and they name
    the hash of the table, so that what was cut off is seen.

    Raises:
        BadInput: something other than a prior is there, or nothing can be written there.
    """
    trials = packed(saved.space, saved.tasks)
    content = {TRIALS: trials, FACTS: _facts(saved, hashlib.sha256(trials).hexdigest())}
    try:
        if "://" in os.fspath(where):
            _write_uri(os.fspath(where), content)
        else:
            _write_folder(Path(os.path.abspath(Path(where).expanduser())), content)
    except BadInput:
        raise
    except (OSError, ValueError) as error:
        raise BadInput("path of a prior", str(where), f"a place to write to ({error})") from error


def read(where: str | os.PathLike[str]) -> Saved:
    """Read a prior from a folder or an fsspec URI; everything in it is checked, and nothing in it is run.

    Raises:
        BadInput: it is none, is damaged, or is of a later format; what is wrong is named.
    """
    facts = _parsed(_bytes(where, FACTS, _LARGEST_FACTS))
    trials = _bytes(where, TRIALS, _LARGEST_TRIALS)
    if hashlib.sha256(trials).hexdigest() != facts.sha256:
        raise BadInput(TRIALS, str(where), f"the file that {FACTS} was written with (its hash differs)")
    space = SearchSpace.from_dict(facts.space)
    columns = of_cube(space, np.full((1, space.dimension), np.nan)).shape[1]
    if len(facts.kernel.lengths) != columns:
        raise BadInput(f"{FACTS}, kernel, lengths", len(facts.kernel.lengths), f"{columns} numbers")
    if len(facts.noise) != len(FRACTIONS):
        raise BadInput(f"{FACTS}, noise", len(facts.noise), f"{len(FRACTIONS)} numbers")
    tables = unpacked(trials, space, [(task.configurations, task.columns) for task in facts.tasks])
    tasks = []
    for task, table in zip(facts.tasks, tables, strict=True):
        told = task.model_dump(exclude={"configurations", "columns"})
        tasks.append(PastTask(**told, **table))
    kernel = Kernel(np.array(facts.kernel.lengths), facts.kernel.signal, facts.kernel.noise)
    noise, notes = np.array(facts.noise), tuple(facts.notes)
    return Saved(space, tuple(tasks), kernel, noise, notes)


def is_prior(where: str | os.PathLike[str]) -> bool:
    """Whether a local folder holds a saved prior, going by its files' names."""
    return (Path(where) / FACTS).is_file() and (Path(where) / TRIALS).is_file()


def _facts(saved: Saved, sha256: str) -> bytes:
    kernel = saved.kernel
    content = {
        "format": FORMAT,
        "space": saved.space.to_dict(),
        "kernel": {"lengths": kernel.lengths.tolist(), "signal": kernel.signal, "noise": kernel.noise},
        "noise": saved.noise.tolist(),
        "tasks": [_of_task(task) for task in saved.tasks],
        "notes": list(saved.notes),
        "versions": _versions(),
        "sha256": sha256,
    }
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def _of_task(task: PastTask) -> dict[str, Any]:
    configurations, columns = task.curves.shape
    told = {name: getattr(task, name) for name in _Task.model_fields if hasattr(task, name)}
    return {**told, "configurations": configurations, "columns": columns}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _VERSIONS_OF:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _parsed(content: bytes) -> _Facts:
    told = parse_json(content, FACTS)
    said = told.get("format") if isinstance(told, dict) else None
    if said != FORMAT:
        raise BadInput(f"{FACTS}, format", said, f"{FORMAT}, the one that this version of tune-lr reads")
    try:
        return _Facts.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ", ".join(str(part) for part in first["loc"])
        raise BadInput(f"{FACTS}, {shorten(at)}", first["input"], first["msg"]) from None


def _bytes(where: str | os.PathLike[str], name: str, largest: int) -> bytes:
    if "://" not in os.fspath(where):
        path = Path(where).expanduser() / name
        if not path.exists():
            raise BadInput("prior", str(where), f"a folder with {FACTS} and {TRIALS}, as `Prior.save` writes")
        return read_bytes(path, largest)
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(os.fspath(where))
        with files.open(f"{str(root).rstrip('/')}/{name}", "rb") as file:
            content: bytes = file.read(largest + 1)
    except (OSError, ValueError, ImportError) as error:
        raise BadInput("prior", str(where), f"a place with {FACTS} and {TRIALS} ({error})") from error
    if len(content) > largest:
        raise BadInput(name, str(where), f"a file of at most {largest} bytes")
    return content


def _write_folder(folder: Path, content: dict[str, bytes]) -> None:
    if folder.exists() and not (is_prior(folder) or (folder.is_dir() and not any(folder.iterdir()))):
        raise BadInput(
            "path of a prior", str(folder), "a new or empty folder, or one with a prior to replace"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    old = fresh.with_name(f"{fresh.name}.old")
    try:
        fresh.mkdir()
        for name, one in content.items():
            with (fresh / name).open("wb") as file:
                file.write(one)
                file.flush()
                os.fsync(file.fileno())
        if folder.exists():
            os.rename(folder, old)
        os.rename(fresh, folder)
    except OSError:
        if old.exists() and not folder.exists():
            os.rename(old, folder)
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write_uri(uri: str, content: dict[str, bytes]) -> None:
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError) as error:
        raise BadInput("path of a prior", uri, f"a folder or an fsspec URI ({error})") from error
    root = str(root).rstrip("/")
    files.makedirs(root, exist_ok=True)
    for name, one in content.items():
        with files.open(f"{root}/{name}", "wb") as file:
            shutil.copyfileobj(io.BytesIO(one), file)
