"""A job's prior: from what was asked for (``auto``, ``starter``, ``none``, paths, an object) to what its
searcher begins with.

It is settled once, when an experiment is made, and kept in the experiment's folder: a job that goes on after
a kill begins with the same, even if the history has grown since.
"""

from __future__ import annotations

import hashlib
import inspect
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tune_lr.assembly import assemble
from tune_lr.errors import BadInput, TuneLRError, shorten
from tune_lr.experiment import Experiment
from tune_lr.job import AUTO, FREEZE_THAW, NO_PRIOR, PRIOR, STARTER, UNUSED, Job
from tune_lr.space import SearchSpace

if TYPE_CHECKING:
    from tune_lr.history.history import History
    from tune_lr.prior.prior import Prior
    from tune_lr.prior.tasks import PastTask

#: What a field of a job calls an object: no file has such a name by chance.
_OBJECT = "<{} {}>"


class Chosen(NamedTuple):
    """A prior, and what it is in a few words."""

    prior: Prior | None
    told: str


def settle(experiment: Experiment, given: Prior | History | None = None) -> None:
    """Give a new experiment the prior that its job asks for; one that has its prior keeps it.

    Args:
        experiment: whose journal is still empty, or that is older than priors.
        given: the object, where it was one.

    Raises:
        BadInput: what was asked for gives no prior, or no part of the job takes one.
        TuneLRError: a part that the job names cannot be made.
    """
    if experiment.prior_told is not None:
        return
    job = experiment.job
    try:
        if _takes_prior(job):
            experiment.take_prior(*_chosen(job, given))
        elif job.prior in (AUTO, NO_PRIOR):
            experiment.take_prior(None, UNUSED)
        else:
            parts = f"searcher {job.searcher!r} under trial scheduler {job.trial_scheduler!r}"
            raise BadInput("prior", job.prior, f"none with {parts}, which takes no prior")
    except TuneLRError:
        experiment.discard_if_empty()
        raise


def named(asked: Mapping[str, Any]) -> tuple[dict[str, Any], Prior | History | None]:
    """The fields of a job in which a prior or a history stands under a name, and that object.

    Args:
        asked: the fields as a person gave them, ``prior`` being one of them or not.
    """
    given = asked.get("prior")
    if given is None or isinstance(given, (str, Sequence)):
        return dict(asked), None
    from tune_lr.history.history import History
    from tune_lr.prior.prior import Prior

    if isinstance(given, Prior):
        return {**asked, "prior": _OBJECT.format("prior", _digest(given))}, given
    if isinstance(given, History):
        ids = "".join(info.id for info in given.tasks())
        return {
            **asked,
            "prior": _OBJECT.format("history", hashlib.sha256(ids.encode()).hexdigest()[:16]),
        }, given
    return dict(asked), None


def _digest(prior: Prior) -> str:
    """A hash of what a prior tells."""
    found = hashlib.sha256(repr((prior.space.name, list(prior.space.to_dict()["knobs"].items()))).encode())
    for task in prior.tasks:
        found.update(task.id.encode() + task.cube.tobytes() + task.scores.tobytes() + task.noise.tobytes())
    found.update(prior.kernel.lengths.tobytes() + prior.noise.tobytes())
    return found.hexdigest()[:16]


def _takes_prior(job: Job) -> bool:
    """Whether a part of the job takes a prior; warns where its searcher is not at its best."""
    searcher, scheduler = assemble(job)
    own = searcher is not scheduler.searcher  # else the rule proposes, and the job's searcher is not used
    if own and job.searcher == PRIOR and job.trial_scheduler != FREEZE_THAW:
        warnings.warn(
            f"searcher {PRIOR} is at its best under trial scheduler {FREEZE_THAW}; under "
            f"{job.trial_scheduler} a misleading history costs more",
            stacklevel=5,
        )
    return any("prior" in inspect.signature(type(part)).parameters for part in (searcher, scheduler))


def _chosen(job: Job, given: Prior | History | None) -> Chosen:
    space, asked = job.search_space, job.prior
    if given is not None:
        return _of_object(given, space)
    if asked == NO_PRIOR:
        return Chosen(None, NO_PRIOR)
    if asked == AUTO:
        return _automatic(space)
    if asked == STARTER:
        found = _starter(space)
        if found is None:
            raise BadInput("prior", asked, "a space that has lr and of whose knobs half are GreedyLR's")
        return found
    return _of_paths([asked] if isinstance(asked, str) else asked, space)


def _automatic(space: SearchSpace) -> Chosen:
    """What the history knows of the space, else the starter, else nothing."""
    if not space.dimension:
        return Chosen(None, NO_PRIOR)
    prior = _of_store(space)
    if prior is not None:
        return Chosen(prior, f"history: {_tasks(prior)}")
    return _starter(space) or Chosen(None, NO_PRIOR)


