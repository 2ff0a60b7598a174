"""Worker processes kept warm: a leg starts in milliseconds, and reports come as they happen.

The driver's half; the other is ``engines/nursery.py``. Single-threaded, and no engine is named here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import weakref
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, Any

from tune_lr.engines.wire import as_text, command, environment, receive, say_why_slow, send
from tune_lr.errors import BadInput, JobFailed
from tune_lr.journal import Decision, Report
from tune_lr.trials.run import Leg, Outcome
from tune_lr.trials.trainer import Trainer

#: So many nurseries in a row that died with their legs, and the job ends.
_DEATHS = 3
#: How much of what a dead worker printed goes into the account of its death.
_TAIL = 2000
#: Seconds that a nursery gets to end by itself.
_PATIENCE = 2.0


@dataclass(frozen=True)
class Reported:
    """A leg reported, and its worker waits for the answer."""

    number: int
    report: Report


@dataclass(frozen=True)
class Ended:
    """A leg's worker is gone."""

    number: int
    outcome: Outcome


@dataclass
class _Worker:
    leg: Leg
    channel: Connection
    devices: list[str]
    outcome: Outcome | None = None


class Workers:
    """A pool of worker processes, each of which runs one leg.

    Args:
        trainer: what they train with; loaded once, in the nursery.
        gpus_per_leg: whole GPUs that each leg has for itself; a leg waits until so many are free. 0: legs see
            every GPU and share them.
    """

    def __init__(self, trainer: Trainer, gpus_per_leg: float = 0) -> None:
        if gpus_per_leg != int(gpus_per_leg):
            wanted = "a whole number with these workers (engine ray can share a GPU among trials)"
            raise BadInput("gpus_per_trial", gpus_per_leg, wanted)
        self._trainer, self._gpus = trainer, int(gpus_per_leg)
        self._numbers = 0
        self._workers: dict[int, _Worker] = {}
        self._queue: deque[tuple[int, Leg]] = deque()
        self._nursery: _Handle | None = None
        self._free: list[str] = []
        self._deaths = 0

    def start(self) -> None:
        """Load the trainer, so that legs start at once.

        Raises:
            BadInput: it cannot be loaded, or there are too few GPUs.
            JobFailed: Python cannot be started, or dies loading it.
        """
        if self._nursery is not None:
            return
        handle = _Handle(self._trainer)
        if self._gpus > (there := len(handle.devices)):
            handle.close()
            raise BadInput("gpus_per_trial", self._gpus, f"at most as many as there are here: {there}")
        self._nursery, self._free = handle, handle.devices

    def launch(self, leg: Leg) -> int:
        """Run a leg. Its number is what its events bear."""
        self._numbers += 1
        self._queue.append((self._numbers, leg))
        self._launch_what_fits()
        return self._numbers

    def answer(self, number: int, decision: Decision) -> None:
        """Let a leg that reported hear what was decided."""
        if number in self._workers:
            with contextlib.suppress(OSError):  # it died in between, which its end will tell
                send(self._workers[number].channel, {"decision": decision})

    def kill(self, number: int) -> None:
        """End a leg at once; its ``Ended`` comes as for any other."""
        self._queue = deque(one for one in self._queue if one[0] != number)
        if self._nursery is not None and number in self._workers:
            with contextlib.suppress(OSError):
                send(self._nursery.control, {"kill": number})

    def wait(self, timeout: float) -> list[Reported | Ended]:
        """What has happened, after at most ``timeout`` seconds; a leg's reports come before its end."""
        if self._nursery is None:
            return []
        waiting: list[Any] = [self._nursery.control]
        waiting += [worker.channel for worker in self._workers.values() if worker.outcome is None]
        ready = set(wait(waiting, timeout))
        events: list[Reported | Ended] = []
        for number, worker in list(self._workers.items()):
            if worker.channel in ready:
                events += self._hear(number, worker)
        if self._nursery.control in ready:
            events += self._hear_nursery()
        self._launch_what_fits()
        return events

    @property
    def busy(self) -> int:
        """How many legs are running or wait for a device."""
        return len(self._workers) + len(self._queue)

    def close(self) -> None:
        """End every leg and the nursery, at once."""
        self._queue.clear()
        for worker in self._workers.values():
            worker.channel.close()
        self._workers.clear()
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None

    def _launch_what_fits(self) -> None:
        while self._queue:
            if self._nursery is None:
                self.start()
            if len(self._free) < self._gpus:
                return
            self._launch(*self._queue.popleft())

    def _launch(self, number: int, leg: Leg) -> None:
        assert self._nursery is not None
        devices, self._free = self._free[: self._gpus], self._free[self._gpus :]
        ours, theirs = socket.socketpair()
        worker = _Worker(leg, Connection(ours.detach()), devices)
        self._workers[number] = worker
        order = {"start": number, "cpus": leg.cpus, "devices": ",".join(devices) if devices else None}
        trainer = None if self._nursery.forks else as_text(self._trainer)
        with theirs, contextlib.suppress(OSError):  # a dead nursery is found at the next wait
            self._nursery.start(order, theirs)
            send(worker.channel, {"leg": leg.to_json(), "trainer": trainer})

    def _hear(self, number: int, worker: _Worker) -> Iterable[Reported]:
        try:
            message = receive(worker.channel)
        except (EOFError, OSError):
            worker.outcome = worker.outcome or Outcome("failed")  # why, its exit code will tell
            return
        if "report" in message:
            yield Reported(number, Report.from_json(message["report"]))
        else:
            worker.outcome = Outcome(**message["outcome"])

    def _hear_nursery(self) -> Iterable[Reported | Ended]:
        assert self._nursery is not None
        try:
            message = receive(self._nursery.control)
        except (EOFError, OSError):
            yield from self._bury_nursery()
            return
        if message["exit"] in self._workers:
            self._deaths = 0
            yield from self._end(message["exit"], _death(message["code"]))

    def _bury_nursery(self) -> Iterable[Reported | Ended]:
        death = _death(self._nursery.close()) if self._nursery else "gone"
        self._nursery, self._deaths = None, self._deaths + 1
        if self._deaths == _DEATHS:
            raise JobFailed(f"{_DEATHS} times in a row the process that held the workers was {death}")
        for number in list(self._workers):
            yield from self._end(number, f"ended with the process that held it, which was {death}")

    def _end(self, number: int, death: str) -> Iterable[Reported | Ended]:
        worker = self._workers.pop(number)
        while worker.outcome is None and _has_more(worker.channel):
            yield from self._hear(number, worker)
        worker.channel.close()
        self._free += worker.devices
        outcome = worker.outcome
        if outcome is None or outcome == Outcome("failed"):
            outcome = Outcome("failed", f"the worker was {death}{_last_words(worker.leg)}")
        yield Ended(number, outcome)


