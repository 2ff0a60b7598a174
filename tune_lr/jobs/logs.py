"""``log=``: reports sent to other tools while a job runs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tune_lr import registry
from tune_lr.driver import Listener
from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.sinks.base import Sink


@contextmanager
def logged(experiment: Experiment, names: Sequence[str] | str | None) -> Iterator[tuple[Listener, ...]]:
    """The sinks of that name, as listeners; closed at the end.

    Args:
        experiment: whose reports they get.
        names: ``tensorboard``, ``mlflow``, ``wandb``; one, several, or text with commas between them.

    Raises:
        UnknownName: no sink has the name.
        MissingExtra: its library is not installed.
        BadInput: the experiment is in memory.
    """
    kinds = kinds_of(names)
    with ExitStack() as stack:
        sinks: list[Sink] = []
        for kind in kinds:
            if experiment.path is None:
                raise BadInput("log", names, "none, since the experiment is in memory: give it a folder")
            sink = kind(experiment.path, experiment.objective, experiment.path.name)
            stack.callback(_close, sink)
            sinks.append(sink)
        yield tuple(sinks)


def kinds_of(names: Sequence[str] | str | None) -> list[type[Sink]]:
    """The sinks of that name; to be asked before anything is made.

    Raises:
        UnknownName: no sink has the name.
        MissingExtra: its library is not installed.
    """
    wanted = names.split(",") if isinstance(names, str) else list(names or ())
    return [registry.load("sinks", name.strip()) for name in dict.fromkeys(wanted)]


def _close(sink: Sink) -> None:
    """Whatever a tool says at the end costs the job nothing."""
    try:
        sink.close()
    except Exception as error:
        warnings.warn(f"{type(sink).__name__} could not be closed: {error!r}", stacklevel=2)
