from __future__ import annotations

import json
import math
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.samples.history import optuna as sample
from tune_lr.errors import BadInput, TuneLRError
from tune_lr.history.history import History
from tune_lr.history.importers import sqlite_files
from tune_lr.history.importers.optuna import Optuna
from tune_lr.history.log import Asked, Log, Skipped

Study = optuna.Study


def read(path: Path) -> tuple[list[Log], Skipped]:
    assert Optuna().claims(path)
    skipped = Skipped()
    return list(Optuna().read(path, Asked(), skipped)), skipped


def only(path: Path) -> Log:
    (log,), skipped = read(path)
    assert not skipped, skipped.counts
    return log


def curve(log: Log, trial: int, metric: str = "value") -> dict[int, float]:
    rows = log.reports[log.reports["trial"] == trial]
    return dict(zip(rows["epoch"].tolist(), rows[metric].tolist(), strict=True))


@pytest.fixture(params=["sqlite", "journal"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Callable[[], Any]]]:
    """A file, and what makes a storage of Optuna's in it."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = tmp_path / "storage"
    made: list[Any] = []

    def storage() -> Any:
        if request.param == "journal":
            return JournalStorage(JournalFileBackend(str(path)))
        made.append(optuna.storages.RDBStorage(f"sqlite:///{path}"))
        return made[-1]

    yield path, storage
    for one in made:
        one.remove_session()
        one.engine.dispose()


def changed(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as base, base:
        for statement in statements:
            base.execute(statement)
    return path


@pytest.mark.parametrize("make", [sample.make, sample.make_journal])
def test_a_study_value_by_value(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path / "made")
    before = {one.name: one.read_bytes() for one in path.parent.iterdir()}
    log = only(path)
    assert (len(log.trials), len(log.reports)) == (sample.EXPECTED["trials"], sample.EXPECTED["reports"])
    assert (log.source, log.name, log.part, log.metric, log.mode) == (
        *("optuna", "sample", "sample", "value", "min"),
    )
    assert (log.fidelity, log.counts_from) == (None, None)
    assert {name for name in log.trials if name.startswith("config/")} == {
        f"config/{name}" for name in sample.EXPECTED["knobs"]
    }
    assert log.trials["trial_id"].tolist() == ["0", "1", "2"]
    assert log.trials["status"].tolist() == ["completed", "stopped", "completed"]
    assert log.trials["value"].tolist() == [0.25, 0.5, 0.25]
    assert curve(log, 0) == sample.EXPECTED["first"]
    assert curve(log, 1) == {0: 1.0, 1: 0.5}
    assert log.space == {
        "name": "sample",
        "knobs": {
            "lr": {"type": "float", "low": 0.001, "high": 1.0, "log": True},
            "patience": {"type": "int", "low": 0, "high": 5},
            "smooth": {"type": "categorical", "values": [True, False]},
        },
    }
    assert {one.name: one.read_bytes() for one in path.parent.iterdir()} == before


def test_both_storages_say_the_same(tmp_path: Path) -> None:
    logs = [only(sample.make(tmp_path / "a")), only(sample.make_journal(tmp_path / "b"))]
    assert logs[0].trials.equals(logs[1].trials)
    assert logs[0].reports.equals(logs[1].reports)
    assert logs[0].space == logs[1].space
    assert logs[0].versions == {"optuna": optuna.__version__}


def test_what_optuna_itself_reads(place: tuple[Path, Callable[[], Any]]) -> None:
    path, storage = place

    def objective(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["a", None, 3, 0.5])
        if kind == "a":
            trial.suggest_float("only a", 0.0, 1.0, step=0.25)
        trial.suggest_int("width", 8, 64, log=True)
        trial.set_user_attr("parameters", 10 * trial.number)
        trial.set_user_attr("note", "text")
        if trial.number == 3:
            raise ValueError("broken")
        for step in range(trial.number):
            trial.report(trial.number - 0.5**step, step)
        return float(trial.number)

    study = optuna.create_study(
        storage=storage(), direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1)
    )
    study.set_metric_names(["accuracy"])
    study.set_user_attr("dataset", "digits")
    study.optimize(objective, n_trials=12, catch=ValueError)
    (log,), skipped = read(path)
    assert (log.metric, log.mode, log.space) == ("accuracy", "max", None)
    assert log.descriptors == {"dataset": "digits"}
    for row, trial in zip(log.trials.to_dict("records"), study.trials, strict=True):
        assert row["status"] == ("failed" if trial.number == 3 else "completed")
        assert row["parameters"] == 10 * trial.number
        assert trial.value == row["accuracy"] or (trial.number == 3 and math.isnan(row["accuracy"]))
        assert curve(log, trial.number, "accuracy") == trial.intermediate_values
        for name in ("kind", "only a", "width"):
            found, meant = row[f"config/{name}"], trial.params.get(name)
            if name == "kind":  # of which None is a choice
                assert found == str(meant)
            else:
                assert found == meant or (meant is None and (found is None or math.isnan(found)))
    assert None in [trial.params["kind"] for trial in study.trials]
    assert {why: times for (_, why), times in skipped.counts.items()} == {
        "an attribute of a trial that is no number": 12
    }


def test_a_choice_that_is_none_is_a_choice(place: tuple[Path, Callable[[], Any]], tmp_path: Path) -> None:
    path, storage = place
    study = optuna.create_study(storage=storage(), study_name="s")
    for kind, size in (("a", 3), (None, None)):
        study.enqueue_trial({"kind": kind, "size": size, "only": None})

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_categorical("kind", ["a", None])
        trial.suggest_categorical("size", [3, 0.5, None])
        trial.suggest_categorical("only", [None])
        return 1.0

    study.optimize(objective, n_trials=2)
    (log,), _ = read(path)
    assert log.trials["config/kind"].tolist() == ["a", "None"]
    assert log.trials["config/size"].tolist() == ["3", "None"]
    assert log.trials["config/only"].tolist() == ["None", "None"]
    assert log.space is not None
    assert log.space["knobs"] == {
        "kind": {"type": "categorical", "values": ["a", "None"]},
        "size": {"type": "categorical", "values": ["3", "0.5", "None"]},
        "only": {"type": "constant", "value": "None"},
    }
    (info,) = [one.info for one in History(tmp_path / "store").add(path).imported]
    assert (info.space, info.outside) == ("s", 0)


def test_texts_that_utf_8_lacks_are_written_out(
    place: tuple[Path, Callable[[], Any]], tmp_path: Path
) -> None:
    """Each is an escape in a JSON text, which in a journal is itself within another."""
    path, storage = place

    def objective(trial: optuna.Trial) -> float:
        said = trial.suggest_categorical("half", ["\ud800", "whole"]) + "x"
        study._storage.set_trial_system_attr(trial._trial_id, "fail_reason", said)
        raise ValueError

    study = optuna.create_study(storage=storage(), study_name="s")
    study.set_user_attr("who", "\udfff")
    study.enqueue_trial({"half": "\ud800"})
    study.optimize(objective, n_trials=1, catch=ValueError)
    (log,), _ = read(path)
    assert log.trials["config/half"].tolist() == ["\\ud800"]
    assert log.trials["error"].tolist() == ["\\ud800x"]
    assert log.descriptors == {"who": "\\udfff"}
    (info,) = [one.info for one in History(tmp_path / "store").add(path).imported]
    assert info.trials == 1


def test_values_that_are_not_finite(place: tuple[Path, Callable[[], Any]]) -> None:
    path, storage = place

    def objective(trial: optuna.Trial) -> float:
        for step, value in enumerate((math.nan, math.inf, -math.inf, 1.0)):
            trial.report(value, 10 * step)
        return math.inf

    optuna.create_study(storage=storage()).optimize(objective, n_trials=1)
    log = only(path)
    assert math.isnan(curve(log, 0)[0])
    assert list(curve(log, 0).items())[1:] == [(10, math.inf), (20, -math.inf), (30, 1.0)]
    assert log.trials["value"].tolist() == [math.inf]


def test_several_studies_in_one_file(place: tuple[Path, Callable[[], Any]]) -> None:
    path, storage = place
    shared = storage()
    studies = [optuna.create_study(storage=shared, study_name=name) for name in ("a", "empty", "b", "gone")]
    for number in range(6):
        study = studies[(0, 2, 3)[number % 3]]
        trial = study.ask()
        trial.suggest_float("lr", 0, 1)
        trial.report(number, number)
        if number < 4:
            study.tell(trial, number)
    optuna.delete_study(study_name="gone", storage=shared)
    logs, skipped = read(path)
    assert [(log.name, log.part) for log in logs] == [("a", "a"), ("b", "b")]
    assert [log.trials["trial_id"].tolist() for log in logs] == [["0", "1"], ["0", "1"]]
    assert [log.trials["status"].tolist() for log in logs] == [
        ["completed", "completed"],
        ["completed", "running"],
    ]
    assert [log.reports.to_numpy().tolist() for log in logs] == [
        [[0, 0, 0], [1, 3, 3]],
        [[0, 1, 1], [1, 4, 4]],
    ]
    assert dict(skipped.counts) == {("empty", "a study without a trial"): 1}


def test_several_objectives(place: tuple[Path, Callable[[], Any]]) -> None:
    path, storage = place
    study = optuna.create_study(storage=storage(), directions=["maximize", "minimize"], study_name="two")
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 2.0), n_trials=2)
    (log,), skipped = read(path)
    assert (log.metric, log.mode) == ("value_0", "max")
    assert log.trials["value_0"].tolist() == log.trials["config/x"].tolist()
    assert log.trials["value_1"].tolist() == [2.0, 2.0]
    ((where, why),) = skipped.counts
    assert where == "two"
    assert "'value_0', the metric" in why


def test_trials_in_the_queue_and_those_made_elsewhere(place: tuple[Path, Callable[[], Any]]) -> None:
    path, storage = place
    study = optuna.create_study(storage=storage(), study_name="s")
    study.enqueue_trial({"x": 0.5})
    made = optuna.trial.create_trial(
        params={"x": 0.25},
        distributions={"x": optuna.distributions.FloatDistribution(0, 1)},
        value=3.0,
        intermediate_values={1: 4.0, 2: 3.0},
        user_attrs={"seed": 7},
    )
    study.add_trial(made)
    (log,), skipped = read(path)
    assert dict(skipped.counts) == {("s", "a trial that was never begun"): 1}
    assert log.trials["trial_id"].tolist() == ["1"]
    assert (log.trials["seed"][0], log.trials["config/x"][0], log.trials["value"][0]) == (7, 0.25, 3.0)
    assert curve(log, 0) == {1: 4.0, 2: 3.0}


def test_a_database_with_a_log_of_changes_beside_it(tmp_path: Path) -> None:
    """What another process has written and not yet put in its place is read, and nothing is written."""
    path = sample.make(tmp_path / "made")
    with closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("INSERT INTO trial_intermediate_values VALUES (1000, 3, 77, 0.125, 'FINITE')")
        base.commit()
        assert path.with_name(path.name + "-wal").stat().st_size
        (tmp_path / "copy").mkdir()
        for one in path.parent.glob("*-wal"):
            shutil.copy(one, tmp_path / "copy")
        shutil.copy(path, tmp_path / "copy")
        copy = tmp_path / "copy" / path.name
        before = {one.name: one.read_bytes() for one in copy.parent.iterdir()}
        assert curve(only(copy), 2)[77] == 0.125
        assert curve(only(path), 2)[77] == 0.125
        assert {one.name: one.read_bytes() for one in copy.parent.iterdir()} == before
    assert curve(only(path), 2)[77] == 0.125
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_database_in_mid_write_is_told_so_and_stays_as_it_is(tmp_path: Path) -> None:
    path, copy = sample.make(tmp_path / "made"), tmp_path / "copy"
    with closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA cache_size = 1")
        columns = "trial_id, step, intermediate_value, intermediate_value_type"
        rows = [(step,) for step in range(10, 20_000)]
        base.executemany(
            f"INSERT INTO trial_intermediate_values ({columns}) VALUES (3, ?, 1, 'FINITE')", rows
        )
        shutil.copytree(path.parent, copy)
        with pytest.raises(BadInput, match="locked"):
            read(path)
        base.rollback()
    before = {one.name: one.read_bytes() for one in copy.iterdir()}
    assert len(before) == 2
    with pytest.raises(BadInput, match="half-written"):
        read(copy / path.name)
    assert {one.name: one.read_bytes() for one in copy.iterdir()} == before


def test_a_log_of_changes_that_is_a_link(tmp_path: Path) -> None:
    path = sample.make(tmp_path / "made")
    (tmp_path / "secret").write_bytes(b"x" * 4096)
    path.with_name(path.name + "-wal").symlink_to(tmp_path / "secret")
    with pytest.raises(BadInput, match="link"):
        list(Optuna().read(path, Asked(), Skipped()))


OLD = """
CREATE TABLE studies (study_id INTEGER PRIMARY KEY, study_name VARCHAR(512));
CREATE TABLE study_directions (study_id INTEGER, direction VARCHAR(8), objective INTEGER);
CREATE TABLE trials (trial_id INTEGER PRIMARY KEY, number INTEGER, study_id INTEGER, state VARCHAR(8));
CREATE TABLE trial_params (trial_id INTEGER, param_name VARCHAR(512), param_value FLOAT,
    distribution_json TEXT);