class _Handle:
    """A nursery that runs."""

    def __init__(self, trainer: Trainer) -> None:
        ours, theirs = socket.socketpair()
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        with theirs:
            self._process = subprocess.Popen(
                command("serve", theirs.fileno()),
                # One thread, so that it can fork; asking for CUDA by NVML does not start CUDA here.
                env=environment(1, PYTORCH_NVML_BASED_CUDA_CHECK="1"),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a terminal's Ctrl-C is for the driver alone
            )
        self._socket = ours
        self.control = Connection(os.dup(ours.fileno()))
        self._finalizer = weakref.finalize(self, _end_process, self._process, self.control, ours)
        try:
            send(self.control, {"trainer": as_text(trainer)})
            answer = receive(self.control)
        except (EOFError, OSError):
            self._finalizer()
            said, death = self._said(), _death(self.close())
            raise JobFailed(f"a worker process was {death} while it loaded {trainer}{said}") from None
        except BaseException:
            self.close()
            raise
        if "bad" in answer:
            self.close()
            error = BadInput(*answer["bad"])
            error.args = (answer["text"],)
            raise error
        self.forks: bool = answer["forks"]
        self.devices: list[str] = answer["devices"]
        if not self.forks and answer["threads"]:
            say_why_slow(trainer, answer["threads"])

    def start(self, order: dict[str, Any], channel: socket.socket) -> None:
        send(self.control, order)
        socket.send_fds(self._socket, [b"f"], [channel.fileno()])

    def close(self) -> int:
        """End it and its workers; how it ended."""
        self._finalizer()
        self._output.close()
        return int(self._process.returncode)

    def _said(self) -> str:
        self._output.seek(0)
        return _tail(self._output.read())


def _end_process(process: subprocess.Popen[bytes], control: Connection, ours: socket.socket) -> None:
    """Where the nursery sees the end of its socket, it ends its workers and itself."""
    control.close()
    ours.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()  # Linux ends the workers with it
        process.wait()


def _has_more(channel: Connection) -> bool:
    with contextlib.suppress(OSError):
        return channel.poll(0)
    return False


def _death(code: int) -> str:
    if code >= 0:
        return f"gone: it exited with code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by signal {-code} ({signal.Signals(-code).name})"
    return f"killed by signal {-code}"


def _last_words(leg: Leg) -> str:
    if leg.folder is None:
        return ""
    with contextlib.suppress(OSError), open(Path(leg.folder) / "output.log", "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        return _tail(file.read())
    return ""


def _tail(output: bytes) -> str:
    text = output[-_TAIL:].decode("utf-8", "replace").strip()
    return f"; the last it printed:\n{text}" if text else ""
