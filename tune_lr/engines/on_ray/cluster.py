"""The Ray that a job runs on: one of its own, one that is here already, or an existing cluster; all quiet."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import ray

from tune_lr.errors import BadInput, JobFailed
from tune_lr.job import Job

#: Local Rays keep sockets here, whose paths may have 107 characters; the number is the driver's process id.
_FOLDER = "tune-lr-ray-{pid}-"
_LEFT_OVER = re.compile(r"tune-lr-ray-(\d+)-.*")

_MIB = 2**20


@contextmanager
def joined(job: Job) -> Iterator[None]:
    """Connected to a Ray that can run the job's trials.

    A Ray that is initialized in this process already is used and left as it is.

    Raises:
        BadInput: there is no cluster at the address, or no node of it can hold one trial.
    """
    with ExitStack() as stack:
        if not ray.is_initialized():
            stack.enter_context(_existing(job.address) if job.address else _local(job))
        _require_room(job)
        yield


@contextmanager
def _local(job: Job) -> Iterator[None]:
    """A Ray for this job alone, with as many CPUs as its workers take."""
    _remove_left_overs()
    folder = tempfile.mkdtemp(prefix=_FOLDER.format(pid=os.getpid()), dir=_short_folder())
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
                logging_level="ERROR",
                log_to_driver=False,
                _temp_dir=folder,
            )
            yield
        finally:
            ray.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
            _forget_token()


@contextmanager
def _existing(address: str) -> Iterator[None]:
    """A cluster that others started."""
    expected = "'auto' or HOST:PORT of a running Ray cluster (ray start --head)"
    if "://" in address:
        raise BadInput("address", address, expected)
    try:
        ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise BadInput("address", address, f"{expected}; Ray says: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _require_room(job: Job) -> None:
    """Refuse at once what would wait forever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for field, resource in (("cpus_per_trial", "CPU"), ("gpus_per_trial", "GPU")):
        most = max((node.get(resource, 0.0) for node in nodes), default=0.0)
        if getattr(job, field) > most:
            expected = f"at most {most:g}, the {resource}s of the largest node that Ray has"
            raise BadInput(field, getattr(job, field), expected)


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a while; what Ray itself sets meanwhile goes as well."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        for name in set(os.environ) | set(before):
            if name in changes or name.startswith(("RAY_", "TUNE_")):
                if name in before:
                    os.environ[name] = before[name]
                else:
                    os.environ.pop(name, None)


@contextmanager
def quiet(workers: int) -> Iterator[None]:
    """Ray Tune without chatter, files nobody reads, and pauses between trials."""
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
    logger = logging.getLogger("ray")
    children = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith("ray.")]
    levels = [(each, each.level) for each in (logger, *children)]
    verbose = logger.isEnabledFor(logging.INFO) and os.environ.get("TUNE_LR_VERBOSE")
    with environment(settings):
        try:
            if not verbose:
                for each, _ in levels:
                    each.setLevel(logging.CRITICAL)
            yield
        finally:
            for each, level in levels:
                each.setLevel(level)


@contextmanager
def interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C asks for the end; a second one does not wait for it. Ray's own signal handlers do not stay."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [signal.SIGINT, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])]
    before = [(name, signal.getsignal(name)) for name in names]

    def once(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        interrupt()

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        for name, handler in before:
            signal.signal(name, handler)


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
        from ray._raylet import AuthenticationTokenLoader

        AuthenticationTokenLoader.instance().reset_cache()


def failed(error: Exception) -> JobFailed:
    """What Ray raised, in one message."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return JobFailed(f"Ray Tune ended the job: {lines[-1].strip() if lines else type(error).__name__}")
