"""Experiment files: a job in YAML, under the names of the options, to run again and to pass on.

Read as plain data only, like space files. Paths of the trainer, the space and the prior are looked for beside
the file first, then from the current folder; ``out`` is as on the command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tune_lr.errors import BadInput, UnknownName
from tune_lr.job import AUTO, NO_PRIOR, STARTER, Job
from tune_lr.plain_yaml import plain_content, read_text
from tune_lr.space import within
from tune_lr.trials.trainer import Trainer


def read_jobfile(path: Path) -> dict[str, Any]:
    """What the file asks for: fields of ``Job``, and ``out``.

    Raises:
        BadInput: there is no such file, it is no plain YAML mapping, or a key is unknown.
    """
    if not path.is_file():
        raise BadInput("experiment file", str(path), "a file that exists")
    with within(str(path)):
        content = plain_content(read_text(path, str(path), "experiment file"))
    if not isinstance(content, dict):
        raise BadInput(
            str(path), content, "a mapping such as {trainer: train.py, space: greedy_lr, trials: 40}"
        )
    known = {*Job.model_fields, "out"}
    for key in content:
        if key not in known:
            raise UnknownName(f"{path}, key", key, known)
    asked = {key: value for key, value in content.items() if value is not None}
    for name in ("trainer", "space", "out"):
        if name in asked and not (
            isinstance(asked[name], str) or (name == "space" and isinstance(asked[name], dict))
        ):
            raise BadInput(f"{path}, {name}", asked[name], "text")
    if "trainer" in asked:
        asked["trainer"] = _trainer_beside(path, asked["trainer"])
    if isinstance(asked.get("space"), str):
        asked["space"] = _beside(path, asked["space"])
    if "prior" in asked:
        several = asked["prior"] if isinstance(asked["prior"], list) else [asked["prior"]]
        asked["prior"] = [_prior_beside(path, one) for one in several]
    return asked


def _trainer_beside(path: Path, text: str) -> str:
    """A trainer by its path beside the file, where there is such a file; else unchanged."""
    where, function, is_path = Trainer.split(text)
    found = _beside(path, where) if is_path else where
    return text if found == where else f"{found}:{function}"


def _prior_beside(path: Path, name: Any) -> Any:
    """A prior's path beside the file, where there is such a file or folder; a word is none."""
    if not isinstance(name, str) or name in (AUTO, STARTER, NO_PRIOR):
        return name
    beside = path.parent / Path(name).expanduser()
    return str(beside) if beside.exists() else name


def _beside(path: Path, name: str) -> str:
    """``name`` as a path beside the file, where there is such a file; else unchanged."""
    looks_like_a_file = "/" in name or name.endswith((".py", ".yaml", ".yml"))
    beside = path.parent / Path(name).expanduser()
    return str(beside) if looks_like_a_file and beside.is_file() else name
