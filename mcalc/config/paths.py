"""Dotted keys: every setting of the schema, and every value of a config."""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from mcalc.config.rules import Rules, rules_of
from mcalc.config.schema import Config


@dataclass(frozen=True)
class Entry:
    """One key of the schema: a setting, or a section of them."""

    key: str
    kinds: tuple[Any, ...]
    """The types of its values: `(int, NoneType)`; of a section its dataclass alone."""
    default: Any
    rules: Rules
    numeric: bool
    """Whether a trial's numbers depend on it: as its rules say, and those of its sections."""
    owner: type
    """The dataclass that has the field."""

    @property
    def is_section(self) -> bool:
        """Whether it holds settings instead of being one."""
        return is_dataclass(self.kinds[0])

    def is_default(self, value: Any) -> bool:
        """Whether a value of the setting, as `flatten` gives it, is the one it has by default."""
        plain: Any = getattr(self.default, "value", self.default)
        return bool(value == plain)

    @property
    def doc(self) -> str:
        """The field's docstring in one line; empty where it has none."""
        return field_docs(self.owner).get(self.key.rsplit(".", 1)[-1], "")


@cache
def entries(schema: type = Config) -> Mapping[str, Entry]:
    """Every key of a schema in the order of declaration, a section before what is in it."""
    return {entry.key: entry for entry in _entries(schema)}


def key_paths() -> tuple[str, ...]:
    """Every dotted key, sections included, in the order of declaration."""
    return tuple(entries())


def _entries(schema: type, prefix: str = "", numeric: bool = True) -> Iterator[Entry]:
    hints = get_type_hints(schema)
    for each in fields(schema):
        kind, rules = hints[each.name], rules_of(each)
        union = get_origin(kind) in (Union, types.UnionType)
        entry = Entry(
            key=f"{prefix}{each.name}",
            kinds=get_args(kind) if union else (kind,),
            default=each.default_factory() if callable(each.default_factory) else each.default,
            rules=rules,
            numeric=numeric and rules.numeric,
            owner=schema,
        )
        yield entry
        if entry.is_section:
            yield from _entries(kind, f"{entry.key}.", entry.numeric)


@cache
def field_docs(schema: type) -> Mapping[str, str]:
    """The docstrings below a dataclass's own fields, each in one line."""
    (tree,) = ast.parse(dedent(inspect.getsource(schema))).body
    assert isinstance(tree, ast.ClassDef)
    docs = {}
    for statement, after in pairwise(tree.body):
        match statement, after:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(doc))):
                docs[name] = " ".join(doc.split())
    return docs


class Leaf(NamedTuple):
    """A setting's value in a config."""

    key: str
    value: Any
    """As JSON has it: of an enum, its own value."""
    rules: Rules
    numeric: bool
    """As in `Entry`."""


def leaves(config: Any, prefix: str = "", numeric: bool = True) -> Iterator[Leaf]:
    """Every setting of a config or a section with its value, in the order of declaration."""
    for each in fields(config):
        value, rules = getattr(config, each.name), rules_of(each)
        key = f"{prefix}{each.name}"
        if is_dataclass(value):
            yield from leaves(value, f"{key}.", numeric and rules.numeric)
        else:
            plain = value.value if isinstance(value, StrEnum) else value
            yield Leaf(key, plain, rules, numeric and rules.numeric)


def flatten(config: Any) -> dict[str, Any]:
    """`{"head.weight_lr": 10.0, ...}` of a config or a section, enums as their values."""
    return {leaf.key: leaf.value for leaf in leaves(config)}
