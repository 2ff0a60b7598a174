"""How far reading a log is, in bytes: told by ``history.files`` as it reads, heard by whoever shows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_heard: ContextVar[Callable[[str, int], None] | None] = ContextVar("heard", default=None)


def told(name: str, size: int) -> None:
    """Say that so many bytes of a file were read."""
    if (hear := _heard.get()) is not None:
        hear(name, size)


@contextmanager
def telling(progress: Callable[[str, int, int], None] | None, path: Path) -> Iterator[None]:
    """Tell ``progress`` the file's name, the bytes read so far, and how many there are at ``path``."""
    if progress is None:
        yield
        return
    total, done = _bytes_below(path), 0

    def hear(name: str, size: int) -> None:
        nonlocal done
        done = min(done + size, total)
        progress(name, done, total)

    token = _heard.set(hear)
    try:
        yield
    finally:
        _heard.reset(token)


def _bytes_below(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size if path.exists() else 0
    total, waiting = 0, [os.fspath(path)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as listed:
                for entry in listed:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total
