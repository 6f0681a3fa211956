"""Stages of a network, from input to output: which layers learn, and how fast.

A backbone's entry names its stages by regular expressions (`Backbone.stages`), the last of which is
the new head. `backbone.freeze` keeps the first stages as they are; `backbone.lr_decay` lets each
stage learn slower than the one above it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from mcalc.config import BackboneConfig
from mcalc.errors import UserError
from mcalc.models.local_response_norm import LocalResponseNorm

_STEADY = frozenset(
    f"torch.nn.modules.{name}"
    for name in (
        "activation", "channelshuffle", "flatten", "fold", "padding", "pixelshuffle", "pooling",
        "upsampling",
    )
)  # fmt: skip
"""PyTorch's files of layers that do the same to the same input, but for those that follow."""
_DRAWING = (nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)


def is_steady(module: nn.Module) -> bool:
    """Whether a layer has no weights, draws nothing and does in training what it does always.

    Of other layers than PyTorch's that is not known.
    """
    if isinstance(module, nn.Identity | nn.LocalResponseNorm | LocalResponseNorm):
        return True
    steady = type(module).__module__ in _STEADY and not isinstance(module, _DRAWING)
    return steady and next(module.parameters(), None) is None


class Stages:
    """The stages of one network, and what the settings make of them.

    Raises UserError where `backbone.freeze` names more stages than lie below the head.
    """

    def __init__(self, patterns: Sequence[str], settings: BackboneConfig) -> None:
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self._name = settings.name
        self._decay = settings.lr_decay
        below_head = len(patterns) - 1
        self.frozen = below_head if settings.freeze == "all" else int(settings.freeze)
        """How many stages are frozen, counted from the input."""
        if self.frozen > below_head:
            stages = f"{below_head} stage{'' if below_head == 1 else 's'}"
            raise UserError(
                f"backbone.freeze={settings.freeze}: {settings.name} has {stages} below "
                f"its head: expected 0 to {below_head}, or all"
            )

    def lr_factor(self, parameter: str) -> float:
        """What a parameter's rate is multiplied by: 0 if frozen, else lr_decay ** depth.

        The head has depth 0 and the stage before it depth 1. Raises UserError for a parameter of no
        stage, where the settings depend on its stage.
        """
        if not self.frozen and self._decay == 1:
            return 1.0
        stage = self._stage(parameter)
        if stage is None:
            raise UserError(
                f"backbone.freeze and backbone.lr_decay need the stage of each parameter, but "
                f"{parameter} of {self._name} is in none: correct the stages of its entry"
            )
        return 0.0 if stage < self.frozen else self._decay ** (len(self._patterns) - 1 - stage)

    def set_modes(self, model: nn.Module) -> None:
        """Put the modules of frozen stages into evaluation mode: no dropout, stored statistics."""
        for name, module in model.named_modules():
            stage = self._stage(f"{name}.")
            if stage is not None and stage < self.frozen:
                module.eval()

    def keeps(self, name: str, module: nn.Module) -> bool:
        """Whether a module is a part of what is frozen, or does the same in training and always."""
        stage = self._stage(f"{name}.")
        if stage is not None:
            return stage < self.frozen
        return is_steady(module)

    def keeps_parameter(self, name: str) -> bool:
        """Whether a parameter or buffer is frozen."""
        stage = self._stage(name)
        return stage is not None and stage < self.frozen

    def _stage(self, name: str) -> int | None:
        return next((i for i, p in enumerate(self._patterns) if p.match(name)), None)
