"""What an import took and what it passed over, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from tune_lr.views.history import extent, objective, space_told, tasks_table
from tune_lr.views.words import brief, counted

if TYPE_CHECKING:
    from tune_lr.history.history import Added, Import

#: Beyond so many experiments of one path there is a table instead of a paragraph each.
_PARAGRAPHS = 10
#: So many reasons for skipping are told.
REASONS = 20
_LONG = 160
#: A reason may end in what to do about it.
_REASON = 400
#: How an import went -> how it is told.
_OUTCOMES = {
    "new": "imported",
    "known": "known already, unchanged",
    "replaces": "imported, in place of an earlier import",
}


def tell(path: str, added: Added, console: Console, everything: bool = False) -> None:
    """Print what became of one path; ``everything``: also what there would be too much of."""
    taken = added.imported
    outcomes = Counter(_OUTCOMES.get(found.outcome, found.outcome) for found in taken)
    told = "; ".join(f"{number} {outcome}" for outcome, number in outcomes.items()) or "nothing to import"
    console.print(Text(f"{brief(path, _LONG)}: {told}", style="bold"))
    if len(taken) > _PARAGRAPHS:
        console.print(tasks_table(found.info for found in taken))
    else:
        for found in taken:
            _paragraph(found, console)
    _guesses(taken, console)
    counts = sum((found.skipped.counts for found in taken), Counter(added.skipped.counts))
    for line in skipped_lines(counts, None if everything else REASONS):
        console.print(Text(f"  {line}"))


def _paragraph(found: Import, console: Console) -> None:
    info = found.info
    console.print(Text(f"  {brief(info.task)}  {info.id}  {brief(info.source)}  {extent(info)}"))
    console.print(Text(f"      optimized  {objective(info)}"))
    console.print(Text(f"      space      {space_told(info)}"))
    passed_over = set(found.skipped.lines())  # told below, of all experiments together
    for note in info.notes:
        if note in passed_over:
            continue
        console.print(Text(f"      note       {brief(note, _LONG)}"))


def _guesses(taken: Iterable[Import], console: Console) -> None:
    """What no source said, so that whoever knows better can say so."""
    guessed = dict.fromkeys(name for found in taken for name in found.info.guessed)
    if guessed:
        options = " and ".join(f"--{name}" for name in guessed if name in ("metric", "mode"))
        better = f"; if that is wrong: {options}" if options else ""
        console.print(Text(f"  guessed from names: {', '.join(map(brief, guessed))}{better}"))


def skipped_lines(counts: Mapping[tuple[str, str], int], most: int | None = REASONS) -> list[str]:
    """What was passed over, one line a reason: how often, why, and where first."""
    if not counts:
        return []
    times: Counter[str] = Counter()
    places: dict[str, list[str]] = {}
    for (where, why), number in counts.items():
        times[why] += number
        places.setdefault(why, []).append(where)
    lines = [f"skipped, {counted(sum(times.values()), 'time')}:"]
    for why, number in times.most_common(most):
        first, others = places[why][0], len(places[why]) - 1
        more = f" and {counted(others, 'other place')}" if others else ""
        lines.append(f"  {number} x {brief(why, _REASON)}: {brief(first, _LONG)}{more}")
    if most is not None and len(times) > most:
        lines.append(f"  and {counted(len(times) - most, 'other reason')}; --verbose tells all")
    return lines
