"""What the columns of a table mean: by a mapping, by the schema's own names, or by unmistakable ones."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tune_lr.errors import BadInput, UnknownName
from tune_lr.history.importers.mapping import SHORT_EXAMPLE, Columns, checked, metric_of
from tune_lr.history.importers.table_files import Kind
from tune_lr.history.importers.table_names import EPOCH, TRIAL, guessed, plain
from tune_lr.history.log import Asked, Fidelity
from tune_lr.history.matching import ALIASES, CONFIG
from tune_lr.journal import Status
from tune_lr.spacefile import load_space, shipped_spaces

#: What a log's own columns are called, so that no metric can be.
RESERVED = {
    "long": {"trial", "epoch", "seconds", "status", "seed"},
    "wide": {"task", "trial_id", "status", "seed"},
}
_METRIC_LIKE = re.compile(
    r"(?:^|[_/.\- ])(?:loss|acc|accuracy|error|err|auc|auroc|f1|score|ppl|perplexity|bleu|rouge"
    r"|[rm]*mse|mae|r2|nll|bpc|bpb|iou|map|precision|recall|reward|metric)\d*(?:$|[_/.\-@ ])",
    re.IGNORECASE,
)
_CURVE = re.compile(r"(?P<name>.*?[^_@/.\- ])(?P<dot>_epoch_?|[_/.\-]e?p?|@(?:epoch)?)(?P<epoch>\d{1,6})")


@dataclass(frozen=True)
class Roles:
    """Which column is what. ``knobs``: column -> knob; ``curves``: metric -> its columns and their epochs."""

    layout: Literal["long", "wide"]
    task: str | None = None
    trial: str | None = None
    epoch: str | None = None
    seconds: str | None = None
    status: str | None = None
    seed: str | None = None
    error: str | None = None
    knobs: Mapping[str, str] = field(default_factory=dict)
    #: Knobs if each trial has one value of it, metrics where it changes (long tables without a mapping).
    likely_knobs: frozenset[str] = frozenset()
    metrics: tuple[str, ...] = ()
    #: Metrics of whole trials that stand under another name, since theirs means something else there.
    final_names: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, list[tuple[str, int]]] = field(default_factory=dict)
    words: Mapping[str, Status] = field(default_factory=dict)
    metric: str | None = None
    mode: Literal["min", "max"] | None = None
    fidelity: Fidelity | None = None
    counts_from: Literal[0, 1] | None = None
    #: Columns that say nothing here.
    left: tuple[str, ...] = ()
    #: The trial's and the epoch's column where only a well-known name tells it.
    guessed: frozenset[str] = frozenset()
    #: Whether no mapping says anything, so that another reading may be tried.
    free: bool = False
    columns: tuple[str, ...] = ()

    @property
    def wanted(self) -> set[str]:
        single = (self.task, self.trial, self.epoch, self.seconds, self.status, self.seed, self.error)
        curves = {name for columns in self.curves.values() for name, _ in columns}
        return {name for name in single if name} | {*self.knobs, *self.metrics} | curves

    @property
    def texts(self) -> set[str]:
        """Columns to be read as text whatever they hold: 007 is no 7."""
        return {name for name in (self.task, self.trial, self.status, self.error) if name}


def roles_of(
    kinds: Mapping[str, Kind], asked: Asked, where: str, without: Collection[str] = frozenset()
) -> Roles:
    """What the columns of one table mean; those of ``without`` are neither the trial's nor the epoch's.

    Raises:
        BadInput: the mapping names a column that is not there, or nothing says what the columns are.
    """
    said = checked(asked.columns or {})
    own = {asked.rename.get(name, name): name for name in reversed([*kinds])}
    curves = _curves_said(said, kinds) or ({} if said.layout == "long" else _curves_seen(kinds, asked))
    if absent := sorted(said.named() - {*kinds} - {*curves}):
        raise UnknownName(f"{where}: column in the mapping", absent[0], kinds)
    curves = {f"{name}_" if name in RESERVED["long"] else name: value for name, value in curves.items()}
    in_curves = {name for columns in curves.values() for name, _ in columns}
    place = {
        "task": said.task or own.get("task"),
        "trial": said.trial or own.get("trial_id"),
        "epoch": said.epoch or (None if curves else _schema_epoch(own, without)),
        "seconds": said.seconds or own.get("seconds"),
        "status": said.status_column or own.get("status"),
        "seed": said.seed or own.get("seed"),
        "error": said.error or _error_text(own.get("error"), kinds, said),
    }
    guesses = {} if asked.columns is not None else _guesses(kinds, asked, place, in_curves, without)
    place |= guesses
    layout = said.layout or ("long" if place["epoch"] and not curves else "wide")
    if layout == "wide":
        place["epoch"] = None
    elif not place["epoch"]:
        raise _unclear(kinds, where, "a long table has a column of epochs, and none is named")
    taken = {name for name in place.values() if name} | in_curves
    knobs, likely = _knobs(kinds, asked, said, layout, taken)
    rest = [name for name in kinds if name not in taken and name not in knobs]
    of_asked = [name for name in rest if asked.rename.get(name, name) == asked.metric]
    named = [*(name for name in said.metrics if name not in curves), *of_asked]
    numeric = [name for name in rest if kinds[name] in ("whole", "number")]
    metrics = tuple(name for name in dict.fromkeys([*named, *numeric]) if name not in RESERVED[layout])
    metric = said.metrics[0] if said.metrics else next(iter(curves)) if len(curves) == 1 else None
    counted = None if place["epoch"] is None else asked.rename.get(place["epoch"], place["epoch"]).lower()
    steps = counted == "step"
    epochs = not steps and (curves or counted == "epoch")
    roles = Roles(
        layout,
        **place,
        knobs=knobs,
        likely_knobs=frozenset(likely),
        metrics=metrics,
        final_names={"error": asked.rename.get("error", "error_")},
        curves=curves,
        words=said.status_words,
        metric=metric,
        mode=said.mode,
        fidelity=said.fidelity or ("steps" if steps else "epochs" if epochs else None),
        counts_from=said.counts_from,
        left=tuple(name for name in rest if name not in metrics),
        guessed=frozenset(guesses.values()),
        free=asked.columns is None,
        columns=tuple(kinds),
    )
    return _enough(roles, kinds, asked, where)


def _error_text(name: str | None, kinds: Mapping[str, Kind], said: Columns) -> str | None:
    """The column of what went wrong; one of numbers is a metric, as a classifier's error."""
    of_numbers = name == "error" and kinds[name] in ("whole", "number")
    return None if of_numbers or name in said.metrics else name


