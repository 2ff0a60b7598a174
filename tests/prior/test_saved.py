"""A prior on disk: what went in comes out, and what a stranger wrote is looked at first."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.samples.past import bowls, past, trial
from tests.samples.spaces import SMALL
from tune_lr import Prior
from tune_lr.errors import BadInput
from tune_lr.prior.tasks import PastTask
from tune_lr.spacefile import load_space

FILES = ["prior.json", "trials.parquet"]


@pytest.fixture(scope="module")
def prior() -> Prior:
    return Prior.fit(bowls([0.4, 0.6], trials=12), SMALL)


def same(one: PastTask, other: PastTask) -> bool:
    return all(
        np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a == b
        for name in PastTask.__dataclass_fields__
        for a, b in [(getattr(one, name), getattr(other, name))]
    )


@settings(max_examples=25)
@given(data=st.data())
def test_what_was_saved_is_what_was_made(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    losses = st.floats(allow_nan=True, allow_infinity=True)
    curves = data.draw(st.lists(st.lists(losses, min_size=1, max_size=4), min_size=3, max_size=8))
    space = load_space("greedy_lr")
    points = space.sample(len(curves), data.draw(st.integers(0, 99)))
    history = past(
        a=[trial(space.config(one), curve) for one, curve in zip(points, curves, strict=True)],
        b=[trial(space.config(one), [float(i)]) for i, one in enumerate(points)],
    )
    made = Prior.fit(history, space)
    where = tmp_path_factory.mktemp("saved") / "prior"
    made.save(where)
    found = Prior.load(where)
    assert found.space == made.space
    assert all(same(one, other) for one, other in zip(made.tasks, found.tasks, strict=True))
    assert found.kernel.lengths.tolist() == made.kernel.lengths.tolist()
    assert found.noise.tolist() == made.noise.tolist()
    assert found.notes == made.notes
    assert found.points(5) == made.points(5)
    assert found.predict(points).equals(made.predict(points))


def test_the_folder_has_facts_that_people_can_read_and_a_table(prior: Prior, tmp_path: Path) -> None:
    prior.save(tmp_path / "new" / "prior")
    assert sorted(os.listdir(tmp_path / "new" / "prior")) == FILES
    assert os.listdir(tmp_path / "new") == ["prior"]
    facts = json.loads((tmp_path / "new" / "prior" / "prior.json").read_text())
    assert facts["format"] == 1
    assert [task["name"] for task in facts["tasks"]] == ["bowl0", "bowl1"]
    assert "tune-lr" in facts["versions"]
    table = pq.read_table(tmp_path / "new" / "prior" / "trials.parquet")
    assert table.num_rows == 24
    assert {"task", "unit/lr", "score", "noise", "last", "curve"} <= set(table.column_names)


def test_a_prior_takes_the_place_of_a_prior_and_of_nothing_else(prior: Prior, tmp_path: Path) -> None:
    Prior.fit(bowls([0.2]), SMALL).save(tmp_path / "prior")
    prior.save(str(tmp_path / "prior"))
    assert len(Prior.load(str(tmp_path / "prior")).tasks) == 2
    (tmp_path / "empty").mkdir()
    prior.save(tmp_path / "empty")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for taken in (
        tmp_path / "mine",
        tmp_path / "mine" / "thesis.txt",
        tmp_path / "mine" / "thesis.txt" / "x",
    ):
        with pytest.raises(BadInput, match="path of a prior"):
            prior.save(taken)
    with pytest.raises(BadInput, match="path of a prior"):
        prior.save("nul\0byte")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert sorted(os.listdir(tmp_path)) == ["empty", "mine", "prior"]


def test_nothing_is_left_half_written(prior: Prior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prior.save(tmp_path / "prior")
    before = (tmp_path / "prior" / "prior.json").read_bytes()

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInput, match="No space left"):
        Prior.fit(bowls([0.2]), SMALL).save(tmp_path / "prior")
    assert os.listdir(tmp_path) == ["prior"]
    assert (tmp_path / "prior" / "prior.json").read_bytes() == before


def test_a_uri_is_a_place_too(prior: Prior) -> None:
    import fsspec

    where = "memory://priors/one"
    prior.save(where)
    assert Prior.load(where).points(9) == prior.points(9)
    fsspec.filesystem("memory").pipe_file("/priors/one/trials.parquet", b"another")
    with pytest.raises(BadInput, match="hash"):
        Prior.load(where)
    with pytest.raises(BadInput, match=r"prior\.json"):
        Prior.load("memory://priors/none")
    with pytest.raises(BadInput, match="nosuch"):
        Prior.load("nosuch://priors/one")
    with pytest.raises(BadInput, match="nosuch"):
        prior.save("nosuch://priors/one")


def test_what_is_no_prior_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"prior\.json and trials\.parquet"):
        Prior.load(tmp_path)
    (tmp_path / "prior.json").write_text("[1, 2")
    with pytest.raises(BadInput, match="JSON"):
        Prior.load(tmp_path)
    (tmp_path / "prior.json").write_text("[]")
    with pytest.raises(BadInput, match="format"):
        Prior.load(tmp_path)


def _set(*path: Any) -> Callable[[dict[str, Any]], None]:
    """Sets what is at a path within the facts to the last of it."""

    def change(facts: dict[str, Any]) -> None:
        at: Any = facts
        for step in path[:-2]:
            at = at[step]
        at[path[-2]] = path[-1]

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_set("format", 2), "format"),
        (_set("format", "1"), "format"),
        (_set("space", "knobs", "lr", "low", 2.0), "low"),
        (_set("space", "knobs", {}), "knobs"),
        (_set("kernel", "lengths", [1.0]), "lengths"),
        (_set("kernel", "lengths", [0.0] * 4), "lengths"),
        (_set("kernel", "lengths", [float("nan")] * 4), "lengths"),
        (_set("kernel", "signal", -1.0), "signal"),
        (_set("noise", [0.1]), "noise"),
        (_set("noise", [0.1, 0.1, 0.1, float("inf")]), "noise"),
        (_set("tasks", []), "tasks"),
        (_set("tasks", 0, "mode", "most"), "mode"),
        (_set("tasks", 0, "configurations", 7), "rows"),
        (_set("tasks", 0, "configurations", 2**31), "configurations"),
        (_set("tasks", 0, "columns", 8), "curve"),
        (_set("tasks", 0, "descriptors", {"a": 1}), "descriptors"),
        (_set("tasks", 0, "name", "x" * 5000), "name"),
        (_set("sha256", "0"), "hash"),
    ],
)
def test_facts_that_cannot_be_are_named(
    prior: Prior, tmp_path: Path, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    prior.save(tmp_path / "prior")
    facts = json.loads((tmp_path / "prior" / "prior.json").read_text())
    change(facts)
    (tmp_path / "prior" / "prior.json").write_text(json.dumps(facts))
    with pytest.raises(BadInput, match=complaint):
        Prior.load(tmp_path / "prior")


def _column(name: str, make: Callable[[Any], Any]) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        old = table.column(name).combine_chunks()
        return table.set_column(table.column_names.index(name), name, make(old))

    return change


def _first(value: Any) -> Callable[[Any], Any]:
    return lambda old: pa.array([value, *old.to_pylist()[1:]], old.type)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda table: table.drop_columns("score"), "score"),
        (lambda table: table.drop_columns("unit/lr"), "unit/lr"),
        (lambda table: table.drop_columns("curve"), "curve"),
        (lambda table: table.slice(1), "rows"),
        (_column("task", _first(1)), "task"),
        (_column("task", _first(-1)), "task"),
        (_column("score", _first(float("nan"))), "score"),
        (_column("score", _first(None)), "score"),
        (_column("score", lambda old: pa.array(["x"] * len(old))), "score"),
        (_column("noise", _first(0.0)), "noise"),
        (_column("noise", _first(float("inf"))), "noise"),
        (_column("lacking", _first(2.0)), "lacking"),
        (_column("last", _first(0)), "last"),
        (_column("last", _first(99)), "last"),
        (_column("unit/lr", _first(1.5)), "coordinates"),
        (_column("unit/lr", _first(float("nan"))), "coordinates"),
        (_column("curve", _first([1.0])), "curve"),
        (_column("curve", _first([float("nan")] * 9)), "curve"),
        (_column("curve", _first([None] * 9)), "curve"),
        (_column("curve", _first(None)), "curve"),
        (_column("curve", lambda old: old.cast(pa.large_list(pa.float64()))), "curve"),
    ],
)
def test_tables_that_cannot_be_are_named(
    prior: Prior, tmp_path: Path, change: Callable[[pa.Table], pa.Table], complaint: str
) -> None:
    prior.save(tmp_path / "prior")
    _replace_table(tmp_path / "prior", change(pq.read_table(tmp_path / "prior" / "trials.parquet")))
    with pytest.raises(BadInput, match=complaint):
        Prior.load(tmp_path / "prior")


def test_an_active_knob_without_a_coordinate_is_refused(prior: Prior, tmp_path: Path) -> None:
    prior.save(tmp_path / "prior")
    table = pq.read_table(tmp_path / "prior" / "trials.parquet")
    nothing = _column("unit/window", lambda old: pa.array([float("nan")] * len(old)))
    _replace_table(tmp_path / "prior", nothing(table))
    with pytest.raises(BadInput, match="window"):
        Prior.load(tmp_path / "prior")


def test_what_is_no_parquet_is_refused(prior: Prior, tmp_path: Path) -> None:
    prior.save(tmp_path / "prior")
    _replace(tmp_path / "prior", b"PAR1 and then nothing PAR1")
    with pytest.raises(BadInput, match="Parquet"):
        Prior.load(tmp_path / "prior")


@pytest.mark.parametrize("cut", [1, 100, 1000])
def test_a_cut_off_table_is_seen(prior: Prior, tmp_path: Path, cut: int) -> None:
    prior.save(tmp_path / "prior")
    path = tmp_path / "prior" / "trials.parquet"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(BadInput, match="hash"):
        Prior.load(tmp_path / "prior")
    _replace(tmp_path / "prior", path.read_bytes())
    with pytest.raises(BadInput, match="Parquet"):
        Prior.load(tmp_path / "prior")


def _replace_table(folder: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    _replace(folder, bytes(sink.getvalue()))


def _replace(folder: Path, content: bytes) -> None:
    """Another table, with facts that say so, as one who means it would do it."""
    (folder / "trials.parquet").write_bytes(content)
    facts = json.loads((folder / "prior.json").read_text())
    facts["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "prior.json").write_text(json.dumps(facts))
