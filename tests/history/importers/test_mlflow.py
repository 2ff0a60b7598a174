from __future__ import annotations

import math
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.samples.history import mlflow as sample
from tune_lr.errors import BadInput, TuneLRError
from tune_lr.history.history import History
from tune_lr.history.importers.mlflow import MLflow
from tune_lr.history.importers.mlflow_log import value_of
from tune_lr.history.log import Asked, Log, Skipped

ARTIFACTS = "artifact_location: file:///a\n"
HOLDS = "a run that holds other runs and has no metric with steps of its own"


def read(path: Path) -> tuple[list[Log], Skipped]:
    assert MLflow().claims(path)
    skipped = Skipped()
    return list(MLflow().read(path, Asked(), skipped)), skipped


def only(path: Path) -> Log:
    (log,), skipped = read(path)
    assert not skipped, skipped.counts
    return log


def curve(log: Log, trial: int, metric: str) -> dict[int, float]:
    rows = log.reports[(log.reports["trial"] == trial) & log.reports[metric].notna()]
    return dict(zip(rows["epoch"].tolist(), rows[metric].tolist(), strict=True))


class Store:
    """A file store by hand: what it writes is what MLflow 3 writes, as the samples of its own show."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "mlruns"
        self.experiment = self.root / "7"
        self.experiment.mkdir(parents=True)
        self.meta("active", "digits")

    def meta(self, stage: str, name: str) -> None:
        said = f"{ARTIFACTS}creation_time: 1\nexperiment_id: '7'\nlast_update_time: 1\n"
        (self.experiment / "meta.yaml").write_text(f"{said}lifecycle_stage: {stage}\nname: {name}\n")

    def run(
        self, name: str, start: int = 1000, status: int = 3, stage: str = "active", **content: str
    ) -> Path:
        """A run; ``content`` is ``metrics__loss="..."`` and the like."""
        folder = self.experiment / name
        for part in ("metrics", "params", "tags"):
            (folder / part).mkdir(parents=True)
        (folder / "meta.yaml").write_text(
            f"artifact_uri: x\nend_time: null\nexperiment_id: '7'\nlifecycle_stage: {stage}\nrun_id: {name}\n"
            f"run_name: 'status: 4'\nstart_time: {start}\nstatus: {status}\ntags: []\nuser_id: me\n"
        )
        for key, text in content.items():
            part, _, rest = key.partition("__")
            self.put(name, part, rest.replace("__", "/"), text)
        return folder

    def put(self, run: str, part: str, name: str, text: str) -> None:
        path = self.experiment / run / part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's database; MLflow takes seconds to make one."""
    return sample.make_sqlite(tmp_path_factory.mktemp("made"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def seen(folder: Path) -> dict[str, Any]:
    return {
        str(one): (one.stat().st_mtime_ns, one.is_file() and one.read_bytes()) for one in folder.rglob("*")
    }


@pytest.mark.parametrize("kind", ["folder", "database"])
def test_a_store_value_by_value(tmp_path: Path, database: Path, kind: str) -> None:
    path = sample.make(tmp_path / "made") if kind == "folder" else database
    before = seen(path.parent)
    log = only(path)
    assert (len(log.trials), len(log.reports)) == (sample.EXPECTED["trials"], sample.EXPECTED["reports"])
    assert (log.source, log.name, log.metric, log.mode) == ("mlflow", "sample", None, None)
    assert log.trials["status"].tolist() == ["completed", "completed"]
    assert log.trials["config/lr"].tolist() == [0.1, 0.2]
    assert log.trials["config/patience"].tolist() == [3, 3]
    assert log.trials["config/smooth"].tolist() == [True, True]
    assert log.trials["config/optimizer"].tolist() == ["sgd", "sgd"]
    assert log.trials["final_accuracy"].tolist() == [0.75, 0.75]
    assert curve(log, 0, "val_loss") == curve(log, 1, "val_loss") == sample.EXPECTED["first"]
    assert log.reports["seconds"].tolist() == [0, 1, 2] * 2
    assert seen(path.parent) == before


def test_reading_needs_no_mlflow(tmp_path: Path) -> None:
    path = sample.make(tmp_path)
    code = (
        "import sys; from pathlib import Path; from tune_lr.history.importers.mlflow import MLflow\n"
        "from tune_lr.history.log import Asked, Skipped\n"
        f"assert len(list(MLflow().read(Path({str(path)!r}), Asked(), Skipped()))) == 1\n"
        "assert 'mlflow' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_experiment_of_a_store(store: Store) -> None:
    store.run("a", metrics__loss="1000 1.0 0\n2000 0.5 1\n")
    for path in (store.root, store.experiment):
        log = only(path)
        assert (log.name, log.part) == ("digits", "7")
        assert curve(log, 0, "loss") == {0: 1.0, 1: 0.5}


def test_statuses_and_what_was_deleted(store: Store) -> None:
    for status in (1, 2, 3, 4, 5):
        store.run(f"run{status}", start=9000 - 1000 * status, status=status, metrics__loss="1 1 1\n")
    store.run("gone", stage="deleted")
    (log,), skipped = read(store.root)
    assert log.trials["trial_id"].tolist() == ["run5", "run4", "run3", "run1"]  # as they were begun
    assert log.trials["status"].tolist() == ["stopped", "failed", "completed", "running"]
    assert dict(skipped.counts) == {
        ("digits", "a run that was deleted"): 1,
        ("digits", "a run that was never begun"): 1,
    }
    store.meta("deleted", "digits")
    with pytest.raises(BadInput, match="mlruns"):
        read(store.root)


def test_metrics_are_joined_by_their_steps(store: Store) -> None:
    store.run(
        "a",
        metrics__val__loss="1500 1.0 0\n2500 nan 1\n4000 inf 3\n2600 0.25 1\n",
        metrics__acc="3500 0.5 2\n4500 0.75 3\n",
        metrics__system__cpu="1 1 77\n",
        metrics__test="5000 0.125 0\n",
    )
    (log,), skipped = read(store.root)
    assert curve(log, 0, "val/loss") == {0: 1.0, 1: 0.25, 3: math.inf}
    assert curve(log, 0, "acc") == {2: 0.5, 3: 0.75}
    assert log.reports["epoch"].tolist() == [0, 1, 2, 3]
    assert log.reports["seconds"].tolist() == [0.5, 1.6, 2.5, 3.5]
    assert log.trials["test"].tolist() == [0.125]
    assert dict(skipped.counts) == {("digits", "a measurement of the machine"): 1}


def test_a_run_of_one_epoch_has_a_report(store: Store) -> None:
    store.run("a", metrics__loss="1 3 0\n", metrics__test="1 9 0\n")
    store.run("b", metrics__loss="1 2 0\n1 1 1\n", metrics__test="1 8 0\n")
    log = only(store.root)
    assert curve(log, 0, "loss") == {0: 3}
    assert log.trials["test"].tolist() == [9, 8]
    assert "loss" not in log.trials


def test_values_without_any_steps_are_the_runs_own(store: Store) -> None:
    store.run("a", metrics__acc="1 0.5 0\n")
    log = only(store.root)
    assert len(log.reports) == 0
    assert log.trials["acc"].tolist() == [0.5]


def test_a_final_value_that_was_logged_again_is_none_of_the_reports(store: Store) -> None:
    store.run("a", start=1, metrics__loss="1 3 1\n2 2 2\n", metrics__test_acc="5 0.25 0\n6 0.75 0\n")
    store.run("b", start=2, metrics__loss="1 3 1\n2 2 2\n", metrics__test_acc="5 0.5 0\n")
    log = only(store.root)
    assert log.trials["test_acc"].tolist() == [0.75, 0.5]
    assert log.reports["epoch"].tolist() == [1, 2, 1, 2]
    assert "test_acc" not in log.reports


def test_metrics_named_as_columns_are_kept(store: Store, tmp_path: Path) -> None:
    reported = {f"metrics__{name}": "1 0.5 1\n2 0.25 2\n" for name in ("trial", "epoch", "seconds", "error")}
    own = {f"metrics__{name}": "1 0.75 0\n" for name in ("trial_id", "status", "seed", "best", "seconds_")}
    store.run("a", **reported, **own)
    log = only(store.root)
    assert {*log.reports} == {"trial", "epoch", "seconds", "trial_", "epoch_", "seconds__", "error"}
    assert log.reports["epoch"].tolist() == [1, 2]
    assert log.reports["epoch_"].tolist() == log.reports["seconds__"].tolist() == [0.5, 0.25]
    assert log.trials["trial_id"].tolist() == ["a"]
    for name in ("trial_id_", "status_", "seed_", "best", "seconds_"):
        assert log.trials[name].tolist() == [0.75]
    (added,) = History(tmp_path / "store").add(store.root, metric="error").imported
    assert (added.info.metric, added.info.best) == ("error_", 0.25)
    kept = {"trial_", "epoch_", "seconds_", "seconds__", "error_", "trial_id_", "status_", "seed_", "best_"}
    assert {*added.info.metrics} == kept
    assert not added.skipped


def test_an_error_of_the_whole_run_is_no_text_of_what_went_wrong(store: Store, tmp_path: Path) -> None:
    store.run("a", metrics__error="1 0.5 0\n2 0.25 0\n")
    (added,) = History(tmp_path / "store").add(store.root).imported
    assert (added.info.metric, added.info.mode, added.info.best) == ("error_", "min", 0.25)


def test_lines_of_all_versions_and_of_none(store: Store) -> None:
    store.run("old", start=1, metrics__loss="5 1.5\n")
    store.run("new", start=2, metrics__loss="5 1.5 0 data abc\n6 2.5 1 data abc\n7 3.5 2\n")
    store.run("bad", start=3, metrics__loss="x 1 1\n1 2\t3 \n\n1\n1 1 1.5\n1 1 99999999999999999999\n1 4 5")
    (log,), skipped = read(store.root)
    assert [curve(log, trial, "loss") for trial in range(3)] == [
        {0: 1.5},
        {0: 1.5, 1: 2.5, 2: 3.5},
        {3: 2, 5: 4},
    ]
    assert dict(skipped.counts) == {("7/bad/metrics/loss", "a line that is no time, value and step"): 4}


def test_runs_within_a_run(store: Store) -> None:
    store.run("sweep", start=1, params__budget="9")
    store.run("measured", start=2, metrics__loss="1 1 1\n")
    store.run("a", start=3, tags__mlflow="", metrics__loss="1 1 1\n")
    store.put("a", "tags", "mlflow.parentRunId", "sweep")
    store.run("b", start=4, metrics__loss="1 1 1\n")
    store.put("b", "tags", "mlflow.parentRunId", "measured")
    (log,), skipped = read(store.root)
    assert log.trials["trial_id"].tolist() == ["measured", "a", "b"]
    assert not [name for name in log.trials if name.startswith("config/")]
    assert dict(skipped.counts) == {("digits", HOLDS): 1}


def test_a_run_that_only_sums_up_those_within_it_is_no_trial(store: Store) -> None:
    store.run("sweep", start=1, metrics__best_val_loss="9 0.5 0\n", metrics__system__cpu="1 1 7\n")
    for name in ("a", "b"):
        store.run(name, start=2, metrics__val_loss="1 1 1\n2 0.5 2\n")
        store.put(name, "tags", "mlflow.parentRunId", "sweep")
    store.run("alone", start=3, metrics__best_val_loss="9 0.5 0\n")
    store.put("alone", "tags", "mlflow.parentRunId", "alone")
    (log,), skipped = read(store.root)
    assert log.trials["trial_id"].tolist() == ["a", "b", "alone"]
    assert log.reports["trial"].tolist() == [0, 0, 1, 1]
    assert log.trials["best_val_loss"].isna().tolist() == [True, True, False]
    assert dict(skipped.counts) == {
        ("digits", HOLDS): 1,
        ("digits", "a measurement of the machine"): 1,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("0.1", 0.1),
        ("1e-05", 1e-5),
        (".5", 0.5),
        ("True", True),
        ("false", False),
        ("sgd", "sgd"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("٣", "٣"),
        ("1.2.3", "1.2.3"),
        ("[1, 2]", "[1, 2]"),
        ("1" * 30, "1" * 30),
        ("None", None),
        ("nan", None),
        ("1e999", None),
        ("", None),
    ],
)
def test_texts_of_parameters(text: str, value: Any) -> None:
    assert value_of(text) == value
    assert type(value_of(text)) is type(value)


def test_parameters_as_columns(store: Store) -> None:
    store.run("a", start=1, params__lr="1", params__opt__name="sgd", params__n="1")
    store.run("b", start=2, params__lr="0.5", params__n="2", params__bad="\xff", params__none="None")
    (log,), skipped = read(store.root)
    assert log.trials["config/lr"].tolist() == [1.0, 0.5]
    assert log.trials["config/n"].tolist() == [1, 2]
    assert log.trials["config/opt/name"].tolist()[0] == "sgd"
    assert {where for where, _ in skipped.counts} == {"7/b/params/bad", "digits"}


def test_tags_of_an_experiment_describe_it(store: Store) -> None:
    (store.experiment / "tags").mkdir()
    (store.experiment / "tags" / "dataset").write_text("digits")
    (store.experiment / "tags" / "mlflow.note.content").write_text("x")
    store.run("a")
    assert only(store.root).descriptors == {"dataset": "digits"}


def test_a_name_that_is_no_plain_yaml(store: Store) -> None:
    store.run("a")
    store.meta("active", "!!python/object/apply:os.system ['touch /tmp/x']")
    (log,), skipped = read(store.root)
    assert log.name == "7"
    assert [where for where, _ in skipped.counts] == ["7"]


def test_links_out_of_a_store_are_not_followed(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("1 1 1\n")
    run = store.run("a", metrics__loss="1 1 1\n")
    (run / "metrics" / "secret").symlink_to(outside / "secret")
    shutil.rmtree(run / "params")
    (run / "params").symlink_to(outside)
    (log,), skipped = read(store.root)
    assert [*log.reports] == ["trial", "epoch", "seconds", "loss"]
    assert not [name for name in log.trials if name.startswith("config/")]
    assert len(skipped.counts) == 2


def test_what_a_link_out_of_a_run_says_of_its_parent_is_not_read(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mlflow.parentRunId").write_text("b")
    run = store.run("a", metrics__loss="1 1 1\n")
    store.run("b")
    shutil.rmtree(run / "tags")
    (run / "tags").symlink_to(outside)
    (log,), skipped = read(store.root)
    assert len(log.trials) == 2
    assert skipped.counts == {("7/a/tags", "a link that leads out of the folder"): 1}


def test_a_folder_of_something_else_is_not_claimed(tmp_path: Path, store: Store) -> None:
    assert not MLflow().claims(tmp_path / "nothing")
    assert not MLflow().claims(tmp_path)
    assert not MLflow().claims(store.run("a"))
    (tmp_path / "meta.yaml").write_text("name: x\n")
    assert not MLflow().claims(tmp_path / "meta.yaml")
    with closing(sqlite3.connect(tmp_path / "x.db")) as base:
        base.execute("CREATE TABLE experiments (experiment_id)")
    assert not MLflow().claims(tmp_path / "x.db")


@pytest.fixture
def base(database: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A copy of it without metrics, open to change."""
    shutil.copy(database, tmp_path)
    with closing(sqlite3.connect(tmp_path / database.name)) as base:
        base.execute("DELETE FROM metrics")
        base.commit()
        yield base


def test_what_a_database_marks(base: sqlite3.Connection, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    (run,) = base.execute("SELECT run_uuid FROM runs LIMIT 1").fetchone()
    largest = 1.7976931348623157e308
    points = [(0, 0.0, 1), (1, largest, 0), (2, -largest, 0), (3, 0.5, 0)]
    base.executemany(
        "INSERT INTO metrics (key, step, value, is_nan, run_uuid, timestamp) VALUES ('loss', ?, ?, ?, ?, 5)",
        [(*point, run) for point in points],
    )
    base.commit()
    (log,), _ = read(path)
    found = log.reports["loss"].tolist()
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf, 0.5]
    base.execute("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = ?", (run,))
    base.commit()
    skipped = Skipped()
    with suppress(BadInput):
        list(MLflow().read(path, Asked(), skipped))
    assert ("sample", "a run that was deleted") in skipped.counts


def test_a_view_in_a_tables_place_is_not_read(base: sqlite3.Connection, tmp_path: Path) -> None:
    base.execute("ALTER TABLE params RENAME TO other")
    base.execute("CREATE VIEW params AS SELECT * FROM other, other, other, other, other, other, other")
    base.commit()
    assert not MLflow().claims(tmp_path / "mlflow.db")
    with pytest.raises(BadInput, match="params"):
        list(MLflow().read(tmp_path / "mlflow.db", Asked(), Skipped()))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    shutil.copy(database, folder)
    store = Store(folder)
    store.run("a", params__lr="0.1", params__n="3", metrics__loss="1 1 0\n2 2 1\n", metrics__acc="1 1 0\n")
    store.run("b", params__lr="0.2", metrics__loss="1 1 0 d e\n2 nan 1 d e\n")
    store.put("b", "tags", "mlflow.parentRunId", "a")
    return folder


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    which=st.integers(0, 50),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=20),
    kept=st.floats(0, 1),
)
def test_whatever_the_bytes_are_only_our_errors_come_out(
    samples: Path, tmp_path: Path, which: int, changes: list[tuple[float, int]], kept: float
) -> None:
    folder = tmp_path / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(samples, folder)
    every = sorted(one for one in folder.rglob("*") if one.is_file())
    content = bytearray(every[which % len(every)].read_bytes())
    for at, byte in changes:
        content[int(at * len(content)) : int(at * len(content)) + 1] = bytes([byte])
    every[which % len(every)].write_bytes(
        bytes(content[: int(kept * len(content))] if kept < 0.5 else content)
    )
    for path in (folder / "mlflow.db", folder / "mlruns"):
        MLflow().claims(path)
        try:
            for log in MLflow().read(path, Asked(), Skipped()):
                assert log.reports["trial"].between(0, len(log.trials) - 1).all()
                assert log.trials["trial_id"].is_unique
        except TuneLRError:
            pass