def _schema_epoch(own: Mapping[str, str], without: Collection[str]) -> str | None:
    found = (own.get(name) for name in ("epoch", "step"))
    return next((name for name in found if name is not None and name not in without), None)


def _guesses(
    kinds: Mapping[str, Kind],
    asked: Asked,
    place: Mapping[str, str | None],
    in_curves: Collection[str],
    without: Collection[str],
) -> dict[str, str]:
    """The trial's and the epoch's column by a well-known name, where the schema's is absent."""
    knobs = shipped_knobs(asked.space)
    taken = {*in_curves, *without, *asked.rename, *filter(None, [asked.metric, *place.values()])}
    columns = [name for name in kinds if name not in knobs and kinds[name] != "bool"]
    found = {}
    if place["trial"] is None and (trial := guessed(columns, TRIAL, taken)):
        found["trial"] = trial
    numeric = [name for name in columns if kinds[name] in ("whole", "number")]
    epoch = None if in_curves else guessed(numeric, EPOCH, taken)
    # An epoch in other letters goes before a step in the schema's.
    if epoch and (place["epoch"] is None or (plain(epoch) == "epoch" and place["epoch"] == "step")):
        found["epoch"] = epoch
    return found


def _enough(roles: Roles, kinds: Mapping[str, Kind], asked: Asked, where: str) -> Roles:
    if roles.layout == "long" and not roles.metrics:
        raise _unclear(kinds, where, "no other column holds numbers, so there is no metric")
    clear = (
        (roles.trial and roles.trial not in roles.guessed)
        or roles.curves
        or roles.knobs
        or asked.metric
        or asked.columns
    )
    if roles.layout == "wide" and not (clear and (roles.metrics or roles.curves)):
        raise _unclear(kinds, where, "neither knobs nor a metric can be told from their names")
    return roles


