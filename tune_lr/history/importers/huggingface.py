"""Hugging Face's ``trainer_state.json``: the log of a ``Trainer``, in its output folder or in a checkpoint's.

A run is a trial. Its evaluations are reports, each with the latest training loss and learning rate before it;
a run that never evaluated reports its training losses. Knobs come from ``trial_params`` and from a file
beside it. What was optimized stands in such a file, or shows in the best value that the state holds.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tune_lr.errors import BadInput
from tune_lr.history.columns import flat_config, trials_of
from tune_lr.history.files import entries, leads_inside, read_json, read_text
from tune_lr.history.importers.huggingface_curves import Curves, Mode
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.plain_yaml import plain_content

_STATE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-([0-9]{1,15})")
_ARGUMENTS = "training_args.json"
#: Where a run's knobs may stand; the first that is there counts. ``config.json`` is the model's, and
#: ``training_args.bin`` a pickle.
_SIDECARS = ("tune_lr_config.json", "params.json", "hparams.json", "hparams.yaml", _ARGUMENTS)
#: Of a hundred arguments those that are knobs.
_TUNED = re.compile(
    r"(adam|optim|lr_scheduler|warmup|label_smoothing|weight_decay|max_grad_norm|gradient_accumulation"
    r"|learning_rate|per_device_train_batch_size|num_train_epochs|max_steps|seed$|neftune).*"
)
_METRIC, _MODE = "metric_for_best_model", "greater_is_better"
_LARGEST_STATE = 512 * 1024**2
_LARGEST_SIDECAR = 1024**2
#: In a folder of no run so many folders are looked at for one.
_LOOKED_AT = 200


class HuggingFace:
    """A run's folder or state file, or a folder of runs, as a hyperparameter search makes it."""

    name: ClassVar[str] = "huggingface"

    def claims(self, path: Path) -> bool:
        if os.path.isfile(path):
            return path.name == _STATE
        if not os.path.isdir(path):
            return False
        below = entries(path, path)
        if _states(below, path):
            return True
        folders = [one for one in below[: 5 * _LOOKED_AT] if os.path.isdir(one)]
        return any(_states(entries(one, path), path) for one in folders[:_LOOKED_AT])

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        import pandas as pd

        curves, trials = Curves(), list[dict[str, Any]]()
        said: dict[str, Any] = {}
        for run in _runs(path, skipped):
            state = _load(run, skipped)
            if state is None:
                continue
            beside = _sidecar(run, skipped)
            said = {name: beside[name] for name in (_METRIC, _MODE) if name in beside} | said
            ended = curves.add(len(trials), state["log_history"], run.name, skipped)
            curves.best.add(state)
            trials.append({**_trial(run, state, beside, skipped), **ended})
        if not trials:
            raise BadInput("folder", path.name, f"at least one {_STATE} that can be read")
        reports, fidelity = curves.reports(skipped)
        metric, mode = _objective(reports, said, curves.optimized())
        yield Log(
            source=self.name,
            name=_name(path),
            trials=trials_of(trials, skipped),
            reports=pd.DataFrame(reports),
            metric=metric,
            mode=mode,
            fidelity=fidelity,
            counts_from=1,
        )


@dataclass(frozen=True)
class _Run:
    """One run: its name, what lies in its folder, and what may be read of it."""

    name: str
    files: dict[str, Path]
    states: list[Path]


def _name(path: Path) -> str:
    """What the runs are called together."""
    folder = (path if os.path.isdir(path) else path.parent).resolve()
    return folder.parent.name if _CHECKPOINT.fullmatch(folder.name) else folder.name


def _runs(path: Path, skipped: Skipped) -> Iterator[_Run]:
    below = entries(path, path, skipped) if os.path.isdir(path) else []
    if states := _states(below, path) or ([] if os.path.isdir(path) else [path]):
        folder = Path(os.path.abspath(path if os.path.isdir(path) else path.parent))
        folder = folder.parent if _CHECKPOINT.fullmatch(folder.name) else folder
        yield _Run(folder.name, {one.name: one for one in entries(folder, folder)}, states)
        return
    for folder in sorted((one for one in below if os.path.isdir(one)), key=_natural):
        listed = entries(folder, path, skipped)
        if states := _states(listed, path):
            yield _Run(folder.name, {one.name: one for one in listed}, states)
        else:
            skipped.add(folder.name, f"a folder without a {_STATE}")


