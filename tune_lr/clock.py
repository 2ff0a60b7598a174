"""The time, by a clock that nobody sets while a job runs."""

from __future__ import annotations

import time
from collections.abc import Callable


def steady() -> Callable[[], float]:
    """Seconds since 1970 that go on evenly from now, whatever is done to the machine's clock."""
    began, at = time.time(), time.monotonic()
    return lambda: began + time.monotonic() - at
