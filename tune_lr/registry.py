"""Public name -> "module:attribute". Adding a part is one file and one line here (or an entry point).

Nothing is imported until it is asked for. Other packages add theirs with entry points in the groups
``tune_lr.schedules``, ``tune_lr.optimizers``, ``tune_lr.searchers``, ``tune_lr.trial_schedulers``,
``tune_lr.importers`` and ``tune_lr.engines``.
"""

from __future__ import annotations

import functools
import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from tune_lr.errors import MissingExtra, UnknownName

PARTS: dict[str, dict[str, str]] = {
    "schedules": {
        "constant": "tune_lr.schedules.baselines:Constant",
        "cosine": "tune_lr.schedules.baselines:Cosine",
        "cosine-restarts": "tune_lr.schedules.phases:CosineRestarts",
        "exponential": "tune_lr.schedules.baselines:Exponential",
        "greedy": "tune_lr.schedules.greedy:GreedyLR",
        "greedy-device": "tune_lr.schedules.greedy_device:DeviceGreedyLR",
        "hypergradient": "tune_lr.schedules.hypergradient:Hypergradient",
        "line-search": "tune_lr.schedules.line_search:LineSearch",
        "linear": "tune_lr.schedules.baselines:Linear",
        "one-cycle": "tune_lr.schedules.phases:OneCycle",
        "plateau": "tune_lr.schedules.baselines:Plateau",
        "polynomial": "tune_lr.schedules.baselines:Polynomial",
        "step": "tune_lr.schedules.baselines:StepDecay",
        "warmup-stable-decay": "tune_lr.schedules.phases:WarmupStableDecay",
    },
    # Schedules that a config may name, but that nobody tunes: the replay of a run, the sweep of a range test.
    "untuned_schedules": {
        "fixed": "tune_lr.schedules.replay:FixedLR",
        "range-sweep": "tune_lr.schedules.range_sweep:RangeSweep",
    },
    "optimizers": {
        "sgd": "tune_lr.trials.optimizers.plain:sgd",
        "adam": "tune_lr.trials.optimizers.plain:adam",
        "adamw": "tune_lr.trials.optimizers.plain:adamw",
        "prodigy": "tune_lr.trials.optimizers.prodigy:prodigy",
        "dadapt-adam": "tune_lr.trials.optimizers.dadaptation:dadapt_adam",
        "dadapt-sgd": "tune_lr.trials.optimizers.dadaptation:dadapt_sgd",
        "schedule-free-sgd": "tune_lr.trials.optimizers.schedule_free:schedule_free_sgd",
        "schedule-free-adamw": "tune_lr.trials.optimizers.schedule_free:schedule_free_adamw",
    },
    "searchers": {
        "prior": "tune_lr.searchers.prior:PriorSearcher",
        "random": "tune_lr.searchers.random:RandomSearcher",
        "cqr": "tune_lr.engines.on_syne.native:Cqr",
        "bore": "tune_lr.engines.on_syne.native:Bore",
        "bohb": "tune_lr.engines.on_syne.native:Bohb",
        "tpe": "tune_lr.engines.on_ray.native:Tpe",
    },
    # What trains configurations that are known already, some of them several times.
    "repeating_searchers": {"again": "tune_lr.searchers.again:Again"},
    "trial_schedulers": {
        "asha": "tune_lr.stopping.asha:Asha",
        "asha-promote": "tune_lr.stopping.asha:AshaPromote",
        "median": "tune_lr.stopping.median:Median",
        "freeze-thaw": "tune_lr.stopping.freeze_thaw:FreezeThaw",
        "none": "tune_lr.stopping.none:RunToTheEnd",
    },
    "engines": {
        "inline": "tune_lr.engines.inline:InlineEngine",
        "ray": "tune_lr.engines.on_ray.launch:RayEngine",
        "syne-tune": "tune_lr.engines.on_syne.launch:SyneTuneEngine",
    },
    # The engines' own trial schedulers, as "<engine>/<name>": they keep state that no journal can rebuild.
    "native_schedulers": {
        "ray/native-asha": "tune_lr.engines.on_ray.native:NativeAsha",
        "ray/native-median": "tune_lr.engines.on_ray.native:NativeMedian",
        "ray/pbt": "tune_lr.engines.on_ray.native:Pbt",
        "ray/hyperband": "tune_lr.engines.on_ray.native:HyperBand",
        "syne-tune/native-asha": "tune_lr.engines.on_syne.native:NativeAsha",
        "syne-tune/native-median": "tune_lr.engines.on_syne.native:NativeMedian",
        "syne-tune/pbt": "tune_lr.engines.on_syne.native:Pbt",
    },
    # In the order in which they are asked whether a file or folder is theirs: the most particular first.
    "importers": {
        "tune-lr": "tune_lr.history.importers.tune_lr:TuneLR",
        "syne-tune": "tune_lr.history.importers.syne_tune:SyneTune",
        "ray": "tune_lr.history.importers.ray:Ray",
        "optuna": "tune_lr.history.importers.optuna:Optuna",
        "mlflow": "tune_lr.history.importers.mlflow:MLflow",
        "huggingface": "tune_lr.history.importers.huggingface:HuggingFace",
        "tensorboard": "tune_lr.history.importers.tensorboard:TensorBoard",
        "wandb": "tune_lr.history.importers.wandb:WandB",
        "table": "tune_lr.history.importers.table:Table",
    },
    # Where reports go besides the experiment's folder.
    "sinks": {
        "tensorboard": "tune_lr.sinks.tensorboard:TensorBoard",
        "mlflow": "tune_lr.sinks.mlflow:MLflow",
        "wandb": "tune_lr.sinks.wandb:WandB",
    },
    # What opens by itself: functions that draw an experiment or a trial, and the listener that shows a job.
    "views": {
        "progress": "tune_lr.views.progress:Progress",
        "plot": "tune_lr.views.plot:figure",
        "trial-plot": "tune_lr.views.trial_plot:figure",
    },
}

#: Which extra brings the library that a part's module imports.
EXTRAS = {
    "mlflow": "mlflow",
    "wandb": "wandb",
    "syne_tune": "syne-tune",
    "ray": "ray",
    "optuna": "ray",
    "matplotlib": "plot",
    "plotly": "plot",
    "prodigyopt": "rivals",
    "pytorch_optimizer": "rivals",
    "schedulefree": "rivals",
    "scipy": "bench",
    "sklearn": "bench",
    "statsmodels": "bench",
    "transformers": "huggingface",
    "accelerate": "huggingface",
    "lightning": "lightning",
    "tensorboard": "tensorboard",
}


def names(kind: str) -> list[str]:
    """Every registered name of one kind (``schedules optimizers searchers ...``), sorted."""
    return sorted({*PARTS[kind], *(entry.name for entry in _of_others(kind))})


@functools.cache
def _of_others(kind: str) -> tuple[EntryPoint, ...]:
    """What other packages bring; looked for once, since that reads the facts of every package there is."""
    return tuple(entry_points(group=f"tune_lr.{kind}"))


def load(kind: str, name: str) -> Any:
    """The part registered as ``name``.

    Raises:
        UnknownName: nothing of that kind has the name; near matches are listed.
        MissingExtra: the part's library is not installed; the extra is named.
    """
    target = PARTS[kind].get(name)
    if target is None:
        for entry in _of_others(kind):
            if entry.name == name:
                return entry.load()
        raise UnknownName(kind[:-1].replace("_", " "), name, names(kind))
    module, attribute = target.split(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        raise MissingExtra(f"{kind[:-1].replace('_', ' ')} '{name}'", extra) from error
