"""The settings of a recorded trial, taken from its config.yaml and checked against its run.

What makes the trial comes from the record; where things are and how a run is carried out comes
from the present command. Nothing here imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mcalc.config import (
    FILES,
    NUMERICS_VERSION,
    Config,
    contents_of,
    entries,
    flatten,
    identity_parts,
    keys_of,
    numeric_settings,
    read,
    settled,
    updated,
)
from mcalc.config.compose import GROUPS
from mcalc.config.rules import UNSET
from mcalc.errors import UserError, shown
from mcalc.results import RecordedTrial
from mcalc.yaml_file import parse_yaml

_NODES = 10_000
"""Keys and values that a config.yaml may have."""
_DATA_PLACES = ("data.root", "data.csv_dir", "data.labels")
"""Where the data is: as recorded, unless given anew."""
_NOT_FILES = (None, "none", "imagenet")
"""Values of `FILES` that name no file."""
_HASH_SHOWN = len("sha256:") + 12
"""Characters of a content's hash in a message."""


def settings_again(present: Config, given: Collection[str]) -> Config:
    """The settings with which `from_run` would run, as `recorded_config`; runs nothing.

    Raises UserError as `find_trial`, `read_settings` and `recorded_config`.
    """
    # late: MLflow
    from mcalc.tracking import find_trial, read_settings

    trial = find_trial(present.tracking, str(present.from_run))
    return recorded_config(present, given, read_settings(present.tracking, trial), trial)


def is_of_the_trial(key: str) -> bool:
    """Whether a setting says which trial it is, or chooses its data: the record alone gives it."""
    if key in (*FILES, *_DATA_PLACES, "data.cache"):
        return False
    return entries()[key].numeric or key.startswith("data.") or key in ("name", "sweep")


def refuse_other_settings(overrides: Sequence[str]) -> None:
    """Raise UserError where a command line gives settings of the trial beside `from_run`."""
    wrong = []
    for argument in overrides:
        key = argument.partition("=")[0]
        if key in GROUPS or (key in entries() and is_of_the_trial(key)):
            wrong.append(argument)
    if wrong:
        raise UserError(
            f"{', '.join(wrong)}: from_run takes these settings from the record: omit "
            f"{'it' if len(wrong) == 1 else 'them'}. Beside it may stand where things are "
            f"({', '.join((*_DATA_PLACES, *FILES))}, data.cache, tracking.*) and trainer.workers"
        )


def recorded_config(
    present: Config, given: Collection[str], text: str, trial: RecordedTrial
) -> Config:
    """The config that runs a recorded trial again.

    Args:
        present: what the command line and `conf/` say now.
        given: keys of the command line; they win over the record where they name a place.
        text: the trial's config.yaml.
        trial: its run.

    Raises UserError where the file is none, or says something else than the run's parameters.
    """
    where = f"config.yaml of run {trial.run_id} ({trial.name})"
    settings = _flat(parse_yaml(text, where, _NODES), where, trial)
    places = (*FILES, *_DATA_PLACES)
    values = {}
    for key, entry in entries().items():
        if entry.is_section or not (is_of_the_trial(key) or key in places) or key == "sweep":
            continue
        if key in settings:
            values[key] = settled(key, settings[key])
        elif entry.rules.neutral is not UNSET:
            values[key] = entry.rules.neutral
        elif entry.numeric:
            raise UserError(f"{where} lacks {key}: put the file back as it was recorded")
    try:
        config = updated(present, values)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    _check_parameters(config, where, trial)
    anew = {key: read(present, key) for key in places if key in given}
    for key in anew.keys() & set(FILES):
        was = read(config, key)
        if was in _NOT_FILES or anew[key] in _NOT_FILES:
            raise UserError(
                f"{key}={shown(anew[key])}: the trial was run with {key}={shown(was)}; only the "
                "place of a file may be given anew: omit it"
            )
    return replace(updated(config, anew), name=trial.name, from_run=trial.run_id)


