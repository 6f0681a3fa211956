"""From a sweep file or the command line to trials, and from trials to trajectories. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hydra.core.override_parser.types import Glob, IntervalSweep, Override

from mcalc.config import (
    AUTO,
    AUTOMATIC,
    NOT_BY_VALUE,
    BudgetConfig,
    Config,
    DataConfig,
    PlannedTrial,
    automatic,
    digest,
    flatten,
    keys_of,
    leaves,
    numeric_settings,
    read,
    settings_as_said,
    updated,
    with_values,
)
from mcalc.config.compose import GROUPS, choices, parse_overrides
from mcalc.config.swept import check_count, swept_count
from mcalc.errors import UserError
from mcalc.iteration import grouped
from mcalc.secret_text import ADDRESSES, argument_shown
from mcalc.sweep.planning.first_row import allowed
from mcalc.sweep.planning.search_space import (
    Choices,
    Interval,
    Range,
    Search,
    check_budget,
    parse_range,
)
from mcalc.sweep.planning.sweep_file import (
    Lists,
    SweepFile,
    Values,
    available,
    load,
    product,
)
from mcalc.sweep.planning.values import check_choice, override_of, unquoted

Compose = Callable[[Sequence[str]], Config]
"""Overrides to the config that they give."""
Resolve = Callable[[Config], Config]
"""Replaces `auto` in a config by the values that this process's hardware gives."""
Fingerprint = Callable[[DataConfig], str]
"""The fingerprint of the data that a config names."""

_OWN = ("sweep", "dry_run", "name")
"""Keys that choose a plan and are not settings of its trials."""
_DECIDING = {*AUTOMATIC, "backbone.freeze", "trainer.accelerator"}
"""Beside all of `augment`, what decides to which value `auto` comes."""
_SELECTING = ("data.source", "data.csv_split", "data.phantom.")
"""What chooses the data: part of what a sweep is, beside the settings that change numbers."""


@dataclass(frozen=True)
class Plan:
    """The trials of one sweep, or how to search for them."""

    title: str
    """`alexnet`; of a product, the keys that vary."""
    sweep: str
    """Identity: the title where the sweep is as its name says, else with a hash of what the
    command line changes. The same command continues the same sweep."""
    description: str
    fixed: tuple[str, ...]
    """Overrides that all trials share."""
    shared: dict[str, Any]
    """Settings that all trials share and that matter to what the sweep is."""
    base: Config = field(repr=False)
    """The config of `fixed`."""
    fingerprint: str
    """Of the base's data."""
    trials: tuple[PlannedTrial, ...] = ()
    search: Search | None = None
    launcher: tuple[str, ...] = ()
    """What the sweep file says of the launcher: `hydra/launcher=joblib` and options."""
    automatic: tuple[str, ...] = ()
    """Settings that were `auto` (`mcalc.config.automatic`), here as the hardware decided."""

    def trajectories(self) -> list[tuple[PlannedTrial, ...]]:
        """Trials by the training run they share, in the order of each one's first trial."""
        runs = grouped(self.trials, lambda trial: trial.trajectory)
        return [tuple(run) for run in runs.values()]


def make_plans(
    arguments: Sequence[str], compose: Compose, resolve: Resolve, fingerprint: Fingerprint
) -> list[Plan]:
    """One plan a named sweep file, or one for what the command line varies.

    Raises UserError for anything in the arguments or the files that is not allowed.
    """
    overrides = parse_overrides(arguments)
    sweeps = [name for o in overrides if o.key_or_group == "sweep" for name in sweep_names(o)]
    name = next((_text(o) for o in overrides if o.key_or_group == "name"), None)
    own = [o for o in overrides if o.key_or_group not in _OWN and not o.is_hydra_override()]
    given = [str(o.input_line) for o in own if not o.is_sweep_override()]
    varied = {o.get_key_element(): o for o in own if o.is_sweep_override()}
    title = " x ".join(varied)
    check_count(title, math.prod(swept_count(override) for override in varied.values()))
    planner = _Planner(given, compose, resolve, fingerprint, name)
    if sweeps:
        if name and len(sweeps) > 1:
            raise UserError(
                f"name={name} with {len(sweeps)} sweeps: a name is one sweep's; give it to one"
            )
        lists = {key: values_of(override) for key, override in varied.items()}
        return [planner.of_file(load(sweep), lists) for sweep in sweeps]
    if not varied:
        raise UserError(
            "-m needs something to vary: a comma list, as in head.weight_lr=1,10, or a file of "
            "sweeps/, as in sweep=alexnet"
        )
    if any(override.is_interval_sweep() for override in varied.values()):
        space = {key: _range_of(override) for key, override in varied.items()}
        file = SweepFile(title, "search on the command line", (), search=Search(space))
        return [planner.of_file(file, {})]
    lists = {key: values_of(override) for key, override in varied.items()}
    return [planner.of_file(SweepFile(title, "product of comma lists", (), grid=lists), {})]


