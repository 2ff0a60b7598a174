"""Space files: what is read, how it is found, and what is refused with file, line, knob and value."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tune_lr.errors import BadInput, UnknownName
from tune_lr.plain_yaml import LARGEST_FILE
from tune_lr.space import CategoricalKnob, ConstantKnob, FloatKnob, SearchSpace
from tune_lr.spacefile import dump_space, load_space, parse_space, space_names

TEXT = """\
# A comment first.
name: example
description: for people
knobs:
  lr: {type: float, low: 1e-4, high: 1.0, log: true, default: 0.01}
  patience: {type: int, low: 0, high: 20}
  smooth: {type: categorical, values: [true, false]}
  window_size: {type: int, low: 2, high: 50, log: true, when: {smooth: true}}
  momentum: {type: constant, value: 0.9}
"""


def with_knob(line: str) -> str:
    return f"{TEXT}  odd: {line}\n"


def test_the_example_reads_as_its_content() -> None:
    space = parse_space(TEXT)
    assert space.name == "example"
    assert space.description == "for people"
    assert list(space.knobs) == ["lr", "patience", "smooth", "window_size", "momentum"]
    assert space.knobs["lr"] == FloatKnob(1e-4, 1.0, log=True, default=0.01)
    assert space.knobs["smooth"] == CategoricalKnob((True, False))
    # Another reader takes 1e-4 for text; the content still makes the same space.
    assert SearchSpace.from_dict(yaml.safe_load(TEXT)) == space


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        (".5", 0.5),
        ("5.", 5.0),
        ("-2E+3", -2000.0),
        ("3", 3),
        ("1", 1),
        ("1.0", 1.0),
        ("true", True),
        ("FALSE", False),
        ('"true"', "true"),
        ("'1e-4'", "1e-4"),
        ("two words", "two words"),
        ('"it\'s"', "it's"),
        ("'say \"x\"'", 'say "x"'),
        ("010", "010"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("'yes'", "yes"),
        ("é", "é"),
    ],
)
def test_values_are_what_people_mean(written: str, value: object) -> None:
    for field in (f"{{type: constant, value: {written}}}", f"{{type: categorical, values: [{written}]}}"):
        knob = parse_space(with_knob(field)).knobs["odd"]
        found = knob.value if isinstance(knob, ConstantKnob) else knob.values[0]  # type: ignore[attr-defined]
        assert found == value
        assert type(found) is type(value)


@given(
    st.lists(
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
            st.sampled_from(
                ["1e-4", "yes", "no", "true", "null", "~", "", "0x1f", "1_000", "a: b", "- x", "#", "<<"]
            ),
        ),
        min_size=1,
        unique=True,
    ),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**60), 2**60),
)
def test_what_is_dumped_reads_as_the_same(words: list[str], number: float, whole: int) -> None:
    knobs = {
        "words": CategoricalKnob(tuple(words), default=words[-1], description=words[0]),
        "number": ConstantKnob(number, when={"words": tuple(words[:2])}),
        "whole": ConstantKnob(whole, when={"words": tuple(words[:2])}),
    }
    space = SearchSpace("dumped", knobs, description=words[0])
    again = parse_space(dump_space(space))
    assert again == space
    assert again.to_dict() == space.to_dict()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["f.yaml", "a mapping"]),
        ("# only a comment", ["a mapping"]),
        ("- a\n- b", ["a mapping"]),
        ("just text", ["a mapping"]),
        ("name: x", ["knobs", "must be given"]),
        ("name: x\nknobs: {}", ["at least one knob"]),
        ("name: x\nknobs: []", ["knobs", "a mapping"]),
        ("name: 3\nknobs: {a: {type: constant, value: 1}}", ["name", "3", "text"]),
        ("name: x\nnkobs: {}", ["did you mean knobs"]),
        ("knobs: {a: {type: constant, value: 1}}", ["name", "must be given"]),
        (with_knob("3"), ["knob 'odd'", "a mapping"]),
        (with_knob("{low: 0, high: 1}"), ["knob 'odd'", "type", "categorical"]),
        (with_knob("{type: flaot, low: 0, high: 1}"), ["knob 'odd'", "'flaot'", "did you mean float"]),
        (with_knob("{type: [a], low: 0, high: 1}"), ["knob 'odd'", "type"]),
        (with_knob("{type: float, lwo: 0, high: 1}"), ["knob 'odd'", "'lwo'", "did you mean low"]),
        (with_knob("{type: float, low: 0, high: 1, values: [1]}"), ["knob 'odd'", "'values'"]),
        (with_knob("{type: float, high: 1}"), ["knob 'odd'", "low", "must be given"]),
        (with_knob("{type: float, low: x, high: 1}"), ["knob 'odd'", "low", "'x'", "a number"]),
        (with_knob("{type: float, low: true, high: 1}"), ["knob 'odd'", "low", "True"]),
        (with_knob("{type: float, low: .nan, high: 1}"), ["knob 'odd'", "low", "nan", "finite"]),
        (with_knob("{type: float, low: 0, high: .inf}"), ["knob 'odd'", "high", "inf", "finite"]),
        (with_knob("{type: float, low: 0, high: 1e999}"), ["knob 'odd'", "high", "finite"]),
        (with_knob("{type: float, low: 1, high: 1}"), ["knob 'odd'", "low", "less than high"]),
        (with_knob("{type: float, low: 0, high: 1, log: true}"), ["knob 'odd'", "low", "more than 0"]),
        (with_knob("{type: float, low: 0, high: 1, log: 1}"), ["knob 'odd'", "log", "true or false"]),
        (
            with_knob("{type: float, low: 0, high: 1, default: 2}"),
            ["knob 'odd'", "default", "2.0", "between"],
        ),
        (with_knob("{type: int, low: 0.5, high: 2}"), ["knob 'odd'", "low", "0.5", "a whole number"]),
        (with_knob("{type: categorical, values: []}"), ["knob 'odd'", "values", "at least one"]),
        (with_knob("{type: categorical, values: a}"), ["knob 'odd'", "values", "a list"]),
        (with_knob("{type: categorical, values: [[a]]}"), ["knob 'odd'", "values", "text, a finite number"]),
        (with_knob("{type: categorical, values: [~]}"), ["knob 'odd'", "values", "None"]),
        (with_knob("{type: categorical, values: [.nan]}"), ["knob 'odd'", "values", "finite"]),
        (with_knob("{type: categorical, values: [a, 1]}"), ["knob 'odd'", "values", "one kind"]),
        (with_knob("{type: constant}"), ["knob 'odd'", "value", "must be given"]),
        (with_knob("{type: constant, value: {a: 1}}"), ["knob 'odd'", "value"]),
        (with_knob("{type: constant, value: 1, default: 1}"), ["knob 'odd'", "'default'"]),
        (with_knob("{type: constant, value: 1, when: {smoth: true}}"), ["knob 'odd'", "did you mean smooth"]),
        (
            with_knob("{type: constant, value: 1, when: {smooth: maybe}}"),
            ["knob 'odd'", "'maybe'", "[True, False]"],
        ),
        (
            with_knob("{type: constant, value: 1, when: {lr: 0.1}}"),
            ["knob 'odd'", "categorical, int or constant"],
        ),
        (with_knob("{type: constant, value: 1, when: {smooth: []}}"), ["knob 'odd'", "at least one"]),
        (with_knob("{type: constant, value: 1, when: [smooth]}"), ["knob 'odd'", "when", "a mapping"]),
        (with_knob("{type: constant, value: 1, description: [x]}"), ["knob 'odd'", "description", "text"]),
        (with_knob("{type: categorical, values: [on, off]}"), ["line 10", "'on'", "quotes"]),
        (TEXT + "  lr: {type: constant, value: 1}\n", ["line 10", "'lr'", "every key once"]),
        (with_knob("{type: constant, value: 1, value: 2}"), ["line 10", "'value'", "every key once"]),
        (with_knob("{type: constant, value: !!python/name:os.system }"), ["line 10", "no tag"]),
        (with_knob("!!python/object/apply:os.system [echo]"), ["line 10", "no tag"]),
        (with_knob("{type: constant, value: !!str 1}"), ["line 10", "no tag"]),
        (with_knob("{type: constant, value: ! 1}"), ["line 10", "no tag"]),
        (with_knob("&a {type: constant, value: 1}"), ["line 10", "&a", "no anchors"]),
        (with_knob("*a"), ["line 10", "no anchors"]),
        ("a: &a [x]\nb: &b [*a, *a]", ["no anchors"]),
        ("[" * 50_000, ["line 1", "levels"]),
        ("{a: " * 5_000, ["line 1", "levels"]),
        ("a: [", ["line 1", "YAML that can be read"]),
        ("a: 'b", ["YAML that can be read"]),
        ("a:\tb: c\n\t- d", ["YAML that can be read"]),
        ("a: \x07", ["YAML that can be read"]),
        (TEXT + "---\nname: other\n", ["line 10", "YAML that can be read"]),
        ("? [a]\n: 1", ["line 1", "text as the key"]),
        ("1: a", ["line 1", "text as the key"]),
        ("null: a", ["line 1", "text as the key"]),
        (f"a: {'9' * 9000}", ["f.yaml"]),
        ("a" * (LARGEST_FILE + 1), ["at most"]),
    ],
)
def test_what_cannot_be_used_is_said_with_file_knob_and_value(text: str, said: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        parse_space(text, source="f.yaml")
    message = str(caught.value)
    assert message.startswith("f.yaml, ")
    assert all(part in message for part in said), message
    assert len(message) < 700


def test_a_full_file_is_read_or_refused_in_a_moment() -> None:
    lines = [f"  k{i}: {{type: constant, value: {i}}}" for i in range(3000)]
    begin = time.perf_counter()
    assert len(parse_space("name: long\nknobs:\n" + "\n".join(lines)).knobs) == 3000
    assert time.perf_counter() - begin < 20


def test_a_shipped_space_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_space("greedy_lr").name == "greedy_lr"
    assert {"greedy_lr", "constant", "linear", "cosine", "step", "exponential", "plateau"} <= set(
        space_names()
    )


def test_a_file_is_found_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.yaml").write_text("\ufeff" + TEXT, encoding="utf-8")
    (tmp_path / "bare").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (
        "my.yaml",
        "./my.yaml",
        "./bare",
        "~/my.yaml",
        str(tmp_path / "my.yaml"),
        Path("my.yaml"),
        Path("bare"),
    ):
        assert load_space(path) == parse_space(TEXT)


def test_an_unknown_name_lists_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match=r"did you mean greedy_lr.*plateau"):
        load_space("greedylr")
    (tmp_path / "bare").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownName, match=r"\./bare"):
        load_space("bare")


@pytest.mark.parametrize(
    "path", ["./nowhere.yaml", "nowhere.yml", "folder/x", Path("x"), "../greedy_lr", "."]
)
def test_a_path_that_leads_nowhere_says_so(
    path: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"known|exists"):
        load_space(path)


def test_a_missing_file_with_a_shipped_name_says_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="the shipped space is called greedy_lr"):
        load_space("greedy_lr.yaml")


@pytest.mark.parametrize("name", ["", "\0", 3, b"greedy_lr", None])
def test_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(BadInput, match="the name of a shipped space"):
        load_space(name)  # type: ignore[arg-type]


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "huge.yaml").write_bytes(b"#" * (LARGEST_FILE + 1))
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, said in (("binary", "UTF-8"), ("huge", "at most"), ("folder", "exists"), ("pipe", "exists")):
        with pytest.raises(BadInput, match=said):
            load_space(tmp_path / f"{name}.yaml")


def test_a_message_names_the_file_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.yaml").write_text(with_knob("{type: float, low: 2, high: 1}"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"^\./my\.yaml, space 'example', knob 'odd', low: 2\.0 "):
        load_space("./my.yaml")
