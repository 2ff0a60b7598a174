"""Reading a stranger's files: bounded in size, depth and number, never following a link out of the folder.

Whatever is wrong with a file comes out as ``BadInput`` with a reason to show; nothing here unpickles, runs or
writes anything.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from tune_lr.errors import BadInput
from tune_lr.history.log import Skipped
from tune_lr.history.progress import told
from tune_lr.journal import in_utf8

#: A log of a million reports is some hundred megabytes; what is far beyond that is no log.
LARGEST_FILE = 8 * 1024**3
#: Files that are read as one value (JSON) and what a zip may expand to.
LARGEST_VALUE = 2 * 1024**3
LARGEST_LINE = 16 * 1024**2
#: How much a head is: what tells one format from another stands there.
HEAD = 64 * 1024
#: Compressed text shrinks to a tenth, seldom to a hundredth.
LARGEST_RATIO = 1000
#: What unpacks as much as is asked for. Bzip2 and LZMA give all of a piece, and some bytes are gigabytes.
_IN_PIECES = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DEEPEST_FOLDER = 12
#: Of a long file it is told how far it is after so many bytes.
_TOLD_AFTER = 4 * 1024**2
MOST_FILES = 2_000_000


def open_plain(path: Path, largest: int = LARGEST_FILE) -> IO[bytes]:
    """An ordinary file, open to read; a link only to what lies in the link's own folder.

    Raises:
        BadInput: it is none (a pipe would wait for ever), too large, or cannot be read.
    """
    file = _opened(path, largest)
    told(path.name, os.fstat(file.fileno()).st_size)
    return file


def _opened(path: Path, largest: int = LARGEST_FILE) -> IO[bytes]:
    if os.path.islink(path) and not leads_inside(path, path.parent):
        raise bad(path, "a file, and no link out of its folder")
    try:
        # Not blocking, so that a pipe in a file's place is seen instead of waited for.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        raise bad(path, f"a file that can be read ({getattr(error, 'strerror', None) or error})") from error
    found = os.fstat(number)
    if not stat.S_ISREG(found.st_mode) or found.st_size > largest:
        os.close(number)
        kind = f"a file of at most {largest} bytes" if stat.S_ISREG(found.st_mode) else "an ordinary file"
        raise bad(path, kind)
    return os.fdopen(number, "rb")


def head(path: Path, size: int = HEAD) -> bytes:
    """The first bytes of a file; nothing where it cannot be read."""
    try:
        with _opened(path) as file:
            return file.read(size)
    except (BadInput, OSError):
        return b""


def read_bytes(path: Path, largest: int = LARGEST_VALUE) -> bytes:
    """All of a file (BadInput)."""
    with open_plain(path, largest) as file:
        try:
            # To ask for the largest there may be would take that much memory first.
            return file.read(os.fstat(file.fileno()).st_size + 1)
        except OSError as error:
            raise bad(path, f"a file that can be read ({error.strerror})") from error


def read_text(path: Path, largest: int = LARGEST_VALUE) -> str:
    """All of a text file in UTF-8 (BadInput)."""
    try:
        return read_bytes(path, largest).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad(path, f"text in UTF-8 ({error.reason} at byte {error.start})") from None


def read_json(path: Path, largest: int = LARGEST_VALUE) -> Any:
    """The value in a JSON file; NaN and infinities may stand in it (BadInput)."""
    return parse_json(read_text(path, largest), path)


def parse_json(text: str | bytes, where: object) -> Any:
    """The value of a JSON text (BadInput: it is none, or nested too deeply)."""
    try:
        return _loads(text)
    except RecursionError:
        raise bad(where, "JSON that is nested less deeply") from None
    except ValueError as error:  # UnicodeDecodeError and a number of too many digits among them
        raise bad(where, f"JSON ({error})") from None


def _loads(text: str | bytes) -> Any:
    if isinstance(text, bytes):  # decoded here, since json lets encoded surrogates pass
        text = text.removeprefix(codecs.BOM_UTF8).decode()
    found = json.loads(text)
    # Only an escape can bring in what no text in UTF-8 has. One letter is found much faster than two.
    return _plain(found) if "\\" in text and "\\u" in text else found


def _plain(value: Any) -> Any:
    """The same with every lone surrogate written out, which no table and no file can hold."""
    if isinstance(value, str):
        return value if is_text(value) else in_utf8(value)
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def is_text(text: str) -> bool:
    """Whether UTF-8 has it: the name of a file need not be so."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def json_lines(path: Path, skipped: Skipped, where: object | None = None) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines, in order; lines that are none are counted as skipped.

    Raises:
        BadInput: the file cannot be read at all.
    """
    shown = path.name if where is None else where
    for line in lines(path, skipped, shown):
        if not line.strip():
            continue
        try:
            found = _loads(line)
        except (ValueError, RecursionError):
            skipped.add(shown, "a line that is no JSON")
            continue
        if isinstance(found, dict):
            yield found
        else:
            skipped.add(shown, "a line that is no JSON object")


def lines(path: Path, skipped: Skipped, where: object) -> Iterator[bytes]:
    """The lines of a file; one that is too long is passed over without being held in memory."""
    read = 0
    with _opened(path) as file:
        while line := file.readline(LARGEST_LINE):
            read += len(line)
            if read >= _TOLD_AFTER:
                told(path.name, read)
                read = 0
            if len(line) == LARGEST_LINE and not line.endswith(b"\n"):
                skipped.add(where, f"a line of more than {LARGEST_LINE} bytes")
                while (rest := file.readline(LARGEST_LINE)) and not rest.endswith(b"\n"):
                    pass
                continue
            yield line
    told(path.name, read)


def unzip(path: Path, member: str, largest: int = LARGEST_VALUE) -> bytes:
    """One member of a zip, by its exact name, without unpacking anything to disk.

    Raises:
        BadInput: it is no zip, has no such member, or expands beyond what a log would.
    """
    with open_plain(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                info = archive.getinfo(member)
                if info.compress_type not in _IN_PIECES:
                    raise bad(path, "a zip that is stored or deflated")
                size = min(info.compress_size, os.fstat(file.fileno()).st_size)
                limit = min(largest, max(LARGEST_RATIO * size, 1024**2))
                with archive.open(info) as packed:
                    content = packed.read(limit + 1)
        except BadInput:
            raise
        except KeyError:
            raise bad(path, f"a zip with {member} in it") from None
        except Exception as error:  # zipfile and zlib have errors of many kinds
            raise bad(path, f"a zip that can be read ({error})") from None
    if len(content) > limit:
        raise bad(path, f"a zip that expands to less than {limit} bytes")
    return content


def as_text(content: bytes, where: object) -> io.StringIO:
    """Bytes as text in UTF-8 to read from (BadInput)."""
    try:
        return io.StringIO(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise bad(where, f"text in UTF-8 ({error.reason} at byte {error.start})") from None


def entries(folder: Path, root: Path, skipped: Skipped | None = None) -> list[Path]:
    """What lies in a folder, sorted, without names that are hidden or no text and links out of ``root``."""
    found = []
    try:
        listed = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (OSError, ValueError) as error:
        if skipped is not None:
            skipped.add(folder.name, f"a folder that cannot be read ({getattr(error, 'strerror', error)})")
        return []
    for entry in listed:
        if entry.name.startswith("."):
            continue
        if not is_text(entry.name):
            if skipped is not None:
                skipped.add(entry.name, "a name that is no text in UTF-8")
            continue
        if entry.is_symlink() and not leads_inside(Path(entry.path), root):
            if skipped is not None:
                skipped.add(entry.name, "a link that leads out of the folder")
            continue
        found.append(Path(entry.path))
    return found


def leads_inside(path: Path, root: Path) -> bool:
    """Whether a path, its links followed, lies in ``root``."""
    try:
        return path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # it leads nowhere, or in a circle
        return False


def walk(
    root: Path, wanted: Callable[[Path], bool], skipped: Skipped | None = None, deepest: int = DEEPEST_FOLDER
) -> Iterator[Path]:
    """The files below a folder that are ``wanted``, in order of their paths; linked folders are not followed.

    At most ``deepest`` levels and ``MOST_FILES`` files are looked at.
    """
    seen = 0
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        below = []
        for entry in entries(folder, root, skipped):
            seen += 1
            if seen > MOST_FILES:
                if skipped is not None:
                    skipped.add(root.name, f"all files after the first {MOST_FILES}")
                return
            if os.path.isdir(entry):  # Path.is_dir raises where it may not look
                if not entry.is_symlink():
                    below.append((entry, depth + 1))
            elif wanted(entry):
                yield entry
        if depth < deepest:
            waiting += reversed(below)
        elif below and skipped is not None:
            skipped.add(folder.relative_to(root), "folders that are nested too deeply", len(below))


def bad(where: object, expected: str) -> BadInput:
    """The error for a file: its name, and what would be right."""
    name = where.name if isinstance(where, Path) else str(where)
    error = BadInput("file", name, expected)
    error.args = (f"{name}: expected {expected}",)
    return error
