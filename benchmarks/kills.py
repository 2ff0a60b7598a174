"""A driver killed with SIGKILL again and again in one job: what is lost, what is trained twice.

    python benchmarks/kills.py [--engine syne-tune|ray|inline] [--kills 10] [--workers 1]

The job is 40 trials x 27 epochs of the digits example under ASHA. It is run once in peace, and once killed at
random moments and resumed each time. Printed: reports that a trial wrote down and the result lacks, epochs
trained twice per kill, trials accounted for, and (one worker) whether every decision is the same.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
#: Trains the digits example, and notes every epoch it begins in a file beside the experiment.
TRAINER = """
import importlib.util, os
spec = importlib.util.spec_from_file_location("digits", {example!r})
digits = importlib.util.module_from_spec(spec)
spec.loader.exec_module(digits)

def train(config, trial):
    epochs = trial.epochs
    def counted():
        for epoch in epochs():
            with open({log!r}, "a") as log:
                log.write(f"{{trial.id}} {{epoch}}\\n")
            yield epoch
    trial.epochs = counted
    digits.train(config, trial)
"""
DRIVE = """
import sys, json
import tune_lr
if __name__ == "__main__":
    trainer, out, asked = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    space = tune_lr.load_space("greedy_lr")
    tune_lr.tune(trainer, space, out=out, **asked)
"""


@dataclass(frozen=True)
class Damage:
    """What the kills did.

    Args:
        lost: reports that a trial's folder has and the result lacks.
        repeated: epochs begun more than once.
        unaccounted: trials that have neither ended nor wait at a rung, as the rule left them.
        differing: trials whose configuration, reports or status differ from the job in peace.
    """

    kills: int
    lost: int
    repeated: int
    unaccounted: int
    differing: int
    trials: int
    stopped: int
    paused: int


class Job:
    """One job, driven by processes of its own."""

    def __init__(self, folder: Path, **asked: Any) -> None:
        import json

        folder.mkdir(parents=True)
        self.out, self.log = folder / "experiment", folder / "epochs.log"
        self.log.touch()
        trainer, script = folder / "counted.py", folder / "drive.py"
        trainer.write_text(TRAINER.format(example=str(ROOT / "examples/digits_mlp.py"), log=str(self.log)))
        script.write_text(DRIVE)
        self._command = [sys.executable, str(script), f"{trainer}:train", str(self.out), json.dumps(asked)]
        self._output = open(folder / "driver.log", "ab")  # noqa: SIM115 - the drivers write there

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdout=self._output, stderr=self._output, cwd=ROOT)

    def finish(self) -> None:
        """Drive to the end."""
        if self.start().wait() != 0:
            raise SystemExit(f"the driver failed; see {self._output.name}")

    def epochs_begun(self) -> int:
        """How many different epochs of different trials have begun."""
        return len(set(self.log.read_text().split("\n")[:-1]))

    def kill_at(self, epochs: int) -> bool:
        """Drive until so many epochs (one more at least) have begun, then SIGKILL; False: it ended first."""
        driver, goal = self.start(), max(epochs, self.epochs_begun() + 1)
        while self.epochs_begun() < goal:
            if driver.poll() is not None:
                return False
            time.sleep(0.002)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        return True


def measure(peaceful: Job, killed: Job, kills: int, seed: int = 0) -> Damage:
    """Run one job in peace (unless it was) and the other with kills; what the kills did."""
    from tune_lr import Experiment

    if not peaceful.epochs_begun():
        peaceful.finish()
    moments = sorted(random.Random(seed).sample(range(1, peaceful.epochs_begun() - kills), kills))
    done = sum(killed.kill_at(moment) for moment in moments)
    killed.finish()
    expected, found = Experiment.open(peaceful.out).record(), Experiment.open(killed.out).record()
    begun = Counter(killed.log.read_text().split("\n")[:-1])
    return Damage(
        kills=done,
        lost=_lost(killed.out, {(t.trial_id, r.epoch) for t in found.trials.values() for r in t.reports}),
        repeated=sum(times - 1 for times in begun.values()),
        unaccounted=sum(not trial.ended and trial.status != "paused" for trial in found.trials.values()),
        differing=sum(_told(expected, name) != _told(found, name) for name in expected.trials | found.trials),
        trials=len(found.trials),
        stopped=len(found.with_status("stopped")),
        paused=len(found.with_status("paused")),
    )


def _lost(out: Path, recorded: set[tuple[str, int]]) -> int:
    from tune_lr.trials.folder import TrialFolder

    written = {
        (folder.name, report.epoch)
        for folder in (out / "trials").iterdir()
        for report in TrialFolder(folder).reports()
    }
    return len(written - recorded)


def _told(record: Any, trial_id: str) -> Any:
    trial = record.trials.get(trial_id)
    return trial and (trial.config, trial.status, [(r.epoch, r.metrics) for r in trial.reports])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["syne-tune", "ray", "inline"], action="append")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--trial-scheduler", default="asha")
    asked = parser.parse_args()
    for engine in asked.engine or ["syne-tune", "ray"]:
        what = {"engine": engine, "trials": 40, "max_epochs": 27, "trial_scheduler": asked.trial_scheduler}
        what["workers"] = asked.workers
        with tempfile.TemporaryDirectory(prefix="kills") as folder:
            jobs = [Job(Path(folder) / name, **what) for name in ("peaceful", "killed")]
            damage = measure(*jobs, asked.kills)
        per_kill = damage.repeated / max(1, damage.kills)
        print(f"{engine}, {asked.workers} worker(s), {asked.trial_scheduler}: {damage.kills} kills")
        print(f"  reports lost                {damage.lost}")
        print(f"  epochs trained twice        {damage.repeated} ({per_kill:.2f} a kill)")
        stayed = f"stopped early {damage.stopped}, paused {damage.paused}"
        print(f"  trials                      {damage.trials}, of which {stayed}")
        print(f"  trials not accounted for    {damage.unaccounted}")
        print(f"  trials that differ          {damage.differing}")


if __name__ == "__main__":
    main()
