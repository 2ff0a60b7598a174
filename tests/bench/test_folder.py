"""The folder of a study, and the document of its report, when they are not as they should be."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tune_lr.bench import code, store
from tune_lr.bench.contenders import contender_named, space_of
from tune_lr.bench.document import BEGIN, END, check_document, insert, publish
from tune_lr.bench.files import Torn, read_cell
from tune_lr.bench.plan import Cell, Settings
from tune_lr.bench.store import Study
from tune_lr.cli import app
from tune_lr.errors import BadInput, JobFailed
from tune_lr.place import locked

SMALL = Settings(trials=2, epochs=2, seeds=2)
ASKED = "--tasks diabetes --contenders constant --optimizers sgd --trials 2 --epochs 2 --seeds 2"
CELL = Cell("diabetes", "sgd", "greedy")
DEEP = "[" * 100_000 + "]" * 100_000


def made_up(cell: Cell = CELL) -> dict[str, Any]:
    """What a cell could have come to, as cells were written before they noted their versions."""
    loss = {"train_10": 0.9, "train_50": 0.8, "train_100": 0.7, "val_loss": 0.75, "val_accuracy": None}
    return {
        "cell": cell.to_json(),
        "code": "0123456789ab",
        "settings": SMALL.to_json(),
        "space": space_of(contender_named(cell.contender), cell.optimizer, cell.task).to_dict(),
        "knobs": 3,
        "tuned": {"config": {"lr": 0.1}, "losses": [0.7, None], "trials": 2, "epochs": 4, "diverged": 0,
                  "source": "default"},
        "default": {"lr": 0.01},
        "runs": [
            {"setting": setting, "seed": seed, **loss, "passes": 30, "seconds": 0.1, "error": None}
            for setting in ("tuned", "default")
            for seed in SMALL.fresh
        ],
        "seconds": 1.5,
    }  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study of which one cell is finished."""
    made = Study.create(tmp_path / "study", SMALL)
    with made.begun():
        made.write(made_up())
    return made


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["bench", "schedules", *arguments])


def refused(done: Any, *messages: str) -> None:
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    for message in messages:
        assert message in done.output.replace("\n", "")


def changed(**parts: Any) -> str:
    return json.dumps({**made_up(), **parts})


FOREIGN = {
    "empty": ("{}", "cell is missing"),
    "another's": ('{"hello": 1}', "cell is missing"),
    "a list": ("[]", "it holds no object"),
    "too deep": (DEEP, "it is nested too deeply"),
    "no runs": (changed(runs=None), "runs: no list with something in it"),
    "nobody ran": (changed(runs=[]), "runs: no list with something in it"),
    "half the runs": (changed(runs=made_up()["runs"][:2]), "runs: not 2 seeds of both configurations"),
    "a strange run": (changed(runs=[{"setting": 1}]), "runs[0].setting: no text"),
    "a loss in words": (changed(tuned={**made_up()["tuned"], "losses": ["low"]}), "losses[0]: no number"),
    "another cell": (changed(cell=Cell("diabetes", "adam", "greedy").to_json()), "the cell diabetes--"),
    "other settings": (changed(settings=Settings().to_json()), "its settings are others"),
    "a truth for a number": (changed(knobs=True), "knobs: no whole number"),
    "no versions": (changed(versions=None), "versions: no object"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_cell_is_named_before_anything_is_run(kind: str, study: Study) -> None:
    text, fault = FOREIGN[kind]
    (study.path / "cells" / f"{CELL.name}.json").write_text(text)
    expected = (f"{CELL.name}.json", "as tune-lr bench wrote it, or no such file", fault)
    refused(command(*ASKED.split(), "--yes", "--out", str(study.path)), *expected)
    refused(command("--report-only", "--out", str(study.path)), *expected)


def test_a_task_that_is_gone_is_named(study: Study) -> None:
    gone = made_up() | {"cell": {"task": "gone", "optimizer": "sgd", "contender": "greedy"}}
    (study.path / "cells" / "gone--sgd--greedy.json").write_text(json.dumps(gone))
    with pytest.raises(BadInput, match="there is no task gone"):
        study.left([CELL])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{}", "settings is missing"),
        ("{", "Expecting property name"),
        (DEEP, "nested too deeply"),
        ('{"settings": 3}', "settings: no object"),
        (json.dumps({"settings": {**SMALL.to_json(), "trials": "2"}}), "settings.trials: no whole number"),
        (
            json.dumps({"settings": {**SMALL.to_json(), "x": 1}, "versions": {}, "begun": "", "seen": ""}),
            "settings that are not known",
        ),
        (
            json.dumps(
                {"settings": {**SMALL.to_json(), "seeds": 0}, "versions": {}, "begun": "", "seen": ""}
            ),
            "--seeds: 0 is not usable",
        ),
    ],
)
def test_a_foreign_study_is_named(text: str, fault: str, study: Study) -> None:
    (study.path / "study.json").write_text(text)
    expected = ("study.json", "or a new folder for the study", fault)
    refused(command(*ASKED.split(), "--yes", "--out", str(study.path)), *expected)
    refused(command("--report-only", "--out", str(study.path)), *expected)


