"""A command line taken apart: settings, the command's own words, names and flags.

Text settings (paths, names, addresses) are taken as typed, whatever characters they hold; only a
comma separates values, as for every setting. Hydra's grammar, which knows quotes, lists and
functions, applies to the rest.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override, QuotedString

from mcalc.config.addresses import check_storage, check_tracking
from mcalc.config.commands import Command, Line, Word
from mcalc.config.compose import compose_config, parse_overrides
from mcalc.config.paths import entries
from mcalc.errors import UserError, nearest, shown
from mcalc.line_breaks import for_stream
from mcalc.secret_text import argument_shown

_ADDRESSES = {"storage": check_storage, "tracking.uri": check_tracking}
"""Settings that are looked at before anything is composed."""


def read_line(command: Command, arguments: Sequence[str]) -> Line:
    """Take the arguments of a command apart.

    Of a setting that is given twice the last counts, which is printed to stderr. Raises UserError
    for an unknown flag, key or name, for a word without a value, with a wrong one, or twice, and
    for an address of a store or server that is none.
    """
    flags, rest = _flags(command, arguments)
    settings: dict[str, str] = {}
    words: dict[str, str] = {}
    names: list[str] = []
    for argument in rest:
        key, equals, value = argument.partition("=")
        word = command.words.get(key)
        if not equals and not argument.startswith("~"):
            if not command.actions or not argument:
                raise _not_understood(command, argument)
            names.append(argument)
        elif equals and word and word.alias:
            used = argument_shown(f"{word.alias}={value}")
            _note(f"{key}= is {word.alias}= in all commands: {used} is used")
            _set(settings, word.alias, f"{word.alias}={value}")
        elif equals and word:
            if key in words:
                raise UserError(f"{key} is given twice: give it once")
            words[key] = value
        elif _is_hidden(key):
            raise UserError(f"{key} is for the sweep engine alone: omit it")
        else:
            _set(settings, key, argument)
    overrides = tuple(as_typed(argument) for argument in settings.values())
    for override in parse_overrides(overrides, also=command.words):
        _check_address(override)
    return Line(
        partial(compose_config, overrides),
        overrides,
        {name: _word(name, word, words.get(name)) for name, word in command.words.items()},
        _action(command, names),
        tuple(names[1:]),
        flags,
    )


def _check_address(override: Override) -> None:
    """Raise UserError where one is given that is none; Hydra composes for as long as it imports."""
    check = _ADDRESSES.get(override.key_or_group)
    if check is None or override.is_sweep_override():
        return
    value = override.value()
    address = value.text if isinstance(value, QuotedString) else value
    if isinstance(address, str) and "${" not in address:
        check(address)


def _flags(command: Command, arguments: Sequence[str]) -> tuple[frozenset[str], list[str]]:
    """The flags, which may stand anywhere, and the other arguments."""
    known = {flag.split()[0]: flag for flag in command.flags}
    flags, rest = set(), []
    waiting = iter(arguments)
    for argument in waiting:
        name, equals, value = argument.partition("=")
        full = known.get({"--multirun": "-m", "-c": "--cfg"}.get(name, name))
        if not argument.startswith("-") or not argument.strip("-"):
            rest.append(argument)
        elif full:
            expected = full.partition(" ")[2]
            if (value if equals else next(waiting, "") if expected else "") != expected:
                raise UserError(f"{argument_shown(argument)} is not understood: expected {full}")
            flags.add(full)
        else:
            named = nearest(name.lstrip("-"), (*command.words, *entries()))
            raise UserError(
                f"unknown flag {shown(argument_shown(argument))}{named} "
                f"(flags: {', '.join((*command.flags, '--help'))};"
                " all else is given as key=value, as in head.weight_lr=10)"
            )
    return frozenset(flags), rest


def _not_understood(command: Command, argument: str) -> UserError:
    example = next(iter(command.words), "head.weight_lr")
    known = (*command.words, *entries())
    if argument in known:
        return UserError(f"{argument} has no value: give it one, as in {argument}=VALUE")
    return UserError(
        f"{shown(argument_shown(argument))} is not understood: expected key=value, as in "
        f"{example}=VALUE"
        f"{nearest(argument, known)}"
    )


def _is_hidden(key: str) -> bool:
    top = entries().get(key.lstrip("+~").partition(".")[0])
    return top is not None and top.rules.hidden


def _set(settings: dict[str, str], key: str, argument: str) -> None:
    before = settings.pop(key, argument)
    if before != argument:
        used, other = argument_shown(argument), argument_shown(before)
        _note(f"{key} is given twice: {used} is used, not {other}")
    settings[key] = argument


def _note(text: str) -> None:
    print(for_stream(f"note: {text}", sys.stderr), file=sys.stderr)


def _action(command: Command, names: Sequence[str]) -> str:
    if not command.actions:
        return ""
    if names and names[0] in command.actions:
        return names[0]
    given = "a command is missing"
    if names:
        given = f"unknown command {names[0]!r}{nearest(names[0], command.actions)}"
    raise UserError(f"{given} (there are {', '.join(command.actions)})")


def _word(name: str, word: Word, given: str | None) -> Any:
    """The value of a word: as given, else its default."""
    text = word.default if given is None else given
    if text is None or word.alias:
        return None
    if not text:
        raise UserError(f"{name}= has no value: give one, or omit {name}")
    if word.kind == "bool":
        if text.lower() not in ("true", "false"):
            raise UserError(f"{name}={text}: expected true or false")
        return text.lower() == "true"
    if word.kind == "choice" and text not in word.choices:
        raise UserError(f"{name}={text}: expected one of {', '.join(word.choices)}")
    return Path(text).expanduser() if word.kind == "path" else text


_FUNCTION = re.compile(r"(choice|glob|sort|shuffle|tag|range|interval|str)\(.*\)")
_PLAIN = re.compile(r"[A-Za-z_/.][\w/.:@%+-]*", re.ASCII)
_MEANING = ("null", "true", "false", "nan", "inf")
"""Unquoted words that Hydra's grammar does not read as text."""


def as_typed(argument: str) -> str:
    """The argument so that Hydra reads a text setting's value literally.

    Left as they are: other settings, null, quoted text, and functions such as glob(). At commas
    outside quotes the value is a list of such texts.
    """
    key, _, value = argument.partition("=")
    entry = entries().get(key)
    if entry is None or str not in entry.kinds or _FUNCTION.fullmatch(value):
        return argument
    return f"{key}={','.join(_literal(each) for each in _split(value))}"


def _split(value: str) -> list[str]:
    parts = re.findall(r"""((?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,])*)(?:,|$)""", value)
    return parts if value.endswith(",") else parts[:-1] or [""]


def _literal(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    if not text or quoted or text == "null":
        return text
    if _PLAIN.fullmatch(text) and text.lower() not in _MEANING:
        return text
    return quote(text)


def quote(text: str) -> str:
    """Text in double quotes, as Hydra's grammar reads it literally."""
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped)
    return f'"{escaped}"'
