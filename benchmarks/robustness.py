"""GreedyLR's perturbation study (arXiv 2512.14527), built anew: does it end lower, and recover sooner?

    python benchmarks/robustness.py [--quick] [--seeds 30] [--steps 200] [--workers N] [--out runs/robustness]
                                    [--insert docs/evidence.md]

Every schedule trains the same problems from the same starts under the same perturbations, once at its
defaults with LR 0.01 and once with its LR chosen on other seeds from the same grid. What counts is the clean
loss at the end. Finished cells are kept in OUT/cells.jsonl, and the same command goes on where it was
stopped. The tables are written to OUT/tables.md, and with --insert also between the markers in that file.
What is perturbed and how: robustness_/perturbations.py; how recovery is measured: robustness_/measures.py.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import markers
from resumable import count
from robustness_.study import (
    Size,
    known,
    plan,
    read_cells,
    run,
    runs_of,
    seconds_of,
    whole_places,
)
from robustness_.tables import report

insert = partial(markers.insert, "robustness")
PACKAGES = ("tune-lr", "torch", "numpy", "scipy", "statsmodels")
QUICK = {
    "steps": 100, "seeds": 5, "tuning_seeds": 1, "optimizers": ("sgd",), "problems": ("quadratic", "net"),
    "perturbations": ("none", "periodic"), "schedules": ("cosine", "greedy", "greedy+"),
    "published": ("ackley",),
}  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Say what it costs, run what is not done yet, write the tables."""
    asked = _asked(arguments)
    given = {"steps": asked.steps, "seeds": asked.seeds, "tuning_seeds": asked.tuning_seeds}
    given |= {"strength": asked.strength, "optimizers": asked.optimizer and tuple(asked.optimizer)}
    size = Size(**{**(QUICK if asked.quick else {}), **{k: v for k, v in given.items() if v is not None}})
    if missing := sorted({*size.schedules} - {*known(size.schedules)}):
        print(f"not in this version, left out: {', '.join(missing)}", file=sys.stderr)
    path, cells = asked.out / "cells.jsonl", plan(size)
    done = read_cells(path)
    todo = [cell for cell in cells if cell.key not in done]
    about = {
        "command": f"`{shlex.join(['python', 'benchmarks/robustness.py', *_shown(arguments)])}`",
        "date": f"{date.today()}; {sum(map(runs_of, cells))} training runs in {len(cells)} cells",
        "versions": ", ".join([f"Python {platform.python_version()}", *map(_versioned, PACKAGES)]),
        "seeds": f"{size.tuning_seeds} (0 to {size.tuning_seeds - 1}) choose the LR, {size.seeds} others "
        f"(1000 to {999 + size.seeds}) are reported; {size.steps} steps, strength {size.strength:g}",
    }
    if asked.tables:
        finished = whole_places(cells, done)
        share = f"{len(finished)} of {len(cells)} cells"
        about["**not finished**"] = f"{share}; what is missing is not in the tables"
    else:
        runs, minutes = sum(map(runs_of, todo)), seconds_of(todo) / 60 / asked.workers
        print(
            f"{len(cells)} cells, {len(cells) - len(todo)} done; {runs} runs of {size.steps} steps to go, "
            f"about {minutes:.1f} min on {asked.workers} worker(s)",
            file=sys.stderr,
            flush=True,
        )
        finished = list(run(cells, path, asked.workers).values())
    text = report(finished, about)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "tables.md").write_text(text + "\n", encoding="utf-8")
    if asked.insert:
        insert(text, asked.insert)
    print(f"tables: {asked.insert or asked.out / 'tables.md'}", file=sys.stderr)


def _versioned(package: str) -> str:
    return f"{package} {version(package)}"


def _shown(arguments: list[str] | None) -> list[str]:
    """The arguments that say what was run, without those that say where to put it."""
    shown = list(sys.argv[1:] if arguments is None else arguments)
    for name, words in {"--insert": 2, "--out": 2, "--tables": 1}.items():
        if name in shown:
            at = shown.index(name)
            del shown[at : at + words]
    return shown


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, text in {
        "--steps": "steps of a run (200)",
        "--seeds": "final runs of a cell (30)",
        "--tuning-seeds": "seeds that choose the LR (10)",
    }.items():
        parser.add_argument(name, type=count, help=text)
    parser.add_argument("--strength", type=_positive, help="of the perturbations (0.5)")
    parser.add_argument("--optimizer", choices=["sgd", "adam"], action="append", help="both, if not given")
    parser.add_argument("--workers", type=count, default=os.cpu_count() or 1, help="processes (all cores)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/robustness"), help="folder of the cells and tables"
    )
    parser.add_argument("--insert", type=Path, help="a Markdown file with the two markers")
    parser.add_argument("--tables", action="store_true", help="of what is finished so far; runs nothing")
    parser.add_argument("--quick", action="store_true", help="a small part, in seconds")
    return parser.parse_args(arguments)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no number above 0 and at most 1")
    return value


if __name__ == "__main__":
    main()
