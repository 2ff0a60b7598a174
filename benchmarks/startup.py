"""What a trial that does nothing costs on each engine, beside the engine's plain use, in one run.

A trial reports once and returns; one worker. The figure is the median time from the start of a trial to the
start of the next, so that what is paid once a job (starting Ray, preloading torch) does not count. The
neutral row is the plain engine against itself: its odd intervals over its even ones.

    python benchmarks/startup.py [--engine syne-tune|ray] [--trials 20]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from statistics import median

SPACE = {"name": "one", "knobs": {"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}}}
TRAINER = (
    "def train(config, trial):\n    for _ in trial.epochs():\n        trial.report(val_loss=config['lr'])\n"
)
PLAIN_SYNE = (
    "from argparse import ArgumentParser\nfrom syne_tune import Reporter\n"
    "parser = ArgumentParser()\nparser.add_argument('--lr', type=float)\n"
    "args, _ = parser.parse_known_args()\nReporter()(val_loss=args.lr, epoch=1)\n"
)


def ours(engine: str, trials: int, folder: Path) -> list[float]:
    """tune-lr on an engine: the times at which trials were asked for."""
    import tune_lr

    (folder / "nothing.py").write_text(TRAINER)
    out = folder / "experiment"
    tune_lr.tune(
        f"{folder / 'nothing.py'}:train",
        SPACE,
        engine=engine,
        trial_scheduler="none",
        trials=trials,
        max_epochs=1,
        out=out,
        progress=False,
    )
    events = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    return [event["time"] for event in events if event["event"] == "ask"]


def plain_syne(trials: int, folder: Path, **poll: float) -> list[float]:
    """Syne Tune's local backend; ``poll`` shortens its sleep."""
    os.environ["SYNETUNE_FOLDER"] = str(folder)
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.config_space import loguniform
    from syne_tune.optimizer.baselines import RandomSearch
    from syne_tune.results_callback import StoreResultsCallback
    from syne_tune.tuner_callback import TunerCallback

    times: list[float] = []

    class Starts(TunerCallback):
        def on_start_trial(self, trial: object) -> None:
            times.append(time.time())

    script = folder / "plain.py"
    script.write_text(PLAIN_SYNE)
    Tuner(
        trial_backend=LocalBackend(entry_point=str(script), rotate_gpus=False),
        scheduler=RandomSearch({"lr": loguniform(1e-4, 1.0)}, metrics=["val_loss"]),
        stop_criterion=StoppingCriterion(max_num_trials_finished=trials - 1),
        n_workers=1,
        callbacks=[Starts(), StoreResultsCallback()],
        **poll,
    ).run()
    return times


def plain_ray(trials: int, folder: Path, reuse: bool) -> list[float]:
    """A function trainable under ``ray.tune.Tuner``."""
    from ray import tune

    times: list[float] = []

    class Starts(tune.Callback):
        def on_trial_start(self, iteration: int, trials: list[object], trial: object, **info: object) -> None:
            times.append(time.time())

    def train(config: dict[str, float]) -> None:
        tune.report({"val_loss": config["lr"]})

    tune.Tuner(
        train,
        param_space={"lr": tune.loguniform(1e-4, 1.0)},
        tune_config=tune.TuneConfig(
            metric="val_loss", mode="min", num_samples=trials, max_concurrent_trials=1, reuse_actors=reuse
        ),
        run_config=tune.RunConfig(storage_path=str(folder), callbacks=[Starts()], verbose=0),
    ).fit()
    return times


def intervals(times: list[float]) -> list[float]:
    """From one start to the next; the first, which pays for warming up, is left out."""
    gaps = [after - before for before, after in pairwise(times)]
    return gaps[1:]


def measure(rows: dict[str, Callable[[Path], list[float]]]) -> dict[str, list[float]]:
    """Run each row in a folder of its own, quietly."""
    measured = {}
    for name, run in rows.items():
        print(f"measuring: {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="tlr") as folder, redirect_stdout(io.StringIO()):
            measured[name] = intervals(run(Path(folder)))
    return measured


def table(engine: str, measured: dict[str, list[float]]) -> None:
    """Seconds a trial, and the ratio to the first row (the plain engine as it comes)."""
    baseline = next(iter(measured.values()))
    print(f"\n{engine}: seconds a trial (median of {len(baseline)} or more), ratio to plain use")
    for name, gaps in measured.items():
        print(f"  {name:<44}{median(gaps):8.3f}{median(gaps) / median(baseline):9.3f}")
    neutral = median(baseline[::2]) / median(baseline[1::2])
    print(f"  {'neutral: plain use against itself':<44}{'':8}{neutral:9.3f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["syne-tune", "ray"], action="append")
    parser.add_argument("--trials", type=int, default=20)
    asked = parser.parse_args()
    few, many = max(6, asked.trials // 3), asked.trials
    rows: dict[str, dict[str, Callable[[Path], list[float]]]] = {
        "syne-tune": {
            "plain: LocalBackend as it comes": lambda folder: plain_syne(few, folder),
            "plain: LocalBackend, polling every 0.1 s": lambda folder: plain_syne(
                few, folder, sleep_time=0.1
            ),
            "tune-lr --engine syne-tune": lambda folder: ours("syne-tune", many, folder),
        },
        "ray": {
            "plain: function trainable as it comes": lambda folder: plain_ray(few, folder, reuse=False),
            "plain: actors reused": lambda folder: plain_ray(many, folder, reuse=True),
            "tune-lr --engine ray": lambda folder: ours("ray", many, folder),
        },
    }
    for engine in asked.engine or rows:
        if engine == "ray":
            start_ray()
        table(engine, measure(rows[engine]))


def start_ray() -> None:
    """One local Ray for all three rows."""
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("RAY_TMPDIR", tempfile.mkdtemp(prefix="r", dir="/tmp"))
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")


if __name__ == "__main__":
    main()
