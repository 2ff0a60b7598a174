"""Putting the report into a document between its markers, and the trainings beside it."""

from __future__ import annotations

import os
from pathlib import Path

from tune_lr.errors import BadInput

BEGIN, END = "<!-- schedules:begin -->", "<!-- schedules:end -->"


def raw_file(document: Path) -> Path:
    """Where the trainings go: ``docs/evidence/schedules.csv`` for ``docs/evidence.md``."""
    return document.with_suffix("") / "schedules.csv"


def check_document(document: Path) -> None:
    """Find out before hours of work that its result could not be put there. Nothing is changed.

    Raises:
        BadInput: it is no Markdown document, cannot be written to, or its markers are wrong.
    """
    if document.suffix != ".md":
        raise BadInput("--write", str(document), "the path of a Markdown document, as docs/evidence.md")
    folder = raw_file(document).parent
    for file in (document, raw_file(document)):
        if file.is_dir():
            raise BadInput("--write", str(document), f"a document to write to ({file} is a folder)")
        if file.exists() and not os.access(file, os.W_OK):
            raise BadInput("--write", str(document), f"a document to write to ({file} is write-protected)")
    for place in (folder, *folder.parents):
        if place.exists():
            if not place.is_dir():
                raise BadInput("--write", str(document), f"a place to write to ({place} is a file)")
            if not os.access(place, os.W_OK | os.X_OK):
                raise BadInput("--write", str(document), f"a place to write to ({place} is write-protected)")
            break
    insert("", _text(document), str(document))


def insert(report: str, document: str, name: str) -> str:
    """A document with the report between its markers; they are added at its end where there are none.

    Args:
        report: what to put there.
        document: the whole text.
        name: of the document, for messages.

    Raises:
        BadInput: the markers are there more than once, only one of them, or in the wrong order.
    """
    line = "\r\n" if "\r\n" in document else "\n"
    inside = line.join([BEGIN, *report.strip().splitlines(), END])
    counts = document.count(BEGIN), document.count(END)
    if counts == (0, 0):
        return f"{document.rstrip()}{2 * line}{inside}{line}".lstrip()
    before, _, rest = document.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if counts != (1, 1) or not ended:
        raise BadInput(
            "--write", name, f"a document with one {BEGIN} and, after it, one {END}, or with neither"
        )
    return before + inside + after


def publish(report: str, trainings: Path, document: Path) -> Path:
    """Put the report into a document, and the trainings beside it, in a folder of the document's name.

    Args:
        report: Markdown.
        trainings: a file to copy.
        document: a Markdown file; made where there is none.

    Returns:
        The copy of the trainings, ``raw_file(document)``.

    Raises:
        BadInput: the document cannot be written, or its markers are wrong.
    """
    check_document(document)
    raw = raw_file(document)
    try:
        document.parent.mkdir(parents=True, exist_ok=True)
        text = insert(report, _text(document), str(document))
        raw.parent.mkdir(exist_ok=True)
        _replace(raw, trainings.read_bytes())
        _replace(document, text.encode("utf-8"))
    except OSError as error:
        raise BadInput("--write", str(document), f"a document to write to ({error.strerror})") from error
    return raw


def _text(document: Path) -> str:
    """What the document holds, with the ends of lines as they are."""
    try:
        return document.read_bytes().decode("utf-8") if document.exists() else "# Evidence\n"
    except OSError as error:
        raise BadInput("--write", str(document), f"a document to write to ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise BadInput("--write", str(document), f"a document in UTF-8 ({error.reason})") from error


def _replace(file: Path, content: bytes) -> None:
    """Write the whole file or leave it as it was; through a link, the file that it leads to."""
    target = file.resolve()
    half = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        half.write_bytes(content)
        if target.exists():
            half.chmod(target.stat().st_mode)
        os.replace(half, target)
    finally:
        half.unlink(missing_ok=True)
