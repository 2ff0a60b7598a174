"""Warm workers by themselves: how they start, end, die, and what they leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tune_lr.engines.workers import Ended, Reported, Workers
from tune_lr.errors import BadInput, JobFailed
from tune_lr.journal import CONTINUE, STOP
from tune_lr.trials.run import Leg, Outcome
from tune_lr.trials.trainer import Trainer

TRAINERS = Path(__file__).with_name("trainers.py")


def leg(folder: Path, max_epochs: int = 3, **config: Any) -> Leg:
    return Leg(folder.name, {"lr": 0.1, **config}, 0, max_epochs, "val_loss", str(folder))


def trainer(name: str) -> Trainer:
    return Trainer.from_text(f"{TRAINERS}:{name}")


def finish(workers: Workers, *numbers: int, seconds: float = 20) -> dict[int, list[Any]]:
    """Answer every report with "continue" until these legs are gone; what each said."""
    heard: dict[int, list[Any]] = {number: [] for number in numbers}
    deadline = time.monotonic() + seconds
    while any(not heard[n] or not isinstance(heard[n][-1], Ended) for n in numbers):
        assert time.monotonic() < deadline, heard
        for event in workers.wait(0.05):
            heard.setdefault(event.number, []).append(event)
            if isinstance(event, Reported):
                workers.answer(event.number, CONTINUE)
    return heard


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(check: Any, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not check() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(check())


@pytest.fixture(scope="module")
def ending() -> Iterator[Workers]:
    workers = Workers(trainer("ends"))
    yield workers
    workers.close()


def test_reports_come_in_order_and_the_outcome_last(ending: Workers, tmp_path: Path) -> None:
    number = ending.launch(leg(tmp_path / "a", how="well"))
    *reports, end = finish(ending, number)[number]
    assert [event.report.epoch for event in reports] == [1, 2, 3]
    assert [event.report.metrics["val_loss"] for event in reports] == [1.0, 0.5, 1 / 3]
    assert end.outcome == Outcome("completed")
    assert (tmp_path / "a" / "output.log").read_text() == "a last word } { [tune-metric]: {\n"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raise", "ValueError: on purpose"),
        ("exit", "sys.exit(4)"),
        ("os-exit", "exited with code 5"),
        ("kill", "killed by signal 9 (SIGKILL)"),
    ],
)
def test_a_bad_end_is_told_after_the_reports_before_it(
    ending: Workers, tmp_path: Path, how: str, said: str
) -> None:
    number = ending.launch(leg(tmp_path / how, how=how))
    reported, end = finish(ending, number)[number]
    assert reported.report.epoch == 1
    assert end.outcome.status == "failed"
    assert said in end.outcome.error
    if how in ("os-exit", "kill"):
        assert "a last word" in end.outcome.error
    following = ending.launch(leg(tmp_path / "next", how="well"))
    assert finish(ending, following)[following][-1].outcome == Outcome("completed")


def test_a_trial_hears_stop_before_its_next_epoch(ending: Workers, tmp_path: Path) -> None:
    number = ending.launch(leg(tmp_path / "s", max_epochs=1000, how="well"))
    seen = []
    while not seen or isinstance(seen[-1], Reported):
        for event in ending.wait(0.05):
            seen.append(event)
            if isinstance(event, Reported):
                ending.answer(number, STOP if event.report.epoch == 3 else CONTINUE)
    assert [type(event) for event in seen] == [Reported, Reported, Reported, Ended]
    assert seen[-1].outcome == Outcome("ended")


def test_two_at_once_and_one_is_killed(tmp_path: Path) -> None:
    workers = Workers(trainer("forever"))
    try:
        pids = [tmp_path / "1.pid", tmp_path / "2.pid"]
        first, second = (workers.launch(leg(tmp_path / p.stem, note=str(p))) for p in pids)
        assert wait_until(lambda: all(p.exists() and p.read_text() for p in pids))
        began = time.monotonic()
        workers.kill(first)
        assert "SIGKILL" in finish(workers, first)[first][-1].outcome.error
        assert workers.busy == 1
        workers.close()
        assert time.monotonic() - began < 5
        assert wait_until(lambda: not any(is_alive(int(p.read_text())) for p in pids))
        assert second
    finally:
        workers.close()


def test_what_a_worker_starts_ends_with_it(tmp_path: Path) -> None:
    workers = Workers(trainer("helper"))
    try:
        number = workers.launch(leg(tmp_path / "h", note=str(tmp_path / "pid")))
        assert finish(workers, number)[number][-1].outcome == Outcome("completed")
        assert wait_until(lambda: not is_alive(int((tmp_path / "pid").read_text())))
    finally:
        workers.close()


def test_a_worker_is_a_fork_with_the_trainer_and_has_its_threads(tmp_path: Path) -> None:
    workers = Workers(trainer("where"))
    try:
        workers.start()
        cpus = Leg("t", {"lr": 0.1}, 0, 1, "val_loss", str(tmp_path / "t"), cpus=2)
        number = workers.launch(cpus)
        report = finish(workers, number)[number][0].report
        assert report.metrics["forked"] == 1
        assert report.metrics["threads"] == 2
    finally:
        workers.close()


def test_a_trainer_that_starts_threads_gets_fresh_interpreters(tmp_path: Path) -> None:
    script = tmp_path / "threads.py"
    script.write_text(
        "import os, threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "LOADED_IN = os.getpid()\n"
        "def train(config, trial):\n"
        "    for _ in trial.epochs():\n"
        "        trial.report(val_loss=1.0, forked=int(LOADED_IN != os.getpid()))\n"
    )
    with pytest.warns(UserWarning, match="fresh interpreter.*threads run"):
        reported, end = one_leg(Workers(Trainer.from_text(f"{script}:train")), tmp_path)
    assert reported.report.metrics["forked"] == 0
    assert end.outcome == Outcome("completed")


@pytest.mark.parametrize("library", ["sklearn.datasets", "pandas", "pyarrow.parquet", "scipy.linalg"])
def test_a_trainer_that_imports_what_trainers_import_stays_warm(tmp_path: Path, library: str) -> None:
    script = tmp_path / "imports.py"
    script.write_text(
        f"import os, {library}\n"
        "LOADED_IN = os.getpid()\n"
        "def train(config, trial):\n"
        "    for _ in trial.epochs():\n"
        "        trial.report(val_loss=1.0, forked=int(LOADED_IN != os.getpid()))\n"
    )
    reported, _ = one_leg(Workers(Trainer.from_text(f"{script}:train")), tmp_path)
    assert reported.report.metrics["forked"] == 1


def one_leg(workers: Workers, folder: Path) -> list[Any]:
    """What is heard of a trial of one epoch."""
    try:
        number = workers.launch(leg(folder / "t", max_epochs=1))
        return finish(workers, number, seconds=60)[number]
    finally:
        workers.close()


def test_a_nursery_that_dies_fails_its_legs_and_is_replaced(tmp_path: Path) -> None:
    workers = Workers(trainer("forever"))
    try:
        pid = tmp_path / "pid"
        number = workers.launch(leg(tmp_path / "1", note=str(pid)))
        assert wait_until(lambda: pid.exists() and bool(pid.read_text()))
        assert workers._nursery is not None
        os.kill(workers._nursery._process.pid, signal.SIGKILL)
        outcome = finish(workers, number)[number][-1].outcome
        assert outcome.status == "failed"
        assert "SIGKILL" in outcome.error
        assert wait_until(lambda: not is_alive(int(pid.read_text())))
        pid.unlink()
        workers.launch(leg(tmp_path / "2", note=str(pid)))
        assert wait_until(lambda: pid.exists() and bool(pid.read_text()))
    finally:
        workers.close()


@pytest.mark.kill
def test_nothing_outlives_a_driver_that_is_killed(tmp_path: Path, root: Path) -> None:
    pid = tmp_path / "pid"
    script = (
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "from tune_lr.engines.workers import Workers\n"
        "from tune_lr.trials.run import Leg\n"
        "from tune_lr.trials.trainer import Trainer\n"
        f"workers = Workers(Trainer.from_text({f'{TRAINERS}:forever'!r}))\n"
        f"workers.launch(Leg('0', {{'note': {str(pid)!r}}}, 0, 3, 'val_loss', {str(tmp_path / '0')!r}))\n"
        "print(workers._nursery._process.pid, flush=True)\n"
        "while True: workers.wait(1)\n"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert driver.stdout is not None
    nursery = int(driver.stdout.readline())
    assert wait_until(lambda: pid.exists() and bool(pid.read_text()), 30)
    driver.kill()
    driver.wait()
    driver.stdout.close()
    assert wait_until(lambda: not is_alive(nursery) and not is_alive(int(pid.read_text())))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import no_such_library", "no_such_library"),
        ("def tarin(config, trial): pass", "did you mean tarin"),
        ("def train(config): pass", "two arguments"),
    ],
)
def test_a_trainer_that_cannot_be_loaded_is_bad_input(tmp_path: Path, content: str, said: str) -> None:
    script = tmp_path / "bad.py"
    script.write_text(content + "\n")
    with pytest.raises(BadInput, match=said):
        Workers(Trainer.from_text(f"{script}:train")).start()


def test_a_trainer_that_ends_python_is_told_with_its_last_words(tmp_path: Path) -> None:
    script = tmp_path / "dies.py"
    script.write_text("import os\nprint('goodbye', flush=True)\nos._exit(7)\n")
    with pytest.raises(JobFailed, match=r"(?s)exited with code 7.*goodbye"):
        Workers(Trainer.from_text(f"{script}:train")).start()


def test_parts_of_gpus_are_for_another_engine() -> None:
    with pytest.raises(BadInput, match="engine ray"):
        Workers(trainer("steady"), gpus_per_leg=0.5)


def test_whole_gpus_are_handed_out_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")  # as on a machine that has them
    with pytest.raises(BadInput, match="at most as many as there are here: 2"):
        Workers(trainer("where"), gpus_per_leg=3).start()
    workers = Workers(trainer("where"), gpus_per_leg=1)
    try:
        numbers = [workers.launch(leg(tmp_path / str(n), max_epochs=1)) for n in range(3)]
        assert len(workers._queue) == 1
        heard = finish(workers, *numbers)
        devices = [heard[number][0].report.metrics["devices"] for number in numbers]
        assert sorted(devices[:2]) == [3, 5]
        assert devices[2] in (3, 5)
    finally:
        workers.close()