def _unclear(kinds: Iterable[str], where: str, why: str) -> BadInput:
    error = BadInput("table", where, "a mapping file")
    # What to do stands before the columns, since whoever shows a message may cut its end.
    error.args = (
        f"{where[:60]}: what its columns mean cannot be told ({why}). Say it by --rename OLD=NEW, "
        f"--metric NAME, or --mapping FILE, a file such as {SHORT_EXAMPLE}. {told([*kinds])}",
    )
    return error


def told(names: list[str]) -> str:
    """The names of a table's columns, for the end of a message."""
    more = f", and {len(names) - 40} more" if len(names) > 40 else ""
    return "The columns are: " + ", ".join(names[:40])[:1000] + more


def _knobs(
    kinds: Mapping[str, Kind], asked: Asked, said: Columns, layout: str, taken: set[str]
) -> tuple[dict[str, str], set[str]]:
    """Column -> knob, and those of them that are knobs only if they do not change within a trial."""
    if said.knobs is not None:
        return said.knob_names, set()
    marked = {name: _knob_name(name, asked) for name in kinds}
    knobs = {name: knob for name, knob in marked.items() if knob is not None and name not in taken}
    if knobs:
        return knobs, set()
    shipped = shipped_knobs(asked.space)
    metrics = {*said.metrics, asked.metric}
    found = {
        name: name
        for name in kinds
        if asked.rename.get(name, name) in shipped and name not in taken and not {name} & metrics
    }
    return found, ({*found} if layout == "long" else set())


def _knob_name(name: str, asked: Asked) -> str | None:
    """The knob that a column is marked as, under the source's own name for it."""
    if name.startswith(CONFIG):
        return name.removeprefix(CONFIG) or None
    here = asked.rename.get(name, name)
    return here.removeprefix(CONFIG) or None if here.startswith(CONFIG) else None


def shipped_knobs(space: str | None) -> frozenset[str]:
    """The names of knobs of every shipped space and of the one that is asked for."""
    return _names_of_knobs() | (frozenset(load_space(space).knobs) if space else frozenset())


@functools.cache
def _names_of_knobs() -> frozenset[str]:
    # The bounds of a configuration are the absolute form of two knobs; other tools' names become ours later.
    knobs = {knob for space in shipped_spaces() for knob in space.knobs}
    return frozenset(knobs | {"min_lr", "max_lr"} | {*ALIASES})


def _curves_said(said: Columns, kinds: Mapping[str, Kind]) -> dict[str, list[tuple[str, int]]]:
    curves = {}
    for pattern in said.curves:
        before, after = pattern.split("{epoch}")
        matched = re.compile(f"{re.escape(before)}0*([0-9]{{1,9}}){re.escape(after)}")
        columns = [(name, int(match[1])) for name in kinds if (match := matched.fullmatch(name))]
        if not columns:
            raise UnknownName("wide_curves in the mapping", pattern, kinds)
        curves[metric_of(pattern)] = sorted(columns, key=lambda one: one[1])
    return curves


def _curves_seen(kinds: Mapping[str, Kind], asked: Asked) -> dict[str, list[tuple[str, int]]]:
    """Curves that nobody can mistake: ``val_loss_1 ... val_loss_27``, ``accuracy@3``."""
    groups: defaultdict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for name, kind in kinds.items():
        if kind in ("whole", "number") and (match := _CURVE.fullmatch(name)):
            groups[match["name"], match["dot"]].append((name, int(match["epoch"])))
    curves: dict[str, list[tuple[str, int]]] = {}
    for (name, dot), columns in groups.items():
        columns.sort(key=lambda one: one[1])
        epochs = [epoch for _, epoch in columns]
        in_a_row = epochs[0] in (0, 1) and epochs == [*range(epochs[0], epochs[0] + len(epochs))]
        known = asked.rename.get(name, name) == asked.metric or _METRIC_LIKE.search(name) is not None
        if len({*epochs}) == len(epochs) > 1 and known and ("@" in dot or (in_a_row and len(epochs) > 2)):
            curves.setdefault(name, columns)
    return curves


def metric_like(name: str) -> bool:
    """Whether a column's name is one that metrics bear."""
    return _METRIC_LIKE.search(name) is not None
