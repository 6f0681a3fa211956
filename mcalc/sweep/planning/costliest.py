"""What of a search's space costs most: the corners that bound what its trials take."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcalc.config import Config, flatten, updated
from mcalc.config.compose import GROUPS
from mcalc.errors import UserError
from mcalc.sweep.planning.plan import Compose, Plan, Resolve
from mcalc.sweep.planning.search_space import Choices, Interval, Range
from mcalc.sweep.planning.values import override_of

_MOST_CORNERS = 16
"""Configurations that a plan looks at; each may be another network whose step is measured."""

_LEARNING = (
    "head",
    "head.",
    "backbone.weight_",
    "backbone.bias_",
    "backbone.lr_decay",
    "trainer.lr",
    "trainer.momentum",
    "trainer.l2",
    "stopping.patience",
)
"""Beginnings of settings that change what is learnt, and neither time nor disk at most."""
_PIXELS = (
    "metrics",
    "backbone.weights",
    "backbone.on_missing_weights",
    "data.clahe",
    "data.fit",
    "data.native_scale",
    "data.patch_",
    "data.pixel_size",
    "data.scale_unit",
    "data.bits_stored",
    "data.unit_score",
    "trainer.shuffle",
    "trainer.workers",
    "trainer.eval_batch_size",
)
"""The same of those on which features may depend. What else `augment` has is one of them."""
_LARGEST = (
    "trainer.max_epochs", "trainer.max_iterations", "augment.frozen_copies", "protocol.copies",
)  # fmt: skip
_SMALLEST = ("trainer.val_every",)
_LENGTH = ("trainer.max_", "trainer.val_every")
"""Beginnings of those of which features do not depend on one."""
_BATCH = "trainer.batch_size"
_EACH = (
    "augment.enabled", "backbone.name", "backbone.freeze", "trainer.precision",
    "trainer.accelerator", "trainer.channels_last", "trainer.threads", "stopping.network", "seed",
)  # fmt: skip
"""Settings of which any value may cost most."""
_EACH_GROUP = ("augment", "backbone", "protocol", "trainer")
"""The same of groups that are chosen by name."""


@dataclass(frozen=True)
class Corners:
    """Configurations of a search, of which one or another costs most."""

    configs: tuple[Config, ...]
    unknown: tuple[str, ...]
    """Searched settings that may cost more than these configurations show."""
    features_differ: bool
    """Whether two configurations may have other features, where a backbone is frozen."""


def corners(plan: Plan, compose: Compose, resolve: Resolve) -> Corners:
    """The corners of a search's space.

    A trial fails where its values do not go together; so do corners, which are left out.

    Raises UserError where no corner is left.
    """
    assert plan.search is not None
    space = plan.search.space
    candidates = {key: each for key in space if (each := _candidates(key, space[key]))}
    unknown = [key for key in space if key not in candidates and not _is_free(key)]
    chosen = list(itertools.islice(itertools.product(*candidates.values()), _MOST_CORNERS + 1))
    if len(chosen) > _MOST_CORNERS:
        unknown += [key for key in candidates if key not in unknown]
    sections = _sections(plan, candidates, compose, resolve)
    found: dict[str, Config] = {}
    refused: UserError | None = None
    for values in chosen[:_MOST_CORNERS]:
        given = dict(zip(candidates, values, strict=True))
        single = {key: value for key, value in given.items() if key not in GROUPS}
        of_groups = [sections[key, str(value)] for key, value in given.items() if key in GROUPS]
        try:
            config = updated(plan.base, {**_joined(of_groups), **single})
        except UserError as error:
            refused = error
            continue
        # a larger batch costs more than the smallest one only where iterations are counted
        smallest = _BATCH not in given or given[_BATCH] == candidates[_BATCH][0]
        if smallest or config.trainer.max_iterations is not None:
            found.setdefault(repr(config), config)
    if refused and not found:
        raise refused
    differ = any(not key.startswith((*_LEARNING, *_LENGTH)) for key in space)
    return Corners(tuple(found.values()), tuple(unknown), differ)


def _candidates(key: str, space: Range) -> Sequence[Any]:
    """The values of a setting that may cost most; none where all cost alike, or nobody knows."""
    ends = [space.low, space.high] if isinstance(space, Interval) else list(space.values)
    if key in _LARGEST:
        # without a limit there are as many as epochs make
        return [max(ends, key=lambda value: math.inf if value is None else float(value))]
    if key in _SMALLEST:
        return [min(ends, key=float)]
    if key == _BATCH:
        return sorted({min(ends, key=float), max(ends, key=float)}, key=float)
    of_each = key in (*_EACH, *_EACH_GROUP) or key.startswith("protocol.")
    return ends if of_each and isinstance(space, Choices) else ()


def _is_free(key: str) -> bool:
    """Whether all values of a setting cost alike, at most."""
    drawn = key.startswith("augment.") and key not in (*_LARGEST, *_EACH)
    return drawn or key.startswith((*_LEARNING, *_PIXELS))


def _sections(
    plan: Plan,
    candidates: Mapping[str, Sequence[Any]],
    compose: Compose,
    resolve: Resolve,
) -> dict[tuple[str, str], dict[str, Any]]:
    """The settings of each choice of the groups that are searched, as a worker takes them."""
    found = {}
    for group in candidates.keys() & {*GROUPS}:
        for choice in candidates[group]:
            config = resolve(compose((*plan.fixed, override_of(group, choice))))
            settings = flatten(getattr(config, group))
            found[group, str(choice)] = {f"{group}.{key}": each for key, each in settings.items()}
    return found


def _joined(sections: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: value for section in sections for key, value in section.items()}
