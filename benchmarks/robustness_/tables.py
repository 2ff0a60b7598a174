"""The tables of the study in Markdown, as a function of its cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from robustness_.measures import DIVERGED, spread
from robustness_.perturbations import SPIKES
from robustness_.problems import PUBLISHED
from robustness_.runs import LRS
from robustness_.statistics import Finished, compare, ranks, recovery, shares, weighted_median

#: What the authors' repository has (median final loss over everything, over the test functions).
REPORTED = {
    "greedy": (0.148, 3.08), "cosine": (0.232, 7.96), "cosine-restarts": (0.226, 7.96),
    "exponential": (0.249, 36.12),
}  # fmt: skip
#: Medians by perturbation there: GreedyLR, and the best of the other three.
REPORTED_BY_KIND = {
    "none": (0.075, 0.230), "gaussian": (0.151, 0.232), "periodic": (0.082, 0.226),
    "random": (0.149, 0.203), "adversarial": (0.154, 0.242),
}  # fmt: skip
GREEDY = ("greedy", "greedy+")
TITLES = {"sgd": "SGD", "adam": "Adam"}


def report(cells: Sequence[Finished], about: Mapping[str, str]) -> str:
    """Everything that goes between the markers.

    Args:
        about: what is told before the tables, by name: command, date, versions and the like.
    """
    parts = ["\n".join(f"- {name}: {text}" for name, text in about.items())]
    published = [cell for cell in cells if cell["suite"] == "published"]
    if published:
        parts += ["### The published set-up, run again", published_table(published)]
    ours = [cell for cell in cells if cell["suite"] == "ours"]
    for optimizer in _in_order(ours, "optimizer"):
        own, title = [cell for cell in ours if cell["optimizer"] == optimizer], TITLES[optimizer]
        parts += [f"### {title}: better, equal, worse", shares_table(own), places_table(own)]
        parts += [f"### {title}: final clean loss, LR chosen on other seeds", loss_table(own, "tuned")]
        parts += [_folded(f"{title}: final clean loss at LR 0.01, default knobs", loss_table(own, "default"))]
        parts += [_folded(f"{title}: the chosen LRs", rate_table(own))]
        if any(cell["perturbation"] in SPIKES for cell in own):
            parts += [f"### {title}: recovery from spikes, LR chosen on other seeds", recovery_table(own)]
    if ours:
        parts += ["### Medians by perturbation, beside those reported", kinds_table(ours)]
    return "\n\n".join(parts)


def published_table(cells: Sequence[Finished]) -> str:
    """Medians over the test functions, weighed as the published variants are; and on how many of them
    GreedyLR with patience 1 is better / equal / worse."""
    modes, names = ("default", "tuned"), _in_order(cells, "schedule")
    verdicts = [compare(cells, names[0], mode, names[1:]) for mode in modes]
    rows = []
    for name in names:
        own = [cell for cell in cells if cell["schedule"] == name]
        told = REPORTED[name.split(" ")[0]][1]
        medians = [number(_pooled(own, mode), 3) for mode in modes]
        met = [_three(shares(c for c in found if c.rival == name)) for found in verdicts]
        rows.append([name, number(told, 3), *medians, *met])
    both = [cell for cell in cells if cell["schedule"].startswith("greedy")]
    together = [number(_pooled(both, mode), 3) for mode in modes]
    rows.insert(2, ["greedy 1 and 10 together", number(REPORTED["greedy"][1], 3), *together, "", ""])
    head = ["schedule", "reported", "ours, LR 0.01", "ours, LR chosen"]
    return table([*head, "greedy 1 against it, LR 0.01", "greedy 1 against it, LR chosen"], rows)


def _pooled(cells: Iterable[Finished], mode: str) -> float:
    pairs = [(loss, PUBLISHED[c["problem"]][1]) for c in cells for loss in c[mode]["final"]]
    return weighted_median(*zip(*pairs, strict=True))


def shares_table(cells: Sequence[Finished]) -> str:
    """GreedyLR against every rival: in how many places better / equal / worse; with the ranks of all."""
    rivals = [name for name in _in_order(cells, "schedule") if name not in GREEDY]
    columns = [("greedy", "default"), ("greedy", "tuned"), ("greedy+", "tuned")]
    verdicts = [compare(cells, schedule, mode, rivals) for schedule, mode in columns]
    tuned = ranks(cells, "tuned")
    rows = []
    for name in [*rivals, *(name for name in GREEDY if name in tuned)]:
        met = [_three(shares(c for c in found if c.rival == name)) for found in verdicts]
        rows.append([name, *met, f"{tuned[name][0]:.1f}", str(tuned[name][1])])
    rows.append(["**all**", *(_three(shares(found)) for found in verdicts), "", ""])
    rows.append(["**as good or better**", *(_percent(shares(found), 2) for found in verdicts), "", ""])
    rows.append(["**better**", *(_percent(shares(found), 1) for found in verdicts), "", ""])
    head = ["against", "greedy, defaults at LR 0.01", "greedy, LR chosen", "greedy+, chosen"]
    return table([*head, "mean rank when chosen", "lowest median in"], rows)


def places_table(cells: Sequence[Finished]) -> str:
    """The same by problem and by perturbation: where GreedyLR gains and where it loses."""
    rivals = [name for name in _in_order(cells, "schedule") if name not in GREEDY]
    columns = [("greedy", "default"), ("greedy", "tuned"), ("greedy+", "tuned")]
    verdicts = [compare(cells, schedule, mode, rivals) for schedule, mode in columns]
    rows = [
        [name, *(_three(shares(c for c in found if getattr(c, field) == name)) for found in verdicts)]
        for field in ("problem", "perturbation")
        for name in _in_order(cells, field)
    ]
    return table(["where", "greedy, defaults at LR 0.01", "greedy, LR chosen", "greedy+, chosen"], rows)


def loss_table(cells: Sequence[Finished], mode: str) -> str:
    """Median (10th to 90th percentile) of the final clean loss; the lowest median of a row is bold, unless
    all are the same."""
    schedules = [
        n for n in _in_order(cells, "schedule") if any(c["schedule"] == n and c[mode] for c in cells)
    ]
    rows = []
    for problem, kind in _places(cells):
        found = {c["schedule"]: spread(c[mode]["final"]) for c in _at(cells, problem, kind) if c[mode]}
        best = number(min(middle for _, middle, _ in found.values()))
        if all(number(middle) == best for _, middle, _ in found.values()):
            best = ""  # nothing stands out
        row = []
        for name in schedules:
            if name in found:
                low, middle, high = map(number, found[name])
                row.append(f"{f'**{middle}**' if middle == best else middle} ({low} to {high})")
            else:
                row.append("")
        rows.append([problem, kind, *row])
    return table(["problem", "perturbation", *schedules], rows)


def rate_table(cells: Sequence[Finished]) -> str:
    """The LR that the tuning seeds chose; a star where it is the lowest or the highest on offer."""
    schedules = _in_order(cells, "schedule")
    rows = []
    for problem, kind in _places(cells):
        found = {c["schedule"]: c["config"]["lr"] for c in _at(cells, problem, kind)}
        marks = {name: "*" if lr in (LRS[0], LRS[-1]) else "" for name, lr in found.items()}
        rows.append([problem, kind, *(f"{found[n]:g}{marks[n]}" if n in found else "" for n in schedules)])
    return table(["problem", "perturbation", *schedules], rows)


def recovery_table(cells: Sequence[Finished]) -> str:
    """Under spikes: median share of the rise made good, median steps to recover, how many spikes did harm."""
    schedules = _in_order(cells, "schedule")
    rows = []
    for problem, kind in [*((p, k) for p, k in _places(cells) if k in SPIKES), *(("all", k) for k in SPIKES)]:
        row = []
        for name in schedules:
            own = [
                c for c in cells
                if c["schedule"] == name and c["perturbation"] == kind and problem in (c["problem"], "all")
            ]  # fmt: skip
            row.append(_recovery(recovery(own, "tuned")))
        rows.append([problem, kind, *row])
    return table(["problem", "spikes", *schedules], rows)


def _recovery(found: Any) -> str:
    if not found.harmful:
        return f"no harm ({found.spikes})"
    steps = f"{found.steps:.0f} steps" if math.isfinite(found.steps) else "not in time"
    return f"{found.share:.2f}, {steps} ({found.harmful} of {found.spikes})"


def kinds_table(cells: Sequence[Finished]) -> str:
    """Median over all problems and optimizers together, GreedyLR and cosine, beside the reported pair."""
    rows = []
    for kind in _in_order(cells, "perturbation"):
        told = [number(value) for value in REPORTED_BY_KIND[kind]]
        row = []
        for mode in ("default", "tuned"):
            for name in ("greedy", "cosine"):
                losses = [
                    loss for c in cells
                    if c["perturbation"] == kind and c["schedule"] == name and c[mode]
                    for loss in c[mode]["final"]
                ]  # fmt: skip
                row.append(number(spread(losses)[1]) if losses else "")
        rows.append([kind, *told, *row])
    head = ["perturbation", "reported: GreedyLR", "reported: best other"]
    return table(
        [*head, "greedy, LR 0.01", "cosine, LR 0.01", "greedy, LR chosen", "cosine, LR chosen"], rows
    )


def number(value: float, digits: int = 2) -> str:
    """A loss in a few digits; ``div.`` for a run that left the finite numbers."""
    return "div." if value >= DIVERGED or not math.isfinite(value) else f"{value:.{digits}g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _three(counts: tuple[int, int, int]) -> str:
    return " / ".join(map(str, counts)) if sum(counts) else ""


def _percent(counts: tuple[int, int, int], first: int) -> str:
    return f"{100 * sum(counts[:first]) / sum(counts):.1f} %" if sum(counts) else ""


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def _in_order(cells: Iterable[Finished], field: str) -> list[str]:
    return list(dict.fromkeys(cell[field] for cell in cells))


def _places(cells: Iterable[Finished]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((cell["problem"], cell["perturbation"]) for cell in cells))


def _at(cells: Iterable[Finished], problem: str, perturbation: str) -> list[Finished]:
    return [c for c in cells if (c["problem"], c["perturbation"]) == (problem, perturbation)]
