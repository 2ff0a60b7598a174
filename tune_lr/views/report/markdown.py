"""The report as Markdown: what can be read without a browser."""

from __future__ import annotations

from tune_lr.experiment import Experiment
from tune_lr.views.report.facts import gather
from tune_lr.views.words import brief, short

_TOP = 10
#: What would be markup in a cell.
_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|#"})


def markdown(experiment: Experiment) -> str:
    """The sentence, the best trials, what mattered, and the code.

    Raises:
        BadInput: the experiment's journal is damaged.
    """
    facts = gather(experiment)
    lines = [f"# {_plain(experiment.where, 200)}", "", _plain(facts.sentence, 2000), ""]
    if facts.prior:
        lines += [_plain(facts.prior, 500), ""]
    if facts.ranked:
        names = facts.by_importance[:6]
        head = ["trial", "status", "epochs", facts.metric, *names]
        lines += [_row(head), _row(["---"] * len(head), escaped=True)]
        for trial in facts.ranked[:_TOP]:
            cells = [trial.trial_id, trial.status, str(trial.epochs), short(facts.value(trial))]
            knobs = (trial.config.get(name, trial.values.get(name)) for name in names)
            lines.append(_row([*cells, *map(short, knobs)]))
        lines.append("")
    if facts.importance is not None:
        shares = ", ".join(f"{_plain(name)} {share:.0%}" for name, share in facts.importance.of)
        known = f"{max(0.0, facts.importance.fit):.0%} explained by knobs"
        lines += [f"What mattered ({known}): {shares}", ""]
    for name, code in facts.code.items():
        lines += [f"## {name}", "", *(f"    {line}" for line in code.splitlines()), ""]
    return "\n".join([*lines, "## Make it again", "", f"    {facts.command}", ""])


def _row(cells: list[str], escaped: bool = False) -> str:
    return "| " + " | ".join(cell if escaped else _plain(cell, 40) for cell in cells) + " |"


def _plain(text: str, most: int = 60) -> str:
    return brief(text, most).translate(_MARKS) if text else ""
