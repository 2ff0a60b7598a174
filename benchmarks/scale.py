"""What the driver and each trial scheduler cost in memory, as the trials become many.

Made-up curves, a handful of legs at a time, the experiment in memory: what is timed is ``Driver.next`` and
``Driver.report`` alone, in seconds of processor time. The ratio is to the rule ``none`` in the same run; the
neutral row is ``none`` again. A rule that stops early hears of short trials, whose reports cost the driver
less, so its ratio may well be below 1.

The last column is the rule's own part in a job whose every trial reports all its epochs, whatever the rule
says of it: the most that it can be asked.

    python benchmarks/scale.py [--trials 1000 --trials 10000] [--epochs 100] [--rule asha]
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from collections import deque
from dataclasses import dataclass

from tune_lr import registry
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.journal import Report
from tune_lr.trials.run import Leg, Outcome

SPACE = {"name": "line", "knobs": {"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}}}
WORKERS = 8
NEUTRAL = "none again"


@dataclass
class Cost:
    """Processor seconds in all, and how many calls they were for."""

    report: float = 0.0
    reports: int = 0
    next: float = 0.0
    nexts: int = 0


def curve(number: int, epochs: int) -> list[float]:
    """A loss that falls from a start of its own to an end of its own, with noise."""
    chance = random.Random(number)
    start, end, noise = chance.uniform(1, 3), chance.random(), chance.uniform(0, 0.1)
    return [end + (start - end) / epoch + chance.gauss(0, noise) for epoch in range(1, epochs + 1)]


def drive(rule: str, trials: int, epochs: int) -> Cost:
    """A whole job, its legs advancing an epoch at a time in turn."""
    job = Job.make(
        {"trainer": "x.py:train", "space": SPACE, "searcher": "random", "trial_scheduler": rule}
        | {"trials": trials, "max_epochs": epochs, "workers": WORKERS}
    )
    cost, clock = Cost(), time.process_time
    reached: dict[str, int] = {}
    curves: dict[str, list[float]] = {}
    legs: deque[Leg] = deque()
    with Experiment.open(None, job).drive() as driver:
        while True:
            while len(legs) < WORKERS:
                began = clock()
                leg = driver.next()
                cost.next += clock() - began
                cost.nexts += 1
                if not isinstance(leg, Leg):
                    break
                legs.append(leg)
            if not legs:
                return cost
            leg = legs.popleft()
            trial = leg.trial_id
            reached[trial] = epoch = reached.get(trial, 0) + 1
            if trial not in curves:
                curves[trial] = curve(int(trial), epochs)
            report = Report(epoch, 0.1 * epoch, {"val_loss": curves[trial][epoch - 1]})
            began = clock()
            decision = driver.report(trial, report)
            cost.report += clock() - began
            cost.reports += 1
            if decision == "continue" and epoch < epochs:
                legs.append(leg)
            else:
                driver.finish(trial, Outcome("completed" if decision == "continue" else "ended"))


def alone(rule: str, trials: int, epochs: int) -> float:
    """Seconds of the rule itself over all epochs of all trials, asked for whom to resume after each."""
    scheduler = registry.load("trial_schedulers", rule)(max_epochs=epochs)
    curves = {f"{number:04d}": curve(number, epochs) for number in range(trials)}
    began = time.process_time()
    for trial in curves:
        scheduler.started(trial, {})
    for epoch in range(1, epochs + 1):
        for trial, losses in curves.items():
            scheduler.decide(trial, epoch, losses[epoch - 1])
            scheduler.resume()
    for trial in curves:
        scheduler.done(trial, "completed")
    return time.process_time() - began


def measure(rules: list[str], trials: int, epochs: int) -> None:
    """Run and print the rows of one size."""
    print(f"\n{trials} trials x {epochs} epochs, {WORKERS} at a time")
    print(f"  {'rule':<14}{'reports':>9}{'us/report':>11}{'ratio':>7}{'us/next':>10}{'ratio':>7}{'own s':>9}")
    base: tuple[float, float] | None = None
    for row in ["none", *(rule for rule in rules if rule != "none"), NEUTRAL]:
        rule = "none" if row == NEUTRAL else row
        print(f"measuring: {row}", file=sys.stderr)
        cost = drive(rule, trials, epochs)
        gc.collect()
        own = alone(rule, trials, epochs)
        report, ask = 1e6 * cost.report / cost.reports, 1e6 * cost.next / cost.nexts
        base = base or (report, ask)
        ratios = report / base[0], ask / base[1]
        figures = f"{report:>11.1f}{ratios[0]:>7.2f}{ask:>10.1f}{ratios[1]:>7.2f}{own:>9.2f}"
        print(f"  {row:<14}{cost.reports:>9}{figures}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, action="append")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rule", choices=registry.names("trial_schedulers"), action="append")
    asked = parser.parse_args()
    for trials in asked.trials or [1000, 10_000]:
        measure(asked.rule or registry.names("trial_schedulers"), trials, asked.epochs)


if __name__ == "__main__":
    main()
