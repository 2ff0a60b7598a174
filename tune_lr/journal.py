"""The journal: one JSON object a line, appended and flushed as things happen, and the words it uses.

The same file format serves the experiment (``journal.jsonl``, written by the driver alone) and each
trial (``reports.jsonl``, written by that trial alone). A process that is killed in mid-write leaves a torn
last line; reading passes over it and the next append removes it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from tune_lr.errors import BadInput

Decision = Literal["continue", "pause", "stop"]
CONTINUE: Decision = "continue"
PAUSE: Decision = "pause"
STOP: Decision = "stop"

Status = Literal["running", "completed", "stopped", "paused", "failed", "diverged"]

#: How strict JSON says what is no number to it.
NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class Report:
    """What a trial said after one epoch.

    Args:
        epoch: epochs trained so far, from 1 (0: before any training, which is no fidelity).
        seconds: seconds of training so far, over all legs of the trial.
        metrics: name -> number; NaN and infinities are kept as they came, None where it was None.
    """

    epoch: int
    seconds: float
    metrics: dict[str, float | int | None]

    def to_json(self) -> dict[str, Any]:
        """Strict JSON: non-finite numbers become the strings NaN, Infinity, -Infinity."""
        metrics = {name: encode(value) for name, value in self.metrics.items()}
        return {"epoch": self.epoch, "seconds": round(self.seconds, 6), "metrics": metrics}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Report:
        metrics = {
            str(name): NON_FINITE.get(value) if isinstance(value, str) else value
            for name, value in data["metrics"].items()
        }
        return cls(int(data["epoch"]), float(data["seconds"]), metrics)


def encode(value: float | int | None) -> float | int | str | None:
    """A number as strict JSON can hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


class Journal:
    """An append-only file of JSON lines. ``path=None`` keeps it in memory (for replay)."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file: IO[bytes] | None = None
        self._memory: list[dict[str, Any]] = []

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event; when this returns, a killed process cannot lose it.

        Raises:
            ValueError: the event holds something that strict JSON cannot.
        """
        line = json.dumps(event, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
        if self.path is None:
            self._memory.append(json.loads(line))
            return
        if self._file is None:
            self._file = self._open_at_last_whole_line(self.path)
        self._file.write(line.encode("utf-8", "backslashreplace") + b"\n")
        self._file.flush()

    def read(self) -> list[dict[str, Any]]:
        """Every event in order, without a torn last line.

        Raises:
            BadInput: a line before the last is no JSON object (the file was edited or damaged).
        """
        if self.path is None:
            return list(self._memory)
        if not self.path.exists():
            return []
        try:
            *lines, _torn = self.path.read_bytes().split(b"\n")
        except OSError as error:
            raise BadInput(
                "journal", str(self.path), f"a file that can be read ({error.strerror})"
            ) from error
        return [self._parse(line, number) for number, line in enumerate(lines, start=1) if line.strip()]

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            where = f"{self.path}, line {number}"
            raise BadInput(where, line[:80].decode("utf-8", "replace"), "one JSON object a line")
        return event

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @staticmethod
    def _open_at_last_whole_line(path: Path) -> IO[bytes]:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab+")  # noqa: SIM115 - kept open between appends, closed by close()
        end = file.seek(0, os.SEEK_END)
        start = end
        while start > 0:
            step = min(4096, start)
            file.seek(start - step)
            at = file.read(step).rfind(b"\n")
            if at >= 0:
                whole = start - step + at + 1
                break
            start -= step
        else:
            whole = 0
        if whole < end:
            file.truncate(whole)
        return file


def storable(text: str, longest: int = 40_000) -> str:
    """Text as every file and table can hold it; of a long one both ends, where the reason is."""
    if len(text) > longest:
        text = f"{text[: longest // 2]}\n…\n{text[-longest // 2 :]}"
    return in_utf8(text)


def in_utf8(text: str) -> str:
    """The same with every lone surrogate written out, which no table and no file can hold."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON file so that a reader sees the old one or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)
