"""The judge of the prior: how much faster it makes an experiment, and how harmless it is where the past lies.

    python benchmarks/transfer.py                             # what is there, what the rest will cost
    python benchmarks/transfer.py --run --workers 2           # plays all that is missing
    python benchmarks/transfer.py --run --parts 200           # an hour's worth of it
    python benchmarks/transfer.py --renew freeze-thaw --run   # a method's runs anew, after a change of it
    python benchmarks/transfer.py --insert docs/prior.md      # puts the tables into the page

One task is left out at a time; the others are its past, as it was, thin, cut short, or a lie. Every method
plays over the recorded curves (``tune_lr.replay``), and what it needs is weighed against random search under
ASHA, of which some hundred runs a task are kept. Parts of up to 11 runs go into files of their own in OUT,
each put in place whole: kill it at any time, and the same command goes on. How the figures are made and what
they say: docs/prior.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before a model counts the cores
sys.path.insert(0, str(Path(__file__).resolve().parent))

import markers
from resumable import count, tell
from transfer_ import parts as filing
from transfer_.histories import WORDS
from transfer_.methods import METHODS
from transfer_.parts import Part
from transfer_.report import report
from transfer_.rows import rows_of
from transfer_.tables import Tables, load

from tune_lr.bench.pool import run_each
from tune_lr.errors import BadInput
from tune_lr.prior.starter import DATA, TASKS

insert = partial(markers.insert, "transfer")
#: What is judged on, the first that is there: what was recorded here, else what the package brings along.
SOURCES = Path("runs/starter.parquet"), DATA / TASKS


def main(arguments: list[str] | None = None) -> None:
    """Say what it costs, play what was asked for, write what was asked for."""
    asked = _asked(arguments)
    source = asked.tables or next(one for one in SOURCES if one.exists())
    try:
        tables = load(source)
    except BadInput as error:
        raise SystemExit(str(error)) from None
    asked.budget = asked.budget or 10 * tables.epochs
    parts = planned(tables, asked)
    if asked.show or asked.insert:
        _write(parts, tables, asked)
        return
    for name in asked.renew:
        for part in parts:
            if part.method == name:
                part.path(asked.out).unlink(missing_ok=True)
    todo = filing.missing(parts, tables, asked.out)
    tell(f"{len(tables.tasks)} tasks, {len(tables.values)} configurations, {asked.budget} epochs a run")
    tell(f"{len(parts)} parts, {len(parts) - len(todo)} done, {len(todo)} to go")
    now = todo[: asked.parts] if asked.parts else todo
    if now:
        minutes = filing.seconds_of(now, tables, asked.out) / 60
        tell(f"about {minutes:.1f} min of one core, and {minutes / asked.workers:.1f} min by the clock")
    if asked.run:
        _run(now, source, asked)
    elif now:
        tell("nothing was run: --run does")


def planned(tables: Tables, asked: argparse.Namespace) -> list[Part]:
    """Every part that was asked for; the baselines first."""
    tasks = asked.tasks or tables.tasks
    for task in tasks:
        if task not in tables.curves:
            raise SystemExit(f"no task {task!r} in the tables; there are {', '.join(tables.tasks)}")
    baselines = [filing.baseline_of(task, asked.budget, asked.baseline_seeds) for task in tasks]
    return baselines + filing.plan(asked.methods, asked.histories, tasks, asked.budget, asked.seeds)


def _run(parts: Sequence[Part], source: Path, asked: argparse.Namespace) -> None:
    """Play parts; a method that cannot be played is told of once, and costs only its own."""
    failed: dict[str, str] = {}
    began = told = time.monotonic()
    done = 0

    def finished(result: tuple[Part, str | None]) -> None:
        nonlocal done, told
        part, why = result
        done += 1
        if why is not None and part.method not in failed:
            failed[part.method] = why
            tell(f"{part.method} cannot be played: {why}")
        now = time.monotonic()
        if now - told > 10 or done == len(parts):
            told = now
            left = (now - began) / done * (len(parts) - done) / 60
            what = f"{part.method}, {part.kind}, {part.task}"
            tell(f"{done}/{len(parts)} parts, about {left:.1f} min left: {what}")

    work = [(part, source, asked.out) for part in parts]
    run_each(filing.make, work, asked.workers if len(work) > 1 else 1, finished)


def _write(parts: Sequence[Part], tables: Tables, asked: argparse.Namespace) -> None:
    methods = [part for part in parts if part.method != filing.BASELINE]
    rows = rows_of(methods, tables, asked.out, asked.budget, asked.baseline_seeds)
    if not rows:
        raise SystemExit(f"nothing is judged yet in {asked.out}: --run")
    about = (
        f"{len(tables.tasks)} tasks, {len(tables.values)} configurations, {tables.epochs} epochs a trial; "
        f"{asked.budget} epochs a run; a baseline of {asked.baseline_seeds} runs a task, "
        f"{filing.BASELINE_BUDGETS} budgets long."
    )
    text = report(rows, about)
    if asked.insert:
        insert(text, asked.insert)
    else:
        print(text)


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tables",
        type=Path,
        help=f"a packed data set, a store, a folder of parts, or an .npz file ({SOURCES[0]} or what ships)",
    )
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--histories", nargs="+", choices=list(WORDS), default=list(WORDS))
    parser.add_argument("--tasks", nargs="+", help="the tasks that are judged; all others stay their past")
    parser.add_argument(
        "--seeds", type=count, help="runs of a method a task, at most (31, 11 or 5, by method)"
    )
    parser.add_argument("--baseline-seeds", type=count, default=filing.BASELINE_SEEDS)
    parser.add_argument("--budget", type=count, help="epochs a run (ten times those of a trial)")
    parser.add_argument("--out", type=Path, default=Path("runs/transfer"), help="folder of the parts")
    parser.add_argument("--run", action="store_true", help="play what is missing")
    parser.add_argument("--parts", type=count, help="end after so many parts")
    parser.add_argument("--workers", type=count, default=1, help="processes, of one thread each")
    parser.add_argument("--renew", nargs="+", choices=list(METHODS), default=[], help="make their parts anew")
    parser.add_argument("--show", action="store_true", help="print the tables of what is there")
    parser.add_argument("--insert", type=Path, help="a Markdown file with the two markers, for the tables")
    asked = parser.parse_args(arguments)
    if asked.renew and not asked.run:
        parser.error("--renew needs --run: it removes what it makes anew")
    return asked


if __name__ == "__main__":
    main()
