"""YAML as version 1.2 reads it: text stays as written, nothing is lost, nothing grows."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import bounded
import pytest

from mcalc.errors import UserError
from mcalc.yaml_file import MOST_BYTES, Written, numbers, read_yaml

WHERE = "sweeps/NAME.yaml"


def read(folder: Path, text: str) -> Any:
    file = folder / "file.yaml"
    file.write_text(text, encoding="utf-8")
    return read_yaml(file, WHERE)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(UserError) as raised:
        read(folder, text)
    assert str(raised.value).startswith(WHERE)
    return str(raised.value)


KEYS = (
    "yes",
    "no",
    "on",
    "off",
    "010",
    "12:30",
    "1_000",
    "2026-01-01",
    "0x1F",
    "1e-3",
    "null",
    "~",
)


def test_keys_are_text_as_written(tmp_path: Path) -> None:
    text = "".join(f"{key}: {number}\n" for number, key in enumerate(KEYS))
    assert read(tmp_path, text) == {key: number for number, key in enumerate(KEYS)}


@pytest.mark.parametrize(
    "text",
    ["yes", "No", "on", "OFF", "y", "12:30", "190:20:30.15", "2026-01-01", "0b101", "=", "a b"],
)
def test_what_version_1_2_reads_as_text_is_text(tmp_path: Path, text: str) -> None:
    value = read(tmp_path, f"a: {text}")["a"]
    assert (type(value), value) == (str, text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("010", 10), ("0o17", 15), ("0x1F", 31), ("1e-3", 0.001), ("1.0e-5", 1e-5), (".5", 0.5),
        ("5.", 5.0), ("1.50", 1.5), ("+1", 1), ("1_000", 1000), ("-.inf", -math.inf), ("-0", 0),
        ("9" * 500, math.inf), ("1e999", math.inf),
    ],
)  # fmt: skip
def test_a_number_in_another_form_keeps_its_text(tmp_path: Path, text: str, number: float) -> None:
    value = read(tmp_path, f"a: [{text}]")["a"][0]
    assert isinstance(value, Written)
    assert value == text
    assert (type(value.number), value.number) == (type(number), number)
    assert numbers({"a": [value]}) == {"a": [number]}


def test_plain_values_and_quoted_ones(tmp_path: Path) -> None:
    text = "[3, -2, 2.5, 1e-05, true, False, null, ~, '3', \"true\", !!str 3, ! 4, text]"
    values = read(tmp_path, f"a: {text}")["a"]
    assert values == [3, -2, 2.5, 1e-05, True, False, None, None, "3", "true", "3", "4", "text"]
    assert [type(value).__name__ for value in values[:5]] == [
        "int",
        "int",
        "float",
        "float",
        "bool",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "key 'a' is given in line 1 and again in line 3"),
        ("a: 1\n'a': 3", "key 'a' is given in line 1 and again in line 2"),
        ("r:\n  - x: {p: 1,\n     p: 2}", "key 'p' is given in line 2 and again in line 3"),
        ("&k a: 1\n*k : 2", "key 'a' is given in line 1 and again in line 2"),
        ("1: a\n'1': b", "key '1' is given in line 1 and again in line 2"),
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}", "key '<<' is given in line 2 and again in line 2"),
    ],
)
def test_a_key_given_twice_is_refused_with_both_lines(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_names_that_differ_as_text_differ(tmp_path: Path) -> None:
    assert read(tmp_path, "1: a\n01: b\n1.0: c") == {"1": "a", "01": "b", "1.0": "c"}


def test_merged_keys_give_way_to_those_of_the_mapping(tmp_path: Path) -> None:
    text = (
        "base: &base {p: 1, q: 2}\nmore: &more {q: 3, r: 4}\n"
        "one: {q: 9, <<: *base}\nboth: {<<: [*more, *base], s: 5}\n'<<': text\n"
    )
    content = read(tmp_path, text)
    assert content["one"] == {"p": 1, "q": 9}
    assert content["both"] == {"p": 1, "q": 3, "r": 4, "s": 5}
    assert content["base"] == {"p": 1, "q": 2}
    assert content["<<"] == "text"


def test_empty_files_and_marks(tmp_path: Path) -> None:
    assert read(tmp_path, "") is None
    assert read(tmp_path, "# nothing\n---\n") is None
    assert read(tmp_path, "\ufeff%YAML 1.2\n---\na: 1\n...\n") == {"a": 1}
    assert read(tmp_path, "a: |\n  two\n  lines\nb: >\n  one\n  line\n") == {
        "a": "two\nlines\n",
        "b": "one line\n",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "is not YAML: line 2"),
        ("a: 1\n---\nb: 2", "line 2: a second document"),
        ("a: 1\nb: !!python/object/apply:os.system ['true']", "line 2: the tag !!python/object"),
        ("a: !!int 3", "the tag !!int"),
        ("a: *nothing", "*nothing is no anchor"),
        ("a: &a\n  - *a", "line 2: *a stands inside what it names"),
        ("? [a]\n: 1", "stands as a key"),
        ("a: &a [1]\n*a : 1", "*a is a key here"),
        ("a: {<<: 3}", "`<<` takes in mappings"),
        ("a: 1\nb: \x07", "line 2 has the control character '\\x07'"),
    ],
)
def test_what_is_not_read_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def aliases(form: str) -> str:
    """Eight levels, each of nine times the one before."""
    lines = ["a: &a [x, x]" if form == "[{}]" else "a: &a {x: 1}"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} {form.format(','.join([f'*{before}'] * 9))}")
    return "\n".join(lines)


def test_what_would_grow_is_refused_before_it_does(tmp_path: Path) -> None:
    texts = {
        "lists in lists": "[" * 5000,
        "closed lists": "a: " + "[" * 5000 + "]" * 5000,
        "mappings in mappings": "{a: " * 500_000,
        "dashes": "- " * 500_000,
        "aliases": aliases("[{}]"),
        "merged aliases": aliases("{{<<: [{}]}}"),
        "many values": "[" + "1," * 1_500_000 + "]",
        "long file": "#" * (MOST_BYTES + 1),
        "directives": "".join(f"%TAG !{number}! x\n" for number in range(200_000)),
        "noughts": "a: 1\n" + "\x00" * 1000,
    }
    calls: dict[str, tuple[Path, str]] = {}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
        calls[name] = (tmp_path / f"{name}.yaml", WHERE)
    for name, content in {
        "latin-1": "a: \xe4".encode("latin-1"),
        "utf-16": "a".encode("utf-16"),
    }.items():
        (tmp_path / f"{name}.yaml").write_bytes(content)
        calls[name] = (tmp_path / f"{name}.yaml", WHERE)
    with (tmp_path / "hole.yaml").open("wb") as file:
        file.truncate(10**12)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "dangling.yaml").symlink_to("nothing")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in ("hole", "folder", "dangling", "loop", "endless", "pipe", "missing"):
        calls[name] = (tmp_path / f"{name}.yaml", WHERE)
    said = bounded.refusals(read_yaml, calls, tmp_path)
    assert "line 1: more than 30" in said["lists in lists"]
    assert "more than 300,000 keys and values" in said["aliases"]
    assert "1,000,000,000,000 bytes" in said["hole"]
    assert "is a folder" in said["folder"]
    assert "a link to a file that is not there" in said["dangling"]
    assert "is a pipe" in said["pipe"]
    assert "not UTF-8" in said["latin-1"]


def _as_nobody(path: Path, where: str) -> Any:
    os.setuid(65534)
    return read_yaml(path, where)


@pytest.mark.skipif(
    os.name != "posix" or os.getuid() != 0, reason="needs root to become another user"
)
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    file = Path("/tmp") / f"mcalc-test-{os.getpid()}.yaml"
    file.write_text("a: 1")
    file.chmod(0)
    try:
        child = os.fork()
        if not child:
            try:
                _as_nobody(file, WHERE)
            except UserError as error:
                os._exit(0 if "Permission denied" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        file.unlink()
