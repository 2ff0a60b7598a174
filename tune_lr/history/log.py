"""What an importer makes of one experiment of another tool: a log, still in that tool's own words.

``history.entry`` turns it into the one schema of the history: there knobs get their names, epochs count from
1, and what a value means is settled. An importer only says what stands there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tune_lr.journal import storable

if TYPE_CHECKING:
    import pandas as pd

Fidelity = Literal["epochs", "steps"]
Mode = Literal["min", "max"]


@dataclass
class Log:
    """One experiment as its source tells it.

    Args:
        source: the importer's registered name.
        name: what the source calls the experiment: the name of the task unless the person gives one.
        trials: one row a trial, in the order in which they were begun. ``trial_id`` (text, unique) must be
            there. May be there: ``status`` (``tune_lr.journal.Status``; None or absent where the source does
            not say), ``seed`` (whole number), ``error`` (text), ``config/<knob>``, each knob of the
            configuration under the source's own name, and any other column: a final metric, that is, a value
            of the whole trial that the source gives no epoch for.
        reports: one row a report. ``trial`` (position of the trial's row in ``trials``, int) and ``epoch``
            (the source's own count of ``fidelity``, whole numbers, from 0 or from 1) must be there;
            ``seconds`` (since the trial began) may be; every other column is a metric. Any order; where a
            trial reports an epoch twice, the later row counts.
        part: which experiment of several in one file or folder (``study-name``), "" where there is one.
        metric: what was optimized, None where the source does not say.
        mode: its direction, None where the source does not say.
        modes: metric -> direction, of further metrics that the source says it of.
        scope: as ``Objective`` has it.
        by_final: whether a trial's final value is what was optimized, and its reports only led there.
        fidelity: what ``epoch`` counts, None where the source does not say.
        counts_from: 0 or 1 where the source says from which number epochs count, None where it does not.
        space: the search space as a tune-lr space file has it (``SearchSpace.to_dict()``), where known.
        descriptors: facts of the task, text to text.
        versions: what wrote the log: tool -> version, where it says so.
    """

    source: str
    name: str
    trials: pd.DataFrame
    reports: pd.DataFrame
    part: str = ""
    metric: str | None = None
    mode: Mode | None = None
    modes: dict[str, Mode] = field(default_factory=dict)
    scope: str = "best"
    by_final: bool = False
    fidelity: Fidelity | None = None
    counts_from: Literal[0, 1] | None = None
    space: dict[str, Any] | None = None
    descriptors: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass
class Skipped:
    """What was passed over and why: (where, why) -> how often. Where is a path within what was imported."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, where: object, why: str, times: int = 1) -> None:
        if times > 0:
            self.counts[storable(str(where)), storable(why)] += times

    def handed_over(self) -> Skipped:
        """What was passed over so far, which is from now on no longer told here."""
        told, self.counts = Skipped(self.counts), Counter()
        return told

    def lines(self) -> list[str]:
        """One line for each: where, why, and how often where it was more than once."""
        return [
            f"{where}: {why}" + (f" ({count} times)" if count > 1 else "")
            for (where, why), count in sorted(self.counts.items())
        ]

    def __bool__(self) -> bool:
        return bool(self.counts)


@dataclass(frozen=True)
class Asked:
    """What a person says about a log.

    Args:
        task: the name of the task, in place of what the source calls it.
        metric: what is to be optimized, in place of what the source says.
        mode: its direction.
        describe: facts of the task (``dataset`` -> ``digits``), added to the source's own.
        rename: the source's name of a knob, metric or column -> the name here.
        space: name or file of the search space that the knobs belong to; None: find out.
        columns: what the columns of a table mean, as a mapping file says it (``importers.mapping``).
    """

    task: str | None = None
    metric: str | None = None
    mode: Mode | None = None
    describe: Mapping[str, str] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    space: str | None = None
    columns: Mapping[str, Any] | None = None
