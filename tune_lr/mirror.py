"""A copy of an experiment's folder at an fsspec URI: object stores can neither append nor lock.

The journal is append-only, so of two copies the newer is the one whose journal begins with the other's. Where
neither does, two machines went on from the same place, and nothing here chooses between them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

from tune_lr.errors import BadInput
from tune_lr.journal import Journal, write_json

_SECONDS_BETWEEN = 10.0
_SECONDS_FOR_ANOTHER_PULL = 30.0
_DESCRIPTION, _JOURNAL = "experiment.json", "journal.jsonl"
#: Sent after the trials' own files, in this order: what the journal tells of is there, and an experiment
#: without a description does not count as one.
_SENT_LAST = (_JOURNAL, "reports.parquet", "trials.parquet", _DESCRIPTION)
_SENT, _STAGING = ".sent.json", ".pulling"

#: When a file here was changed (ns), and its size.
_Stamp = tuple[int, int]


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
            self._files, root = fsspec.core.url_to_fs(uri)
        except (ValueError, ImportError) as error:
            raise BadInput("out", uri, f"a path or an fsspec URI ({error})") from error
        cache = Path(os.environ.get("TUNE_LR_CACHE") or Path.home() / ".cache" / "tune-lr")
        self.uri = uri
        self.local = cache / hashlib.sha256(uri.rstrip("/").encode()).hexdigest()[:16]
        self._root = str(root).rstrip("/")
        #: A store that only has copy and delete puts an object whole or not at all anyway.
        self._renames = type(self._files).mv is not fsspec.AbstractFileSystem.mv
        self._begun = False
        #: The remote files that are known of, and what they are a copy of (None: of nothing here).
        self._sent: dict[str, _Stamp | None] | None = None

    # Pulling ----------------------------------------------------------------------------------------

    def pull(self) -> None:
        """Make the folder here as new as the one at the URI; where it is newer, it stays.

        The journal comes last, so a pull that is cut off counts for nothing.

        Raises:
            BadInput: both went on since they were last the same, or the URI cannot be read.
        """
        try:
            if self._behind():
                with self._alone():
                    if self._behind():  # else another process was faster
                        self._fetch()
        except OSError as error:
            raise BadInput("out", self.uri, f"a folder to copy to {self.local} ({error})") from error

    def require_free(self) -> None:
        """Refuse to make a new experiment among somebody's files.

        Raises:
            BadInput: there is a file at the URI, or below it.
        """
        found: list[Any] = []
        with suppress(FileNotFoundError):
            found = self._files.ls(self._root, detail=False)
        names = [str(entry).rstrip("/")[len(self._root) :].lstrip("/") for entry in found]
        if any(name and not _passed_over(name) for name in names) or self._files.isfile(self._root):
            raise BadInput("out", self.uri, "a new or empty folder (this one holds other files)")

    def _behind(self) -> bool:
        remote, local = self._remote_journal(), self._local_journal()
        if not local:
            return bool(self._files.exists(f"{self._root}/{_DESCRIPTION}"))
        if not (local.startswith(remote) or remote.startswith(local)):
            raise self._forked(remote, local)
        return len(remote) > len(local)

    def _fetch(self) -> None:
        staging = self.local / _STAGING
        shutil.rmtree(staging, ignore_errors=True)
        arrived = []
        for name in self._listing():
            if not (self.local / name).resolve().is_relative_to(self.local.resolve()):
                raise BadInput("out", self.uri, f"a folder whose files lie within it (it holds {name!r})")
            try:
                content = self._files.cat_file(f"{self._root}/{name}")
            except FileNotFoundError:
                if name in _SENT_LAST:
                    raise
                continue  # a checkpoint that a newer one has just replaced
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).write_bytes(content)
            arrived.append(name)
        for name in set(self._present()) - {*arrived, _JOURNAL, _DESCRIPTION}:
            (self.local / name).unlink(missing_ok=True)
        for name in sorted(arrived, key=lambda name: name == _JOURNAL):
            (self.local / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staging / name, self.local / name)
        shutil.rmtree(staging, ignore_errors=True)
        write_json(self.local / _SENT, self._present())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else pulls or runs the experiment on this machine; the lock is the experiment's own."""
        from filelock import FileLock, Timeout

        self.local.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.local / ".lock")
        try:
            lock.acquire(timeout=_SECONDS_FOR_ANOTHER_PULL)
        except Timeout:
            raise BadInput("experiment", self.uri, "one that no other process is running now") from None
        try:
            yield
        finally:
            lock.release()

    # Pushing ----------------------------------------------------------------------------------------

    def push(self) -> None:
        """Send what changed, and remove what is gone here; nothing before the first trial is begun.

        Raises:
            BadInput: another machine has gone on with the experiment in the meantime.
        """
        if not self._has_begun():
            return
        present = self._present()
        if present == self._sent:
            return
        remote, local = self._remote_journal(), self._local_journal()
        if not local.startswith(remote):
            raise self._forked(remote, local)
        if self._sent is None:
            self._sent = self._recall(newer=len(local) > len(remote))
        try:
            for name in sorted(present, key=_turn):
                if self._sent.get(name) != present[name] and self._send(name):
                    self._sent[name] = present[name]
            for name in set(self._sent) - set(present):
                with suppress(FileNotFoundError):
                    self._files.rm_file(f"{self._root}/{name}")
                del self._sent[name]
        finally:
            write_json(self.local / _SENT, self._sent)

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
            except BadInput as error:  # the last push raises it; until then, at least it is known
                warnings.warn(str(error), stacklevel=1)
                return
            except Exception:  # a store that is away for a while; the last push raises
                continue

    def _send(self, name: str) -> bool:
        """Whether it was there to be sent. Readers see the old file or the new one, where that can be had."""
        try:
            content = (self.local / name).read_bytes()
        except FileNotFoundError:
            return False
        folder, _, last = f"{self._root}/{name}".rpartition("/")
        self._files.makedirs(folder, exist_ok=True)
        if self._renames:
            temporary = f"{folder}/.{last}.sending"
            self._files.pipe_file(temporary, content)
            try:
                self._files.mv(temporary, f"{folder}/{last}")
                return True
            except (OSError, NotImplementedError):  # it does not rename onto a file
                with suppress(OSError):
                    self._files.rm_file(temporary)
        self._files.pipe_file(f"{folder}/{last}", content)
        return True

    def _has_begun(self) -> bool:
        if not self._begun:
            events = Journal(self.local / _JOURNAL).read()
            self._begun = any(event.get("event") == "ask" for event in events)
        return self._begun

    def _recall(self, newer: bool) -> dict[str, _Stamp | None]:
        """What of the remote files this machine once sent or pulled, and so may replace or remove.

        With the newer journal, it answers for the files of all trials.
        """
        noted: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            noted = json.loads((self.local / _SENT).read_text("utf-8"))
        known: dict[str, _Stamp | None] = {}
        for name, size in self._listing().items():
            if name in noted or (newer and name.startswith("trials/")):
                changed, sent_size = noted.get(name) or (0, None)
                known[name] = (changed, sent_size) if sent_size is not None and sent_size == size else None
        return known

    # Both sides -------------------------------------------------------------------------------------

    def _present(self) -> dict[str, _Stamp]:
        present = {}
        for file in self.local.rglob("*"):
            name = file.relative_to(self.local).as_posix()
            if not _passed_over(name):
                with suppress(FileNotFoundError):  # a checkpoint that a newer one has just replaced
                    if file.is_file():
                        stat = file.stat()
                        present[name] = (stat.st_mtime_ns, stat.st_size)
        return present

    def _listing(self) -> dict[str, int | None]:
        """The remote files: name -> size."""
        self._files.invalidate_cache()
        found = self._files.find(self._root, detail=True)
        names = {str(path)[len(self._root) :].lstrip("/"): info for path, info in found.items()}
        return {name: info.get("size") for name, info in names.items() if not _passed_over(name)}

    def _remote_journal(self) -> bytes:
        self._files.invalidate_cache()
        try:
            return _whole_lines(self._files.cat_file(f"{self._root}/{_JOURNAL}"))
        except FileNotFoundError:
            return b""

    def _local_journal(self) -> bytes:
        """Nothing, where no trial was begun. To be read after the remote one, for it may be growing."""
        if not (self.local / _DESCRIPTION).exists() or not self._has_begun():
            return b""
        return _whole_lines((self.local / _JOURNAL).read_bytes())

    def _forked(self, remote: bytes, local: bytes) -> BadInput:
        pairs = zip(remote.splitlines(), local.splitlines(), strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        return BadInput(
            "out",
            self.uri,
            f"one that nobody else went on with: its journal and that of the copy here, {self.local}, differ "
            f"from line {same + 1} on. Keep one: move the copy here away to go on from the URI, or move "
            "what is at the URI away to go on from the copy here",
        )


def _turn(name: str) -> tuple[int, str]:
    return (_SENT_LAST.index(name) + 1 if name in _SENT_LAST else 0, name)


def _passed_over(name: str) -> bool:
    """Locks, and files that are not whole yet."""
    return name.rpartition("/")[2].startswith(".") or name.startswith(f"{_STAGING}/")


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]
