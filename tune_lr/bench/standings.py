"""The tables of the report that tell verdicts, as Markdown; pure functions of cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from tune_lr.bench.tables import markdown, ordered, percent
from tune_lr.bench.verdicts import Case, Standing, as_in_paper, shares

#: Cases by setting (``tuned``, ``default``).
BySetting = Mapping[str, Sequence[Case]]


def overall_table(groups: Mapping[str, Sequence[Case]]) -> str:
    """How often GreedyLR is better, equal and worse in each group of cases, with shares."""
    rows = []
    for name, cases in groups.items():
        real = shares(case.verdict for case in cases)
        counts = [f"{count} ({percent(count, len(cases))})" for count in real.values()]
        rows.append((name, len(cases), *counts, _loose(cases), _ratio(cases)))
    head = ("what is compared", "cases", "better", "equal", "worse", "without correction", "loss ratio")
    return markdown(head, rows)


def paper_table(groups: Mapping[str, Sequence[Case]]) -> str:
    """The count without a test, beside the paper's own."""
    rows: list[tuple[object, ...]] = [("the paper (arXiv 2512.14527), small models", 132, "86.7 %", "24.5 %")]
    for name, cases in groups.items():
        if cases:
            good, clear = as_in_paper(cases)
            rows.append((f"here: {name}", len(cases), f"{100 * good:.1f} %", f"{100 * clear:.1f} %"))
    return markdown(("counted without a test", "cases", "as good or better", "clearly better"), rows)


def groups_table(kind: str, settings: BySetting) -> str:
    """Verdicts by ``optimizer``, ``task`` or ``rival``, all settings side by side."""
    names = list(dict.fromkeys(getattr(case, kind) for cases in settings.values() for case in cases))
    rows = []
    for name in ordered(names) if kind == "rival" else names:
        mine = [[case for case in cases if getattr(case, kind) == name] for cases in settings.values()]
        parts = [(_counts(cases), _loose(cases), _ratio(cases)) for cases in mine]
        rows.append((name, len(mine[0]), *chain(*parts)))
    columns = [(f"{setting}: better / equal / worse", "without correction", "ratio") for setting in settings]
    return markdown((kind, "cases", *chain(*columns)), rows)


def tunings_table(settings: Mapping[str, Sequence[Standing]]) -> str:
    """GreedyLR against each rival over tasks and optimizers, each case counted once."""
    found = {setting: {one.rival: one for one in listed} for setting, listed in settings.items()}
    rows = []
    for rival in ordered({name for listed in found.values() for name in listed}):
        mine = [standings[rival] for standings in found.values() if rival in standings]
        parts = [(f"{one.lower} of {one.cases}", f"{one.ratio:.3f}", p_value(one.p)) for one in mine]
        rows.append((rival, *chain(*parts)))
    columns = [(f"{setting}: lower in", "ratio", "p, corrected") for setting in settings]
    return markdown(("rival", *chain(*columns)), rows)


def only_one_table(settings: Mapping[str, Sequence[Standing]]) -> str:
    """Of each rival: pairs of trainings of which only one diverged, where there are any."""
    rows = []
    for setting, listed in settings.items():
        for one in listed:
            if one.only_ours or one.only_theirs:
                rows.append((one.rival, setting, one.only_ours, one.only_theirs, p_value(one.p_diverged)))
    head = ("rival", "setting", "only GreedyLR diverged", "only the rival", "p, corrected")
    return markdown(head, rows) if rows else ""


def parts_table(settings: Mapping[str, Mapping[str, Sequence[Case]]]) -> str:
    """GreedyLR against each rival after parts of the training: geometric mean of the training losses' ratio.

    Args:
        settings: by setting, and by the column of the loss (``train_10``, ``train_50``, ``train_100``).
    """
    columns = {
        f"{setting}, {column.removeprefix('train_')} %": cases
        for setting, by_column in settings.items()
        for column, cases in by_column.items()
    }
    rows = []
    for rival in ordered({case.rival for cases in columns.values() for case in cases}):
        parts = []
        for cases in columns.values():
            mine = [case for case in cases if case.rival == rival]
            lower = sum(case.ratio < 1 for case in mine)
            parts.append(f"{_ratio(mine)} ({lower} of {len(mine)})" if mine else "")
        rows.append((rival, *parts))
    return markdown(("rival", *columns), rows)


def worse_table(cases: Sequence[Case]) -> str:
    """Every case that GreedyLR loses, the clearest first: by p, and then by how much it loses."""
    lost = sorted(_lost(cases), key=lambda case: (case.corrected, -case.ratio))
    rows = [
        (case.task, case.optimizer, case.rival, f"{case.ratio:.3f}", p_value(case.corrected)) for case in lost
    ]
    return markdown(("task", "optimizer", "rival", "loss ratio", "p, corrected"), rows) if rows else "None."


def lost_where(cases: Sequence[Case]) -> str:
    """Where the lost cases are: ``digits-mlp with sgd 3 of 12``, most first; empty where there are none."""
    lost = Counter((case.task, case.optimizer) for case in _lost(cases))
    of = Counter((case.task, case.optimizer) for case in cases)
    return ", ".join(f"{task} with {name} {n} of {of[task, name]}" for (task, name), n in lost.most_common())


def p_value(p: float) -> str:
    """A p as people write it."""
    return "< 0.0001" if p < 1e-4 else f"{p:.1g}" if p < 0.095 else f"{p:.2f}"


def _lost(cases: Sequence[Case]) -> list[Case]:
    return [case for case in cases if case.verdict == "worse"]


def _counts(cases: Sequence[Case]) -> str:
    return " / ".join(map(str, shares(case.verdict for case in cases).values()))


def _loose(cases: Sequence[Case]) -> str:
    return " / ".join(map(str, shares(case.uncorrected for case in cases).values()))


def _ratio(cases: Sequence[Case]) -> str:
    return f"{np.exp(np.mean([np.log(case.ratio) for case in cases])):.3f}" if cases else "-"
