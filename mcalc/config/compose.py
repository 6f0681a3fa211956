"""From `conf/` and the command line to a typed Config: the only place that sees a DictConfig."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mcalc.config.paths import key_paths
from mcalc.config.schema import Config
from mcalc.errors import UserError, nearest
from mcalc.shipped import shipped_folder

CONF_DIR = shipped_folder("conf")
"""`conf/` of the checkout, or the copy that a wheel carries."""

GROUPS = ("backbone", "data", "head", "protocol", "augment", "trainer")
"""Sections of the config that are chosen by file name."""


def register_schema() -> None:
    """Make the dataclasses of `mcalc.config.schema` the schema of `conf/train.yaml`."""
    ConfigStore.instance().store(name="schema", node=Config, provider="mcalc")


def choices(group: str) -> tuple[str, ...]:
    """Names of the files of a group, sorted."""
    return tuple(sorted(file.stem for file in (CONF_DIR / group).glob("*.yaml")))


def parse_overrides(arguments: Sequence[str]) -> list[Override]:
    """Parse `key=value` arguments and check their keys against the schema.

    Raises UserError for an argument that does not parse, an unknown key and an unknown choice of a
    group, with the nearest valid name.
    """
    parser = OverridesParser.create()
    overrides = []
    for argument in arguments:
        try:
            override = parser.parse_override(argument)
        except HydraException as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"argument {argument!r} is not understood ({reason}): expected key=value, as in "
                "head.weight_lr=10"
            ) from error
        _check_key(override)
        overrides.append(override)
    return overrides


def _check_key(override: Override) -> None:
    key = override.key_or_group
    if key == "hydra" or key.startswith(("hydra.", "hydra/")):
        return
    valid = key_paths()
    if key not in valid:
        raise UserError(
            f"unknown key {key!r}{nearest(key, valid)} (every key: mcalc/config/schema.py, or "
            "`python -m mcalc.train --cfg job`)"
        )
    if override.is_delete():
        raise UserError(f"~{key}: keys of a trial cannot be deleted; give it a value instead")
    if key in GROUPS:
        for element in _elements(override):
            if element not in choices(key):
                raise UserError(
                    f"{key}={element}: no such choice{nearest(element, choices(key))} "
                    f"(there are {', '.join(choices(key))})"
                )


def _elements(override: Override) -> list[str]:
    """The values of an override as text: several for a comma list or choice()."""
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        return []  # what it matches is there
    if override.is_sweep_override():
        return list(override.sweep_string_iterator()) if override.is_discrete_sweep() else []
    return [override.get_value_element_as_str()]


@contextmanager
def config_errors() -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise over a setting into one UserError sentence."""
    try:
        yield
    except OmegaConfBaseException as error:
        raise UserError(_sentence(error)) from error
    except HydraException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, OmegaConfBaseException):
            raise UserError(_sentence(cause)) from error
        raise UserError(" ".join(str(error).split())) from error


_KINDS = {
    "Float": "a number",
    "Integer": "a whole number",
    "Boolean": "true or false",
}
"""OmegaConf's names of types in words."""


def _sentence(error: OmegaConfBaseException) -> str:
    reason = str(error).splitlines()[0].rstrip(".")
    key = getattr(error, "full_key", None) or ""
    found = re.search(r"Key '([^']+)' (?:not in|is not in struct)", reason)
    if found:
        where = key or found.group(1)
        return f"unknown key {where!r}{nearest(where, key_paths())} in the configuration"
    typed = re.search(r"Value (.+) of type '.+' could not be converted to (\w+)", reason)
    if typed:
        value, kind = typed.groups()
        return f"{key}={value} is not understood: expected {_KINDS.get(kind, kind)}"
    if "is not Optional" in reason:
        return f"{key}=null is not allowed: give it a value"
    return f"{key}: {reason}" if key else reason


def to_config(composed: DictConfig) -> Config:
    """A composed configuration as the typed Config, with every rule of the schema checked."""
    with config_errors():
        plain = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), plain))
    assert isinstance(config, Config)
    return config


def compose_config(overrides: Sequence[str] = ()) -> Config:
    """The Config that `python -m mcalc.train OVERRIDES` would run; for use outside Hydra's door.

    Raises UserError for anything wrong in the overrides or in `conf/`.
    """
    parse_overrides(overrides)
    register_schema()
    GlobalHydra.instance().clear()
    with (
        config_errors(),
        initialize_config_dir(config_dir=str(CONF_DIR.resolve()), version_base="1.3"),
    ):
        composed = compose(config_name="train", overrides=list(overrides))
    return to_config(composed)
