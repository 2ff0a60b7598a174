"""The seam of an importer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Protocol

from tune_lr.history.log import Asked, Log, Skipped


class Importer(Protocol):
    """Reads the logs of one tool. Made without arguments; keeps no state between calls.

    Everything read is a stranger's: files are opened through ``history.files`` only, which bounds size, depth
    and time, follows no link out of the folder, and turns whatever is wrong into ``BadInput``.
    """

    #: The registered name.
    name: ClassVar[str]

    def claims(self, path: Path) -> bool:
        """Whether this file or folder is this tool's, from names and the heads of files; raises nothing.

        A folder that is claimed is read as a whole: nobody looks into its subfolders again. So it is claimed
        where its trials lie beside one another, not where one of them is.
        """
        ...

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        """The experiments in what was claimed. What cannot be read goes to ``skipped``, and the rest is read.

        Raises:
            BadInput: nothing at all can be made of it.
            MissingExtra: the library that reads it is not installed.
        """
        ...
