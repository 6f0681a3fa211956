"""YAML as its version 1.2 reads it, with nothing lost: conf/ and sweeps/ go through here.

PyYAML's loaders follow version 1.1, where `yes` is true, `010` is 8 and `12:30` is 750, and keep
the last of two equal keys. Here keys are text as written, a key that is given twice is refused, and
plain values follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema).
PyYAML's parser finds the structure; files that would grow beyond bounds are refused as they are
read, before anything is built of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mcalc.errors import UserError
from mcalc.plain_file import read_plain

MOST_BYTES = 4_000_000
"""Of a file; a sweep of 20,000 rows has half of it."""
MOST_NODES = 300_000
"""Keys, values, lists and mappings of a file, each alias counted with all that it stands for."""
DEEPEST = 30
"""Levels of lists and mappings in each other."""
MOST_DIRECTIVES = 100
"""Lines that begin with `%`: libyaml compares each with all others."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = ("", "~", "null", "Null", "NULL")
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_WHOLE = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*", re.ASCII)
_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII
)
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN = (".nan", ".NaN", ".NAN")
_MOST_DIGITS = 400
"""A number with more is beyond all that a float holds."""
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")


class Written(str):
    """A number in another form than Python's own, as `010`, `1.50` or `1e-3`.

    A key that holds text takes it as it is written, any other key takes its number.
    """

    number: int | float

    def __new__(cls, text: str, number: float) -> Written:
        """The text with the number that it stands for."""
        made = super().__new__(cls, text)
        made.number = number
        return made


def read_yaml(path: Path, where: str) -> Any:
    """What a YAML file holds; see `read_text` and `parse_yaml`."""
    return parse_yaml(read_text(path, where), where)


def parse_yaml(text: str, where: str, most_nodes: int = MOST_NODES) -> Any:
    """What YAML text holds: mappings with text as keys, lists, text, numbers, booleans, None.

    Numbers that are not in Python's own form are `Written`. Several aliases of one anchor give one
    object. None for an empty file.

    Args:
        text: the content of a file.
        where: what messages call it, as `sweeps/NAME.yaml`.
        most_nodes: keys, values, lists and mappings that it may have.

    Raises UserError with the line: not YAML, a key given twice, a tag, several documents, too many
    nodes or too deep.
    """
    if len(re.findall("^%", text, re.MULTILINE)) > MOST_DIRECTIVES:
        raise UserError(f"{where} is not YAML that is read here: it has too many lines with `%`")
    return _Reader(where, most_nodes).read(text)


def read_text(path: Path, where: str) -> str:
    """The text of a file. Raises UserError: no file, too large, not UTF-8, control characters."""
    content = read_plain(path, where, MOST_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{where} is not YAML: line {line} is not UTF-8 text; save the file as UTF-8"
        ) from error
    if odd := _NOT_TEXT.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        raise UserError(
            f"{where} is not YAML: line {line} has the control character {odd.group()!r}; remove it"
        )
    return text


def numbers(content: Any) -> Any:
    """The content with a number for each `Written`, in lists and mappings too."""
    if isinstance(content, Written):
        return content.number
    if isinstance(content, dict):
        return {key: numbers(value) for key, value in content.items()}
    if isinstance(content, list):
        return [numbers(value) for value in content]
    return content


def plain_value(text: str) -> Any:
    """A value without quotes, by the core schema of YAML 1.2.

    Beyond the schema `1_000` is a number where its key is one, as on the command line.
    """
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    number = _number(text)
    if number is None:
        return text
    return number if repr(number) == text else Written(text, number)


def _number(text: str) -> int | float | None:
    if infinite := _INFINITE.fullmatch(text):
        return -math.inf if infinite.group(1) == "-" else math.inf
    if text in _NAN:
        return math.nan
    digits = text.replace("_", "")
    if _BASE.fullmatch(text) or _WHOLE.fullmatch(text):
        if len(digits) > _MOST_DIGITS:
            return -math.inf if text.startswith("-") else math.inf
        return int(text[2:], 8 if text[1] == "o" else 16) if _BASE.fullmatch(text) else int(digits)
    return float(digits) if _FLOAT.fullmatch(text) else None


_WAITING = object()
"""In place of a key that has not come yet."""


@dataclass
class _Anchor:
    """What `*name` stands for; `size` is 0 while it is not complete."""

    value: Any = None
    size: int = 0


@dataclass
class _Open:
    """A list or mapping whose end is not read yet."""

    line: int
    content: dict[str, Any] | list[Any]
    anchor: _Anchor | None
    """What it fills when it is complete."""
    size: int = 1
    """Nodes in it, each alias with all that it stands for."""
    key: Any = _WAITING
    """Of a mapping: the key whose value comes next."""
    lines: dict[str, int] = field(default_factory=dict)
    """Of a mapping: where each key stands."""
    merged: dict[str, Any] = field(default_factory=dict)
    """Of a mapping: what `<<` brings in."""


_MERGE = object()
"""The key `<<`."""


