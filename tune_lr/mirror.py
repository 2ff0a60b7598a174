"""A copy of an experiment's folder at an fsspec URI: object stores can neither append nor lock."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tune_lr.errors import BadInput

_SECONDS_BETWEEN = 10.0


def is_uri(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a place for fsspec."""
    return "://" in str(path)


class Mirror:
    """Keeps ``uri`` a copy of a local folder.

    The local folder is ``TUNE_LR_CACHE`` (default ``~/.cache/tune-lr``) ``/<hash of the URI>``.

    Raises:
        BadInput: no filesystem of that kind is known or installed.
    """

    def __init__(self, uri: str) -> None:
        import fsspec

        try:
            self._files, self._root = fsspec.core.url_to_fs(uri)
        except (ValueError, ImportError) as error:
            raise BadInput("out", uri, f"a path or an fsspec URI ({error})") from error
        cache = Path(os.environ.get("TUNE_LR_CACHE") or Path.home() / ".cache" / "tune-lr")
        self.uri = uri
        self.local = cache / hashlib.sha256(uri.rstrip("/").encode()).hexdigest()[:16]
        self._sent: dict[str, tuple[int, int]] = {}

    def pull(self) -> None:
        """Bring here what this machine has not: nothing, where the folder is here already."""
        if (self.local / "experiment.json").exists() or not self._files.exists(
            f"{self._root}/experiment.json"
        ):
            return
        for remote in self._files.find(self._root):
            name = str(remote)[len(self._root.rstrip("/")) :].lstrip("/")
            target = (self.local / name).resolve()
            if not target.is_relative_to(self.local.resolve()):
                raise BadInput("out", self.uri, f"a folder whose files lie within it (it holds {name!r})")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self._files.cat_file(remote))

    def push(self) -> None:
        """Send what changed, and remove what is gone here. ``experiment.json`` goes last."""
        present: dict[str, tuple[int, int]] = {}
        for file in self.local.rglob("*"):
            if file.is_file() and not file.name.startswith("."):
                stat = file.stat()
                present[file.relative_to(self.local).as_posix()] = (stat.st_mtime_ns, stat.st_size)
        for name in sorted(present, key=lambda name: (name == "experiment.json", name)):
            if self._sent.get(name) != present[name]:
                self._send(name)
        for name in set(self._sent) - set(present):
            with suppress(FileNotFoundError):
                self._files.rm_file(f"{self._root}/{name}")
        self._sent = present

    @contextmanager
    def following(self) -> Iterator[None]:
        """Push every few seconds while the block runs, and once at its end."""
        ended = threading.Event()
        thread = threading.Thread(target=self._follow, args=(ended,), name="tune-lr mirror", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.push()

    def _follow(self, ended: threading.Event) -> None:
        while not ended.wait(_SECONDS_BETWEEN):
            try:
                self.push()
            except Exception:  # a store that is away for a while; the last push raises
                continue

    def _send(self, name: str) -> None:
        with suppress(FileNotFoundError):
            content: Any = (self.local / name).read_bytes()
            self._files.makedirs(os.path.dirname(f"{self._root}/{name}"), exist_ok=True)
            self._files.pipe_file(f"{self._root}/{name}", content)
