"""The Ray that a job runs on: one of its own, one that is here already, or an existing cluster; all quiet."""

from __future__ import annotations

import importlib
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import ray

from tune_lr.errors import BadInput
from tune_lr.job import Job

#: The number is the driver's process id, so that the folders of killed drivers can be told and removed.
_FOLDER = "tune-lr-ray-{pid}-"
_LEFT_OVER = re.compile(r"tune-lr-ray-(\d+)-.*")

_MIB = 2**20

#: Signals that a person or a system ends a job with, and those that Ray sets handlers for.
_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SIGNALS = [*_ENDING, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])]


@contextmanager
def scratch() -> Iterator[str]:
    """A folder for as long as a driver lives, with a path so short that sockets (107 characters) fit in."""
    _remove_left_overs()
    folder = tempfile.mkdtemp(prefix=_FOLDER.format(pid=os.getpid()), dir=_short_folder())
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def joined(job: Job, folder: str) -> Iterator[None]:
    """Connected to a Ray that can run the job's trials.

    A Ray that is initialized in this process already is used and left as it is.

    Args:
        job: what was asked.
        folder: where a Ray of its own may keep its sockets and logs.

    Raises:
        BadInput: there is no cluster at the address, or no node of it can hold one trial.
    """
    with ExitStack() as stack:
        if not ray.is_initialized():
            with _handlers_kept():
                stack.enter_context(_existing(job.address) if job.address else _local(job, folder))
        _require_room(job)
        yield


@contextmanager
def _local(job: Job, folder: str) -> Iterator[None]:
    """A Ray for this job alone, with as many CPUs as its workers take."""
    token = Path(folder, "token")
    token.touch(0o600)
    token.write_text(secrets.token_hex(32))
    with environment({"RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0"}):
        try:
            ray.init(
                address="local",
                num_cpus=job.workers * job.cpus_per_trial,
                object_store_memory=128 * _MIB,
                include_dashboard=False,
                **_said(),
                _temp_dir=folder,
            )
            yield
        finally:
            ray.shutdown()
            _forget_token()


@contextmanager
def _existing(address: str) -> Iterator[None]:
    """A cluster that others started."""
    try:
        ray.init(address=_reachable(address), **_said())
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        expected = f"'auto' or HOST:PORT of a running Ray cluster (ray start --head); {reason}"
        raise BadInput("address", address, expected) from error
    try:
        yield
    finally:
        ray.shutdown()


def _reachable(address: str) -> str:
    """Where somebody listens; Ray itself would try for minutes.

    Raises:
        OSError: nobody does, or it is no such address.
    """
    if address == "auto":
        services = importlib.import_module("ray._private.services")
        address = os.environ.get("RAY_ADDRESS") or services.find_bootstrap_address(None) or ""
        if not address:
            raise OSError("no cluster was started on this machine")
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or "/" in host:
        raise OSError("this has not that form")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=10):
        return address


def _require_room(job: Job) -> None:
    """Refuse at once what would wait forever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for field, resource in (("cpus_per_trial", "CPU"), ("gpus_per_trial", "GPU")):
        most = max((node.get(resource, 0.0) for node in nodes), default=0.0)
        if getattr(job, field) > most:
            expected = f"at most {most:g}, the {resource}s of the largest node that Ray has"
            raise BadInput(field, getattr(job, field), expected)


def _said() -> dict[str, Any]:
    """How much of what Ray says is heard."""
    if chatty():
        return {"logging_level": "INFO", "log_to_driver": True}
    return {"logging_level": "CRITICAL", "log_to_driver": False}


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a while; what Ray itself sets meanwhile goes as well."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        for name in set(os.environ) | set(before):
            if name in changes or name.startswith(("RAY_", "TUNE_", "PYTHONBREAKPOINT")):
                if name in before:
                    os.environ[name] = before[name]
                else:
                    os.environ.pop(name, None)


@contextmanager
def quiet(workers: int) -> Iterator[None]:
    """Ray Tune without chatter, without files that nobody reads, and without pauses between trials."""
    settings = {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "86400",
        "TUNE_MAX_PENDING_TRIALS_PG": str(workers),
        "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
        "TUNE_RESULT_BUFFER_LENGTH": "1",
    }
    names = ["ray", *(name for name in logging.root.manager.loggerDict if name.startswith("ray."))]
    loggers = [] if chatty() else [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    with environment(settings):
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def chatty() -> bool:
    """Whether somebody asked to hear what the engine says (``--verbose``)."""
    return bool(os.environ.get("TUNE_LR_VERBOSE"))


@contextmanager
def interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """A signal that would raise in the middle of Ray's work (Ctrl-C) calls ``interrupt`` instead, once.

    A second one does as it would have done without us. Handlers that Ray sets meanwhile do not stay.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    taken = [number for number in _ENDING if callable(before[number])]

    def once(number: int, frame: object) -> None:
        for each in taken:
            signal.signal(each, before[each])
        interrupt()

    for number in taken:
        signal.signal(number, once)
    try:
        yield
    finally:
        _set_handlers(before)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """The signal handlers after the block are those before it."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            _set_handlers(before)


def _set_handlers(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None:  # None: not set from Python
            signal.signal(number, handler)


def _short_folder() -> str:
    usual = tempfile.gettempdir()
    return usual if len(usual) <= 20 or not os.access("/tmp", os.W_OK) else "/tmp"


def _remove_left_overs() -> None:
    """Remove the folders of drivers that were killed."""
    for folder in Path(_short_folder()).glob("tune-lr-ray-*"):
        match = _LEFT_OVER.fullmatch(folder.name)
        if match and not _alive(int(match[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _forget_token() -> None:
    """Ray remembers the token it read; the next cluster has another."""
    with suppress(Exception):
        importlib.import_module("ray._raylet").AuthenticationTokenLoader.instance().reset_cache()