@dataclass(frozen=True)
class _Planner:
    """What all plans of one command share."""

    given: Sequence[str]
    compose: Compose
    resolve: Resolve
    fingerprint: Fingerprint
    name: str | None

    def of_file(self, file: SweepFile, times: Lists) -> Plan:
        """The plan of a file, its rows times the product of `times`."""
        title = self.name or file.name
        check_count(title, file.times(times))
        searched = set(file.search.space) if file.search else set()
        for key in ADDRESSES:
            # a trial's name says what varies, and an address may hold a password
            if key in file.varied | set(times) | searched:
                raise UserError(
                    f"{title} varies {key}: a sweep has one record; give it a single value on the "
                    "command line"
                )
        rows = _times(file.rows, product(times)) if times else file.rows
        if file.seeds:
            rows = _times(rows, product({"seed": list(file.seeds)}))
        # the command line has the last word
        fixed = allowed((*file.overrides, *self.given), rows.values(), self.compose)
        composed = self.compose(fixed)
        base = self.resolve(composed)
        varied = file.varied | set(times)
        if file.search:
            if varied:
                raise UserError(
                    f"{title} is a search: it draws its own values; fix a key, or put it into "
                    "its `space`"
                )
            varied = set(file.search.space)
        varied |= {"seed"} if file.seeds else set()
        shared = _shared(base, varied)
        data = self.fingerprint(base.data)
        plan = Plan(
            title=title,
            sweep=self._identity(title, file, rows, fixed, shared, varied, data),
            description=file.description,
            fixed=fixed,
            shared=shared,
            base=base,
            fingerprint=data,
            launcher=file.launcher,
            automatic=tuple(
                key for key in automatic(flatten(composed)) if not _varies(key, varied)
            ),
        )
        if file.search:
            _refuse_automatic(title, file.search)
            search = replace(file.search, seeds=file.seeds)
            return replace(plan, search=_budgeted(title, search, base.budget))
        return replace(plan, trials=tuple(self._trials(title, fixed, rows)))

    def _identity(
        self,
        title: str,
        file: SweepFile,
        rows: Mapping[str, Values],
        fixed: tuple[str, ...],
        shared: dict[str, Any],
        varied: set[str],
        data: str,
    ) -> str:
        """The title, with a hash where the command line makes another sweep of it than its own.

        The hash is of what was said, `auto` included: the same on machines of every kind.
        """
        own = allowed(file.overrides, rows.values(), self.compose)
        if self.name or _shared(self.resolve(self.compose(own)), varied) == shared:
            return title
        said = settings_as_said(self.compose(fixed))
        if fixed != (*file.overrides, *self.given):
            said = {key: value for key, value in said.items() if not _varies(key, varied)}
        return f"{title}-{digest([data, said], 8)}"

    def _trials(
        self, title: str, fixed: Sequence[str], rows: Mapping[str, Values]
    ) -> list[PlannedTrial]:
        bases = _Bases(fixed, self.compose, self.resolve, self.fingerprint)
        trials: dict[str, PlannedTrial] = {}
        for name, values in rows.items():
            try:
                trial = bases.trial(name, values)
            except UserError as error:
                raise UserError(f"trial {name!r} of {title}: {error}") from error
            if trial.key in trials:
                raise UserError(
                    f"{title}: trials {trials[trial.key].name!r} and {name!r} are the same "
                    "configuration; remove one"
                )
            trials[trial.key] = trial
        return list(trials.values())


def _budgeted(title: str, search: Search, budget: BudgetConfig) -> Search:
    trials = search.trials if budget.trials is None else budget.trials
    hours = search.hours if budget.hours is None else budget.hours
    if trials is None and hours is None:
        raise UserError(
            f"{title} is a search and has no end: give it budget.trials=N or budget.hours=H"
        )
    check_budget(title, trials, hours)
    return replace(search, trials=trials, hours=hours)


def _refuse_automatic(title: str, search: Search) -> None:
    """Raise UserError for a search among values of which one is another on each machine."""
    for key, space in search.space.items():
        if key in AUTOMATIC and isinstance(space, Choices) and AUTO in space.values:
            raise UserError(
                f"{title} searches {key} among {AUTO}, which is another value on each machine: "
                "name the values"
            )


