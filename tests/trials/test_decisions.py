"""The table of a schedule's decisions in a trial's folder: when it is written, and what is read back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD

from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.journal import CONTINUE, Report
from tune_lr.schedules import GreedyLR, build_schedule
from tune_lr.schedules.as_torch import as_torch
from tune_lr.schedules.decisions import Decision
from tune_lr.trials import decisions, folder
from tune_lr.trials.decisions import FIELDS, FILE, read
from tune_lr.trials.folder import TrialFolder
from tune_lr.trials.loop import fit
from tune_lr.trials.run import Leg, run_leg
from tune_lr.trials.trial import Trial

SPACE = {"name": "line", "knobs": {"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}}}
CONFIG = {"lr": 0.1, "factor": 0.7, "patience": 1, "warmup": 2, "cooldown": 1, "min_lr": 1e-3, "max_lr": 1.0}


def greedy(patience: int = 0, **knobs: Any) -> tuple[SGD, GreedyLR]:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    settings: dict[str, Any] = {"min_lr": 1e-3, "max_lr": 1.0, "patience": patience, **knobs}
    return optimizer, GreedyLR(optimizer, **settings)


def trained(trial: Trial, epochs: int = 3, until: int | None = None, **knobs: Any) -> GreedyLR:
    """A training by hand whose losses depend on the epoch and the step alone."""
    optimizer, schedule = greedy(**{"warmup": 2, "cooldown": 1, **knobs})
    trial.resume(optimizer=optimizer, schedule=schedule)
    for epoch in trial.epochs():
        for step in range(20):
            schedule.step(math.sin(epoch * 20 + step) + 2)
        trial.save()
        trial.report(val_loss=1.0)
        if epoch == (until or epochs):
            break
    return schedule


def quiet(at: Path | None) -> Trial:
    return Trial(max_epochs=9, folder=at, channel=lambda report: CONTINUE)


def rows(at: Path) -> list[Decision]:
    return [Decision(*(row[name] for name in FIELDS)) for row in read(at / FILE)]


def as_read(history: list[Decision]) -> list[Any]:
    return [row._replace(lrs=list(row.lrs)) for row in history]  # type: ignore[arg-type]


def test_the_fields_are_those_of_a_decision() -> None:
    assert Decision._fields == FIELDS


def test_a_saved_trial_has_what_its_schedule_decided(tmp_path: Path) -> None:
    schedule = trained(quiet(tmp_path))
    assert rows(tmp_path) == as_read(schedule.history)
    assert {row["schedule"] for row in read(tmp_path / FILE)} == {"schedule"}


def test_a_trial_that_is_killed_and_goes_on_has_the_same_table(tmp_path: Path) -> None:
    trained(quiet(tmp_path / "whole"), 4)
    trained(quiet(tmp_path / "cut"), 4, until=2)
    trained(quiet(tmp_path / "cut"), 4)
    assert (tmp_path / "cut" / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()


def test_the_ready_loop_keeps_it(tmp_path: Path) -> None:
    x = torch.linspace(-1, 1, 16).reshape(-1, 1)
    batches = [(x[i : i + 4], 2 * x[i : i + 4]) for i in range(0, 16, 4)]
    trial = quiet(tmp_path)
    fit(
        trial, CONFIG, model=nn.Linear(1, 1), train=batches, validate=batches, loss=nn.functional.mse_loss
    )  # fmt: skip
    assert rows(tmp_path)[-1].last == 9 * 4


def test_it_is_left_alone_where_nothing_was_decided_since(tmp_path: Path) -> None:
    _, schedule = greedy()
    schedule.step(1.0)
    kept = TrialFolder(tmp_path)
    kept.keep_decisions({"schedule": schedule})
    first = (tmp_path / FILE).stat().st_ino
    kept.keep_decisions({"schedule": schedule})
    assert (tmp_path / FILE).stat().st_ino == first
    schedule.step(1.0)
    kept.keep_decisions({"schedule": schedule})
    assert rows(tmp_path) == as_read(schedule.history)


def test_a_long_one_is_written_now_and_then_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_ROWS_WITHOUT_A_PAUSE", 10)
    _, schedule = greedy()
    kept, lengths = TrialFolder(tmp_path), []
    for _ in range(6):
        for _ in range(5):
            schedule.step(1.0)
        kept.keep_decisions({"schedule": schedule})
        lengths.append(rows(tmp_path)[-1].last)
    assert lengths == [5, 10, 10, 20, 20, 20]
    kept.close()
    assert rows(tmp_path) == as_read(schedule.history)


def test_nothing_is_written_in_memory_or_without_a_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained(quiet(None))
    assert list(tmp_path.iterdir()) == []
    trial = quiet(tmp_path / "t")
    model = nn.Linear(1, 1)
    model.history = ["not", "ours"]  # type: ignore[assignment]
    optimizer = SGD(model.parameters(), lr=0.1)
    trial.resume(
        model=model, optimizer=optimizer, schedule=build_schedule({"schedule": "step"}, optimizer, 9)
    )
    for _ in trial.epochs():
        trial.save()
        trial.report(val_loss=1.0)
    assert not (tmp_path / "t" / FILE).exists()


def test_schedules_inside_others_shapes_and_several_of_them(tmp_path: Path) -> None:
    class Wrapped:  # as Accelerate does it
        def __init__(self, scheduler: Any) -> None:
            self.scheduler = scheduler

    (_, one), (_, two) = greedy(), greedy()
    one.step(1.0)
    two.step(2.0)
    TrialFolder(tmp_path).keep_decisions({"generator": Wrapped(as_torch(one)), "critic": two})
    assert [(row["schedule"], row["loss"]) for row in read(tmp_path / FILE)] == [
        ("generator", 1.0),
        ("critic", 2.0),
    ]


def test_a_history_with_other_things_in_it_is_refused_and_leaves_the_file(tmp_path: Path) -> None:
    class Foreign:
        history: Any = None

    kept, thing = TrialFolder(tmp_path), Foreign()
    thing.history = [Decision(1, 1, "cut", 1.0, 0.1, (0.1,))]
    kept.keep_decisions({"mine": thing})
    before = (tmp_path / FILE).read_bytes()
    thing.history = [*thing.history, Decision(2, 2, "cut", "much", 0.1, (0.1,))]  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"mine\.history"):
        kept.keep_decisions({"mine": thing})
    assert (tmp_path / FILE).read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_another_kind_of_rows_is_passed_over(tmp_path: Path) -> None:
    class Row(NamedTuple):
        epoch: int

    class Foreign:
        history: Any = None

    thing = Foreign()
    thing.history = [Row(1)]
    TrialFolder(tmp_path / "t").keep_decisions({"mine": thing, "none": None})
    assert not (tmp_path / "t" / FILE).exists()


numbers = st.floats(allow_nan=True, allow_infinity=True)
decided = st.builds(
    lambda first, length, word, loss, lrs: Decision(first, first + length, word, loss, lrs[0], tuple(lrs)),
    st.integers(0, 2**40),
    st.integers(0, 2**20),
    st.text(max_size=9),
    st.none() | numbers,
    st.lists(numbers, min_size=1, max_size=3),
)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.lists(decided), max_size=3
    )
)
def test_what_is_written_is_read_back(found: dict[str, list[Decision]]) -> None:
    import tempfile

    found = {name: history for name, history in found.items() if history}
    if not found:
        return
    with tempfile.TemporaryDirectory() as at:
        file = Path(at) / FILE
        with open(file, "wb") as out:
            decisions.write(found, out)
        expected = [(name, *row._replace(lrs=list(row.lrs))) for name in found for row in found[name]]  # type: ignore[arg-type]
        assert repr([tuple(row.values()) for row in read(file)]) == repr(expected)


GOOD = {"schedule": "s", "first": 1, "last": 2, "decision": "cut", "loss": 1.0, "lr": 0.1, "lrs": [0.1]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b'{"schedule":"s","fir',
        json.dumps(GOOD).encode(),
        json.dumps(GOOD).encode() + b'\n{"schedule":"s","fir',
        b"\x80\x04\x95 a pickle",
        b"[]\n",
        b"null\n",
        b"[" * 100_000 + b"\n",
        *(
            json.dumps({**GOOD, name: value}).encode() + b"\n"
            for name, value in [
                ("schedule", 3), ("first", "1"), ("first", -1), ("first", True), ("last", 0), ("last", 2**63),
                ("last", 2.5), ("decision", None), ("loss", "much"), ("loss", [1]), ("lr", None),
                ("lr", False),
                ("lr", 10**400), ("lrs", []), ("lrs", 0.1), ("lrs", "0"), ("lrs", [None]),
            ]
        ),
        *(
            json.dumps({key: value for key, value in GOOD.items() if key != name}).encode() + b"\n"
            for name in GOOD
        ),
    ],
)  # fmt: skip
def test_a_damaged_file_is_told_in_a_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / FILE
    file.write_bytes(content)
    with pytest.raises(BadInput, match=FILE) as caught:
        read(file)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


# Through an experiment


def run(at: Path | None, train: Callable[..., None]) -> Experiment:
    what = {"searcher": "random", "trial_scheduler": "none", "trials": 1, "max_epochs": 3}
    job = Job.make({"trainer": "x.py", "space": SPACE, **what})
    made = Experiment.open(at, job)
    with made.drive() as driver:
        while isinstance(leg := driver.next(), Leg):
            name = leg.trial_id

            def channel(report: Report, name: str = name) -> Any:
                return driver.report(name, report)

            driver.finish(name, run_leg(leg, train, channel))
    return made


def test_an_experiment_has_the_table_of_each_trial(tmp_path: Path) -> None:
    kept: list[GreedyLR] = []
    made = run(tmp_path / "it", lambda config, trial: kept.append(trained(trial)))
    table = made.decisions("0000")
    assert list(table.columns) == ["schedule", *FIELDS]
    for name in ("first", "last", "decision", "lr"):
        assert table[name].tolist() == [getattr(row, name) for row in kept[0].history]
    losses = [math.nan if row.loss is None else row.loss for row in kept[0].history]
    assert table["loss"].dtype == "float64"
    assert repr(table["loss"].tolist()) == repr(losses)
    assert table["lrs"].tolist() == [list(row.lrs) for row in kept[0].history]
    assert made.decisions("0").equals(table)


def test_where_there_is_none_the_error_says_why(tmp_path: Path) -> None:
    def unsaved(config: Any, trial: Trial) -> None:
        for _ in trial.epochs():
            trial.report(val_loss=1.0)

    with pytest.raises(BadInput, match=r"unknown name '7'; known: 0000"):
        run(tmp_path / "a", unsaved).decisions("7")
    with pytest.raises(BadInput, match=r"trial\.resume\(schedule=\.\.\.\) and trial\.save\(\)"):
        run(tmp_path / "b", unsaved).decisions("0000")
    with pytest.raises(BadInput, match="not in memory"):
        run(None, unsaved).decisions("0000")
    with pytest.raises(BadInput, match="has reported none"):
        run(tmp_path / "c", lambda config, trial: None).decisions("0000")
    with pytest.raises(BadInput, match="this one's is cosine"):
        decisions.of_trial(tmp_path, "0000", {"schedule": "cosine"}, 3)
    with pytest.raises(BadInput, match="a schedule that has a history"):
        decisions.of_trial(tmp_path, "0000", {"schedule": "my own"}, 3)
