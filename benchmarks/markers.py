"""The tables of a benchmark, put between their two markers in a document."""

from __future__ import annotations

from pathlib import Path


def markers_of(name: str) -> tuple[str, str]:
    """The lines between which a benchmark's tables stand."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def insert(name: str, text: str, path: Path) -> None:
    """Put the text between the markers of a file.

    Raises:
        SystemExit: the file is not there or lacks a marker.
    """
    first, last = markers_of(name)
    content = path.read_text(encoding="utf-8") if path.exists() else ""
    before, begin, rest = content.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise SystemExit(f"{path} needs the lines {first} and {last}, between which the tables go")
    path.write_text(f"{before}{first}\n\n{text}\n\n{last}{after}", encoding="utf-8")
