from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_lr.errors import BadInput
from tune_lr.journal import Journal, Report, write_json

metric = st.one_of(st.none(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False))


@given(st.dictionaries(st.text(), metric), st.integers(0, 10**6), st.floats(0, 1e9))
def test_reports_survive_the_way_through_json(
    metrics: dict[str, float | None], epoch: int, seconds: float
) -> None:
    report = Report(epoch, seconds, metrics)
    text = json.dumps(report.to_json(), allow_nan=False)
    assert Report.from_json(json.loads(text)) == Report(epoch, round(seconds, 6), metrics)


def test_nan_is_kept_as_nan() -> None:
    back = Report.from_json(
        json.loads(json.dumps(Report(1, 0.0, {"x": math.nan}).to_json(), allow_nan=False))
    )
    assert back.metrics["x"] is not None
    assert math.isnan(back.metrics["x"])


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    events = [{"event": "a", "text": "line\nbreak \u2028 quote ' \" ü"}, {"event": "b", "n": 1.5}]
    for event in events:
        journal.append(event)
    assert journal.read() == events == Journal(tmp_path / "j.jsonl").read()


@pytest.mark.parametrize("torn", [b'{"event": "c", "n"', b"\x00\x00", b'{"event"', "ü".encode()[:1]])
def test_a_torn_last_line_is_passed_over_and_then_replaced(tmp_path: Path, torn: bytes) -> None:
    file = tmp_path / "j.jsonl"
    file.write_bytes(b'{"event":"a"}\n{"event":"b"}\n' + torn)
    journal = Journal(file)
    assert [event["event"] for event in journal.read()] == ["a", "b"]
    journal.append({"event": "d"})
    assert [event["event"] for event in journal.read()] == ["a", "b", "d"]


def test_a_journal_that_is_all_torn_starts_anew(tmp_path: Path) -> None:
    file = tmp_path / "j.jsonl"
    file.write_bytes(b"x" * 10_000)
    journal = Journal(file)
    assert journal.read() == []
    journal.append({"event": "a"})
    assert journal.read() == [{"event": "a"}]


def test_damage_before_the_last_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "j.jsonl"
    file.write_bytes(b'{"event":"a"}\nnonsense\n{"event":"b"}\n')
    with pytest.raises(BadInput, match="line 2"):
        Journal(file).read()


def test_in_memory_nothing_is_shared_with_the_caller() -> None:
    journal = Journal(None)
    event = {"event": "a", "values": {"lr": 1}}
    journal.append(event)
    event["values"]["lr"] = 2  # type: ignore[index]
    assert journal.read() == [{"event": "a", "values": {"lr": 1}}]


def test_a_killed_writer_loses_nothing_it_appended(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from tune_lr.journal import Journal\n"
        "journal = Journal(pathlib.Path(sys.argv[1]))\n"
        "for number in range(10**9):\n"
        "    journal.append({'event': 'n', 'number': number})\n"
        "    print(number, flush=True)\n"
    )
    file = tmp_path / "j.jsonl"
    writer = subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(200)]
    os.kill(writer.pid, signal.SIGKILL)
    said += [int(line) for line in writer.stdout if line.endswith("\n")]
    writer.wait()
    numbers = [event["number"] for event in Journal(file).read()]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= len(said)


def test_write_json_leaves_no_half_file(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    write_json(file, {"a": 1})
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert json.loads(file.read_text()) == {"a": 1}