def _natural(path: Path) -> tuple[str, int, str]:
    """``run-10`` comes after ``run-9``."""
    text = path.name.rstrip("0123456789")
    number = path.name[len(text) :]
    return text, int(number) if number.isascii() and 0 < len(number) < 16 else -1, path.name


def _states(listed: list[Path], root: Path) -> list[Path]:
    """A run's states: its own, which is written at its end, then its checkpoints', the last one first."""
    found = []
    for one in listed:
        if one.name == _STATE:
            found.append((math.inf, one))
        elif step := _CHECKPOINT.fullmatch(one.name):
            found.append((int(step[1]), one / _STATE))
    found.sort(key=lambda one: -one[0])
    return [
        file
        for _, file in found
        if os.path.isfile(file) and (not os.path.islink(file) or leads_inside(file, root))
    ]


def _load(run: _Run, skipped: Skipped) -> dict[str, Any] | None:
    """The state that tells most; an earlier one where the last cannot be read."""
    found: dict[str, Any] | None = None
    for file in run.states:
        step = _CHECKPOINT.fullmatch(file.parent.name)
        if found is not None and step is not None and int(step[1]) <= _steps(found):
            break
        shown = f"{run.name}/{file.parent.name}" if step else run.name
        try:
            state = read_json(file, _LARGEST_STATE)
        except BadInput as error:
            skipped.add(shown, str(error))
            continue
        if not isinstance(state, dict) or not isinstance(state.get("log_history"), list):
            skipped.add(shown, f"a {_STATE} without a log_history")
        elif found is None or _steps(state) > _steps(found):
            found = state
    return found


def _steps(state: Mapping[str, Any]) -> int:
    steps = state.get("global_step")
    return steps if type(steps) is int else 0


def _sidecar(run: _Run, skipped: Skipped) -> dict[str, Any]:
    """What the file of knobs beside a run says."""
    for name in _SIDECARS:
        if name not in run.files:
            continue
        try:
            content = _content(run.files[name])
        except BadInput as error:
            skipped.add(f"{run.name}/{name}", str(error))
            continue
        if not isinstance(content, dict):
            skipped.add(f"{run.name}/{name}", "no mapping from knob to value")
        elif name != _ARGUMENTS:
            return content
        else:
            kept = (_METRIC, _MODE)
            return {key: v for key, v in content.items() if key in kept or _TUNED.fullmatch(str(key))}
    return {}


def _content(file: Path) -> Any:
    if file.name.endswith(".yaml"):
        return plain_content(read_text(file, _LARGEST_SIDECAR))
    return read_json(file, _LARGEST_SIDECAR)


def _trial(
    run: _Run, state: Mapping[str, Any], beside: Mapping[str, Any], skipped: Skipped
) -> dict[str, Any]:
    knobs = {name: value for name, value in beside.items() if name not in (_METRIC, _MODE)}
    row: dict[str, Any] = {"trial_id": run.name, "status": None}
    row.update(flat_config(knobs, run.name, skipped))
    row.update(flat_config(state.get("trial_params"), run.name, skipped))
    for done, asked in (("global_step", "max_steps"), ("epoch", "num_train_epochs")):
        ran, wanted = state.get(done), state.get(asked)
        if isinstance(ran, (int, float)) and isinstance(wanted, (int, float)) and wanted > 0:
            # What ended before its time was stopped early or killed, which nothing here tells apart.
            row["status"] = "completed" if ran >= wanted or row["status"] == "completed" else "stopped"
    return row


def _objective(
    reports: Mapping[str, Any], said: Mapping[str, Any], shown: tuple[str | None, Mode | None]
) -> tuple[str | None, Mode | None]:
    """Metric and direction, as a file beside the runs has them, or as the best values show them."""
    wanted, better = said.get(_METRIC), said.get(_MODE)
    # The Trainer puts ``eval_`` before a name without it.
    for name in (f"eval_{wanted}", wanted) if isinstance(wanted, str) else ():
        if name not in reports:
            continue
        if isinstance(better, bool):
            return name, "max" if better else "min"
        if name == shown[0] and shown[1] is not None:
            return shown
        return name, "min" if name.endswith("loss") else None
    return shown
