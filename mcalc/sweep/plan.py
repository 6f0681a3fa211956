"""From a sweep file or comma lists to trials, and from trials to trajectories. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hydra.core.override_parser.types import Override

from mcalc.compose import parse_overrides
from mcalc.config import Config, DataConfig
from mcalc.errors import UserError
from mcalc.keys import digest, numeric_settings, trajectory_key, trial_key
from mcalc.sweep.files import SweepFile, load

Compose = Callable[[Sequence[str]], Config]
"""Overrides to the config that they give."""
Fingerprint = Callable[[DataConfig], str]
"""The fingerprint of the data that a config names."""

_OWN = ("sweep", "dry_run", "rerun", "name")
"""Keys that speak to the engine rather than to a trial."""


@dataclass(frozen=True)
class PlannedTrial:
    """One configuration and seed, with its identity."""

    name: str
    key: str
    trajectory: str
    """Trials with the same one share a training run."""
    overrides: tuple[str, ...]
    """All that is not a default."""
    values: dict[str, str]
    """What sets it apart in its sweep, as text: `{"head.weight_lr": "10", ...}`."""
    config: Config = field(repr=False)


@dataclass(frozen=True)
class Plan:
    """The trials of one sweep."""

    title: str
    """`alexnet`; of a product, the keys that vary."""
    sweep: str
    """Title and a hash of what all trials share: the same command goes on with the same sweep, and
    more rows or values extend it."""
    description: str
    trials: tuple[PlannedTrial, ...]

    def trajectories(self) -> list[tuple[PlannedTrial, ...]]:
        """Trials by the training run they share, in the order of each one's first trial."""
        runs: dict[str, list[PlannedTrial]] = {}
        for trial in self.trials:
            runs.setdefault(trial.trajectory, []).append(trial)
        return [tuple(run) for run in runs.values()]


def make_plans(arguments: Sequence[str], compose: Compose, fingerprint: Fingerprint) -> list[Plan]:
    """One plan a named sweep file, or one for the product of the comma lists.

    Raises UserError for anything in the arguments or the files that does not hold.
    """
    overrides = parse_overrides(arguments)
    named = [o for o in overrides if o.key_or_group == "sweep"]
    name = next((_text(o) for o in overrides if o.key_or_group == "name"), None)
    trial_overrides = [o for o in overrides if o.key_or_group not in _OWN]
    fixed = [str(o.input_line) for o in trial_overrides if not o.is_sweep_override()]
    products = _products([o for o in trial_overrides if o.is_sweep_override()])
    if not named:
        if not products[0]:
            raise UserError(
                "-m needs something to vary: a comma list, as in head.weight_lr=1,10, or a file of "
                "sweeps/, as in sweep=alexnet"
            )
        title = name or " x ".join(_values(products[0]))
        rows = {", ".join(product): product for product in products}
        return [_plan(title, "product of comma lists", fixed, rows, compose, fingerprint)]
    plans = []
    for sweep in _names(named[-1]):
        file = load(sweep)
        rows = {
            ", ".join([row, *product]): (*own, *product)
            for (row, own), product in itertools.product(file.rows.items(), products)
        }
        title = name or file.name
        plans.append(
            _plan(title, file.description, _shared(file, fixed), rows, compose, fingerprint)
        )
    return plans


def _shared(file: SweepFile, fixed: Sequence[str]) -> list[str]:
    parse_overrides(file.overrides)
    # the command line has the last word
    return [*file.overrides, *fixed]


def _plan(
    title: str,
    description: str,
    fixed: Sequence[str],
    rows: dict[str, tuple[str, ...]],
    compose: Compose,
    fingerprint: Fingerprint,
) -> Plan:
    trials = []
    for name, own in rows.items():
        overrides = (*fixed, *own)
        try:
            config = compose(overrides)
        except UserError as error:
            raise UserError(f"trial {name!r} of {title}: {error}") from error
        data = fingerprint(config.data)
        trials.append(
            PlannedTrial(
                name=name,
                key=trial_key(config, data),
                trajectory=trajectory_key(config, data),
                overrides=overrides,
                values=_values(own),
                config=config,
            )
        )
    _refuse_twins(title, trials)
    base = compose(fixed)
    varied = {key for own in rows.values() for key in _values(own)}
    # a group chosen by name (`backbone`) varies all of its section
    varied |= {f"{key}." for key in varied}
    shared = digest([fingerprint(base.data), numeric_settings(base, without=tuple(varied))], 8)
    return Plan(title, f"{title}-{shared}", description, tuple(trials))


def _values(overrides: Sequence[str]) -> dict[str, str]:
    return dict(override.split("=", 1) for override in overrides)


def _refuse_twins(title: str, trials: Sequence[PlannedTrial]) -> None:
    names: dict[str, str] = {}
    for trial in trials:
        if trial.key in names:
            raise UserError(
                f"{title}: trials {names[trial.key]!r} and {trial.name!r} are the same "
                "configuration; leave one out"
            )
        names[trial.key] = trial.name


def _products(swept: Sequence[Override]) -> list[tuple[str, ...]]:
    lists = []
    for override in swept:
        key = override.get_key_element()
        if not override.is_discrete_sweep():
            raise UserError(f"{override.input_line}: a product needs values, as in {key}=1,10,15")
        values = list(override.sweep_string_iterator())
        if len(set(values)) < len(values):
            raise UserError(f"{override.input_line}: a value stands there twice; leave one out")
        lists.append([f"{key}={value}" for value in values])
    return list(itertools.product(*lists))


def _names(override: Override) -> list[str]:
    if override.is_sweep_override():
        return [str(name).strip("'\"") for name in override.sweep_string_iterator()]
    return [_text(override)]


def _text(override: Override) -> str:
    return override.get_value_element_as_str().strip("'\"")
