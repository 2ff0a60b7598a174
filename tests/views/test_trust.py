"""What the history does in an experiment, told in a line, of what the journal says of each proposal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.journal import Journal
from tune_lr.record import Record
from tune_lr.views.progress import Tally, line, picture
from tune_lr.views.show import finale, show
from tune_lr.views.trust import Trust, percent, told, trust_in, trust_of

ASKED: dict[str, Any] = {
    "metric": "val_loss", "mode": "min", "scope": "best", "trials": 4, "max_epochs": 10, "budget": None,
}  # fmt: skip
SPACE = {"name": "line", "knobs": {"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}}}


def why(source: str, trust: Any = None, tasks: Any = None) -> dict[str, Any]:
    said = {"source": source, "trust": trust, "tasks": tasks}
    return {name: value for name, value in said.items() if value is not None}


def asked(*whys: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of trials that were proposed for these reasons."""
    return [
        {"event": "ask", "time": 1.0, "trial_id": f"{i:04d}", "values": {}, "config": {"lr": 0.1}, "why": one}
        for i, one in enumerate(whys)
    ]


def test_the_newest_proposal_tells_how_far_the_history_is_trusted_now() -> None:
    found = trust_of(
        [why("prior", 0.75, ["wine"]), why("control", 0.6, ["iris"]), why("prior", 0.83, ["digits", "wine"])]
    )
    assert found == Trust(0.83, ("digits", "wine"), led=2, proposals=3)


def test_without_a_history_there_is_nothing_to_tell() -> None:
    for whys in ([], [{}], [why("model"), why("start")]):
        assert trust_of(whys) is None
    assert told(None) == ""


def test_proposals_that_say_nothing_of_trust_count_and_leave_it_as_it_was() -> None:
    assert trust_of([why("prior", 0.5, ["a"]), {}, why("start")]) == Trust(0.5, ("a",), led=1, proposals=3)


@pytest.mark.parametrize("said", ["0.9", True, -0.1, 1.5, float("nan"), float("inf"), 10**400, [], {}, None])
def test_what_is_no_part_is_no_trust(said: Any) -> None:
    assert trust_of([{"source": "model", "trust": said}]) is None


@pytest.mark.parametrize("tasks", ["digits", 3, {"a": 1}, [1, None, ["x"]], None])
def test_tasks_that_are_no_names_are_not_told(tasks: Any) -> None:
    assert told(trust_of([why("prior", 0.5, tasks)])) == "prior: trusted 50 %, led 1 of 1 proposal"


@pytest.mark.parametrize(
    ("trust", "line_"),
    [
        (Trust(0.83, ("digits-mlp", "wine-mlp"), 12, 20),
         "prior: trusted 83 %, digits-mlp and wine-mlp speak, led 12 of 20 proposals"),
        (Trust(1.0, ("digits",), 1, 1), "prior: trusted 100 %, digits speaks, led 1 of 1 proposal"),
        (Trust(0.5, ("a", "b", "c"), 0, 2), "prior: trusted 50 %, a, b and c speak, led 0 of 2 proposals"),
        (Trust(0.5, ("a", "b", "c", "d", "e"), 0, 2),
         "prior: trusted 50 %, a, b, c and 2 more speak, led 0 of 2 proposals"),
        (Trust(0.1, ("a",), 3, 9), "prior: trusted 10 %, a speaks, led 3 of 9 proposals"),
        (Trust(0.099, ("a",), 3, 9), "prior: dropped (trusted 9 %), led 3 of 9 proposals"),
        (Trust(0.0, ("a",), 3, 9), "prior: dropped (trusted 0 %), led 3 of 9 proposals"),
    ],
)  # fmt: skip
def test_the_line(trust: Trust, line_: str) -> None:
    assert told(trust) == line_


def test_nothing_is_rounded_to_all_or_none() -> None:
    assert [percent(part) for part in (0.0, 0.001, 0.5, 0.999, 1.0)] == [
        "0 %",
        "1 %",
        "50 %",
        "99 %",
        "100 %",
    ]


def test_a_name_that_would_upset_a_terminal_is_written_out() -> None:
    said = told(trust_of([why("prior", 0.5, ["\x1b[31mred\n", "n" * 100_000])]))
    assert said.isprintable()
    assert len(said) < 200


def test_show_and_the_end_of_a_job_tell_it(tmp_path: Path) -> None:
    made = Experiment.open(
        tmp_path / "it", Job.make({"trainer": "x.py", "space": SPACE, "searcher": "random"})
    )
    journal = Journal(tmp_path / "it" / "journal.jsonl")
    for event in asked(why("prior", 0.9, ["digits"]), why("model", 0.02, ["digits"])):
        journal.append(event)
    journal.close()
    assert trust_in(made.record()) == Trust(0.02, ("digits",), 1, 2)
    for view in (show, finale):
        stream = io.StringIO()
        view(made, Console(file=stream, width=200))
        assert "prior: dropped (trusted 2 %), led 1 of 2 proposals" in stream.getvalue().splitlines()


def test_the_live_view_follows_it() -> None:
    record = Record.of(asked(why("start")))
    state = Tally(ASKED, record, now=0.0)
    assert "prior" not in line(state, 1.0)
    for event in asked(why("start"), why("prior", 0.25, ["digits"]))[1:]:
        record.apply(event)
        state.hear(record.trials[event["trial_id"]], record.epochs)
    assert line(state, 1.0).endswith(" | prior: trusted 25 %, digits speaks, led 1 of 2 proposals")
    stream = io.StringIO()
    Console(file=stream, width=100).print(picture(state, 1.0))
    assert "prior: trusted 25 %, digits speaks, led 1 of 2 proposals" in stream.getvalue()


def test_a_job_that_goes_on_tells_of_its_earlier_proposals() -> None:
    record = Record.of(asked(why("prior", 0.5, ["a"]), why("prior", 0.5, ["a"])))
    assert line(Tally(ASKED, record, now=0.0), 1.0).endswith("led 2 of 2 proposals")


def test_a_trial_that_goes_on_tells_how_far_the_history_is_trusted_then() -> None:
    first, second = asked(why("prior", 0.9, ["wine"]), why("control"))
    goes_on = {"event": "resume", "time": 2.0, "trial_id": "0000", "by": "rule"}
    assert trust_in(Record.of([first, second, goes_on])) == Trust(0.9, ("wine",), led=1, proposals=2)
    doubted = {**goes_on, "why": why("model", 0.2, ["iris"])}
    assert trust_in(Record.of([first, second, doubted])) == Trust(0.2, ("iris",), led=1, proposals=2)
