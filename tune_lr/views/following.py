"""An experiment followed from outside: only what is new is read, nothing is written, nothing is locked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tune_lr.errors import BadInput
from tune_lr.record import Record


class Following:
    """The record of an experiment that another process may be running.

    Args:
        journal: its file, which need not be there yet.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._begin()

    def _begin(self) -> None:
        self._offset = self._lines = 0
        self.record = Record()
        #: What the newest session was asked, and when it began; empty before any.
        self.session: Mapping[str, Any] = {}

    def news(self) -> list[Mapping[str, Any]]:
        """Take in the events since the last call; a last line that is still being written is left for later.

        Raises:
            BadInput: a line is no event, or the file cannot be read.
        """
        try:
            with self._journal.open("rb") as file:
                if file.seek(0, 2) < self._offset:  # made anew
                    self._begin()
                file.seek(self._offset)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BadInput("journal", str(self._journal), f"a file that can be read ({error})") from error
        self._offset += len(whole) + len(newline)
        return [self._take(line) for line in whole.split(b"\n") if line.strip()]

    def _take(self, line: bytes) -> Mapping[str, Any]:
        self._lines += 1
        try:
            event = json.loads(line)
            if not isinstance(event, dict) or not isinstance(event.get("event"), str):
                raise ValueError("no event")
        except (ValueError, RecursionError):
            where = f"{self._journal}, line {self._lines}"
            raise BadInput(where, line[:80].decode("utf-8", "replace"), "one JSON object a line") from None
        self.record.apply(event)
        if event["event"] == "session":
            self.session = event
        return event
