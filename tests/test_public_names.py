"""The names that scripts, examples and documents rely on. A change here is a change for other people."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import tune_lr
from tune_lr import registry

PUBLIC = {
    "Experiment",
    "GreedyLR",
    "History",
    "Job",
    "Objective",
    "Prior",
    "PriorSearcher",
    "SearchSpace",
    "Trial",
    "__version__",
    "build_schedule",
    "compare",
    "fit",
    "load_space",
    "replay",
    "resume",
    "tune",
}
REGISTERED = {
    "schedules": {"greedy", "constant", "linear", "cosine", "step", "exponential", "plateau"}
    | {"cosine-restarts", "polynomial", "one-cycle", "warmup-stable-decay", "hypergradient"}
    | {"line-search", "greedy-device"},
    "untuned_schedules": {"fixed", "range-sweep"},
    "optimizers": {
        "sgd",
        "adam",
        "adamw",
        "prodigy",
        "dadapt-adam",
        "dadapt-sgd",
        "schedule-free-sgd",
        "schedule-free-adamw",
    },
    "searchers": {"prior", "random", "cqr", "bore", "bohb", "tpe"},
    "trial_schedulers": {"asha", "asha-promote", "freeze-thaw", "median", "none"},
    "importers": {"tune-lr", "syne-tune", "ray", "optuna", "mlflow", "huggingface", "tensorboard"}
    | {"wandb", "table"},
    "engines": {"inline", "ray", "syne-tune"},
    "native_schedulers": {
        "ray/native-asha",
        "ray/native-median",
        "ray/pbt",
        "ray/hyperband",
        "syne-tune/native-asha",
        "syne-tune/native-median",
        "syne-tune/pbt",
    },
}


def test_the_public_names_are_exactly_these() -> None:
    assert set(tune_lr.__all__) == PUBLIC
    assert set(tune_lr.__all__) <= set(dir(tune_lr))


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(tune_lr, name) is not None


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'GreedyLr'"):
        _ = tune_lr.GreedyLr


def test_the_version_is_the_installed_one() -> None:
    assert tune_lr.__version__ == importlib.metadata.version("tune-lr")


@pytest.mark.parametrize("kind", sorted(REGISTERED))
def test_the_registry_keeps_its_names(kind: str) -> None:
    assert set(registry.names(kind)) == REGISTERED[kind]


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ["torch", "numpy", "pandas", "pyarrow", "pydantic", "ray", "syne_tune", "typer"]
    code = f"import sys, tune_lr; dir(tune_lr); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
