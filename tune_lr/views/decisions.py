"""What a trial's schedule decided, in words and a small table."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.trials.decisions import FILE
from tune_lr.views.moves import RESTS, Story, stories
from tune_lr.views.words import counted, short

#: So many changes are shown, the last ones.
_SHOWN = 12


def show_decisions(experiment: Experiment, trial_id: str, console: Console) -> None:
    """Print how often each schedule of a trial moved the LR, and its last moves; nothing where none is kept.

    A file of decisions that is damaged is told in a line: it hides nothing else of the trial.
    """
    folder = experiment.path / "trials" / trial_id if experiment.path else None
    file = folder / FILE if folder else None
    if file is None or not file.exists():
        return
    try:
        found = stories(experiment, trial_id)
    except BadInput as error:
        console.print(Text(str(error), style="red"))
        return
    for story in found:
        name = "" if len(found) == 1 else f" {story.schedule!r}"
        console.print(Text(f"The schedule{name}: {tale(story)}", style="bold"))
        if story.changes():
            console.print(_table(story))
    console.print(Text(f"Every decision:  Experiment.decisions({trial_id!r}), from {file}\n", style="dim"))


def tale(story: Story) -> str:
    """How often what was decided: ``3 raises, 2 cuts, 4 holds in 120 steps (30 steps of warmup)``."""
    moves = {kind: len(rows) for kind, rows in story.by_decision()}
    strange = moves.pop("set", 0)
    counts = [counted(number, short(kind)) for kind, number in moves.items()]
    counts += [f"{strange} set by others"] if strange else []
    held = [row for row in story.rows if row.decision == "hold"]
    counts += [counted(len(held), "hold")] if held else []
    rests = {kind: sum(row.steps for row in story.rests(kind)) for kind in RESTS}
    told = [f"{counted(steps, 'step')} of {kind}" for kind, steps in rests.items() if steps]
    idle = sum(row.idle for row in story.changes())
    told += [f"{counted(idle, 'move')} without effect, at a bound"] if idle else []
    whole = f"{', '.join(counts)} in {counted(story.rows[-1].last, 'step')}"
    return f"{whole} ({'; '.join(told)})" if told else whole


def _table(story: Story) -> Table:
    changes = story.changes()
    before = len(changes) - _SHOWN
    note = f"{before} more before these" if before > 0 else None
    table = Table(box=box.SIMPLE_HEAD, caption=note, caption_justify="left")
    for name in ("step", "decision", "loss", "lr"):
        table.add_column(Text(name), justify="left" if name == "decision" else "right")
    for row in changes[-_SHOWN:]:
        loss = "" if row.decision == "set" else short(row.loss)
        table.add_row(*(Text(cell) for cell in (str(row.first), short(row.decision), loss, short(row.lr))))
    return table
