"""The folder of an experiment as a place: where it is, that it is free, and that one process has it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from tune_lr.errors import BadInput


def absolute(path: str | os.PathLike[str]) -> Path:
    """A folder that stays the same one when a trainer changes the working directory."""
    try:
        return Path(os.path.abspath(Path(path).expanduser()))
    except RuntimeError as error:  # no such user's home
        raise BadInput("out", str(path), f"a path that can be found ({error})") from error


def shown(path: Path) -> str:
    """A path as a person here would write it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # it lies elsewhere, or here is gone
        return str(path)


def require_free(folder: Path, name: str) -> None:
    """Raise ``BadInput`` where the folder is not new or empty, or cannot be one."""
    if folder.exists() and not folder.is_dir():
        raise BadInput("out", name, "a folder (a file of that name is there)")
    for parent in folder.parents:
        if parent.exists() and not parent.is_dir():
            raise BadInput("out", name, f"a folder ({parent} is a file)")
    if folder.is_dir() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise BadInput("out", name, "a new or empty folder (this one holds other files)")


@contextmanager
def writable(folder: Path, name: str, files: tuple[str, ...]) -> Iterator[None]:
    """Have a folder to write files to, made if need be; what was made and stays empty is removed again.

    Raises:
        BadInput: it cannot be made, or nothing or one of the files cannot be written there.
    """
    made = []
    try:
        try:
            for part in (*reversed(folder.parents), folder):
                if not part.exists():
                    part.mkdir()
                    made.append(part)
            with TemporaryFile(dir=folder):
                pass
            for file in files:
                if (folder / file).exists():
                    open(folder / file, "ab").close()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = getattr(error, "strerror", None) or error
            raise BadInput("out", name, f"a folder to write to ({reason})") from error
        yield
    finally:
        with suppress(OSError):
            for part in reversed(made):
                part.rmdir()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Have the folder for this process alone; ``BadInput`` where another has it."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BadInput("experiment", str(folder), "one that no other process is running now") from None
    try:
        yield
    finally:
        lock.release()
