"""The data set of the starter prior: GreedyLR's knobs on many small tasks, recorded.

    python benchmarks/starter.py                       # what is recorded, what the rest will cost
    python benchmarks/starter.py --pilot               # 64 configurations a task, and what they show
    python benchmarks/starter.py --record --workers 2  # records all that is missing
    python benchmarks/starter.py --pack FILE.parquet --insert docs/data.md
    python benchmarks/starter.py --ship FILE.parquet   # what the package brings along

256 configurations of the space greedy_lr (its default, then a Sobol sequence), the same for every task,
each trained for 27 epochs under 2 seeds by the ready loop. Parts of 16 trainings go into files of their own
in OUT, each put in place whole: kill it at any time, and the same command goes on; --parts N ends after so
many. --pack makes one Parquet file of all that is recorded whole, --history a store for tune_lr.History,
--ship FILE.parquet makes of a packed file what the package brings along (tune_lr/data), --insert puts the
tables of figures between the markers of a document. How the data came about, and what is in the file:
docs/data.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch counts the cores
sys.path.insert(0, str(Path(__file__).resolve().parent))

import markers
import numpy as np
from numpy.typing import NDArray
from resumable import count, tell
from starter_ import pack, ship
from starter_.figures import of_task
from starter_.record import Part, read
from starter_.run import missing, plan, run, seconds_of
from starter_.tables import report
from starter_.tasks import TASKS

BEGIN, END = markers.markers_of("starter")
insert = partial(markers.insert, "starter")
PILOT = 64
Curves = dict[str, dict[int, NDArray[np.float32]]]


def main(arguments: list[str] | None = None) -> None:
    """Say what it costs, record what was asked for, write what was asked for."""
    asked = _asked(arguments)
    if asked.ship:
        tell(f"{asked.data}: {ship.ship(asked.ship, asked.data)!r}")
        return
    tasks, configs, seeds = asked.task or list(TASKS), asked.configs or 256, asked.seeds
    if asked.pilot:
        configs, seeds = asked.configs or PILOT, 1
    parts = plan(tasks, configs, asked.epochs, seeds)
    todo = missing(parts, asked.out)
    tell(f"{len(tasks)} tasks x {configs} configurations x {asked.epochs} epochs x {seeds} seed(s)")
    tell(f"{len(parts)} parts, {len(parts) - len(todo)} done, {len(todo)} to go")
    now = todo[: asked.parts] if asked.parts else todo
    if now and not (asked.pack or asked.history or asked.insert):
        minutes = seconds_of(now) / 60
        shared = minutes / asked.workers
        tell(f"about {minutes:.1f} min of one core, {shared:.1f} min with {asked.workers} worker(s)")
    if asked.record or asked.pilot:
        run(now, asked.out, asked.workers)
    elif now:
        tell("nothing was run: --record does")
    if asked.pilot or asked.pack or asked.history or asked.insert:
        _write(parts, asked)


def _write(parts: Sequence[Part], asked: argparse.Namespace) -> None:
    curves = whole(parts, asked.out)
    if not curves:
        raise SystemExit(f"no task is recorded whole in {asked.out}: --record")
    for task in sorted({part.task for part in parts} - set(curves)):
        tell(f"not recorded whole, left out: {task}")
    first = next(iter(curves.values()))
    trials = len(curves) * len(first) * len(first[0])
    about = (
        f"{len(curves)} tasks, {len(first[0])} configurations, {asked.epochs} epochs, {len(first)} seed(s): "
        f"{trials} trials, {trials * asked.epochs} epochs in all."
    )
    if asked.pack:
        pack.write(asked.pack, pack.table(curves, {name: TASKS[name].facts() for name in curves}))
        tell(f"{asked.pack}: {asked.pack.stat().st_size / 1e6:.2f} MB")
        if asked.history:
            tell(f"{asked.history}: {len(pack.write_history(asked.pack, asked.history))} tasks")
    if asked.pilot or asked.insert:
        text = report({name: of_task(found) for name, found in curves.items()}, about)
        if asked.insert:
            insert(text, asked.insert)
        else:
            print(text)


def whole(parts: Sequence[Part], out: Path) -> Curves:
    """The curves of every task of which no part is missing, by seed."""
    found: dict[str, dict[int, list[NDArray[np.float32]]]] = {}
    torn = set()
    for part in parts:
        curves = read(part, out)
        if curves is None:
            torn.add(part.task)
        else:
            found.setdefault(part.task, {}).setdefault(part.seed, []).append(curves)
    return {
        task: {seed: np.concatenate(chunks) for seed, chunks in seeds.items()}
        for task, seeds in found.items()
        if task not in torn
    }


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", dest="task", nargs="+", choices=list(TASKS), help="all, if not given")
    parser.add_argument("--configs", type=count, help=f"configurations a task (256; --pilot {PILOT})")
    parser.add_argument("--epochs", type=count, default=27)
    parser.add_argument("--seeds", type=count, default=2, help="trainings of each configuration")
    parser.add_argument("--parts", type=count, help="end after so many parts")
    parser.add_argument("--workers", type=count, default=1, help="processes, of one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/starter"), help="folder of the parts")
    parser.add_argument("--record", action="store_true", help="record what is missing")
    parser.add_argument("--pilot", action="store_true", help="record a part of it and print the figures")
    parser.add_argument("--pack", type=Path, help="write all that is recorded as one Parquet file")
    parser.add_argument("--history", type=Path, help="with --pack: and as a store of tune_lr.History")
    parser.add_argument("--ship", type=Path, help="a packed file: make of it what the package brings along")
    parser.add_argument("--data", type=Path, default=ship.DATA, help="with --ship: where the package has it")
    parser.add_argument("--insert", type=Path, help="a Markdown file with the two markers, for the figures")
    asked = parser.parse_args(arguments)
    if asked.history and not asked.pack:
        parser.error("--history needs --pack")
    return asked


if __name__ == "__main__":
    main()
