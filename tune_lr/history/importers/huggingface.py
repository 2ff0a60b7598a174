"""Hugging Face's ``trainer_state.json``: the log of a ``Trainer``, in its output folder or in a checkpoint's.

A run is a trial. Its evaluations are reports, each with the latest training loss and learning rate before it;
a run that never evaluated reports its training losses. Knobs come from ``trial_params`` and from a file
beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.columns import Columns, flat_config
from tune_lr.history.files import entries, read_json, read_text
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.plain_yaml import plain_content

_STATE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-([0-9]{1,18})")
#: Where a run's knobs may stand. ``config.json`` is the model's, and ``training_args.bin`` a pickle.
_SIDECARS = ("tune_lr_config.json", "params.json", "hparams.json", "training_args.json", "hparams.yaml")
_COUNTED = (
    "epoch",
    "step",
    "total_flos",
    "train_runtime",
    "train_samples_per_second",
    "train_steps_per_second",
)
_LATEST = ("loss", "learning_rate", "grad_norm")
_TIMES = ("_runtime", "_samples_per_second", "_steps_per_second")
_LARGEST_STATE = 512 * 1024**2


class HuggingFace:
    """A run's folder or state file, or a folder of runs, as a hyperparameter search makes it."""

    name: ClassVar[str] = "huggingface"

    def claims(self, path: Path) -> bool:
        if path.is_file():
            return path.name == _STATE
        return path.is_dir() and (_is_run(path) or any(map(_is_run, _folders(path)[:200])))

    def read(self, path: Path, asked: Asked, skipped: Skipped) -> Iterator[Log]:
        import pandas as pd

        runs = [path] if path.is_file() or _is_run(path) else [one for one in _folders(path) if _is_run(one)]
        trials: list[dict[str, Any]] = []
        read: list[tuple[list[dict[str, Any]], bool]] = []
        for run in runs:
            file = run if run.is_file() else _newest_state(run)
            try:
                state = read_json(file, _LARGEST_STATE)
            except BadInput as error:
                skipped.add(run.name, str(error))
                continue
            if not isinstance(state, dict) or not isinstance(state.get("log_history"), list):
                skipped.add(run.name, f"a {_STATE} without a log_history")
                continue
            folder = run.parent if run.is_file() else run
            trials.append(_trial(folder, run, state, skipped))
            read.append(_rows(state["log_history"]))
        if not trials:
            raise BadInput("folder", path.name, f"at least one {_STATE} that can be read")
        reports, fidelity = _reports(read, skipped)
        metric = next((name for name in ("eval_loss", "loss") if name in reports), None)
        yield Log(
            source=self.name,
            name=(path.parent if path.is_file() else path).resolve().name,
            trials=pd.DataFrame(trials),
            reports=pd.DataFrame(reports),
            metric=metric,
            mode="min" if metric else None,
            fidelity="epochs" if fidelity == "epoch" else "steps",
            counts_from=1,
        )


def _folders(path: Path) -> list[Path]:
    return [one for one in entries(path, path) if one.is_dir() and not _CHECKPOINT.fullmatch(one.name)]


def _is_run(folder: Path) -> bool:
    return (folder / _STATE).is_file() or bool(_checkpoints(folder))


def _checkpoints(folder: Path) -> list[Path]:
    """The checkpoints that have a state, by their steps."""
    found = [one for one in entries(folder, folder) if _CHECKPOINT.fullmatch(one.name)]
    found = [one for one in found if (one / _STATE).is_file()]
    return sorted(found, key=lambda one: int(one.name.rpartition("-")[2]))


def _newest_state(folder: Path) -> Path:
    """The state that tells most: the run's own, which is written at its end, or its last checkpoint's."""
    own = folder / _STATE
    return own if own.is_file() else _checkpoints(folder)[-1] / _STATE


def _trial(folder: Path, run: Path, state: Mapping[str, Any], skipped: Skipped) -> dict[str, Any]:
    row: dict[str, Any] = {"trial_id": folder.name, "status": None}
    for name in _SIDECARS:
        if (folder / name).is_file():
            try:
                text = read_text(folder / name, 1024**2) if name.endswith(".yaml") else None
                content = plain_content(text) if text is not None else read_json(folder / name, 1024**2)
                row.update(flat_config(content, f"{folder.name}/{name}", skipped))
            except BadInput as error:
                skipped.add(f"{folder.name}/{name}", str(error))
    row.update(flat_config(state.get("trial_params"), run.name, skipped))
    done, asked = state.get("global_step"), state.get("max_steps")
    if type(done) is int and type(asked) is int and asked > 0:
        row["status"] = "completed" if done >= asked else "stopped"
    return row


def _rows(history: list[Any]) -> tuple[list[dict[str, Any]], bool]:
    """What a run reports, its evaluations or else its training losses; and whether its epochs are whole."""
    evaluations: list[dict[str, Any]] = []
    losses: list[dict[str, Any]] = []
    latest: dict[str, Any] = {}
    for row in history:
        if not isinstance(row, dict):
            continue
        if any(str(name).startswith("eval_") for name in row):
            evaluations.append({**latest, **row})
        elif "loss" in row:
            latest = {name: row[name] for name in _LATEST if name in row}
            losses.append(row)
    rows = evaluations or losses
    whole = all(isinstance(row.get("epoch"), (int, float)) and row["epoch"] % 1 == 0 for row in rows)
    return rows, whole and bool(evaluations)


def _reports(read: list[tuple[list[dict[str, Any]], bool]], skipped: Skipped) -> tuple[dict[str, Any], str]:
    """All runs' reports as columns, and whether they are counted by ``epoch`` or by ``step``."""
    by = "epoch" if all(whole for rows, whole in read if rows) else "step"
    own: dict[str, list[Any]] = {"trial": [], "epoch": []}
    metrics = Columns()
    for position, (rows, _) in enumerate(read):
        for row in rows:
            count = row.get(by)
            if type(count) not in (int, float) or not 0 <= count < 2**53 or count % 1:  # type: ignore[operator]
                skipped.add("log_history", f"a row whose {by} is no whole number")
                continue
            own["trial"].append(position)
            own["epoch"].append(count)
            metrics.add({k: v for k, v in row.items() if k not in _COUNTED and not str(k).endswith(_TIMES)})
    trial, epoch = np.array(own["trial"], np.int64), np.array(own["epoch"], np.int64)
    return {"trial": trial, "epoch": epoch, **metrics.arrays(besides=own)}, by
