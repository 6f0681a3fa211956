"""From `conf/` and the command line to a typed Config: the only place that sees a DictConfig."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mcalc.config.addresses import check_storage, check_tracking
from mcalc.config.assign import KINDS
from mcalc.config.paths import entries, key_paths
from mcalc.config.schema import Config
from mcalc.config.swept import check_depth, check_numbers, swept_count
from mcalc.errors import UserError, nearest, shown
from mcalc.secret_text import ADDRESSES, addresses_of, argument_shown, hidden, without_password
from mcalc.shipped import search_folders, shipped_folder

CONF_DIR = shipped_folder("conf").resolve()
"""`conf/` of the checkout, or the copy that a wheel has."""

GROUPS = ("backbone", "data", "head", "protocol", "augment", "trainer")
"""Sections of the config that are chosen by file name."""


@cache
def register_schema() -> None:
    """Make the dataclasses of `mcalc.config.schema` the schema of `conf/train.yaml`."""
    ConfigStore.instance().store(name="schema", node=Config, provider="mcalc")


def conf_folders() -> list[Path]:
    """Where configs are searched: `conf/` of the working directory, then the shipped one."""
    return search_folders("conf")


def choices(group: str) -> tuple[str, ...]:
    """Names of the files of a group, sorted."""
    found = {file.stem for folder in conf_folders() for file in (folder / group).glob("*.yaml")}
    return tuple(sorted(found))


def parse_overrides(arguments: Sequence[str], also: Iterable[str] = ()) -> list[Override]:
    """Parse `key=value` arguments and check their keys against the schema.

    `also`: further names that a hint for an unknown key may give. Raises UserError for an argument
    that does not parse, a range() of too many values, an unknown key and an unknown choice of a
    group, with the nearest valid name.
    """
    parser = OverridesParser.create()
    overrides = []
    for argument in arguments:
        _check_known(argument, also)
        check_depth(argument)
        try:
            override = parser.parse_override(argument)
        except (HydraException, ValueError) as error:  # ValueError: thousands of digits
            if _EMPTY_PART.fullmatch(argument):
                raise UserError(
                    f"argument {_shown(argument)} is not understood: between its commas a value is "
                    "empty; leave out a comma, or give the value (null for none)"
                ) from error
            raise UserError(
                f"argument {_shown(argument)} is not understood: expected key=value, as in "
                "head.weight_lr=10"
            ) from error
        swept_count(override)
        _check_form(argument, override)
        check_numbers(override)
        overrides.append(override)
    return overrides


_EMPTY_PART = re.compile(r"""[^\[({'"]*(?:[=,]\s*,[^\[({'"]*|,\s*)""")
"""In what Hydra does not understand: a comma list that lacks a value."""

_FORMER = {"tracking.save_network": "tracking.keep_models=all, best or none"}
"""Keys of earlier versions, and what is written in their place."""


def _shown(argument: str) -> str:
    return shown(argument_shown(argument))


def is_hydras(key: str) -> bool:
    """Whether a key is one of Hydra's own, as hydra/launcher."""
    return key.startswith(("hydra.", "hydra/"))


def _check_known(argument: str, also: Iterable[str]) -> None:
    key = argument.partition("=")[0].lstrip("+~").partition("@")[0]
    valid = key_paths()
    if key not in valid and not is_hydras(key):
        if not key:
            raise UserError(f"argument {_shown(argument)} has no key: expected key=value")
        raise UserError(
            f"unknown key {key!r}{_hint(key, (*valid, *also))} (every key: docs/settings.md, or "
            "--help all)"
        )


def _hint(key: str, valid: Iterable[str]) -> str:
    return f"; now it is {_FORMER[key]}" if key in _FORMER else nearest(key, valid)


def _check_form(argument: str, override: Override) -> None:
    key = override.key_or_group
    if is_hydras(key):
        return
    if override.is_delete():
        raise UserError(f"~{key}: keys of a trial cannot be deleted; give it a value instead")
    if override.is_add() or override.is_force_add() or override.package is not None:
        value = argument.partition("=")[2]
        raise UserError(
            f"argument {_shown(argument)} is not understood: expected "
            f"{argument_shown(f'{key}={value}')}"
        )
    if key in GROUPS:
        for element in _elements(override):
            if element not in choices(key):
                raise _no_choice(key, element, choices(key))


def _no_choice(group: str, choice: str, there: Sequence[str]) -> UserError:
    return UserError(
        f"{group}={choice}: no such choice{nearest(choice, there)} "
        f"(there are {', '.join(there) or 'none'})"
    )


def _elements(override: Override) -> list[str]:
    """The values of an override as text: several for a comma list or choice()."""
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        return []  # what it matches is there
    if override.is_sweep_override():
        return list(override.sweep_string_iterator()) if override.is_discrete_sweep() else []
    return [override.get_value_element_as_str()]


@contextmanager
def config_errors(overrides: Sequence[str] = ()) -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise over a setting into one UserError sentence.

    `overrides`: what is composed; Hydra's words may repeat a part of an address in it.
    """
    try:
        yield
    except OmegaConfBaseException as error:
        raise UserError(hidden(_sentence(error), *addresses_of(overrides))) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"a file of conf/ is not YAML: {' '.join(str(error).split())}") from error
    except MissingConfigException as error:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        there = [str(option) for option in error.options or choices(group)]
        raise _no_choice(group, choice, there) from error
    except HydraException as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, UserError):
            raise cause from None
        file = re.match(r"In '(.+?/.+?)': ", str(error))
        where = f"conf/{file.group(1)}.yaml: " if file else ""
        if isinstance(cause, OmegaConfBaseException):
            raise UserError(hidden(where + _sentence(cause), *addresses_of(overrides))) from error
        raise UserError(hidden(" ".join(str(error).split()), *addresses_of(overrides))) from error


_KINDS = {"Float": "a number", "Integer": "a whole number", "Boolean": "true or false"}
"""OmegaConf's names of types in words."""


def _sentence(error: OmegaConfBaseException) -> str:
    reason = str(error).splitlines()[0].rstrip(".")
    key = getattr(error, "full_key", None) or ""
    found = re.search(r"Key '([^']+)' (?:not in|is not in struct)", reason)
    if found:
        where = key or found.group(1)
        return f"unknown key {where!r}{_hint(where, key_paths())} in the configuration"
    typed = re.search(r"Value (.+) of type '.+' could not be converted to (\w+)", reason)
    if typed:
        value, kind = typed.groups()
        given = value.strip("'")
        return f"{key}={given} is not understood: expected {_KINDS.get(kind, kind)}"
    if "Merge error" in reason:
        return "expected a mapping of keys to values"
    if "is not a ListConfig" in reason:
        return f"{key} is not understood: expected {KINDS[list[str]]}"
    if "is not Optional" in reason:
        return f"{key}=null is not allowed: give it a value"
    return f"{key}: {reason}" if key else reason


def to_config(composed: DictConfig) -> Config:
    """A composed configuration as the typed Config, with every rule of the schema checked."""
    with config_errors():
        if OmegaConf.select(composed, "hydra.job.chdir"):
            raise UserError(
                "hydra.job.chdir=true would put each record into a folder of its own, where report "
                "and sweep do not look: leave it false; tracking.dir=PATH says where the record is"
            )
        if "hydra" in composed or OmegaConf.get_type(composed) is not Config:
            # of a conf/ that does not name the schema, or from Hydra's own sweepers
            keys = [str(key) for key in composed if key != "hydra"]
            plain = OmegaConf.masked_copy(composed, keys)
            config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), plain))
        else:
            config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    # not in the schema: a record may name what was never opened, as of a single trial's `storage`
    if config.storage is not None:
        check_storage(config.storage)
    if config.tracking.uri is not None:
        check_tracking(config.tracking.uri)
    return config


