"""What a sweep file may say of Hydra itself: the launcher that runs its jobs, and nothing else.

A file is handed on and run by others. Hydra's further settings say where files go, what is logged
and which code runs, so they belong to whoever gives the command.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcalc.config.compose import is_hydras, parse_overrides
from mcalc.errors import UserError, shown
from mcalc.secret_text import argument_shown

CHOICE = "hydra/launcher"
_OPTION = re.compile(r"hydra\.launcher((\.[A-Za-z]\w*)+)")
"""A launcher's option; `_target_` and the like, which choose code, begin with an underscore."""


def refuse_hydra(where: str, place: str, key: object) -> None:
    """Raise UserError where a key of rows, grid, space or the file itself is one of Hydra's."""
    text = str(key).strip().lstrip("+~")
    if re.match(r"hydra($|[./@\[:=])", text):
        raise _refused(where, f"{place} sets {shown(key)}")


def split_launcher(where: str, overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Settings of trials, and what chooses the launcher, of a file's `overrides`.

    Raises UserError for an argument that does not parse, and for any other of Hydra's keys.
    """
    settings, launcher = [], []
    for given in overrides:
        named = given.partition("=")[0].strip()
        if not named.lstrip("+~").startswith((CHOICE, "hydra.launcher.")):
            refuse_hydra(where, "`overrides`", named)
        try:
            (override,) = parse_overrides([given])
        except UserError as error:
            raise UserError(f"{where}: `overrides`: {error}") from error
        key = override.key_or_group
        if not is_hydras(key):
            settings.append(given)
            continue
        is_option = _OPTION.fullmatch(key) is not None
        is_allowed = (key == CHOICE or is_option) and "_target_" not in given
        if override.is_delete() or override.package is not None or not is_allowed:
            raise _refused(where, f"`overrides` has {shown(argument_shown(given))}")
        if override.is_sweep_override():
            raise UserError(
                f"{where}: `overrides` has {shown(argument_shown(given))}: a sweep has one "
                "launcher: give one value"
            )
        value = override.get_value_element_as_str()
        if key == CHOICE and not re.fullmatch(r"[A-Za-z]\w*", value):
            raise UserError(
                f"{where}: `overrides` has {shown(given)}: expected a launcher's name, as in "
                f"{CHOICE}=joblib"
            )
        launcher.append(given)
    return settings, launcher


def _refused(where: str, what: str) -> UserError:
    return UserError(
        f"{where}: {what}: of Hydra's own keys a sweep file may have {CHOICE} and "
        "hydra.launcher.OPTION alone, in `overrides`; give others on the command line"
    )


def chosen(of_file: Sequence[str], given: Sequence[str]) -> list[str]:
    """The file's choice of a launcher, less what the command line (`given`) says itself.

    Options of the file's launcher are of no use to another one.
    """
    keys = {_key(each) for each in given}
    if CHOICE in keys:
        return []
    return [each for each in of_file if _key(each) not in keys]


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+")
