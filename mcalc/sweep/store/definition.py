"""What a recorded sweep is, beside what a plan makes of the same name."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial

from mcalc.config import AUTOMATIC, NUMERICS_VERSION, differences, digest, entries
from mcalc.errors import UserError
from mcalc.results import check_format
from mcalc.sweep.planning import Plan
from mcalc.sweep.store.reasons import formatted

SHARED, DEFINITION, FORMAT = "mcalc:shared", "mcalc:search", "mcalc:format"
AUTOMATIC_FACT = "mcalc:automatic"
"""User attributes of a study. The last holds the settings that were `auto` when it was planned."""
_log = logging.getLogger(__name__)


def check_same_definition(
    plan: Plan, known: Mapping[str, Any], attempts: Iterable[FrozenTrial]
) -> None:
    """Raise UserError, with the difference, where what is recorded is another sweep.

    `known`: user attributes of the study; `attempts`: its entries.
    """
    check_format(known.get(FORMAT), f"the sweep {plan.sweep!r}")
    if SHARED not in known:
        return
    recorded = {**known.get(SHARED, {}), **_flat(known.get(DEFINITION, {}))}
    wanted = {**plan.shared, **_flat(plan.search.definition() if plan.search else {})}
    if bool(plan.search) != (DEFINITION in known):
        kinds = ("explicit trials", "a search")
        raise _another(
            plan.title, [f"{kinds[not plan.search]} before, {kinds[bool(plan.search)]} now"]
        )
    varied = _varied(plan)
    for attempt in attempts:
        varied.update(attempt.user_attrs.get("identity", {}).get("values", {}))
    found = differences(recorded, wanted, varied)
    if found and found.keys() <= set(plan.automatic) & set(known.get(AUTOMATIC_FACT, ())):
        raise _another_kind_of_machine(plan, {**AUTOMATIC, **known[SHARED]})
    differing = [
        f"{key}: {formatted(before)} before, {formatted(now)} now"
        for key, (before, now) in found.items()
    ]
    if plan.search and DEFINITION in known:
        differing += [f"{key}: new" for key in wanted if key not in recorded and ":" in key]
        differing += [f"{key}: gone" for key in recorded if key not in wanted and ":" in key]
    if differing:
        raise _another(plan.title, differing)


def beside_older(plan: Plan, known: Mapping[str, Any], numerics: Collection[int] = ()) -> Plan:
    """The plan, as a new sweep where an older one of its name was computed in another way.

    An older sweep ran with fixed defaults where `auto` is the default now. It stays as it is, and
    the same command begins another sweep; the reason is printed.

    Args:
        plan: what is asked for.
        known: user attributes of the study that is recorded under the plan's name.
        numerics: versions of the code's numerics of its trials.
    """
    if AUTOMATIC_FACT in known or SHARED not in known:
        return plan
    recorded = {**AUTOMATIC, **known[SHARED]}
    planned = _planned(plan)
    older = [key for key in plan.automatic if recorded[key] != planned[key]]
    if not older:
        return plan
    sweep = f"{plan.title}-{digest([plan.fingerprint, plan.shared], 8)}"
    _log.warning(
        f"  warning: {plan.sweep} was recorded with {_listed(older, recorded)}, the default then; "
        f"now that is auto, here {_listed(older, planned)}: this is another sweep, {sweep}. To "
        f"go on with the recorded one, add {_named(plan, recorded)}{_anew(numerics)}"
    )
    return replace(plan, sweep=sweep)


def say_older(plan: Plan, others: Mapping[str, tuple[Mapping[str, Any], Collection[int]]]) -> None:
    """Print why a new sweep begins where an older one of its title would have gone on.

    `others`: user attributes of the studies of that title, and the versions of their numerics, by
    their names.
    """
    for name, (known, numerics) in others.items():
        if AUTOMATIC_FACT in known or SHARED not in known:
            continue
        recorded = {**AUTOMATIC, **known[SHARED]}
        as_recorded = {**plan.shared, **{key: recorded[key] for key in plan.automatic}}
        if differences(recorded, as_recorded, _varied(plan)):
            continue  # something else was changed too
        _log.warning(
            f"  warning: {name} was recorded when {_listed(plan.automatic, AUTOMATIC)} was the "
            f"default; now that is auto, here {_listed(plan.automatic, _planned(plan))}: this is "
            f"another sweep, {plan.sweep}. To go on with the recorded one, add "
            f"name={name} {_named(plan, recorded)}{_anew(numerics)}"
        )


def _anew(numerics: Collection[int]) -> str:
    """That none of a sweep's trials counts here, where that is so."""
    if not numerics or NUMERICS_VERSION in numerics:
        return ""
    return (
        "; its trials run anew there as well, as the code's numerics changed "
        f"({', '.join(map(str, sorted(numerics)))} to {NUMERICS_VERSION})"
    )


def _another_kind_of_machine(plan: Plan, recorded: Mapping[str, Any]) -> UserError:
    return UserError(
        f"the sweep {plan.title!r} was planned on a machine where auto is "
        f"{_listed(plan.automatic, recorded)}, and here it is "
        f"{_listed(plan.automatic, _planned(plan))}: machines of different kinds share a sweep "
        f"that names the value, as this one with {_named(plan, recorded)}; or give this one a name "
        "of its own with name=NAME"
    )


def _planned(plan: Plan) -> dict[str, Any]:
    """What each setting that was `auto` came to; a neutral value does not stand in `shared`."""
    return {key: plan.shared.get(key, entries()[key].rules.neutral) for key in plan.automatic}


def _varied(plan: Plan) -> set[str]:
    return {key for trial in plan.trials for key in trial.values}.union(
        plan.search.space if plan.search else ()
    )


def _named(plan: Plan, recorded: Mapping[str, Any]) -> str:
    """The settings that give the recorded values here, as arguments."""
    planned = _planned(plan)
    keys = [key for key in plan.automatic if recorded[key] != planned[key]]
    return " ".join(f"{key}={_value(recorded[key])}" for key in keys)


def _listed(keys: Sequence[str], values: Mapping[str, Any]) -> str:
    return " and ".join(f"{key}={_value(values.get(key))}" for key in keys)


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else formatted(value)


def _flat(definition: Mapping[str, Any]) -> dict[str, Any]:
    """`{"space: head.weight_lr": {...}, "search: sampler": "tpe"}`."""
    flat = {f"search: {key}": value for key, value in definition.items() if key != "space"}
    for key, entry in definition.get("space", {}).items():
        flat[f"space: {key}"] = entry
    return flat


def _another(title: str, differing: Sequence[str]) -> UserError:
    more = f"; and {len(differing) - 8} more" if len(differing) > 8 else ""
    return UserError(
        f"a sweep {title!r} is recorded with other settings ({'; '.join(differing[:8])}{more}): "
        "give this one a name of its own with name=NAME, or another tracking.dir"
    )