@dataclass(frozen=True)
class _Base:
    """What rows of one choice of groups begin with."""

    composed: Config
    config: Config
    """The same without `auto`."""
    settings: dict[str, Any]
    """Those that change numbers."""


class _Bases:
    """Configs by choice of groups: composed once each, as composing takes milliseconds."""

    def __init__(
        self,
        fixed: Sequence[str],
        compose: Compose,
        resolve: Resolve,
        fingerprint: Fingerprint,
    ) -> None:
        self.fixed = fixed
        self.compose = compose
        self.resolve = resolve
        self.fingerprint = fingerprint
        self._known: dict[tuple[str, ...], _Base] = {}

    def trial(self, name: str, values: Values) -> PlannedTrial:
        """The trial that these values make."""
        groups = tuple(override_of(key, value) for key, value in values.items() if key in GROUPS)
        if groups not in self._known:
            for key, value in values.items():
                check_choice(key, value)
            composed = self.compose((*self.fixed, *groups))
            config = self.resolve(composed)
            self._known[groups] = _Base(composed, config, numeric_settings(config))
        base = self._known[groups]
        single = {key: value for key, value in values.items() if key not in GROUPS}
        # what `auto` comes to depends on what a row says beside it
        config = updated(base.config, single)
        if any(key in _DECIDING or key.startswith("augment.") for key in single):
            config = self.resolve(updated(base.composed, single))
            settings = numeric_settings(config)
        elif single.keys() & set(NOT_BY_VALUE):
            settings = numeric_settings(config)
        else:
            settings = with_values(
                base.settings, {key: _plain(read(config, key)) for key in single}
            )
        data = self.fingerprint(config.data)
        key, trajectory = keys_of(settings, data)
        return PlannedTrial(name, key, trajectory, config, data, values)


def _varies(key: str, varied: set[str]) -> bool:
    """Whether trials set a key, or choose its group by name."""
    return key in varied or key.partition(".")[0] in varied


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _shared(config: Config, varied: set[str]) -> dict[str, Any]:
    # a group chosen by name (`backbone`) varies all of its section
    without = (*varied, *(f"{key}." for key in varied))
    settings = numeric_settings(config, without=without)
    selecting = {
        leaf.key: leaf.value
        for leaf in leaves(config)
        if leaf.key.startswith(_SELECTING)
        and leaf.value != leaf.rules.neutral
        and leaf.key not in varied
        and "data" not in varied
    }
    return {**settings, **selecting}


def _times(rows: Mapping[str, Values], more: Mapping[str, Values]) -> dict[str, Values]:
    """Every row with every one of `more`."""
    return {
        f"{name}, {other}": {**values, **others}
        for (name, values), (other, others) in itertools.product(rows.items(), more.items())
    }


def values_of(override: Override) -> list[Any]:
    """The values that `a,b`, choice(), range() or glob() gives a key."""
    key = override.get_key_element()
    if override.is_interval_sweep():
        raise UserError(
            f"{_line(override)}: an interval is searched, not listed; leave sweep= out, or "
            f"give values, as in {key}=1,10,15"
        )
    swept = override.value()
    if isinstance(swept, Glob):
        if key not in GROUPS:
            raise UserError(f"{_line(override)}: glob() chooses files of a group, as backbone")
        values: list[Any] = swept.filter(list(choices(key)))
    else:
        values = [unquoted(value) for value in override.sweep_iterator()]
    if not values:
        raise UserError(f"{_line(override)}: matches nothing")
    if len({str(value) for value in values}) < len(values):
        raise UserError(f"{_line(override)}: a value is given twice; remove one")
    return values


def _range_of(override: Override) -> Range:
    key = override.get_key_element()
    swept = override.value()
    if not isinstance(swept, IntervalSweep):
        return parse_range("the command line", key, values_of(override))
    assert swept.start is not None
    assert swept.end is not None
    parsed = parse_range("the command line", key, {"low": swept.start, "high": swept.end})
    assert isinstance(parsed, Interval)
    return replace(parsed, log="log" in swept.tags)


def sweep_names(override: Override) -> list[str]:
    """The sweeps that `sweep=` names; none where it has no value."""
    if not override.is_sweep_override():
        return [name] if (name := _text(override)) else []
    swept = override.value()
    if isinstance(swept, Glob):
        return swept.filter(sorted(available()))
    return [str(unquoted(name)) for name in override.sweep_iterator()]


def _line(override: Override) -> str:
    """The argument as messages quote it."""
    return argument_shown(str(override.input_line))


def _text(override: Override) -> str:
    value = override.value()
    return "" if value is None else str(value)
