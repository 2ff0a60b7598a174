"""What ``experiment_state-*.json`` says as text: the trials' status, and what was optimized.

Much of it is pickles written as hex, which stay text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tune_lr.errors import BadInput
from tune_lr.history.files import entries, parse_json, read_json
from tune_lr.history.log import Skipped

#: A trial takes some ten kilobytes.
_LARGEST_STATE = 128 * 1024**2


@dataclass(frozen=True)
class TrialState:
    """One trial in the state.

    Args:
        trial_id: Ray's.
        status: Ray's word, such as ``TERMINATED``.
        done: whether its last result says that it is done; of a function that returned it does.
    """

    trial_id: str
    status: str
    done: bool


@dataclass
class State:
    """What a state says: trials by their ids and by the names of their folders, metric, trainable."""

    trials: dict[str, TrialState] = field(default_factory=dict)
    metric: str | None = None
    trainable: str | None = None


def is_state(path: Path) -> bool:
    """Whether a file is called as a state is."""
    return path.name.startswith("experiment_state-") and path.name.endswith(".json")


def read_state(path: Path, skipped: Skipped) -> State:
    """The newest state of an experiment's folder that can be read; an empty one where there is none."""
    for file in reversed([one for one in entries(path, path) if is_state(one)]):
        try:
            content = read_json(file, _LARGEST_STATE)
        except BadInput as error:
            skipped.add(file.name, str(error))
            continue
        if isinstance(content, dict):
            return _state(content, file.name, skipped)
        skipped.add(file.name, "no state of an experiment")
    return State()


def _state(content: Mapping[str, Any], where: str, skipped: Skipped) -> State:
    found = State()
    runner = content.get("runner_data")
    if isinstance(runner, dict) and isinstance(runner.get("_metric"), str):
        found.metric = runner["_metric"]
    for trial, run in _trials(content, where, skipped):
        name = trial.get("trial_id")
        if not isinstance(name, str) or not name:
            skipped.add(where, "a trial without an id")
            continue
        last = run.get("last_result")
        done = isinstance(last, dict) and last.get("done") is True
        told = TrialState(name, str(trial.get("status")), done)
        found.trials[name] = told
        folder = trial.get("relative_logdir") or trial.get("logdir")
        if isinstance(folder, str):
            found.trials.setdefault(folder.rstrip("/").rpartition("/")[2], told)
        if isinstance(trial.get("trainable_name"), str):
            found.trainable = trial["trainable_name"]
    return found


def _trials(
    content: Mapping[str, Any], where: str, skipped: Skipped
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each trial and what is known of its run; older versions have one text for both."""
    listed = content.get("trial_data", content.get("checkpoints"))
    for one in listed if isinstance(listed, list) else []:
        parts = one if isinstance(one, list) else [one]
        try:
            trial, run = (
                parse_json(part, "a trial") if isinstance(part, str) else part
                for part in (parts[0], parts[-1])
            )
        except (BadInput, IndexError):
            skipped.add(where, "a trial that is no JSON")
            continue
        if isinstance(trial, dict) and isinstance(run, dict):
            yield trial, run
        else:
            skipped.add(where, "a trial that is no JSON object")
