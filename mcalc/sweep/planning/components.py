"""The sampler and the pruner of a search: a short name, or a class of Optuna with its options.

    sampler: tpe
    pruner: {_target_: optuna.pruners.PercentilePruner, percentile: 25.0, n_warmup_steps: 3}

Only Optuna's own classes may be named (Hydra's `instantiate` would call anything, and resolve
interpolations, whose values would be hidden inputs).
"""

from __future__ import annotations

import importlib
import inspect
import json
import warnings
from collections.abc import Mapping
from types import NoneType
from typing import Any

from mcalc.errors import UserError, nearest, shown

SAMPLERS: dict[str, dict[str, Any]] = {
    "tpe": {
        "_target_": "optuna.samplers.TPESampler",
        "multivariate": False,
        "constant_liar": True,
    },
    "random": {"_target_": "optuna.samplers.RandomSampler"},
    "qmc": {"_target_": "optuna.samplers.QMCSampler", "scramble": True},
    "cmaes": {"_target_": "optuna.samplers.CmaEsSampler"},
    "gp": {"_target_": "optuna.samplers.GPSampler"},
}
"""What the short names stand for."""
PRUNERS = ("hyperband", "median", "patient", "none")
"""Short names; their options follow from how many evaluations a run has."""
_MODULES = ("optuna.samplers", "optuna.samplers.nsgaii", "optuna.pruners")
"""Where the classes are: samplers, what genetic ones are made of, and pruners."""
_ENDING = ("GridSampler", "BruteForceSampler")
"""Samplers that end a study from inside; a sweep's `grid` is what they are for."""
_TARGET = "_target_"
_LARGEST = 1_000_000_000
"""Largest number that an option may have."""

Component = str | Mapping[str, Any]


def parse_component(where: str, kind: str, given: Any) -> Component:
    """A sampler or a pruner (`kind`) as a sweep file gives it.

    Raises UserError: an unknown name, a class that is not Optuna's, options that it does not take.
    """
    if isinstance(given, list):
        raise UserError(f"{where}: {kind} must be one name or one mapping, not a list")
    if not isinstance(given, Mapping):
        known = SAMPLERS if kind == "sampler" else PRUNERS
        if str(given) not in known:
            raise UserError(
                f"{where}: {kind} {shown(given)} is unknown{nearest(str(given)[:80], known)} "
                f"(there are {', '.join(known)}, and {{_target_: optuna.{kind}s.CLASS}})"
            )
        return str(given)
    try:
        json.dumps(given)
        made = build(given, seed=0, sequence_seed=0)
    except (UserError, TypeError) as error:
        raise UserError(f"{where}: {kind}: {error}") from error
    base = getattr(importlib.import_module(f"optuna.{kind}s"), f"Base{kind.capitalize()}")
    if not isinstance(made, base):
        raise UserError(f"{where}: {kind}: {type(made).__name__} is not a {kind}")
    return dict(given)


def build(given: Mapping[str, Any], seed: int, sequence_seed: int) -> Any:
    """The object that `_target_` and options describe, as are those among the options.

    Args:
        given: `{"_target_": "optuna.samplers.TPESampler", "multivariate": True}`.
        seed: of what draws at random.
        sequence_seed: of a sequence that all workers share.

    Raises UserError as `parse_component` does.
    """
    if not given.get(_TARGET):
        raise UserError(f"it needs the name of a class, as {_TARGET}: optuna.samplers.TPESampler")
    name = str(given[_TARGET])[:80]
    target = _allowed(name)
    options = {
        str(key): build(value, seed, sequence_seed)
        if isinstance(value, Mapping) and _TARGET in value
        else value
        for key, value in given.items()
        if key != _TARGET
    }
    taken = dict(inspect.signature(target).parameters)
    if "seed" in options:
        raise UserError(f"{name}: its seed is the search's: give it as sampler_seed")
    seeds = {"seed": sequence_seed if target.__name__ == "QMCSampler" else seed}
    if not taken.pop("seed", None):
        seeds = {}
    for key, value in options.items():
        if key not in taken:
            known = ", ".join(k for k in taken if not _is_function(taken[k])) or "none"
            raise UserError(
                f"{name} has no option {key!r}{nearest(key, taken)} (there are {known})"
            )
        if not _takes(taken[key], value):
            raise UserError(f"{name}: {key}={shown(value)}: expected {_expected(taken[key])}")
        if isinstance(value, int | float) and not -_LARGEST <= value <= _LARGEST:
            raise UserError(f"{name}: {key}={shown(value)}: expected at most {_LARGEST:,}")
    experimental = importlib.import_module("optuna.exceptions").ExperimentalWarning
    with warnings.catch_warnings():
        # the interface of what Optuna marks so may change; its version is pinned
        warnings.simplefilter("ignore", experimental)
        try:
            return target(**seeds, **options)
        except (TypeError, ValueError, AttributeError, ArithmeticError, LookupError) as error:
            raise UserError(f"{name}: {' '.join(str(error).split())}") from error


_PLAIN = {"bool": bool, "int": int, "float": int | float, "str": str, "None": NoneType}


def _type_of(parameter: inspect.Parameter) -> str:
    given = parameter.annotation
    return given.__name__ if inspect.isclass(given) else str(given)


def _is_function(parameter: inspect.Parameter) -> bool:
    return "Callable" in _type_of(parameter)


def _expected(parameter: inspect.Parameter) -> str:
    if _is_function(parameter):
        return "null, as a file cannot give a function"
    named = _type_of(parameter)
    return f"a mapping with `{_TARGET}` ({named})" if "Base" in named else named


def _takes(parameter: inspect.Parameter, value: Any) -> bool:
    """Whether a value of a file fits an option, as far as its type is plain."""
    expected = _type_of(parameter)
    if _is_function(parameter):
        return value is None
    if "Base" in expected:  # an object of Optuna's, or null where that is allowed
        plain = isinstance(value, str | int | float | list | Mapping)
        return not plain and (value is not None or "None" in expected)
    names = expected.split(" | ")
    if not set(names) <= _PLAIN.keys():
        return True
    fitting = {name for name in names if isinstance(value, _PLAIN[name])}
    return bool(fitting if not isinstance(value, bool) else fitting & {"bool"})


def label(component: Component) -> str:
    """As a line of text: `tpe`, `TPESampler(multivariate=True)`."""
    if not isinstance(component, Mapping):
        return str(component)
    options = ", ".join(
        f"{key}={label(value) if isinstance(value, Mapping) and _TARGET in value else value}"
        for key, value in component.items()
        if key != _TARGET
    )
    return f"{str(component[_TARGET]).rpartition('.')[2]}({options})"


def _allowed(name: str) -> type[Any]:
    """One of Optuna's own classes, by its dotted name."""
    if name.rpartition(".")[2] in _ENDING:
        raise UserError(f"{name} tries every combination: write `grid:` in place of `space:`")
    # late: a plan without such a class, and a typo in it, need no Optuna
    modules = {path: importlib.import_module(path) for path in _MODULES}
    classes: dict[str, type[Any]] = {
        f"{path}.{each}": found
        for path, module in modules.items()
        for each in module.__all__
        if inspect.isclass(found := getattr(module, each)) and not inspect.isabstract(found)
    }
    if name not in classes:
        raise UserError(
            f"_target_ {name} is not a class that a search may use{nearest(name, classes)} "
            f"(expected CLASS of {', '.join(modules)})"
        )
    return classes[name]
