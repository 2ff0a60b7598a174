"""Damage to the logs of others, by accident and by ill will; the same for one seed."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

DEEP = 50_000
#: What is put into the middle of a file.
PIECES: tuple[bytes, ...] = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-1e-999",
    b"9" * 5000,
    b"9" * 30,
    b"-" + b"9" * 400,
    b"null",
    b"true",
    b'""',
    b"[]",
    b"{}",
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b"[" * 500 + b"]" * 500,
    b"x" * 1_000_000,
    b"\n" * 10_000,
    b"," * 10_000,
    b'"',
    b"'",
    b"\\",
    b"\r",
    b"\r\n",
    b"\x00",
    b"\x00" * 4096,
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x80",
    b"\\ud800",
    b"\xed\xa0\x80",
    "\u202e\U0001f600ü".encode(),
    b"\x1b[31m",
    b"../../../../etc/passwd",
    b"!!python/object/apply:os.system ['true']",
    b"&a [*a, *a]",
    b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    b"__class__",
    b"$(touch x)",
    b"1,2,3\n",
    b'{"a": 1}\n',
    b"lr",
    b"epoch",
    b"0x1f",
    b"1_000",
    b"1E5",
    b"2026-01-01",
)
#: What takes the place of a number, a word or a text in a file.
TOKENS: tuple[bytes, ...] = (
    *PIECES[:18],
    b'"a text"',
    b'"NaN"',
    b'"1e5"',
    b"-1",
    b"0",
    b"1.5",
    b"1e308",
    b"-5e-324",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"1e19",
    b"[1, 2]",
    b'{"a": {"b": [null]}}',
    b'"\\ud800"',
    b"false",
)
NAMES = (
    "result.json",
    "params.json",
    "progress.csv",
    "metadata.json",
    "results.csv.zip",
    "journal.jsonl",
    "experiment.json",
    "trainer_state.json",
    "meta.yaml",
    "events.out.tfevents.1.a.1.0",
    "reports.parquet",
    "trials.parquet",
    "optuna.db",
    "optuna.log",
    "x.csv",
    "x.jsonl",
    "x.parquet",
    "x.csv.gz",
    "..x",
    "a b\nc\x1b[0m.csv",
    "ü.csv",
    "x" * 200 + ".csv",
    os.fsdecode(b"\xff\xfe.csv"),
    "-rf.csv",
)
_TOKEN = re.compile(rb'"[^"\n]{0,80}"|-?\d+\.?\d*(?:[eE][-+]?\d+)?|\b(?:true|false|null|NaN|None)\b')

Bytes = Callable[[bytes, random.Random], bytes]


def flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def cut_front(content: bytes, chance: random.Random) -> bytes:
    return content[chance.randrange(len(content)) :]


def remove(content: bytes, chance: random.Random) -> bytes:
    first, last = _stretch(content, chance)
    return content[:first] + content[last:]


def double(content: bytes, chance: random.Random) -> bytes:
    first, last = _stretch(content, chance)
    return content[:last] + content[first:last] * chance.choice((1, 1, 3, 50)) + content[last:]


def insert(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + chance.choice(PIECES) + content[at:]


def zero(content: bytes, chance: random.Random) -> bytes:
    first, last = _stretch(content, chance)
    return content[:first] + bytes(last - first) + content[last:]


def swap_lines(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    for _ in range(chance.choice((1, 3, 20))):
        one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def double_lines(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    at = chance.randrange(len(lines))
    return b"\n".join(lines[:at] + lines[at : at + 1] * chance.choice((2, 10)) + lines[at + 1 :])


def drop_lines(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    return b"\n".join(line for line in lines if chance.random() > 0.2)


def replace_tokens(content: bytes, chance: random.Random) -> bytes:
    """Values in the place of values, so that the file may still be what it was."""
    found = [match.span() for match in _TOKEN.finditer(content[:1_000_000])]
    for first, last in sorted(
        chance.sample(found, min(len(found), chance.choice((1, 1, 2, 5)))), reverse=True
    ):
        content = content[:first] + chance.choice(TOKENS) + content[last:]
    return content


def swap_tokens(content: bytes, chance: random.Random) -> bytes:
    found = [match.span() for match in _TOKEN.finditer(content[:1_000_000])]
    if len(found) < 2:
        return content
    (first, last), (begin, end) = sorted(chance.sample(found, 2))
    return content[:first] + content[begin:end] + content[last:begin] + content[first:last] + content[end:]


def recode(content: bytes, chance: random.Random) -> bytes:
    return content.decode("latin-1").encode(chance.choice(("utf-16", "utf-32", "utf-8")))


def rubbish(content: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice((1, 100, 10_000)))


def nothing(content: bytes, chance: random.Random) -> bytes:
    return b""


def _stretch(content: bytes, chance: random.Random) -> tuple[int, int]:
    first = chance.randrange(len(content))
    return first, min(len(content), first + chance.choice((1, 4, 16, 100, 1000, 10_000)))


CHANGES: tuple[Bytes, ...] = (
    *(flip, cut, cut_front, remove, double, insert, insert, zero, swap_lines, double_lines, drop_lines),
    *(replace_tokens, replace_tokens, replace_tokens, swap_tokens, recode, rubbish, nothing),
)


def change_content(file: Path, chance: random.Random) -> str:
    """Other bytes in a file; of a zip or a database often those within, or only its shell would be met."""
    change = chance.choice(CHANGES)
    if chance.random() < 0.8:
        with contextlib.suppress(Exception):  # it may be damaged already
            if zipfile.is_zipfile(file):
                return _within_zip(file, change, chance)
            if file.read_bytes()[:4] == b"PAR1":
                return _within_parquet(file, chance)
            if file.read_bytes()[:15] == b"SQLite format 3":
                return _within_database(file, chance)
    content = file.read_bytes()
    file.write_bytes(change(content, chance) if content else chance.choice(PIECES))
    return f"{change.__name__} in {file.name!a}"


def _within_zip(file: Path, change: Bytes, chance: random.Random) -> str:
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, bytes_ in content.items():
            archive.writestr(name, change(bytes_, chance) if bytes_ else b"x")
    return f"{change.__name__} within {file.name!a}"


def _within_parquet(file: Path, chance: random.Random) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    at, rows = chance.randrange(table.num_columns), range(table.num_rows)
    columns = {
        "nothing": pa.nulls(len(rows)),
        "NaN": pa.array([float("nan") for _ in rows]),
        "infinite": pa.array([float("-inf") for _ in rows]),
        "huge": pa.array([2**63 - 1 - row for row in rows]),
        "unsigned": pa.array([2**64 - 1 - row for row in rows], pa.uint64()),
        "negative": pa.array([-row for row in rows]),
        "words": pa.array([str(row) * 100 for row in rows]),
        "bytes": pa.array([b"\xff\xfe" for _ in rows]),
        "lists": pa.array([[row] for row in rows]),
        "objects": pa.array([{"a": row} for row in rows]),
        "truth": pa.array([row % 2 == 0 for row in rows]),
        "times": pa.array(rows, pa.timestamp("ns")),
        "decimals": pa.array(rows, pa.int64()).cast(pa.decimal128(30, 2)),
        "halves": pa.array([float(row) for row in rows], pa.float16()),
        "dictionary": pa.array([str(row) for row in rows]).dictionary_encode(),
        "no text": pa.array([b"\xff" for _ in rows]).view(pa.string()),
    }
    kind = chance.choice([*columns, "gone", "twice", "renamed"])
    name = table.column_names[at]
    if kind == "gone":
        table = table.remove_column(at)
    elif kind == "twice":
        table = table.append_column(name, table.column(at))
    elif kind == "renamed":
        table = table.rename_columns(
            [
                chance.choice(("", "x", "epoch", "é")) if i == at else n
                for i, n in enumerate(table.column_names)
            ]
        )
    else:
        table = table.set_column(at, name, columns[kind])
    pq.write_table(table, file)
    return f"{name} is {kind} in {file.name!a}"


def _within_database(file: Path, chance: random.Random) -> str:
    odd = (None, "a text", b"\x00\xff", 1e308, float("inf"), -1, 2**62, "", "NaN", "[" * 1000, "1")
    with contextlib.closing(sqlite3.connect(file)) as base:
        tables = [row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = chance.choice(tables)
        columns = [row[1] for row in base.execute(f'PRAGMA table_info("{table}")')]
        column = chance.choice(columns)
        rows = chance.choice(("", " WHERE rowid = 1", " WHERE rowid % 2"))
        kind = chance.randrange(4)
        with contextlib.suppress(sqlite3.Error), base:
            if kind == 0:
                base.execute(f'DROP TABLE "{table}"')
            elif kind == 1:
                base.execute(f'DELETE FROM "{table}"{rows}')
            else:
                base.execute(f'UPDATE OR REPLACE "{table}" SET "{column}" = ?{rows}', [chance.choice(odd)])
    return f"change {kind} of {table}.{column}{rows} in {file.name!a}"


def change_place(file: Path, root: Path, others: list[Path], chance: random.Random) -> str:
    """Another name, or another kind of thing under the name."""
    kind = chance.choice(
        ("rename", "rename", "swap", "copy", "delete", "folder", "pipe", "link", "circle", "move")
    )
    other = chance.choice(others)
    if kind == "swap":
        mine, theirs = file.read_bytes(), other.read_bytes()
        file.write_bytes(theirs)
        other.write_bytes(mine)
    elif kind in ("rename", "copy"):
        target = file.with_name(chance.choice((*NAMES, other.name)))
        with contextlib.suppress(OSError):  # a folder may have the name
            shutil.copyfile(file, target) if kind == "copy" else file.rename(target)
    elif kind == "move":
        with contextlib.suppress(OSError):
            file.rename(chance.choice((root, file.parent.parent, other.parent)) / file.name)
    else:
        file.unlink()
        if kind == "folder":
            file.mkdir()
        elif kind == "pipe":
            os.mkfifo(file)
        elif kind == "link":
            file.symlink_to(chance.choice(("/etc/passwd", "/dev/zero", "..", other)))
        elif kind == "circle":
            file.symlink_to(file.name)
    return f"{kind} {file.name!a}"


def mutate(folder: Path, chance: random.Random) -> list[str]:
    """Damage what lies in a folder, in one to four places; what was done, to be told."""
    told = []
    for _ in range(chance.choice((1, 1, 1, 2, 2, 4))):
        found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        if not found:
            break
        # Every kind of file has its turn, however many there are of one.
        ending = chance.choice(sorted({_ending(path) for path in found}))
        file = chance.choice([path for path in found if _ending(path) == ending])
        if chance.random() < 0.8:
            told.append(change_content(file, chance))
        else:
            told.append(change_place(file, folder, found, chance))
    return told


def _ending(path: Path) -> str:
    return path.name if path.suffix in (".json", ".yaml") else path.suffix or path.parent.name
