"""What the scripts here share whose work is done part by part and may be killed at any time."""

from __future__ import annotations

import argparse
import os
import sys


def tell(text: str) -> None:
    """A line for whoever watches; what is asked for goes to standard output."""
    print(text, file=sys.stderr, flush=True)


def count(text: str) -> int:
    """The value of an option that counts something."""
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number of 1 or more")
    return value


def alive(process: str) -> bool:
    """Whether a process of that number runs, so that what it writes is no leftover."""
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
