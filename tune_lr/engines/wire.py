"""How driver, nursery and workers start one another and talk: lines of JSON over sockets."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from tune_lr.trials.trainer import Trainer

#: A new interpreter that finds modules where its parent does. ``-m`` would need tune-lr to be installed.
_BOOT = "import sys; sys.path[:] = {path!r}; from tune_lr.engines import nursery; nursery.{function}({fd})"
#: Apache Arrow's allocator, which pandas and scikit-learn bring in, starts a thread that a fork would lack.
_ALLOCATOR = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def command(function: str, fd: int) -> list[str]:
    """The command line of a process that runs one of this module's entry points on a socket."""
    return [sys.executable, "-c", _BOOT.format(path=sys.path, function=function, fd=fd)]


def environment(threads: int, **more: str) -> dict[str, str]:
    """This process's environment, but for how many threads libraries may start."""
    return {**_ALLOCATOR, **os.environ, **dict.fromkeys(_THREADS, str(threads)), **more}


def send(connection: Connection, message: Mapping[str, Any]) -> None:
    """Send one JSON object; numpy's numbers become Python's."""
    connection.send_bytes(json.dumps(message, default=_plain).encode("utf-8", "surrogatepass"))


def receive(connection: Connection) -> dict[str, Any]:
    """Wait for one JSON object. Raises EOFError or OSError where the other side is gone."""
    message: dict[str, Any] = json.loads(connection.recv_bytes().decode("utf-8", "surrogatepass"))
    return message


def as_text(trainer: Trainer) -> list[str | None]:
    """The trainer as the arguments that make it again elsewhere."""
    return [trainer.function, trainer.file, trainer.module, trainer.pickled]


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is nothing that JSON holds")


def say_why_slow(trainer: Trainer, threads: list[str]) -> None:
    """Forks would be unsound, so each trial pays for its imports: whoever waits should know why."""
    cause = f"threads run ({', '.join(sorted(set(threads)))})" if len(threads) > 1 else "CUDA is in use"
    warnings.warn(
        f"every trial starts a fresh interpreter, which takes seconds: once {trainer} is imported, {cause}. "
        "Computing, or starting threads or CUDA, within train() keeps workers warm",
        stacklevel=4,
    )
