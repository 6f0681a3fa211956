"""A value of a sweep: as its key takes it, and as Hydra's command line writes it."""

from __future__ import annotations

from typing import Any

from hydra.core.override_parser.types import QuotedString

from mcalc.config import settled
from mcalc.config.compose import GROUPS, choices
from mcalc.errors import UserError, nearest, shown
from mcalc.secret_text import argument_shown
from mcalc.yaml_file import Written


def settle(key: str, value: Any) -> Any:
    """A value as its key takes it; the name of a group's file is text, as it is written."""
    if key in GROUPS and isinstance(value, Written | int | float) and not isinstance(value, bool):
        return str(value)
    return settled(key, value)


def check_choice(key: str, value: Any) -> None:
    """Raise UserError where a group has no file of that name."""
    if key in GROUPS and value not in choices(key):
        given = value if isinstance(value, str) else shown(value)
        raise UserError(
            f"{argument_shown(f'{key}={given}')[: len(key) + 81]}: no such choice"
            f"{nearest(given[:80], choices(key))} (there are {', '.join(choices(key))})"
        )


def override_of(key: str, value: Any) -> str:
    """`key=value` in Hydra's override grammar, which takes the names of files unquoted."""
    return f"{key}={value if key in GROUPS else override_value(value)}"


def override_value(value: Any) -> str:
    """A YAML value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(override_value(each) for each in value)}]"
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def unquoted(value: Any) -> Any:
    """A value as Hydra's parser gives it, with plain text in the place of its quoted strings."""
    if isinstance(value, list):
        return [unquoted(each) for each in value]
    return value.text if isinstance(value, QuotedString) else value


def format_value(value: Any) -> str:
    """A value as in a trial's name."""
    return override_value(value).strip("'")
