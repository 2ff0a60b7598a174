"""How a command ends: one readable message on standard error, and an exit code that says what kind of end.

0 done, 1 the job failed, 2 bad use, 130 interrupted. Tracebacks only with ``--verbose``.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from tune_lr.errors import JobFailed, TuneLRError

INTERRUPTED = 130


class Commands(TyperGroup):
    """Typer's group of commands, with our way to end."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **settings: Any) -> NoReturn:
        """Run the command that ``args`` name, and exit."""
        given = list(sys.argv[1:] if args is None else args)
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # closed, as by >&-: what nobody hears is said all the same
                setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        try:
            code = super().main(given, *more, **{**settings, "standalone_mode": False})
        except BaseException as error:
            code = told(error, verbose="--verbose" in given)
        sys.exit(code if isinstance(code, int) else 0)


def told(error: BaseException, verbose: bool) -> int:
    """Say what went wrong; the code to exit with."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        say("interrupted")
        return INTERRUPTED
    if hasattr(error, "format_message"):  # Typer's own, for bad use of the command line
        context = getattr(error, "ctx", None)
        hint = f"\nTry: {context.command_path} --help" if context is not None else ""
        say(f"error: {error.format_message()}{hint}")
        return int(getattr(error, "exit_code", 2))
    if isinstance(error, BrokenPipeError):
        sys.stderr = None  # whoever read our output has gone
        return 1
    if verbose:
        traceback.print_exception(error)
    if isinstance(error, TuneLRError):
        detail = f"\n{error.detail}" if verbose and isinstance(error, JobFailed) and error.detail else ""
        say(f"error: {error}{detail}")
        return error.exit_code
    where = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    say(f"error: {where}" + ("" if verbose else "\n--verbose says where this came from"))
    return 1


def say(text: str) -> None:
    """A message for the person, on standard error; what would steer the terminal is written out."""
    safe = "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    print(safe, file=sys.stderr, flush=True)


@contextmanager
def ending_like_an_interrupt() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end what runs as Ctrl-C does: cleanly, and keeping everything."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {}
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", None)):
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # not under nohup
            before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