def _flat(content: Any, where: str, trial: RecordedTrial) -> dict[str, Any]:
    """`{"head.weight_lr": 10.0, ...}` of the file's mappings."""
    if not isinstance(content, dict):
        raise UserError(f"{where}: expected a mapping of settings; put the file back")
    found = dict(_leaves(content))
    for key in found:
        known = entries().get(key)
        if (known is None and key in trial.params) or (known is not None and known.is_section):
            raise UserError(
                f"{where} has {key}, which is no setting here: use the version of mcalc that "
                "recorded it, or put the file back"
            )
    return found


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _check_parameters(config: Config, where: str, trial: RecordedTrial) -> None:
    """Raise UserError, naming each, for settings that differ from the run's parameters."""
    differ = []
    for key, value in flatten(config).items():
        if not is_of_the_trial(key) and key not in FILES:
            continue
        if key in trial.params:
            if str(value) != trial.params[key]:
                differ.append(f"{key} is {value} in the file and {trial.params[key]} in MLflow")
        elif entries()[key].numeric and value != entries()[key].rules.neutral:
            differ.append(f"{key} is {value} in the file and not in MLflow")
    if differ:
        raise UserError(
            f"{where} does not say what the run's parameters say: {'; '.join(differ)}. One of them "
            "was changed after the run: put it back as it was"
        )


def identity_differences(config: Config, trial: RecordedTrial) -> list[str]:
    """What of a trial's identity this machine and code do not have, beside the data.

    Each as `WHAT was X, here it is Y`: the numerics version, contents of files, versions of
    plug-ins. Also that the record's own parts do not give its key.
    """
    parts = _recorded_parts(config, trial)
    here = identity_parts(config)
    absent = [
        key for key in FILES if read(config, key) not in _NOT_FILES and key not in here["files"]
    ]
    found = [
        f"{key} is {read(config, key)}, here is no such file (give {key}=PATH)" for key in absent
    ]
    if parts["files"] is not None or not absent:
        found += _numerics_differences(config, parts, trial)
    for key, content in here["files"].items():
        was = (parts["files"] or {}).get(key, content)
        if was != content:
            found.append(
                f"content of {key} was {was[:_HASH_SHOWN]}, here it is {content[:_HASH_SHOWN]} "
                f"({read(config, key)})"
            )
    for package in sorted({*parts["plugins"], *here["plugins"]}):
        was, now = (side["plugins"].get(package, "not installed") for side in (parts, here))
        if was != now:
            found.append(f"plug-in package {package} was {was}, here it is {now}")
    return found


def _recorded_parts(config: Config, trial: RecordedTrial) -> dict[str, Any]:
    """The run's `identity_parts`. Of a record without them, what else it says.

    There `numerics` and `files` are None.
    """
    if text := trial.tags.get("mcalc.identity"):
        parts = _json(text, "mcalc.identity", trial)
        if not all(isinstance(parts.get(name), dict) for name in ("files", "plugins")):
            raise _damaged("mcalc.identity", trial)
        return {"numerics": None, **parts}
    versions = _json(trial.tags.get("mcalc.versions", "{}"), "mcalc.versions", trial)
    plugins = {name: version for name, version in versions.items() if name not in _OWN_VERSIONS}
    return {"numerics": None, "files": None, "plugins": plugins}


_OWN_VERSIONS = (
    "python", "mcalc", "torch", "torchvision", "pytorch-lightning", "albumentations",
    "opencv-python-headless", "numpy", "pydicom", "mlflow", "optuna",
)  # fmt: skip
"""Versions in records without `mcalc.identity` that are not of plug-ins."""


def _json(text: str, tag: str, trial: RecordedTrial) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise _damaged(tag, trial)
    return content


def _damaged(tag: str, trial: RecordedTrial) -> UserError:
    return UserError(f"tag {tag} of run {trial.run_id} ({trial.name}) is damaged: put it back")


def _numerics_differences(
    config: Config, parts: Mapping[str, Any], trial: RecordedTrial
) -> list[str]:
    """That the code's numerics version differs, or that no version gives the recorded key."""
    settings = {**numeric_settings(config), **(parts["files"] or {})}
    settings.pop("plugins", None)
    if parts["plugins"]:
        settings["plugins"] = parts["plugins"]
    fingerprint = trial.tags.get("mcalc.fingerprint", "")
    known = parts["numerics"]
    tried = range(NUMERICS_VERSION, 0, -1) if known is None else [known]
    version = next((v for v in tried if keys_of(settings, fingerprint, v)[0] == trial.key), known)
    found = []
    if version not in (None, NUMERICS_VERSION):
        found.append(f"numerics version was {version}, here it is {NUMERICS_VERSION}")
    if version is None or keys_of(settings, fingerprint, version)[0] != trial.key:
        files = [key for key in contents_of(config) if parts["files"] is None]
        perhaps = f", or {' and '.join(files)} has another content here" if files else ""
        found.append(
            f"its settings and data fingerprint do not give its key {trial.key or '(none)'}: the "
            f"record was changed after the run{perhaps}"
        )
    return found
