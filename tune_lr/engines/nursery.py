"""The nursery: a process that loads the trainer once and makes a fresh worker for each leg.

Its driver (``engines/workers.py``) starts it, talks to it over a socket and to each worker over another, in
lines of JSON. A worker is a fork, which has PyTorch and the trainer at once; where a fork would not be safe
(threads are running, CUDA was touched, no Linux) it is a fresh interpreter that loads the trainer itself.
Every worker leads a process group, which is ended with it, helpers of data loaders included. Who loses the
process above it ends: the nursery at the end of its socket, workers with the nursery.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tune_lr.engines.wire import command, environment, receive, send
from tune_lr.errors import BadInput, TuneLRError
from tune_lr.journal import CONTINUE, Decision, Report
from tune_lr.trials.run import Leg, run_leg
from tune_lr.trials.trainer import Train, Trainer

# The nursery ----------------------------------------------------------------------------------------


def serve(fd: int) -> None:
    """Entry point: load the trainer, say how that went, and make workers until the driver is gone."""
    control = Connection(fd)
    _die_with_parent()  # also while the trainer is imported, when nobody listens
    try:
        trainer = Trainer(*receive(control)["trainer"])
        try:
            train = _load(trainer)
        except BadInput as error:
            send(control, {"bad": [error.field, str(error.value), error.expected], "text": str(error)})
            return
        forks, devices = _survey()
        threads = _threads_running()
        send(control, {"ready": os.getpid(), "forks": forks, "devices": devices, "threads": threads})
        _Nursery(control, train if forks else None).run()
    except (EOFError, OSError):
        return


def _load(trainer: Trainer) -> Train:
    """The function, and all that a worker would otherwise import for every leg."""
    try:
        train = trainer.load()
    except TuneLRError:
        raise
    except Exception as error:
        reason = f"a function that a worker process can load ({type(error).__name__}: {error})"
        raise BadInput("trainer", str(trainer), reason) from error
    import torch
    import torch._dynamo  # the first optimizer of a process imports it: 0.8 s

    _ = torch
    with tempfile.TemporaryDirectory() as folder:
        run_leg(Leg("rehearsal", {}, 0, 1, "loss", folder), _rehearse, lambda report: CONTINUE)
    return train


def _rehearse(config: dict[str, Any], trial: Any) -> None:
    """Bring in what PyTorch and the trial load on first use, without computing anything."""
    for _ in trial.epochs():
        trial.save({})
        trial.report(loss=0.0)


def _survey() -> tuple[bool, list[str]]:
    """Whether forks of this process are sound, and which CUDA devices there are.

    A fork finds out, since asking about CUDA could start it here.
    """
    gc.collect()
    gc.freeze()  # so that collecting in a fork does not copy what it shares with this process
    sys.stdout.flush()
    sys.stderr.flush()
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.write(writable, json.dumps(_probe()).encode())
        os._exit(0)
    os.close(writable)
    with open(readable, "rb") as file:
        found = file.read()
    os.waitpid(pid, 0)
    sound, devices = json.loads(found or b"[false, []]")
    return sound and len(_threads_running()) == 1, devices


def _probe() -> tuple[bool, list[str]]:
    import torch

    sound = not getattr(torch.cuda, "_is_in_bad_fork", bool)() and not torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return sound, [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    return sound, [str(number) for number in range(torch.cuda.device_count())] if sound else []


def _threads_running() -> list[str]:
    """The names of this process's threads; none where that cannot be told (no Linux)."""
    return [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]


class _Nursery:
    """Makes workers when told to, and tells when one has ended.

    Args:
        control: the driver.
        train: the loaded trainer, for forks; None: workers are fresh interpreters.
    """

    def __init__(self, control: Connection, train: Train | None) -> None:
        self._control, self._train = control, train
        #: leg -> (process id, how to ask for its exit code)
        self._workers: dict[int, tuple[int, Callable[[], int | None]]] = {}
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def run(self) -> None:
        try:
            while True:
                for ready in wait([self._control, self._woken.fileno()]):
                    if ready is self._control:
                        self._obey(receive(self._control))
                    else:
                        self._woken.recv(4096)
                self._reap()
        finally:
            for pid, _ in self._workers.values():
                _end_group(pid)

    def _obey(self, order: dict[str, Any]) -> None:
        if "kill" in order and order["kill"] in self._workers:
            _end_group(self._workers[order["kill"]][0])
        elif "start" in order:
            with socket.socket(fileno=os.dup(self._control.fileno())) as control:
                _, fds, _, _ = socket.recv_fds(control, 1, 1)
            try:
                self._workers[order["start"]] = self._start(fds[0], order)
            finally:
                os.close(fds[0])

    def _start(self, fd: int, order: dict[str, Any]) -> tuple[int, Callable[[], int | None]]:
        devices = {} if order["devices"] is None else {"CUDA_VISIBLE_DEVICES": order["devices"]}
        if self._train is None:
            environ = environment(order["cpus"], **devices)
            process = subprocess.Popen(command("spawned", fd), env=environ, pass_fds=[fd])
            pid, ask = process.pid, process.poll
        else:
            sys.stdout.flush()
            sys.stderr.flush()
            pid = os.fork()
            if pid == 0:
                self._become_worker(fd, environment(order["cpus"], **devices))
            ask = _asking(pid)
        with contextlib.suppress(OSError):  # the worker does the same; whoever comes first
            os.setpgid(pid, pid)
        return pid, ask

    def _become_worker(self, fd: int, environ: Mapping[str, str]) -> None:
        """In the fork: let go of what is the nursery's, work, and never return."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for mine in (self._control, self._woken, self._waker):
                mine.close()
            os.environ.update(environ)
            assert self._train is not None
            _work(Connection(fd), self._train)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        for number, (pid, ask) in list(self._workers.items()):
            code = ask()
            if code is not None:
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)  # what the worker started and left behind
                del self._workers[number]
                send(self._control, {"exit": number, "code": code})


def _asking(pid: int) -> Callable[[], int | None]:
    def ask() -> int | None:
        found, status = os.waitpid(pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if found else None

    return ask


def _end_group(pid: int) -> None:
    for end in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            end(pid, signal.SIGKILL)
            return


# A worker -------------------------------------------------------------------------------------------


def spawned(fd: int) -> None:
    """Entry point of a fresh interpreter: the trainer comes with the leg."""
    _work(Connection(fd), None)


def _work(channel: Connection, train: Train | None) -> None:
    """Run the one leg that comes over the channel, and say how it ended."""
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    _die_with_parent()
    order = receive(channel)
    leg = Leg.from_json(order["leg"])
    _write_to(leg.folder)

    def report(report: Report) -> Decision:
        try:
            send(channel, {"report": report.to_json()})
            decision: Decision = receive(channel)["decision"]
        except (EOFError, OSError):  # the driver is gone; the report is in the trial's folder
            os._exit(1)
        return decision

    outcome = run_leg(leg, train or _load(Trainer(*order["trainer"])), report)
    send(channel, {"outcome": outcome.to_json()})


def _write_to(folder: str | None) -> None:
    """What the trainer prints goes to the trial's ``output.log``, never to the driver's terminal."""
    if folder is None:
        target = os.open(os.devnull, os.O_WRONLY)
    else:
        os.makedirs(folder, exist_ok=True)
        target = os.open(Path(folder) / "output.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for fd in (1, 2):
        os.dup2(target, fd)
    os.close(target)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def _die_with_parent() -> None:
    """Ask Linux for SIGKILL when the nursery dies; elsewhere the end of the channel tells, an epoch later."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if os.getppid() != parent or parent == 1:
            os._exit(1)
