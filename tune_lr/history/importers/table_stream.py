"""The bytes of a table in text, plain or gzip, given to Arrow so that none of its threads outlives them."""

from __future__ import annotations

import codecs
import threading
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from tune_lr.history import files

#: So many seconds a thread is waited for that may be reading still.
_PATIENCE = 0.1
#: What the latest readers hold of Python. Whoever lets go of it last calls Python, which a thread must not.
_LATEST: deque[Any] = deque(maxlen=8)


def keep(held: Any) -> None:
    """Keeps something for a while that Arrow's threads hold as well."""
    _LATEST.append(held)


def open_text(path: Path) -> Any:
    """A table in text, open to read, unpacked where its name says that it is packed (BadInput)."""
    file = files.open_plain(path)
    return _Bounded(file, path) if path.name.lower().endswith(".gz") else file


class Stream:
    """A table in text as UTF-8, for Arrow to read.

    A reader of Arrow's reads ahead in threads of its own, which go on when it is closed or gone. A thread
    that calls Python while the interpreter ends takes the process down, so a stream ends only when its file
    has ended for them too.
    """

    closed = False

    def __init__(self, path: Path, encoding: str) -> None:
        self._file = open_text(path)
        self._decoder = None if encoding == "utf8" else codecs.getincrementaldecoder(encoding)()
        self._alone, self._over, self._ended = threading.Lock(), False, threading.Event()
        self._reader: Any = None

    @property
    def torn(self) -> bool:
        """Whether a gzip file ended before its end."""
        return bool(getattr(self._file, "torn", False))

    def reader(self, made: Callable[[Any], Any]) -> Any:
        """The reader that is made of the stream."""
        file = pa.PythonFile(self, mode="r")
        self._reader = made(file)
        keep(file)
        return self._reader

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; none when the stream is over."""
        with self._alone:
            part = b""
            try:
                part = b"" if self._over else self._next(size)
            finally:
                if not part:
                    self._ended.set()
            return part

    def _next(self, size: int) -> bytes:
        if self._decoder is None:
            part: bytes = self._file.read(size)
            return part
        while packed := self._file.read(size // 2):  # which may be longer in UTF-8
            if text := self._decoder.decode(packed):
                return text.encode()
        return self._decoder.decode(b"", final=True).encode()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        with self._alone:
            self._over = True
        with suppress(Exception):  # what comes now is of no interest
            for _batch in self._reader or ():
                pass
        # After an error nobody reads to the end; a thread that still does is there at once.
        self._ended.wait(_PATIENCE)
        self._file.close()


def beginning(path: Path, size: int, encoding: str) -> pa.BufferReader:
    """So many bytes of a table in text as UTF-8, with nothing of Python's in them, for Arrow to look at."""
    with open_text(path) as file:
        start = file.read(size)
    if encoding != "utf8":
        start = codecs.getincrementaldecoder(encoding)().decode(start).encode()
    copied = pa.BufferOutputStream()
    copied.write(start)
    return pa.BufferReader(copied.getvalue())


@dataclass
class _Bounded:
    """A gzip file that is expanded no further than a log would be; of a torn one what stands before."""

    packed: IO[bytes]
    path: Path
    closed: bool = False
    torn: bool = False
    _inflate: Any = field(default_factory=lambda: zlib.decompressobj(31))
    _ready: bytes = b""
    _seen: int = 0
    _begun: bool = False

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most ``size``."""
        parts, missing = [], size if size >= 0 else files.LARGEST_VALUE
        while missing > 0 and (part := self._some(missing)):
            parts.append(part)
            missing -= len(part)
        self._seen += sum(map(len, parts))
        if self._seen > files.LARGEST_VALUE:
            raise files.bad(self.path, f"a file that expands to at most {files.LARGEST_VALUE} bytes")
        return b"".join(parts)

    def _some(self, size: int) -> bytes:
        while True:
            if self._inflate.eof:  # several may stand one after another
                self._ready, self._inflate = self._inflate.unused_data, zlib.decompressobj(31)
                self._begun = False
            self._ready = self._ready or self.packed.read(1024**2)
            if not self._ready:
                self.torn = self._begun
                return b""
            self._begun = True
            part: bytes = self._inflate.decompress(self._ready, size)
            self._ready = self._inflate.unconsumed_tail if not self._inflate.eof else b""
            if part:
                return part

    def close(self) -> None:
        self.packed.close()
        self.closed = True

    def __enter__(self) -> _Bounded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