@pytest.mark.parametrize("half", ["", "{", json.dumps(made_up())[:500], "\0" * 100])
def test_a_torn_cell_is_run_again_and_no_report_is_made_of_it(half: str, study: Study) -> None:
    file = study.path / "cells" / f"{CELL.name}.json"
    file.write_text(half)
    assert study.left([CELL]) == [CELL]
    with pytest.raises(Torn, match=f"{CELL.name}.json.*its cell is run again"):
        study.results()
    study.write(made_up())
    assert study.left([CELL]) == []
    assert read_cell(file, SMALL) == made_up()


def test_cells_of_before_are_read_and_reported(study: Study) -> None:
    study.write(made_up(Cell("diabetes", "sgd", "constant")))
    done = command("--report-only", "--out", str(study.path))
    assert done.exit_code == 0, done.output
    assert "source 0123456789ab" in (study.path / "report.md").read_text("utf-8")


def test_a_folder_that_another_has_is_left_as_it_is(study: Study) -> None:
    before = (study.path / "study.json").read_bytes()
    with locked(study.path), pytest.raises(BadInput, match="no other process"), study.begun():
        pass
    assert (study.path / "study.json").read_bytes() == before


def test_going_on_keeps_what_the_study_was_begun_with(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    before = study.facts()
    monkeypatch.setattr(store, "versions", lambda: {"torch": "99"})
    with study.begun():
        pass
    assert study.facts() | {"seen": ""} == before | {"seen": ""}


def test_a_folder_whose_settings_changed_meanwhile_is_not_begun(study: Study) -> None:
    other = Study(study.path, Settings(trials=9, epochs=2, seeds=2))
    with pytest.raises(BadInput, match="begun with --trials 2"), other.begun():
        pass


def test_a_full_disk_is_told_and_takes_nothing_away(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(JobFailed, match=r"No space left on device\); finished cells are kept"):
        study.write(made_up(Cell("diabetes", "sgd", "constant")))
    assert [file.name for file in (study.path / "cells").iterdir()] == [f"{CELL.name}.json"]


def test_the_digest_changes_with_any_module_and_any_space(tmp_path: Path) -> None:
    package, spaces = tmp_path / "package", tmp_path / "spaces"
    for file in (package / "deep" / "a.py", spaces / "a.yaml"):
        file.parent.mkdir(parents=True)
        file.write_text("1")
    seen = {code.digest(package, spaces)}
    (package / "deep" / "a.py").write_text("2")
    seen.add(code.digest(package, spaces))
    (spaces / "a.yaml").write_text("2")
    seen.add(code.digest(package, spaces))
    (package / "b.py").write_text("")
    seen.add(code.digest(package, spaces))
    assert len(seen) == 4
    assert code.digest(package, spaces) in seen


# The document ---------------------------------------------------------------------------------------


def marked(times: int) -> bytes:
    return f"{BEGIN}\nold\n{END}\n".encode() * times


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", None, "the path of a Markdown document"),
        ("notes", None, "the path of a Markdown document"),
        ("twice.md", marked(2), f"a document with one {BEGIN}"),
        ("half.md", BEGIN.encode(), f"a document with one {BEGIN}"),
        ("binary.md", b"\xff\xfe\x00", "a document in UTF-8"),
    ],
)
def test_a_document_that_cannot_take_the_report_is_refused_before_the_study(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    before = sorted(tmp_path.iterdir())
    refused(command(*ASKED.split(), "--yes", "--out", str(tmp_path / "new"), "--write", str(file)), message)
    assert sorted(tmp_path.iterdir()) == before
    assert content is None or file.read_bytes() == content


def test_a_document_where_something_is_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "taken").write_text("")
    (tmp_path / "deep" / "schedules.csv").mkdir(parents=True)
    for name in ("folder.md", "taken.md", "taken/below.md", "deep.md"):
        with pytest.raises(BadInput, match=r"--write: .*(is a folder|is a file)"):
            check_document(tmp_path / name)
    check_document(tmp_path / "new" / "place" / "evidence.md")
    assert not (tmp_path / "new").exists()


def test_a_document_keeps_its_ends_of_lines_and_its_link(tmp_path: Path) -> None:
    target, link, trainings = (tmp_path / name for name in ("real.md", "link.md", "t.csv"))
    target.write_bytes(b"# One\r\n\r\n" + marked(1).replace(b"\n", b"\r\n") + b"end\r\n")
    link.symlink_to(target)
    trainings.write_text("a,b\n")
    assert publish("x\ny\n", trainings, link).read_text() == "a,b\n"
    assert link.is_symlink()
    assert target.read_bytes() == f"# One\r\n\r\n{BEGIN}\r\nx\r\ny\r\n{END}\r\nend\r\n".encode()
    assert insert("n", "", "x.md") == f"{BEGIN}\nn\n{END}\n"
