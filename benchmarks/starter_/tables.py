"""The figures as Markdown, for docs/data.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from starter_.figures import correlations
from starter_.record import space
from starter_.tasks import TASKS

Figures = Mapping[str, Mapping[str, Any]]


def report(found: Figures, about: str) -> str:
    """What was recorded, what the losses are like, what the knobs decide, how the tasks correlate."""
    parts = [about, _tasks(found), _losses(found), _knobs(found)]
    return "\n\n".join([*parts, *([_pairs(found)] if len(found) > 1 else [])])


def _tasks(found: Figures) -> str:
    rows = []
    for name in found:
        facts = TASKS[name].facts()
        momentum = f" {facts['momentum']:g}" if facts["optimizer"] == "sgd" else ""
        more = [f"noise {facts['noise']:g}"] if facts["noise"] else []
        more += [f"{facts['flips']:.0%} of labels drawn"] if facts["flips"] else []
        more += [f"clipped to {facts['clip_norm']:g}"] if facts["clip_norm"] else []
        rows.append([
            name, facts["family"], facts["about"], facts["net"], facts["parameters"],
            f"{facts['optimizer']}{momentum}", f"{facts['batch_size']} x {facts['steps_per_epoch']}",
            facts["samples"], ", ".join(more),
        ])  # fmt: skip
    head = "task, family, data, net, parameters, optimizer, batch x steps, samples, besides"
    return _table(head, rows)


def _losses(found: Figures) -> str:
    rows = []
    for name, one in found.items():
        middle = f"{one['median']:.3f}" if np.isfinite(one["median"]) else "div."
        chance = f"{TASKS[name].constant:.3f}"
        rows.append([
            name, chance, f"{one['best']:.3f}", middle, f"{one['default']:.3f}", f"{one['rank']:.0%}",
            f"{one['diverged']:.0%}",
        ])  # fmt: skip
    return (
        "The last validation loss: of the best constant answer (chance), of the best trial, the median one "
        "and the default configuration; how many configurations are better than the default; how many trials "
        "diverged.\n\n" + _table("task, chance, best, median, default, better, diverged", rows)
    )


def _knobs(found: Figures) -> str:
    names = space().names
    rows = [
        [name, *(f"{one[key]:.2f}" for key in ("early", "ceiling", "lr", "all")),
         *(_points(one[f"-{knob}"]) for knob in names)]
        for name, one in found.items()
    ]  # fmt: skip
    keys = ("early", "ceiling", "lr", "all", *(f"-{knob}" for knob in names))
    means = {key: float(np.mean([one[key] for one in found.values()])) for key in keys}
    rows.append(
        ["**mean**", *(f"{means[key]:.2f}" for key in keys[:4]), *(_points(means[key]) for key in keys[4:])]
    )
    return (
        "What the knobs decide of the normal score of the last loss. *early*: the rank correlation of the "
        "loss after a ninth of the epochs with the last; *ceiling*: the share of its variance that is no "
        "luck, as two seeds show it; *lr alone* and *all*: the shares that a Gaussian process over `lr`, and "
        "one over every knob, explains of configurations that it has not seen. Then, in hundredths, what the "
        "latter loses where one knob's values are shuffled.\n\n"
        + _table(", ".join(["task, early, ceiling, lr alone, all", *names]), rows)
    ).replace("nan", "")


def _points(share: float) -> str:
    """Hundredths; a knob that does not matter may come out a little below nothing."""
    return f"{100 * share:.0f}".replace("-0", "0")


def _pairs(found: Figures) -> str:
    names, matrix = list(found), correlations(found)
    pairs = matrix[np.triu_indices(len(names), 1)]
    low, first, middle, third, high = np.quantile(pairs, [0, 0.25, 0.5, 0.75, 1])
    rows = []
    for name, row in zip(names, matrix, strict=True):
        order = [i for i in np.argsort(row) if names[i] != name]
        least, most = order[0], order[-1]
        like, unlike = f"{names[most]} {row[most]:.2f}", f"{names[least]} {row[least]:.2f}"
        rows.append([name, f"{np.median(row[order]):.2f}", like, unlike])
    return (
        f"Rank correlations (of normal scores) between two tasks, over the same configurations: from "
        f"{low:.2f} to {high:.2f}, median {middle:.2f}, quartiles {first:.2f} and {third:.2f}.\n\n"
        + _table("task, median, most like, least like", rows)
    )


def _table(head: str, rows: list[list[Any]]) -> str:
    names = head.split(", ")
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
