"""The memory that a run takes: this process and all that it started, looked at now and then."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import TracebackType

#: Seconds between two looks.
_EVERY = 0.25


class Footprint:
    """Looks on while a block runs; afterwards ``most`` is the most bytes beyond what there was before.

    ``most`` is 0 where psutil is not installed.
    """

    def __init__(self) -> None:
        self.most = 0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._before = 0

    def __enter__(self) -> Footprint:
        self._before = _resident()
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._over.wait(_EVERY):
            self.most = max(self.most, _resident() - self._before)


def _resident() -> int:
    """Bytes of this process and its descendants; what they share counts for each."""
    try:
        import psutil
    except ModuleNotFoundError:
        return 0
    total = 0
    with suppress(psutil.Error):
        own = psutil.Process()
        for process in [own, *own.children(recursive=True)]:
            with suppress(psutil.Error):
                total += process.memory_info().rss
    return total