def _of_store(space: SearchSpace) -> Prior | None:
    """What the person's history tells of the space; of a damaged one what can be read of it."""
    from tune_lr.history.history import History
    from tune_lr.prior.prior import Prior

    try:
        history = History()
        sound = {info.id for info in history.tasks() if set(info.knobs) & set(space.names)}
    except (BadInput, OSError) as error:
        warnings.warn(f"the history is left out of the prior: {error}", stacklevel=7)
        return None
    while sound:
        try:
            return Prior.fit(history.filter(task=sound), space)
        except BadInput as error:
            if not isinstance(error.value, str) or error.value not in sound:
                return None  # no trial of the space
            warnings.warn(f"an import of the history is left out of the prior: {error}", stacklevel=7)
            sound.remove(error.value)
    return None


def _starter(space: SearchSpace) -> Chosen | None:
    from tune_lr.prior.starter import starter_prior

    prior = starter_prior(space)
    return None if prior is None else Chosen(prior, f"starter, {_tasks(prior)}")


def _of_object(given: Prior | History, space: SearchSpace) -> Chosen:
    from tune_lr.prior.prior import Prior

    if isinstance(given, Prior):
        return Chosen(_for_space(given, space, repr(given)), f"given, {_tasks(given)}")
    prior = Prior.fit(given, space)
    return Chosen(prior, f"given history: {_tasks(prior)}")


# Paths ----------------------------------------------------------------------------------------------


def _of_paths(paths: Sequence[str], space: SearchSpace) -> Chosen:
    """One prior of all that lies at some paths; logs are imported into a store that is thrown away."""
    from tune_lr.history.history import History
    from tune_lr.prior.prior import Prior

    with tempfile.TemporaryDirectory(prefix="tune-lr-") as folder:
        history = History(Path(folder) / "store")
        saved = [prior for path in paths if (prior := _taken(path, space, history)) is not None]
        fitted = [Prior.fit(history, space)] if history.tasks() else []
    prior = _joined([*fitted, *saved])
    return Chosen(prior, f"{', '.join(paths)}: {_tasks(prior)}")


def _taken(path: str, space: SearchSpace, history: History) -> Prior | None:
    """The saved prior at a path; else None, and the history has the log there.

    Raises:
        BadInput: there is nothing, or nothing that tells of the space.
    """
    from tune_lr.history.finder import here
    from tune_lr.history.log import Skipped
    from tune_lr.prior.prior import Prior
    from tune_lr.prior.saved import is_prior
    from tune_lr.prior.tasks import past_tasks

    if path.startswith("<"):
        raise BadInput("prior", path, "the object itself again, as in tune(..., prior=...)")
    with here(path) as local:
        if not local.exists():
            raise BadInput("prior", path, "auto, starter, none, or a path that exists")
        if is_prior(local):
            return _for_space(Prior.load(local), space, path)
        added = history.add(local)
    skipped = Skipped()
    ids = {one.info.id for one in added.imported}
    if not past_tasks(history.filter(task=ids), space, skipped):
        lines = [*added.skipped.lines(), *skipped.lines()][:5]
        why = "; ".join(lines) or "no log was found there"
        expected = (
            f"a saved prior, or an experiment or log with two configurations of the space {space.name!r}"
        )
        raise BadInput("prior", path, f"{expected} ({why})")
    return None


def _for_space(prior: Prior, space: SearchSpace, name: str) -> Prior:
    """The same for an equal space of another name (BadInput: the spaces differ)."""
    from tune_lr.prior.starter import same_knobs

    if not same_knobs(prior.space, space):
        expected = f"a prior of the space {space.name!r} as it is here; it is one of {prior.space.name!r}"
        expected += ", with other knobs. The logs that it was fitted from can be given in its place"
        raise BadInput("prior", shorten(name), expected)
    return replace(prior, space=space)


def _joined(priors: Sequence[Prior]) -> Prior:
    """The tasks of all, each once; of how alike and how noisy trials are, the one with most tasks tells."""
    if len(priors) == 1:
        return priors[0]
    first = max(priors, key=lambda prior: len(prior.tasks))
    tasks: dict[tuple[str, str, str], PastTask] = {}
    for prior in priors:
        for task in prior.tasks:
            tasks.setdefault((task.id, task.name, task.metric), task)
    noise = first.noise
    notes = tuple(dict.fromkeys(note for prior in priors for note in prior.notes))
    return replace(first, tasks=tuple(task.with_noise(noise) for task in tasks.values()), notes=notes)


def _tasks(prior: Prior) -> str:
    return f"{len(prior.tasks)} task{'' if len(prior.tasks) == 1 else 's'}"
