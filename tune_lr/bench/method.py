"""What the report says in words: how it was done, how verdicts are to be read, and how fair it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tune_lr.bench import extent
from tune_lr.bench.paired import WORST
from tune_lr.bench.plan import FINALISTS, Cell, Settings
from tune_lr.bench.tasks import STEPS
from tune_lr.bench.verdicts import LEVEL, Case, Standing, shares

#: Said at the first table of verdicts.
READING = (
    "*Better* and *worse* speak of the two configurations that the tuning found, over training seeds "
    "alone; they do not speak of the tuning, which on another day may find others (see *Over the tunings*)."
)
#: Said at the others.
READ_ABOVE = "How *better* and *worse* are to be read is said under *In short*."
#: The same of what was not tuned.
READING_DEFAULTS = "Here no tuning is in between: each has the defaults of its shipped space."


def how(settings: Settings, facts: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> str:
    """Command, date, machine, versions and seeds, and what the cells are.

    Args:
        settings: that the cells share.
        facts: what the study notes of itself; versions of cells that do not note them are taken from here.
        results: what the cells came to.
    """
    cells = [Cell(**result["cell"]) for result in results]
    begun = str(facts.get("begun", ""))[:10]
    ended = max((str(result.get("ended", facts.get("seen", ""))) for result in results), default="")[:10]
    machine = sorted({result["cores"] for result in results if "cores" in result})
    cores = f", {' or '.join(map(str, machine))} cores" if machine else ""
    worked = _worked(sum(result["seconds"] for result in results))
    missing = extent.left_out(cells)
    absent = f"\n\n**Not part of this run:** {missing}." if missing else ""
    fresh, again = settings.fresh, settings.again
    on = f"; the best {FINALISTS} are tried again on {again[0]} to {again[-1]}" if again else ""
    return (
        f"- command: `{extent.command(cells, settings)}`\n"
        f"- date: {begun if begun == ended else f'{begun} to {ended}'}{cores}, one thread a training; "
        f"{len(results)} cells, {worked} of a worker in all\n"
        f"- versions: {_versions(facts, results)}\n"
        f"- seeds: the search draws from seed {settings.seed}{on}; {len(fresh)} others ({fresh[0]} to "
        f"{fresh[-1]}) are reported\n\n"
        f"A cell is a contender under an optimizer on a task. In each, {settings.budget} epochs "
        f"({settings.trials} trainings of {settings.epochs}) of tuning by validation loss; then the best "
        f"configuration and the default one, on {settings.seeds} fresh seeds each.{absent}"
    )


def conclusion(cases: Mapping[str, Sequence[Case]], over: Mapping[str, Sequence[Standing]]) -> str:
    """What the study says of the claim that GreedyLR beats the others, by setting."""
    return "\n".join(
        f"- {_concluded(setting, listed, over[setting])}" for setting, listed in cases.items() if listed
    )


def verdict_lines(cases: Mapping[str, Sequence[Case]]) -> list[str]:
    """The claim and its counts for a terminal, a line for each setting that has cases."""
    return [
        f"{setting.capitalize()}: {_claim(listed).replace('*', '')}: {_counts(listed)}."
        for setting, listed in cases.items()
        if listed
    ]


def meaning(settings: Settings) -> str:
    """What better, equal and worse mean."""
    return (
        "A case is a rival under an optimizer on a task, against GreedyLR there, in pairs of trainings "
        f"with the same seed. *Better* and *worse*: p < {LEVEL} in a paired t-test on the logarithms of the "
        "losses, Holm-corrected over the cases of its row in the first table; *equal* means that no "
        f"difference was shown, not that there is none, and {settings.seeds} seeds show large ones only "
        "(*without correction*: better / equal / worse before it). Where of some pairs only one training "
        "diverged, p is from Wilcoxon's signed-rank test and Fisher's exact test of how many diverged, "
        "twice the smaller. The loss ratio is the geometric mean of GreedyLR's loss over the rival's: "
        "below 1 GreedyLR is better."
    )


def fairness(settings: Settings) -> str:
    """What may favour whom."""
    points = (
        "The budget of tuning counts epochs that were trained. Configurations that diverge end early, and "
        "more of them are tried for that; a configuration that the budget cuts off is not considered.",
        "Plateau sees the validation loss of every epoch, as is usual; GreedyLR and the others that look at "
        "losses see those of training.",
        "A line search evaluates the loss more than once a step. That is not charged: forward passes and "
        "seconds are in the table of contenders.",
        "Search is random, without early stopping, which would favour schedules that end early over those "
        "that fall late. The first trial is the default configuration. The seeds are the same in every cell.",
        "Spaces are those that tune-lr ships, and so are the defaults, that of the LR among them (the same "
        "for SGD and Adam). The more knobs a space has, the thinner the same budget is spread over it: "
        "the table says how many there are.",
        f"Each configuration of a search is trained on one seed, and the best {FINALISTS} on "
        f"{settings.repeats} further ones, within the budget. The choice stays noisy and, being a choice, "
        "optimistic. The comparison is on other seeds, and reports those alone. The validation set is the "
        "same in both, so the losses are no estimate for new data.",
        "hypergradient-group has a parameter group for each layer; all others have one group.",
        "Momentum, betas and weight decay are not searched for anyone. Under schedules they are the "
        "optimizer's defaults, but for SGD, whose momentum is 0.9; optimizers that are rivals themselves "
        "have the same values.",
        f"A training that diverges, or ends above {WORST:.0f} times the loss of a constant answer, counts as "
        "that much in ratios and means of logarithms.",
        f"{settings.epochs} epochs are {settings.epochs * STEPS} steps of small nets on small data. "
        "Nothing here is about large models.",
    )
    return "\n".join(f"- {point}" for point in points)


def _concluded(setting: str, cases: Sequence[Case], rivals: Sequence[Standing]) -> str:
    ahead, behind = (
        [one.rival for one in rivals if one.p < LEVEL and (one.ratio < 1) == lower] for lower in (True, False)
    )
    ranked = "; ".join(
        f"{word} {', '.join(names)}" for word, names in (("ahead of", ahead), ("behind", behind)) if names
    )
    where = "over tasks, optimizers and tunings" if setting == "tuned" else "over tasks and optimizers"
    note = "" if setting == "tuned" else f" {READING_DEFAULTS}"
    return (
        f"**{setting.capitalize()}:** {_claim(cases)}: by the validation loss at the end it is "
        f"{_counts(cases)}. Taken "
        f"{where} together it is {ranked or 'neither ahead of nor behind any rival'}, as far as a test "
        f"shows.{note}"
    )


def _claim(cases: Sequence[Case]) -> str:
    better, _, worse = shares(case.verdict for case in cases).values()
    if better <= worse:
        return "that GreedyLR beats the others is **not supported**"
    if better <= len(cases) / 2:
        return "GreedyLR is **more often better than worse**, but in most cases neither is shown"
    return "GreedyLR **beats the others** in most cases"


def _counts(cases: Sequence[Case]) -> str:
    better, equal, worse = shares(case.verdict for case in cases).values()
    return (
        f"better in {better} of {len(cases)} cases, worse in {worse}, and in {equal} no difference is shown"
    )


def _worked(seconds: float) -> str:
    """A time in the unit that it has at least one of."""
    if seconds < 60:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 3600 else f"{seconds / 3600:.1f} hours"


def _versions(facts: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> str:
    sets = {}
    for result in results:
        found = result.get("versions") or facts.get("versions", {})
        sets[tuple(found.items())] = ", ".join(f"{name} {number}" for name, number in found.items())
    codes = sorted({result["code"] for result in results})
    told = f"{' **or** '.join(sets.values())}; source {', '.join(codes)}"
    if not all("versions" in result for result in results):
        told += " (in cells that note no versions of their own this tells of the training code only, "
        told += "and not of plan, contenders, verdicts and spaces)"
    if len(codes) == 1 and len(sets) == 1:
        return told
    return (
        f"{told}. **The cells were not all run by the same source and versions**: each cell's file says which"
    )
