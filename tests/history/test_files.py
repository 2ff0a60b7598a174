"""A stranger's files: whatever lies there, reading ends, costs little, stays inside, and errors say why."""

from __future__ import annotations

import bz2
import contextlib
import io
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tune_lr.errors import BadInput
from tune_lr.history import files
from tune_lr.history.log import Skipped

GIGABYTE = 1024**3


@pytest.fixture
def skipped() -> Skipped:
    return Skipped()


def sparse(path: Path, size: int) -> Path:
    """A file of so many zeroes that takes no room."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def zipped(
    path: Path, content: bytes, member: str = "results.csv", method: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(member, content)
    return path


def names(found: Any, root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in found]


class TestOpening:
    def test_a_plain_file_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_bytes(b"\xef\xbb\xbfgr\xc3\xbcn\n")
        assert files.read_bytes(path) == path.read_bytes()
        assert files.read_text(path) == "grün\n"
        assert files.head(path, 5) == path.read_bytes()[:5]

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path, skipped: Skipped) -> None:
        pipe = tmp_path / "result.json"
        os.mkfifo(pipe)
        began = time.monotonic()
        assert files.head(pipe) == b""
        for read in (files.read_bytes, files.read_json, lambda path: files.unzip(path, "x")):
            with pytest.raises(BadInput, match=r"^result\.json: expected an ordinary file$"):
                read(pipe)
        with pytest.raises(BadInput, match="ordinary"):
            list(files.json_lines(pipe, skipped))
        assert time.monotonic() - began < 1

    @pytest.mark.parametrize("name", ["/dev/zero", "/dev/tty", "/dev/stdin", "/proc"])
    def test_devices_and_folders_are_no_files(self, name: str) -> None:
        if not Path(name).exists():
            pytest.skip(f"no {name} here")
        with pytest.raises(BadInput):
            files.read_bytes(Path(name))
        assert files.head(Path(name)) == b""

    def test_a_socket_is_no_file(self) -> None:
        with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as listening:
            path = Path(folder, "s")  # sockets need a short path
            listening.bind(str(path))
            with pytest.raises(BadInput, match="s: expected a file that can be read"):
                files.read_bytes(path)
            assert names(files.entries(Path(folder), Path(folder)), Path(folder)) == ["s"]

    @pytest.mark.parametrize("name", ["gone", "a\0b", "x" * 5000, "a/" * 3000])
    def test_what_is_not_there_or_has_no_name_a_file_can_have(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        with pytest.raises(BadInput):
            files.read_bytes(path)
        assert files.head(path) == b""
        assert files.entries(path, tmp_path) == []
        assert not files.leads_inside(path, tmp_path)
        assert list(files.walk(path, lambda _: True)) == []

    def test_a_circle_of_links_is_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        with pytest.raises(BadInput, match="a: expected a file, and no link"):
            files.read_bytes(tmp_path / "a")
        assert not files.leads_inside(tmp_path / "a", tmp_path)

    def test_a_link_is_opened_if_it_stays_in_its_folder(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "b" / "x").write_text("x")
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "a" / "inside").symlink_to("b/x")
        (tmp_path / "a" / "out").symlink_to(tmp_path / "secret")
        (tmp_path / "a" / "up").symlink_to("../secret")
        assert files.read_text(tmp_path / "a" / "inside") == "x"
        for name in ("out", "up"):
            assert files.head(tmp_path / "a" / name) == b""
            with pytest.raises(BadInput, match=f"{name}: expected a file, and no link out of its folder"):
                files.read_bytes(tmp_path / "a" / name)

    def test_a_huge_file_is_refused_unread(self, tmp_path: Path) -> None:
        path = sparse(tmp_path / "huge.json", 9 * GIGABYTE)
        with pytest.raises(BadInput, match=r"huge\.json: expected a file of at most 8589934592 bytes"):
            files.open_plain(path)
        with pytest.raises(BadInput, match="at most"):
            files.read_json(sparse(tmp_path / "large.json", 3 * GIGABYTE))

    def test_only_the_head_of_a_large_file_is_read(self, tmp_path: Path) -> None:
        path = sparse(tmp_path / "large.csv", 7 * GIGABYTE)
        began = time.monotonic()
        assert files.head(path) == bytes(files.HEAD)
        assert time.monotonic() - began < 1

    def test_opening_changes_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text("{}")
        path.chmod(0o444)
        before = path.stat()
        files.read_json(path)
        assert (path.stat().st_mtime_ns, path.stat().st_mode) == (before.st_mtime_ns, before.st_mode)

    def test_no_file_stays_open_that_was_refused(self, tmp_path: Path) -> None:
        if not Path("/proc/self/fd").exists():
            pytest.skip("no /proc here")
        path = sparse(tmp_path / "huge", 9 * GIGABYTE)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            with pytest.raises(BadInput):
                files.open_plain(path)
        assert len(os.listdir("/proc/self/fd")) == before


class TestText:
    @pytest.mark.parametrize(
        "content", ["loss,grün\n".encode("latin-1"), "{}".encode("utf-16"), b"\x80", b"\xed\xa0\x80"]
    )
    def test_another_encoding_is_named_with_its_place(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "a.csv"
        path.write_bytes(content)
        with pytest.raises(BadInput, match=r"^a\.csv: expected text in UTF-8 \(.* at byte \d+\)$"):
            files.read_text(path)
        with pytest.raises(BadInput, match="x: expected text in UTF-8"):
            files.as_text(content, "x")

    def test_a_byte_order_mark_is_no_part_of_the_text(self) -> None:
        assert files.as_text(b"\xef\xbb\xbfa,b\n", "x").readline() == "a,b\n"


class TestJson:
    def test_what_is_not_finite_may_stand_there(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text("[NaN, Infinity, -Infinity, 1e999]")
        found = files.read_json(path)
        assert found[0] != found[0]
        assert found[1:] == [float("inf"), float("-inf"), float("inf")]

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b'{"a": }',
            b"\x00" * 100,
            b"\xff\xfe",
            b"\x80\x03cbuiltins\nprint\n.",
            b"1" * 5000,  # more digits than Python will make a number of
            b"-" + b"9" * 5000,
            b"[" * 1_000_000,
            b'{"a":' * 1_000_000,
            b"[" * 100_000 + b"]" * 100_000,
            "{}".encode("utf-16"),
        ],
        ids=lambda content: repr(content[:12]),
    )
    def test_what_is_no_json_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "a.json"
        path.write_bytes(content)
        with pytest.raises(BadInput, match=r"^a\.json: expected "):
            files.read_json(path)

    @pytest.mark.parametrize("deep", ["[" * 200_000, '{"a":' * 200_000, "[" * 200_000 + "]" * 200_000])
    def test_depth_is_refused_in_text_too(self, deep: str) -> None:
        with pytest.raises(BadInput, match="expected JSON"):
            files.parse_json(deep, "x")
        with pytest.raises(BadInput, match="expected JSON"):
            files.parse_json(deep.encode(), "x")

    def test_a_message_is_short_however_long_the_file(self) -> None:
        with pytest.raises(BadInput) as caught:
            files.parse_json('{"a": "' + "x" * 100_000 + '" y}', "x")
        assert len(str(caught.value)) < 200

    def test_half_of_a_letter_is_written_out(self) -> None:
        found = files.parse_json('{"a\\ud800": ["\\udfff", {"b": "\\ud83d\\ude00 \\u00fc"}], "c": 1}', "x")
        assert found == {"a\\ud800": ["\\udfff", {"b": "\U0001f600 ü"}], "c": 1}
        assert files.parse_json(b'"\\ud800"', "x") == "\\ud800"


class TestLines:
    def test_what_is_no_object_is_counted_and_the_rest_read(self, tmp_path: Path, skipped: Skipped) -> None:
        path = tmp_path / "result.json"
        bad = [b"{", b"\x80", b"[1]", b"3", b"null", b"[" * 100_000, b"9" * 5000, b"\0\0\0\0"]
        path.write_bytes(b"\n".join([b'{"a": 1}', *bad, b"", b"   ", b'{"a": 2}\r', b'{"a": 3']))
        assert list(files.json_lines(path, skipped)) == [{"a": 1}, {"a": 2}]
        assert skipped.counts == {
            ("result.json", "a line that is no JSON"): 6,
            ("result.json", "a line that is no JSON object"): 3,
        }

    def test_where_they_are_counted_can_be_said(self, tmp_path: Path, skipped: Skipped) -> None:
        path = tmp_path / "a.json"
        path.write_text("x")
        assert list(files.json_lines(path, skipped, "trial_1/a.json")) == []
        assert skipped.counts == {("trial_1/a.json", "a line that is no JSON"): 1}

    def test_a_line_without_end_is_passed_over_and_the_next_read(
        self, tmp_path: Path, skipped: Skipped, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "LARGEST_LINE", 100)
        path = tmp_path / "a.jsonl"
        lengths = [99, 100, 101, 250, 10_000]
        long = [b'{"a": "' + b"x" * (length - 9) + b'"}' for length in lengths]
        path.write_bytes(b"\n".join([b'{"a": 1}', *long, b'{"a": 2}', b"y" * 1000]))
        found = [one["a"] for one in files.json_lines(path, skipped)]
        assert found == [1, "x" * 90, 2]
        assert skipped.counts == {("a.jsonl", "a line of more than 100 bytes"): 5}

    def test_a_gigabyte_without_a_line_end_costs_no_memory(self, tmp_path: Path) -> None:
        path = sparse(tmp_path / "a.jsonl", GIGABYTE)
        script = (
            "import sys, resource; from pathlib import Path; from tune_lr.history import files, log\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; skipped = log.Skipped()\n"
            "assert list(files.json_lines(Path(sys.argv[1]), skipped)) == []; assert skipped\n"
            "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024"
        )
        subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)

    def test_a_file_that_is_not_there_is_refused(self, tmp_path: Path, skipped: Skipped) -> None:
        with pytest.raises(BadInput, match="gone"):
            list(files.lines(tmp_path / "gone", skipped, "gone"))


class TestZips:
    def test_a_member_is_read_by_its_exact_name(self, tmp_path: Path) -> None:
        path = zipped(tmp_path / "a.zip", b"a,b\n1,2\n")
        assert files.unzip(path, "results.csv") == b"a,b\n1,2\n"
        assert files.unzip(zipped(tmp_path / "b.zip", b"x", method=zipfile.ZIP_STORED), "results.csv") == b"x"
        with pytest.raises(BadInput, match=r"^a\.zip: expected a zip with other\.csv in it$"):
            files.unzip(path, "other.csv")

    @pytest.mark.parametrize("name", ["../results.csv", "/etc/results.csv", "a/../../results.csv"])
    def test_a_name_that_leads_out_is_another_name(self, tmp_path: Path, name: str) -> None:
        inside = tmp_path / "inside"
        inside.mkdir()
        path = zipped(inside / "a.zip", b"x", member=name)
        with pytest.raises(BadInput, match="a zip with"):
            files.unzip(path, "results.csv")
        assert sorted(tmp_path.rglob("*")) == [inside, path]

    def test_nothing_is_unpacked_to_disk(self, tmp_path: Path) -> None:
        path = zipped(tmp_path / "a.zip", b"x")
        files.unzip(path, "results.csv")
        assert list(tmp_path.iterdir()) == [path]

    def test_a_bomb_is_seen_before_it_is_held(self, tmp_path: Path) -> None:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x", "w") as member:
            for _ in range(20):
                member.write(bytes(10**6))
        with pytest.raises(BadInput, match="expands to less than 1000000 bytes"):
            files.unzip(path, "x", 10**6)
        with pytest.raises(BadInput, match=r"expands to less than \d{8} bytes"):
            files.unzip(path, "x")

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_only_what_can_be_unpacked_in_pieces_is_unpacked(self, tmp_path: Path, method: int) -> None:
        # These give all that a piece expands to at once: some hundred bytes of bzip2 are gigabytes.
        path = zipped(tmp_path / "a.zip", b"a,b\n", method=method)
        with pytest.raises(BadInput, match="a zip that is stored or deflated"):
            files.unzip(path, "results.csv")

    def test_a_bomb_under_a_false_size_is_seen(self, tmp_path: Path) -> None:
        # What a member is said to weigh is the stranger's word; what the file weighs is not.
        path = zipped(tmp_path / "a.zip", bytes(50 * 1024**2))
        told, real = zipfile.ZipFile(path).infolist()[0], path.read_bytes()
        directory = real.rindex(b"PK\x01\x02")
        at = directory + 20
        lie = real[:at] + (2**31).to_bytes(4, "little") + real[at + 4 :]
        path.write_bytes(lie)
        assert told.compress_size < 100_000
        with pytest.raises(BadInput):
            files.unzip(path, "results.csv", 60 * 1024)

    @pytest.mark.parametrize("cut", [0, 3, 10, 40, 60, 100, -1, -10, -30])
    def test_a_zip_cut_short_is_refused(self, tmp_path: Path, cut: int) -> None:
        path = zipped(tmp_path / "a.zip", os.urandom(200))
        path.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(BadInput, match=r"^a\.zip: expected a zip"):
            files.unzip(path, "results.csv")

    def test_every_damaged_byte_is_refused_or_harmless(self, tmp_path: Path) -> None:
        path = zipped(tmp_path / "a.zip", b"trial_id,loss\n0,0.5\n" * 20)
        whole = path.read_bytes()
        for at in range(len(whole)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
            with contextlib.suppress(BadInput):
                files.unzip(path, "results.csv")

    def test_a_locked_zip_is_refused(self, tmp_path: Path) -> None:
        path = zipped(tmp_path / "a.zip", b"x")
        content = bytearray(path.read_bytes())
        for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            content[content.index(mark) + place] |= 1
        path.write_bytes(content)
        with pytest.raises(BadInput, match="a zip that can be read"):
            files.unzip(path, "results.csv")

    def test_other_compressed_files_are_no_zips(self, tmp_path: Path) -> None:
        path = tmp_path / "a.zip"
        for content in (bz2.compress(b"x"), json.dumps({}).encode(), b"", bytes(100)):
            path.write_bytes(content)
            with pytest.raises(BadInput):
                files.unzip(path, "results.csv")


class TestFolders:
    def test_entries_are_sorted_and_hidden_ones_left_out(self, tmp_path: Path, skipped: Skipped) -> None:
        for name in ("b", "a", ".hidden", "ü"):
            (tmp_path / name).write_text("")
        assert names(files.entries(tmp_path, tmp_path, skipped), tmp_path) == ["a", "b", "ü"]
        assert not skipped

    def test_links_out_are_left_out_and_links_inside_are_not(self, tmp_path: Path, skipped: Skipped) -> None:
        secret, root = tmp_path / "secret", tmp_path / "root"
        secret.mkdir()
        (secret / "key.json").write_text("{}")
        (root / "a").mkdir(parents=True)
        (root / "a" / "x.json").write_text("{}")
        (root / "inside.json").symlink_to(root / "a" / "x.json")
        (root / "relative.json").symlink_to("a/x.json")
        (root / "file.json").symlink_to(secret / "key.json")
        (root / "folder").symlink_to(secret)
        (root / "up").symlink_to("..")
        (root / "through.json").symlink_to("a/../../secret/key.json")
        (root / "twice.json").symlink_to("file.json")
        (root / "nowhere.json").symlink_to("gone")
        (root / "circle").symlink_to("circle")
        found = names(files.walk(root, lambda _: True, skipped), root)
        assert found == ["inside.json", "relative.json", "a/x.json"]
        out = {"file.json", "folder", "up", "through.json", "twice.json", "nowhere.json", "circle"}
        assert skipped.counts == {(name, "a link that leads out of the folder"): 1 for name in out}

    def test_a_folder_beside_with_a_longer_name_is_outside(self, tmp_path: Path) -> None:
        (tmp_path / "root").mkdir()
        (tmp_path / "root2").mkdir()
        (tmp_path / "root2" / "a.json").write_text("{}")
        (tmp_path / "root" / "a.json").symlink_to(tmp_path / "root2" / "a.json")
        assert files.entries(tmp_path / "root", tmp_path / "root") == []

    def test_a_link_to_a_folder_above_itself_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "x").write_text("")
        (tmp_path / "a" / "back").symlink_to(tmp_path / "a")
        (tmp_path / "a" / "root").symlink_to(tmp_path)
        assert names(files.walk(tmp_path, lambda _: True), tmp_path) == ["a/x"]

    def test_the_root_may_be_a_link_itself(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "x").write_text("")
        (tmp_path / "link").symlink_to("real")
        assert names(files.walk(tmp_path / "link", lambda _: True), tmp_path / "link") == ["x"]

    def test_depth_is_bounded(self, tmp_path: Path, skipped: Skipped) -> None:
        folder = tmp_path
        for level in range(20):
            folder = folder / f"d{level}"
            folder.mkdir()
            (folder / "x").write_text("")
        assert len(list(files.walk(tmp_path, lambda _: True, skipped))) == files.DEEPEST_FOLDER
        ((where, why),) = skipped.counts
        assert (where.count("d"), why) == (files.DEEPEST_FOLDER, "folders that are nested too deeply")
        assert names(files.walk(tmp_path, lambda _: True, deepest=0), tmp_path) == []

    def test_the_number_of_files_is_bounded(
        self, tmp_path: Path, skipped: Skipped, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "MOST_FILES", 7)
        for number in range(20):
            (tmp_path / f"{number:02d}").write_text("")
        assert len(list(files.walk(tmp_path, lambda _: True, skipped))) == 7
        assert skipped.counts == {(tmp_path.name, "all files after the first 7"): 1}

    def test_files_come_in_the_order_of_their_paths_and_as_wanted(self, tmp_path: Path) -> None:
        for name in ("b/2.json", "b/1.json", "a/x.json", "a/x.pkl", "z.json"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("")
        found = names(files.walk(tmp_path, lambda path: path.suffix == ".json"), tmp_path)
        assert found == ["z.json", "a/x.json", "b/1.json", "b/2.json"]

    def test_names_that_are_no_text_are_told_of(self, tmp_path: Path, skipped: Skipped) -> None:
        (tmp_path / os.fsdecode(b"bad-\xff.json")).write_text("{}")
        (tmp_path / "line\nbreak \x1b[31m.json").write_text("{}")
        assert len(list(files.walk(tmp_path, lambda _: True, skipped))) == 1
        assert skipped.counts == {("bad-\\udcff.json", "a name that is no text in UTF-8"): 1}

    def test_a_pipe_in_a_folder_is_listed_and_not_opened(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (found,) = files.walk(tmp_path, lambda _: True)
        assert stat.S_ISFIFO(found.stat().st_mode)

    def test_what_may_not_be_read_is_counted_and_the_rest_found(self) -> None:
        """In a process of nobody's where root runs the tests, whom no permission stops."""
        folder = Path(tempfile.mkdtemp(dir="/tmp"))
        try:
            folder.chmod(0o755)
            for name in ("open", "shut", "listed"):
                (folder / name).mkdir()
                (folder / name / "x.json").write_text("{}")
            (folder / "secret.json").write_text("{}")
            (folder / "secret.json").chmod(0)
            (folder / "shut").chmod(0)
            (folder / "listed").chmod(0o444)  # its names can be read, and nothing of what they name
            script = (
                "import os, sys; from pathlib import Path; from tune_lr.history import files, log\n"
                "from tune_lr.errors import BadInput\n"
                "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
                "root = Path(sys.argv[1]); skipped = log.Skipped()\n"
                "found = [str(p.relative_to(root)) for p in files.walk(root, lambda _: True, skipped)]\n"
                "try: files.read_bytes(root / 'secret.json')\n"
                "except BadInput as error: print(error)\n"
                "assert files.head(root / 'secret.json') == b''\n"
                "print(sorted(found)); print(sorted(skipped.counts))"
            )
            done = subprocess.run(
                [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, done.stderr
            assert "secret.json: expected a file that can be read (Permission denied)" in done.stdout
            assert "open/x.json" in done.stdout
            assert "('shut', 'a folder that cannot be read (Permission denied)')" in done.stdout
        finally:
            for name in ("shut", "listed"):
                (folder / name).chmod(0o755)
            subprocess.run(["rm", "-r", str(folder)], check=True)


def test_as_text_gives_a_stream_that_pandas_reads() -> None:
    assert isinstance(files.as_text(b"a\n", "x"), io.StringIO)


def test_half_a_pair_of_surrogates_is_no_text(tmp_path: Path) -> None:
    path, skipped = tmp_path / "log.jsonl", Skipped()
    path.write_bytes(b'{"a\xed\xa0\x80": 1}\n{"b": "\\ud800"}\n')
    assert list(files.json_lines(path, skipped)) == [{"b": "\\ud800"}]
    assert sum(skipped.counts.values()) == 1
