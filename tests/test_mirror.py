from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest

from tune_lr import mirror as mirrors
from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.jobs import resume, tune
from tune_lr.mirror import Mirror

SPACE = {"name": "one", "knobs": {"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}}}

Machine = Callable[[str], None]


def train(config: dict[str, Any], trial: Any) -> None:
    trial.load()
    for epoch in trial.epochs():
        trial.save({"epoch": epoch})
        trial.report(val_loss=(config["lr"] - 0.1) ** 2 + 1 / epoch)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Go to another machine: one whose copies are its own."""

    def go(name: str) -> None:
        monkeypatch.setenv("TUNE_LR_CACHE", str(tmp_path / name))

    go("A")
    return go


@pytest.fixture(params=["memory", "file"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield "memory://bucket/runs/one" if request.param == "memory" else f"file://{tmp_path}/remote/one"
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def at(uri: str) -> dict[str, bytes]:
    """What lies at the URI."""
    files, root = fsspec.core.url_to_fs(uri)
    return {str(name)[len(root) + 1 :]: files.cat_file(name) for name in files.find(root)}


def journal(uri: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in at(uri)["journal.jsonl"].splitlines()]


def test_an_experiment_at_a_uri_is_a_mirror(machine: Machine, uri: str) -> None:
    experiment = tune(train, SPACE, searcher="random", out=uri, trials=4, max_epochs=3)
    assert json.loads(at(uri)["experiment.json"])["status"] == "finished"
    remote = pd.read_parquet(fsspec.open(f"{uri}/reports.parquet").open())
    pd.testing.assert_frame_equal(remote, experiment.to_pandas())
    assert not [name for name in at(uri) if "/." in f"/{name}"]  # neither locks nor half-sent files


def test_machines_that_take_turns_lose_nothing(machine: Machine, uri: str) -> None:
    tune(train, SPACE, searcher="random", out=uri, trials=3, max_epochs=2)
    machine("B")
    resume(uri, train, trials=9)
    machine("A")
    assert len(Experiment.open(uri).record().trials) == 9
    resume(uri, train, trials=5)
    assert [event["event"] for event in journal(uri)].count("session") == 3
    machine("B")
    assert len(Experiment.open(uri).record().trials) == 9
    machine("C")
    assert len(Experiment.open(uri).record().trials) == 9


def until(last: int, begun_at: list[Any]) -> Callable[[dict[str, Any], Any], None]:
    """A trainer whose driver is interrupted after that epoch."""

    def train(config: dict[str, Any], trial: Any) -> None:
        begun_at.append(trial.load())
        for epoch in trial.epochs():
            trial.save({"epoch": epoch})
            trial.report(val_loss=1 / epoch)
            if epoch == last:
                raise KeyboardInterrupt

    return train


def test_checkpoints_go_with_it_from_machine_to_machine(machine: Machine, uri: str) -> None:
    begun_at: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        tune(
            until(2, begun_at), SPACE, searcher="random", out=uri, trials=1, max_epochs=6, keep_checkpoints=1
        )
    machine("B")
    with pytest.raises(KeyboardInterrupt):
        resume(uri, until(4, begun_at))
    assert [name for name in at(uri) if name.endswith("checkpoint-2.pt")] == []  # B had it, and replaced it
    machine("A")
    resume(uri, until(9, begun_at))
    assert begun_at == [None, {"epoch": 2}, {"epoch": 4}]
    local = Mirror(uri).local
    here = {file.relative_to(local).as_posix() for file in local.glob("trials/*/[!.]*")}
    assert {name for name in at(uri) if name.startswith("trials/")} == here
    assert {name[-4] for name in here if name.endswith(".pt")} == {"5", "6"}


def test_only_what_changed_is_sent(machine: Machine, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tune(train, SPACE, searcher="random", out=uri, trials=2, max_epochs=2, keep_checkpoints=9)
    files, root = fsspec.core.url_to_fs(uri)
    files.pipe_file(f"{root}/notes.txt", b"somebody's own")
    sent: list[str] = []
    send = Mirror._send
    monkeypatch.setattr(Mirror, "_send", lambda self, name: sent.append(name) or send(self, name))
    for name in "AB":
        machine(name)
        old = {file for file in at(uri) if file.startswith("trials/")}
        sent.clear()
        resume(uri, train, trials=3 if name == "A" else 4)
        assert sent
        assert not old & set(sent)
        assert sent[-1] == "experiment.json"
    assert at(uri)["notes.txt"] == b"somebody's own"


class CutOff(BaseException):
    """As a kill, at a place of the test's choice."""


def failing_at(calls: int, real: Callable[..., Any]) -> Callable[..., Any]:
    left = [calls]

    def call(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise CutOff
        return real(*args, **kwargs)

    return call


@pytest.mark.parametrize("known", [False, True])
def test_a_pull_that_was_cut_off_does_not_count(machine: Machine, uri: str, known: bool) -> None:
    tune(train, SPACE, searcher="random", out=uri, trials=2, max_epochs=2, keep_checkpoints=9)
    files = type(fsspec.core.url_to_fs(uri)[0])
    machine("B")
    if known:
        Experiment.open(uri)
    machine("A")
    resume(uri, train, trials=4)
    whole = at(uri)
    machine("B")
    cut = 0
    for where, name in ((files, "cat_file"), (mirrors.os, "replace")):
        for calls in range(1, 99):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(where, name, failing_at(calls, getattr(where, name)))
                try:
                    Experiment.open(uri)
                except CutOff:
                    cut += 1
                    if where is files:  # nothing but whole files is ever moved to its place
                        assert Mirror(uri)._local_journal() != whole["journal.jsonl"]
                    continue
            break
        assert len(Experiment.open(uri).record().trials) == 4
        local = Mirror(uri).local
        assert {name: (local / name).read_bytes() for name in whole} == whole
        if where is files:  # once more from the beginning, for the other place
            (local / "journal.jsonl").unlink()
    assert cut > 10
    resume(uri, train, trials=1)
    assert len({event["trial_id"] for event in journal(uri) if event["event"] == "ask"}) == 4


def test_a_push_that_was_cut_off_leaves_what_can_be_read(machine: Machine, uri: str) -> None:
    tune(train, SPACE, searcher="random", out=uri, trials=1, max_epochs=2, keep_checkpoints=9)
    files = type(fsspec.core.url_to_fs(uri)[0])
    for calls in range(7):
        machine("A")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "pipe_file", failing_at(calls, files.pipe_file))
            with pytest.raises(CutOff):
                resume(uri, train, trials=2 + calls)
        machine(f"reader {calls}")
        assert set(Experiment.open(uri).trials().status) <= {"completed", "stopped"}
        machine("A")
        assert len(Experiment.open(uri).record().trials) == 2 + calls  # its own copy is the newer
    resume(uri, train, trials=9)
    machine("B")
    assert len(Experiment.open(uri).record().trials) == 9


def fork(machine: Machine, uri: str) -> Path:
    """B goes on from where A did, and A has not sent its last session. A's copy."""
    tune(train, SPACE, searcher="random", out=uri, trials=2, max_epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mirror, "push", lambda self: None)
        resume(uri, train, trials=3)
    machine("B")
    resume(uri, train, trials=4)
    machine("A")
    return Mirror(uri).local


def test_a_fork_is_refused_until_one_side_is_chosen(machine: Machine, uri: str, tmp_path: Path) -> None:
    local = fork(machine, uri)
    before = at(uri)
    for use in (lambda: Experiment.open(uri), lambda: resume(uri, train, trials=9)):
        with pytest.raises(BadInput, match="move the copy here away") as refused:
            use()
        assert uri in str(refused.value)
        assert str(local) in str(refused.value)
    assert at(uri) == before
    local.rename(tmp_path / "away")
    assert len(Experiment.open(uri).record().trials) == 4
    (tmp_path / "away").rename(local.with_name("mine"))
    files, root = fsspec.core.url_to_fs(uri)
    files.rm(root, recursive=True)
    Mirror(uri).local.rename(tmp_path / "theirs")
    local.with_name("mine").rename(local)
    assert len(resume(uri, train, trials=3).record().trials) == 3
    assert len({event["trial_id"] for event in journal(uri) if event["event"] == "ask"}) == 3


def test_two_at_once_do_not_overwrite_each_other(machine: Machine, uri: str) -> None:
    tune(train, SPACE, searcher="random", out=uri, trials=1, max_epochs=2)
    there: list[dict[str, bytes]] = []

    def meanwhile(config: dict[str, Any], trial: Any) -> None:
        machine("B")
        resume(uri, train, trials=3)
        there.append(at(uri))
        machine("A")
        train(config, trial)

    with pytest.raises(BadInput, match="nobody else went on with"):
        resume(uri, meanwhile, trials=2)
    assert [at(uri)] == there


def test_a_job_that_never_began_here_gives_way(machine: Machine, uri: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tune_lr.engines.inline.InlineEngine.run", failing_at(0, print))
        with pytest.raises(CutOff):
            tune(train, SPACE, searcher="random", out=uri, seed=1)
    assert at(uri) == {}
    machine("B")
    tune(train, SPACE, searcher="random", out=uri, trials=2, max_epochs=2, seed=2)
    machine("A")
    assert Experiment.open(uri).job.seed == 2
    assert len(Experiment.open(uri).record().trials) == 2


def test_bad_use_leaves_nothing_and_can_be_corrected(machine: Machine, uri: str, tmp_path: Path) -> None:
    trainer = tmp_path / "trainer.py"
    trainer.write_text("import nothing_here\n")
    with pytest.raises(BadInput):
        tune(str(trainer), SPACE, searcher="random", out=uri, trials=2)
    assert at(uri) == {}
    assert not (tmp_path / "remote").exists()
    assert not Mirror(uri).local.exists()
    assert (
        len(tune(train, SPACE, searcher="random", out=uri, trials=1, max_epochs=1, seed=3).record().trials)
        == 1
    )


def test_files_at_the_uri_that_are_not_ours_are_left_alone(machine: Machine, uri: str) -> None:
    files, root = fsspec.core.url_to_fs(uri)
    files.makedirs(root, exist_ok=True)
    files.pipe_file(f"{root}/thesis.tex", b"mine")
    for out in (uri, f"{uri}/thesis.tex"):
        with pytest.raises(BadInput, match=r"other files|Not a directory"):
            tune(train, SPACE, searcher="random", out=out, trials=1)
    assert at(uri) == {"thesis.tex": b"mine"}


def test_what_cannot_be_read_is_named(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match="file"):
        tune(train, SPACE, searcher="random", out=f"file://{tmp_path}/file/below", trials=1)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_mirror_that_points_outside_its_folder_is_refused(machine: Machine) -> None:
    files = fsspec.filesystem("memory")
    files.pipe_file("/evil/experiment.json", b"{}")
    files.store["/evil/../../outside"] = files.store["/evil/experiment.json"]
    try:
        with pytest.raises(BadInput, match="outside"):
            Mirror("memory://evil").pull()
    finally:
        files.store.clear()


def test_an_unknown_kind_of_uri_is_named() -> None:
    with pytest.raises(BadInput, match="nosuch"):
        Experiment.open("nosuch://bucket/x")