class _Reader:
    """One pass over the parser's events, without recursion."""

    def __init__(self, where: str, most_nodes: int) -> None:
        self.where = where
        self.most_nodes = most_nodes
        self.open: list[_Open] = []
        self.anchors: dict[str, _Anchor] = {}
        self.nodes = 0
        self.result: Any = None

    def read(self, text: str) -> Any:
        """The content of the only document."""
        documents = 0
        for event in self._events(text):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._wrong(line, "a second document begins: keep one in a file")
            elif isinstance(event, yaml.AliasEvent):
                self._alias(str(event.anchor), line)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event, line)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._begin(event, line)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end()
        return self.result

    def _events(self, text: str) -> Iterator[Any]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or str(error)
            at = f"line {mark.line + 1}: " if mark else ""
            raise UserError(
                f"{self.where} is not YAML: {at}{' '.join(str(problem).split())}"
            ) from error

    def _wrong(self, line: int, what: str) -> UserError:
        return UserError(f"{self.where}: line {line}: {what}")

    def _count(self, size: int, line: int) -> None:
        self.nodes += size
        if self.nodes > self.most_nodes:
            raise self._wrong(
                line,
                f"the file has more than {self.most_nodes:,} keys and values, each alias counted "
                "with all that it stands for: expected fewer",
            )

    def _scalar(self, event: Any, line: int) -> None:
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            raise self._tag(event.tag, line)
        plain = event.tag is None and event.implicit[0]
        if self._expects_key():
            if event.anchor:
                self.anchors[event.anchor] = _Anchor(event.value, 1)
            self._key(_MERGE if plain and event.value == "<<" else event.value, line)
            return
        value = plain_value(event.value) if plain else event.value
        if event.anchor:
            self.anchors[event.anchor] = _Anchor(value, 1)
        self._value(value, 1, line)

    def _tag(self, tag: str, line: int) -> UserError:
        short = tag.replace("tag:yaml.org,2002:", "!!")
        return self._wrong(
            line, f"the tag {short[:60]} is not read: leave it out, or quote what is meant as text"
        )

    def _alias(self, name: str, line: int) -> None:
        anchor = self.anchors.get(name)
        if anchor is None:
            raise self._wrong(line, f"*{name} is no anchor: write &{name} before what it names")
        if not anchor.size:
            raise self._wrong(line, f"*{name} stands inside what it names: it would have no end")
        if not self._expects_key():
            self._value(anchor.value, anchor.size, line)
        elif isinstance(anchor.value, dict | list):
            raise self._wrong(line, f"*{name} is a key here: expected text as a key")
        else:
            self._key(_text(anchor.value), line)

    def _begin(self, event: Any, line: int) -> None:
        if event.tag is not None and event.tag not in (
            "tag:yaml.org,2002:seq",
            "tag:yaml.org,2002:map",
        ):
            raise self._tag(event.tag, line)
        if self._expects_key():
            raise self._wrong(line, "a list or mapping stands as a key: expected text as a key")
        if len(self.open) >= DEEPEST:
            raise self._wrong(
                line, f"more than {DEEPEST} lists and mappings lie in each other: expected fewer"
            )
        content: dict[str, Any] | list[Any] = (
            {} if isinstance(event, yaml.MappingStartEvent) else []
        )
        self._count(1, line)
        anchor = _Anchor() if event.anchor else None
        if anchor:
            self.anchors[event.anchor] = anchor
        self.open.append(_Open(line, content, anchor))

    def _end(self) -> None:
        ended = self.open.pop()
        if isinstance(ended.content, dict) and ended.merged:
            # merged keys first, and what the mapping says itself in their place
            own = dict(ended.content)
            ended.content.clear()
            ended.content.update(ended.merged | own)
        if ended.anchor:
            ended.anchor.value, ended.anchor.size = ended.content, ended.size
        self._put(ended.content, ended.size, ended.line)

    def _expects_key(self) -> bool:
        return bool(
            self.open and isinstance(self.open[-1].content, dict) and self.open[-1].key is _WAITING
        )

    def _key(self, key: Any, line: int) -> None:
        self._count(1, line)
        inside = self.open[-1]
        name = "<<" if key is _MERGE else str(key)
        before = inside.lines.setdefault(name, line)
        if name in inside.content or (key is _MERGE and inside.merged):
            raise UserError(
                f"{self.where}: key {name[:80]!r} is given in line {before} and again in line "
                f"{line}: keep one"
                + (" (`<<: [*a, *b]` takes in several)" if key is _MERGE else "")
            )
        inside.key = key

    def _value(self, value: Any, size: int, line: int) -> None:
        self._count(size, line)
        self._put(value, size, line)

    def _put(self, value: Any, size: int, line: int) -> None:
        """Put a complete value where it belongs."""
        if not self.open:
            self.result = value
            return
        inside = self.open[-1]
        inside.size += size
        if isinstance(inside.content, list):
            inside.content.append(value)
            return
        inside.size += 1
        if inside.key is _MERGE:
            self._merge(inside, value, line)
        else:
            inside.content[inside.key] = value
        inside.key = _WAITING

    def _merge(self, inside: _Open, value: Any, line: int) -> None:
        given = value if isinstance(value, list) else [value]
        if not all(isinstance(each, dict) for each in given):
            raise self._wrong(line, "`<<` takes in mappings: expected *NAME of one, or a list")
        for each in reversed(given):  # of a list the first has precedence
            inside.merged.update(each)


def _text(value: Any) -> str:
    """A scalar as it is written, for a key that is an alias."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
