"""How often a comparison finds what is not there, and what is.

    python benchmarks/compare_null.py [--comparisons 200] [--workers 2] [--insert docs/compare.md]

Comparisons are played over the recorded curves that ship with tune-lr: ten runs of random search under ASHA
against ten of the same with other seeds, and a neutral row of ten more, task after task. None of that
differs, so every finding is false; a twentieth of the comparisons may have one, and of 200 more than 16 have
one in fewer than one study of thirty. Then against the same without the best quarter of the configurations,
which is a difference of one quartile; and with five seeds, which can find nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import markers
import numpy as np
from resumable import count, tell
from transfer_.tables import Tables, load

from tune_lr import Objective, replay
from tune_lr.bench.pool import run_each
from tune_lr.comparing.comparison import AGAIN, Comparison, compare_runs
from tune_lr.comparing.run import Run, replayed_run
from tune_lr.prior.starter import DATA, TASKS

SEEDS, FEW = 10, 5
#: Epochs a run: what is judged, and how far every run goes on beyond it.
BUDGET, BEYOND = 135, 200
SAME, WITHHELD, FIVE = "the same, other seeds", "without its best quarter", "the same, five seeds each"
insert = partial(markers.insert, "compare-null")


def main(arguments: list[str] | None = None) -> None:
    """Play all comparisons and say what was found."""
    asked = _asked(arguments)
    tables = load(asked.tables)
    began, found, done = time.monotonic(), list[tuple[str, dict[str, Any]]](), 0

    def finished(results: list[tuple[str, dict[str, Any]]]) -> None:
        nonlocal done
        done += 1
        found.extend(results)
        if done % 20 == 0:
            left = (time.monotonic() - began) / done * (asked.comparisons - done)
            tell(f"{done}/{asked.comparisons}, about {left / 60:.1f} min left")

    work = [(asked.tables, tables.tasks[n % len(tables.tasks)], n) for n in range(asked.comparisons)]
    run_each(one, work, asked.workers, finished)
    text = report(found)
    if asked.insert:
        insert(text, asked.insert)
    print(text)


def one(source: Path, task: str, number: int) -> list[tuple[str, dict[str, Any]]]:
    """One comparison of each kind on one task, with seeds of its own."""
    tables = load(source)
    first = 4 * SEEDS * number
    mine = runs(tables, task, "mine", first, first)
    again = runs(tables, task, f"mine{AGAIN}", first + SEEDS, first + SEEDS)
    same = runs(tables, task, "other", first + 2 * SEEDS, first)
    less = runs(tables, task, "other", first + 3 * SEEDS, first, without_best=True)
    return [
        (SAME, told(compared([*mine, *same, *again]))),
        (WITHHELD, told(compared([*mine, *less, *again]))),
        (FIVE, told(compared([run for run in (*mine, *same) if run.seed < first + FEW]))),
    ]


def runs(
    tables: Tables, task: str, method: str, seed: int, called: int, without_best: bool = False
) -> list[Run]:
    """Ten runs with seeds from ``seed`` on, paired as if those were from ``called`` on."""
    curves = np.asarray(tables.curves[task])
    rows = np.arange(len(curves))
    if without_best:
        rows = np.argsort(np.nanmin(np.nan_to_num(curves, nan=np.inf), axis=1))[len(rows) // 4 :]
    configs = [tables.values[row] for row in rows]
    played = (
        replay(
            tables.space,
            configs,
            curves[rows],
            searcher="random",
            trial_scheduler="asha",
            budget=BEYOND,
            seed=seed + number,
        )
        for number in range(SEEDS)
    )
    return [
        replayed_run(method, called + number, paid, max_epochs=tables.epochs)
        for number, paid in enumerate(played)
    ]


def compared(found: list[Run]) -> Comparison:
    return compare_runs(found, Objective("value"), budget={"epochs": BUDGET})


def told(comparison: Comparison) -> dict[str, Any]:
    """What a comparison claims."""
    paces = [one for one in comparison.speeds if one.method in comparison.methods]
    return {
        "finding": any(one.found for one in comparison.findings),
        "enough": all(one.enough for one in comparison.findings),
        "speed": any(comparison.claimed(one) for one in paces),
        "ratio": paces[0].ratio if paces else np.nan,
        "covers": bool(paces) and not paces[0].clear,
    }


def report(found: list[tuple[str, dict[str, Any]]]) -> str:
    """A row a kind."""
    lines = [
        f"{SEEDS} seeds a method, {BUDGET} epochs a run, followed to {BEYOND}; tasks in turn.",
        "",
        "| mine against | comparisons | with a finding | with a speed claimed | interval of the speed has 1 "
        "| speed, median |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kind in (SAME, WITHHELD, FIVE):
        of_kind = [one for name, one in found if name == kind]
        total = Counter[str]()
        for one in of_kind:
            total.update({name: int(one[name]) for name in ("finding", "enough", "speed", "covers")})
        wrong = "" if total["enough"] else " (too few to tell)"
        ratio = np.median([one["ratio"] for one in of_kind])
        lines.append(
            f"| {kind} | {len(of_kind)} | {total['finding']}{wrong} | {total['speed']} | {total['covers']} "
            f"| {ratio:.2f} |"
        )
    return "\n".join(lines)


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comparisons", type=count, default=200)
    parser.add_argument("--workers", type=count, default=1, help="processes, of one thread each")
    parser.add_argument("--tables", type=Path, default=DATA / TASKS, help="recorded curves (what ships)")
    parser.add_argument("--insert", type=Path, help="a Markdown file with the two markers, for the table")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
