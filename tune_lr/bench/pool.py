"""Running the cells of a study, in worker processes of one thread each or in this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from tune_lr.bench.cell import run_cell
from tune_lr.bench.plan import Cell, Settings
from tune_lr.errors import JobFailed

#: Hears of every cell that is finished.
Finished = Callable[[dict[str, Any]], None]
Result = TypeVar("Result")


def run_cells(cells: Sequence[Cell], settings: Settings, workers: int, finished: Finished) -> None:
    """Run cells, ``workers`` at a time; with one worker in this process.

    Args:
        cells: which, in the order of their beginning.
        settings: how each is tuned and compared.
        workers: how many processes.
        finished: called in this process with the result of each, in the order of their ends.

    Raises:
        JobFailed: a worker was killed, as by the system for want of memory. Finished cells were told of.
        KeyboardInterrupt: after Ctrl-C; workers are gone, and with them the cells that they were at.
    """
    run_each(run_cell, [(cell, settings) for cell in cells], workers, finished)


def run_each(
    work: Callable[..., Result],
    asked: Sequence[tuple[Any, ...]],
    workers: int,
    finished: Callable[[Result], None],
) -> None:
    """Call ``work`` with each of the arguments asked for, as :func:`run_cells` does it for cells."""
    if workers == 1:
        for arguments in asked:
            finished(work(*arguments))
        return
    context = multiprocessing.get_context("spawn")
    with (
        _one_thread(),
        ProcessPoolExecutor(workers, context, initializer=_leave_with_parent) as pool,
        _cleared(pool),
    ):
        waiting = [pool.submit(work, *arguments) for arguments in asked]
        try:
            for done in as_completed(waiting):
                finished(done.result())
        except BrokenProcessPool as error:
            raise JobFailed(
                "a worker process was killed, perhaps for want of memory; finished cells are kept, and the "
                "same command goes on"
            ) from error


@contextmanager
def _cleared(pool: ProcessPoolExecutor) -> Iterator[None]:
    """End workers at once where something goes wrong: a pool would wait for the cells that they are at."""
    before = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            if child not in before:
                child.terminate()
        raise


@contextmanager
def _one_thread() -> Iterator[None]:
    """Workers that begin meanwhile compute with one thread."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _leave_with_parent() -> None:
    """In a worker: end when the process that began it does, which a waiting worker would never hear of, and
    leave Ctrl-C to it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
