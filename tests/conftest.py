"""What every test stands on: one thread, a repeatable hypothesis, quiet engines, a history of its own."""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

# Before anything imports torch or numpy, here and in every process that a test starts.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("hunt", parent=settings.get_profile("ci"), derandomize=False, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

ROOT = Path(__file__).resolve().parents[1]


#: What is costly to make stays with one of the processes that share the tests out (``pytest -n``).
_COSTLY = {"ray": "local_ray", "samples": "made_sample"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests stay together, and so do all of those that start a Ray, or that read the same logs."""
    groups: dict[Path, str] = {}
    for item in items:
        names = getattr(item, "fixturenames", ())
        for group, fixture in _COSTLY.items():
            if fixture in names or item.get_closest_marker(group):
                groups.setdefault(item.path, group)
    for item in items:
        group = groups.get(item.path, item.path.relative_to(ROOT).as_posix())
        item.add_marker(pytest.mark.xdist_group(group))
    # The long ones first, so that no process is left with them at the end.
    items.sort(
        key=lambda item: list(_COSTLY).index(groups[item.path]) if item.path in groups else len(_COSTLY)
    )


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def _quiet_and_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Engines say nothing below an error, and no test reads or writes the history of whoever runs it."""
    # A shell that runs the tests in the background has them ignore Ctrl-C, which some of them press.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_LR_HISTORY", str(tmp_path_factory.mktemp("history")))
        for name in ("ray", "syne_tune", "optuna"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield


@pytest.fixture(scope="session")
def made_sample(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """The folder that an importer's sample was made in, and the path in it to import; each is made once."""
    done: dict[str, tuple[Path, Path]] = {}

    def get(name: str) -> tuple[Path, Path]:
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            sample = importlib.import_module(f"tests.samples.history.{name.replace('-', '_')}")
            done[name] = folder, sample.make(folder).relative_to(folder)
        return done[name]

    return get


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray with two CPUs, in this process; the engine uses it and leaves it running."""
    import ray

    if ray.is_initialized():
        yield
        return
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets need a short path
    token = Path(folder, "token")
    token.write_text(secrets.token_hex(32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=128 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
        )
        yield
        ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)