CREATE TABLE trial_values (trial_id INTEGER, objective INTEGER, value FLOAT);
CREATE TABLE trial_intermediate_values (trial_id INTEGER, step INTEGER, intermediate_value FLOAT);
CREATE TABLE version_info (version_info_id INTEGER, schema_version INTEGER, library_version VARCHAR(256));
INSERT INTO studies VALUES (1, 'old');
INSERT INTO study_directions VALUES (1, 'MAXIMIZE', 0);
INSERT INTO trials VALUES (1, 0, 1, 'COMPLETE');
INSERT INTO trial_params VALUES (1, 'lr', 0.5,
    '{"name": "LogUniformDistribution", "attributes": {"low": 0.01, "high": 1.0}}');
INSERT INTO trial_params VALUES (1, 'n', 3.0,
    '{"name": "IntUniformDistribution", "attributes": {"low": 1, "high": 5, "step": 1}}');
INSERT INTO trial_params VALUES (1, 'drop', 0.2,
    '{"name": "DiscreteUniformDistribution", "attributes": {"low": 0.0, "high": 1.0, "q": 0.1}}');
INSERT INTO trial_values VALUES (1, 0, 0.75);
INSERT INTO trial_intermediate_values VALUES (1, 1, 0.5), (1, 2, 0.75);
INSERT INTO version_info VALUES (1, 12, '2.10.1');
"""


def test_a_database_of_optuna_2(tmp_path: Path) -> None:
    """Written by hand after the tables of 2.10: no types of values, distributions under their old names."""
    with closing(sqlite3.connect(tmp_path / "old.db")) as base:
        base.executescript(OLD)
    log = only(tmp_path / "old.db")
    assert log.trials.to_dict("records") == [
        {
            "trial_id": "0",
            "status": "completed",
            "value": 0.75,
            "config/lr": 0.5,
            "config/n": 3,
            "config/drop": 0.2,
        }
    ]
    assert curve(log, 0) == {1: 0.5, 2: 0.75}
    assert log.mode == "max"
    assert log.versions == {"optuna": "2.10.1"}
    assert log.space is not None
    assert log.space["knobs"]["lr"] == {"type": "float", "low": 0.01, "high": 1.0, "log": True}


def test_an_older_database_is_told_so(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as base:
        base.executescript(OLD + "DROP TABLE study_directions;")
    with pytest.raises(BadInput, match=r"2\.4"):
        list(Optuna().read(tmp_path / "old.db", Asked(), Skipped()))


ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n AS {0} FROM r"


@pytest.mark.parametrize(
    "statements",
    [
        ["DROP TABLE trial_params", f"CREATE VIEW trial_params AS {ENDLESS.format('trial_id')}"],
        ["DROP TABLE trial_params", "CREATE VIRTUAL TABLE trial_params USING fts3(trial_id)"],
        ["ALTER TABLE trial_params ADD COLUMN more AS (hex(zeroblob(900000000)))"],
    ],
)
def test_tables_that_are_none_are_not_read(tmp_path: Path, statements: list[str]) -> None:
    path = changed(sample.make(tmp_path), *statements)
    started = time.monotonic()
    assert not Optuna().claims(path)
    with pytest.raises(BadInput, match="trial_params"):
        list(Optuna().read(path, Asked(), Skipped()))
    assert time.monotonic() - started < 5


def test_pages_that_are_reached_over_and_over(tmp_path: Path) -> None:
    """Every entry of a page points at one page below, as every entry of that does: millions of rows."""
    path, size = tmp_path / "bomb.db", 4096
    with closing(sqlite3.connect(path)) as base:
        base.executescript(f"PRAGMA page_size = {size};" + OLD)
        rows = [(step,) for step in range(60_000)]
        base.executemany("INSERT INTO trial_intermediate_values VALUES (1, ?, 0.5)", rows)
        base.commit()
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'trial_intermediate_values'"
        (root,) = base.execute(query).fetchone()
    content = path.read_bytes()
    pages = [bytearray(content[start : start + size]) for start in range(0, len(content), size)]
    above = pages[root - 1]
    cells = int.from_bytes(above[3:5], "big")
    at = [8, *(int.from_bytes(above[12 + 2 * cell : 14 + 2 * cell], "big") for cell in range(cells))]
    middle, leaf = sorted(int.from_bytes(above[one : one + 4], "big") for one in at)[:2]
    pages[middle - 1] = bytearray(above)
    for page, below in ((root, middle), (middle, leaf)):
        for one in at:
            pages[page - 1][one : one + 4] = below.to_bytes(4, "big")
    kept = pages[:leaf]
    kept[0][28:32] = len(kept).to_bytes(4, "big")
    path.write_bytes(b"".join(kept))
    with closing(sqlite3.connect(path)) as base:
        assert len(base.execute("SELECT 1 FROM trial_intermediate_values LIMIT 1000000").fetchall()) == 10**6
    assert path.stat().st_size < 100_000
    started = time.monotonic()
    with pytest.raises(BadInput, match=r"size allows|interrupted"):
        list(Optuna().read(path, Asked(), Skipped()))
    assert time.monotonic() - started < 10


def test_reading_is_ended_where_it_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sample.make(tmp_path)
    many = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 99999)"
    many += " SELECT 9, n, 1, 'FINITE' FROM r"
    columns = "trial_id, step, intermediate_value, intermediate_value_type"
    changed(path, f"INSERT INTO trial_intermediate_values ({columns}) {many}")
    monkeypatch.setattr(sqlite_files, "_STEPS_A_BYTE", 0)
    monkeypatch.setattr(sqlite_files, "_LEAST_STEPS", 200_000)
    with pytest.raises(BadInput, match="interrupted"):
        list(Optuna().read(path, Asked(), Skipped()))


def test_rows_that_hold_what_they_should_not(tmp_path: Path) -> None:
    path = changed(
        sample.make(tmp_path),
        "INSERT INTO trial_intermediate_values VALUES (100, 'x', 9, 1, 'FINITE')",
        "INSERT INTO trial_intermediate_values VALUES (101, 1, 9, x'00ff', 'FINITE')",
        "INSERT INTO trial_intermediate_values VALUES (102, 1, 9223372036854775807, 1, 'FINITE')",
        "INSERT INTO trial_intermediate_values VALUES (103, 99, 9, 1, 'FINITE')",
        "INSERT INTO trial_intermediate_values VALUES (104, 1, -9, 1, 'FINITE')",
        "INSERT INTO trial_params VALUES (100, 1, 'n', 9e300, '{\"name\": \"IntDistribution\"}')",
        "UPDATE trial_params SET param_value = 7 WHERE param_name = 'smooth' AND trial_id = 2",
        "UPDATE trial_params SET distribution_json = '[[[' WHERE param_name = 'lr' AND trial_id = 3",
        "INSERT INTO trials VALUES (50, NULL, 99, 'COMPLETE', NULL, NULL)",
    )
    (log,), skipped = read(path)
    assert len(log.reports) == sample.EXPECTED["reports"]
    assert log.trials["config/smooth"].isna().tolist() == [False, True, False]
    assert log.trials["config/lr"].isna().tolist() == [False, False, True]
    assert {why: times for (_, why), times in skipped.counts.items()} == {
        "a row of table 'trial_intermediate_values' that holds what it should not": 3,
        "a row of table 'trial_intermediate_values' that is no trial's": 1,
        "a report of a step below 0": 1,
        "a parameter of an unknown distribution": 2,
        "a parameter that is no text, finite number or truth": 1,
        "a trial of no study": 1,
    }


def test_text_that_is_no_utf_8(tmp_path: Path) -> None:
    path = changed(sample.make(tmp_path), "UPDATE studies SET study_name = CAST(x'61ff62' AS TEXT)")
    (log,), skipped = read(path)
    assert log.name == "a�b"
    assert [why for _, why in skipped.counts] == [
        "text that is no UTF-8, in table 'studies': read as far as it is"
    ]


def test_a_journal_whose_last_line_is_torn(tmp_path: Path) -> None:
    path = sample.make_journal(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    (log,), skipped = read(path)
    assert log.trials["status"].tolist() == ["completed", "stopped", "running"]
    assert dict(skipped.counts) == {("journal.log", "a line that is no JSON"): 1}


def test_lines_of_a_journal_that_do_not_count(tmp_path: Path) -> None:
    path = sample.make_journal(tmp_path)
    strange: list[Any] = [
        {"op_code": 7, "trial_id": 0, "step": 9, "intermediate_value": 9.0},  # after its end: passed over
        {"op_code": 6, "trial_id": 0, "state": 3, "values": None},
        {"op_code": 10, "trial_ids": [1]},
        {"op_code": 7, "trial_id": -1, "step": 9, "intermediate_value": 9.0},
        {"op_code": 7, "trial_id": 99, "step": 9, "intermediate_value": 9.0},
        {"op_code": 7, "trial_id": True, "step": 9, "intermediate_value": 9.0},
        {"op_code": 99},
        {"op_code": [7]},
        {"op_code": 4, "study_id": 7},
        {"op_code": 4, "study_id": 0, "state": 5},
        {"op_code": 0, "study_name": None, "directions": [1]},
        {},
    ]
    with path.open("a") as file:
        file.writelines(json.dumps(one) + "\n" for one in strange)
    (log,), skipped = read(path)
    assert len(log.reports) == sample.EXPECTED["reports"]
    assert log.trials["status"].tolist() == ["completed", "stopped", "completed"]
    assert dict(skipped.counts) == {("journal.log", "a line that says what Optuna never writes"): 9}


def test_what_is_no_storage_is_not_claimed(tmp_path: Path) -> None:
    assert not Optuna().claims(tmp_path)
    assert not Optuna().claims(tmp_path / "nothing")
    for number, content in enumerate(
        [b"", b'{"op_code": 1}', b"SQLite format 3\0", b'{"worker_id"\n"op_code"']
    ):
        path = tmp_path / str(number)
        path.write_bytes(content)
        assert not Optuna().claims(path)
    with closing(sqlite3.connect(tmp_path / "other.db")) as base:
        base.execute("CREATE TABLE studies (a)")
    assert not Optuna().claims(tmp_path / "other.db")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.integers(0, 3),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("samples")
    return {one.name: one.read_bytes() for one in (sample.make(folder), sample.make_journal(folder))}


def harmless(path: Path) -> None:
    Optuna().claims(path)
    try:
        for log in Optuna().read(path, Asked(), Skipped()):
            assert log.reports["trial"].between(0, len(log.trials) - 1).all()
            assert log.trials["trial_id"].is_unique
    except TuneLRError:
        pass


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    name=st.sampled_from(["study.db", "journal.log"]),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=30),
    kept=st.floats(0.01, 1),
)
def test_whatever_the_bytes_are_only_our_errors_come_out(
    samples: dict[str, bytes], tmp_path: Path, name: str, changes: list[tuple[float, int]], kept: float
) -> None:
    content = bytearray(samples[name])
    for at, byte in changes:
        content[int(at * len(content))] = byte
    (tmp_path / "x").write_bytes(bytes(content[: int(kept * len(content))] if kept < 0.5 else content))
    harmless(tmp_path / "x")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lines=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8), VALUES), max_size=8))
def test_whatever_a_journal_says_only_our_errors_come_out(
    samples: dict[str, bytes], tmp_path: Path, lines: list[tuple[int, int, Any]]
) -> None:
    content = [json.loads(line) for line in samples["journal.log"].splitlines()]
    for row, key, value in lines:
        line = content[row % len(content)]
        line[[*line][key % len(line)]] = value
    (tmp_path / "x").write_text("".join(json.dumps(line) + "\n" for line in content))
    harmless(tmp_path / "x")
