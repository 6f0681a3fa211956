"""Help and docs/settings.md, both made of the fields' docstrings and the commands' registry.

`python -m mcalc.config.help` prints the page.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from mcalc.config.assign import KINDS, words_of
from mcalc.config.commands import COMMANDS, Command
from mcalc.config.compose import GROUPS, choices
from mcalc.config.paths import Entry, entries
from mcalc.config.rules import UNSET
from mcalc.config.schema import Config

_WIDTH = 100


def command_help(command: Command) -> str:
    """One screen: what the command does, its words, groups, common settings, examples."""
    parts = [f"usage: python -m mcalc.{command.name} {command.usage}", "", *_wrapped(command.text)]
    parts += _block("Flags", command.flags)
    parts += _block("Commands", command.actions)
    parts += _block("Words of this command", _words(command))
    if command.groups:
        groups = {f"{group}=": ", ".join(choices(group)) for group in GROUPS}
        parts += _block("Groups of settings: a file of conf/, here or shipped", groups)
    shown = {_given(entries()[key]): _short(entries()[key]) for key in command.settings}
    parts += _block("Settings, with their defaults (every one: --help all)", shown)
    return "\n".join([*parts, "", "Examples:", *(f"  {each}" for each in command.examples)])


def every_setting() -> str:
    """Every setting with its default, its values and what it means."""
    lines = ["Settings of all commands: KEY=DEFAULT (values), and what they mean"]
    for entry in _shown():
        if entry.is_section:
            lines += ["", f"{entry.key}: {entry.doc}"]
        else:
            lines += ["", f"{_given(entry)}  ({_values(entry)})"]
            lines += _wrapped(entry.doc, indent="    ")
    return "\n".join(lines)


def settings_page() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Made of the fields' docstrings by `python -m mcalc.config.help > docs/settings.md`; "
        "a test compares.",
        "",
        'Any command takes any of these as `key=value`. "In the key" says whether a trial\'s '
        "numbers depend on a setting, so that another value makes another trial.",
        "",
        "## Commands",
    ]
    for command in COMMANDS.values():
        lines += ["", f"### `python -m mcalc.{command.name} {command.usage}`", "", command.text, ""]
        rows = {**command.flags, **command.actions, **_words(command)}
        if rows:
            lines += _table(["argument", "does"], [[f"`{each}`", rows[each]] for each in rows])
    sections = {entry.key: entry.kinds[0] for entry in _shown() if entry.is_section}
    for section, kind in {"": Config, **sections}.items():
        inside = (entry for entry in _shown() if entry.key.rpartition(".")[0] == section)
        title = f"`{section}`" if section else "General"
        lines += ["", f"## {title}", "", " ".join((kind.__doc__ or "").split()), ""]
        lines += _table(
            ["key", "default", "values", "in the key", "meaning"],
            [_row(entry) for entry in inside if not entry.is_section],
        )
    return "\n".join([*lines, ""])


def _shown() -> Iterator[Entry]:
    """Every key of the schema but hidden ones and what is in hidden sections."""
    hidden = tuple(f"{key}." for key, entry in entries().items() if entry.rules.hidden)
    return (e for e in entries().values() if not f"{e.key}.".startswith(hidden))


def _words(command: Command) -> dict[str, str]:
    """The command's own words as typed, with their defaults, and what they do."""
    return {
        f"{name}={word.default or ''}": word.doc
        for name, word in command.words.items()
        if not word.alias
    }


def _row(entry: Entry) -> list[str]:
    in_key = "yes" if entry.numeric else "no"
    if entry.rules.neutral is not UNSET:
        in_key = f"unless {_text(entry.rules.neutral)}"
    name = f"`{entry.key}`"
    return [name, f"`{_text(entry.default)}`", _values(entry), in_key, entry.doc]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    cells = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells]


def _values(entry: Entry) -> str:
    """`a whole number from 1, or null`."""
    named = [words_of(kind) or KINDS[kind] for kind in entry.kinds]
    if limits := entry.rules.range():
        named[0] += f" {limits}"
    return ", or ".join(named)


def _text(value: Any) -> str:
    """A value as typed on the command line."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _given(entry: Entry) -> str:
    return f"{entry.key}={_text(entry.default)}"


def _short(entry: Entry) -> str:
    """The first sentence, and the words of a choice."""
    sentence = entry.doc.partition(". ")[0].rstrip(".").replace("`", "")
    words = words_of(entry.kinds[0])
    return f"{sentence} ({words})" if words else sentence


def _block(title: str, rows: Mapping[str, str]) -> list[str]:
    width = max(map(len, rows), default=0)
    lines = [f"  {name:<{width}}  {doc}" for name, doc in rows.items()]
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns
        indent = " " * (width + 4) if columns > width + 30 else "    "
        lines = [part for each in lines for part in _filled(each, columns, rest=indent)]
    return ["", f"{title}:", *lines] if rows else []


def _wrapped(text: str, indent: str = "") -> list[str]:
    width = min(_WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _WIDTH
    return _filled(text, width, indent, indent)


def _filled(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Lines of a paragraph with these indents; a word longer than one stays whole."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


if __name__ == "__main__":
    print(settings_page(), end="")
