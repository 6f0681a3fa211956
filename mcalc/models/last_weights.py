"""The weights that the networks of a sweep begin with, drawn or read for the first two alone.

To build seven AlexNets in a sweep took 1.3 s (drawn; to read them takes twice as long), and takes
0.8 s. Two Zen 5 cores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from mcalc.config import BackboneConfig
from mcalc.file_digest import FileState, state_of
from mcalc.models.backbones import RANDOM, Built, build_classifier, draw_head, find_backbone
from mcalc.models.tensors import copies_of, put_tensors
from mcalc.models.undrawn import blank, put_head
from mcalc.models.weight_path import weight_path


@dataclass(frozen=True)
class _Origin:
    """What a network's first weights follow from, but for those of its head."""

    backbone: str
    classes: int
    file: FileState | None
    seed: int | None
    """None where a seed changes the head alone."""


@dataclass(frozen=True)
class _Kept:
    weights: Mapping[str, Tensor]
    origin: str
    warnings: tuple[str, ...]


class LastWeights:
    """Builds networks one after another. One that begins as the two before it is a copy."""

    def __init__(self) -> None:
        self._origin: _Origin | None = None
        self._kept: _Kept | None = None
        """Only from the second network on: a process that trains one needs no copy."""

    def build(self, backbone: BackboneConfig, seed: int, classes: int) -> Built:
        """As `build_classifier`, with the same numbers."""
        path = weight_path(backbone.weights, backbone.name)
        any_seed = _Origin(repr(backbone), classes, state_of(path) if path else None, None)
        this_seed = replace(any_seed, seed=seed)
        again = self._origin in (any_seed, this_seed)
        if again and self._kept:
            return _copy(self._kept, backbone, seed, classes)
        self._kept = None  # before the next one takes as much memory
        built = build_classifier(backbone, seed, classes)
        if again:
            self._kept = _Kept(copies_of(built.model), built.weights_origin, built.warnings)
        self._origin = this_seed if built.weights_origin == RANDOM else any_seed
        return built


def _copy(kept: _Kept, backbone: BackboneConfig, seed: int, classes: int) -> Built:
    entry = find_backbone(backbone.name)
    model = blank(entry)
    head = put_head(model, entry, classes)
    put_tensors(model, kept.weights)
    draw_head(head, seed)
    return Built(model.train(), head, entry.contract, entry.stages, kept.origin, kept.warnings)