def compose_config(overrides: Sequence[str] = ()) -> Config:
    """The Config of one trial that these overrides describe.

    Raises UserError for anything wrong in the overrides or in `conf/`.
    """
    for override in parse_overrides(overrides):
        if override.is_sweep_override() and not is_hydras(override.key_or_group):
            raise _several(override)
    register_schema()
    GlobalHydra.instance().clear()
    with (
        config_errors(overrides),
        initialize_config_dir(config_dir=str(CONF_DIR), version_base="1.3"),
    ):
        composed = compose(config_name="train", overrides=list(overrides))
    return to_config(composed)


def _several(override: Override) -> UserError:
    given = argument_shown(str(override.input_line))
    key, _, value = given.partition("=")
    text = str in entries()[key].kinds and override.value_type is ValueType.SIMPLE_CHOICE_SWEEP
    return UserError(
        f"{given} gives several values where one is expected: to train each, add -m, as in "
        f"`python -m mcalc.train -m {shlex.quote(given)}`"
        + (f"; if the comma is part of it, quote it: {_quoted(key, value)}" if text else "")
    )


def _quoted(key: str, value: str) -> str:
    """A setting whose text holds a comma, ready to paste into a shell."""
    unquoted = value.replace('"', "").replace("'", "")
    return shlex.quote(f'{key}="{unquoted}"')


def as_yaml(config: Config) -> str:
    """The settings as YAML, those for users; addresses without what they keep secret."""
    shown = [key for key, e in entries().items() if "." not in key and not e.rules.hidden]
    made = OmegaConf.masked_copy(OmegaConf.structured(config), shown)
    for key in ADDRESSES:
        if address := OmegaConf.select(made, key):
            OmegaConf.update(made, key, without_password(address))
    return hidden(OmegaConf.to_yaml(made))
