"""One backbone with a new head and what it learns by, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MethodType
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcalc.config import BackboneConfig, HeadConfig, TrainerConfig
from mcalc.models.backbones import Built
from mcalc.models.optim import parameter_groups, sgd
from mcalc.models.stages import Stages

_MANY = 32
"""Images from which on looking their channels up is faster than computing them: 3.0 in place of
4.4 ms for 64, 0.5 in place of 0.4 ms for 10 (two cores)."""


class Learner(nn.Module):
    """Grey crops in, logits of (benign, malignant) out, and of a third class where there is one.

    Normalisation by the weights' own contract happens here, on the device, so that batches travel
    as one grey byte a pixel. Lightning, whose import takes seconds, is left to `Classifier`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, built: Built, backbone: BackboneConfig, head: HeadConfig, trainer: TrainerConfig
    ) -> None:
        super().__init__()
        self.model = built.model
        # in a list: it is registered as a part of the model already
        self.head_module = [built.head]
        _compute_in_float32(built.head)
        self.stages = Stages(built.stages, backbone)
        self.backbone = backbone
        self.head = head
        self.settings = trainer
        self.register_buffer("mean", torch.tensor(built.contract.mean).view(1, 3, 1, 1), False)
        self.register_buffer("std", torch.tensor(built.contract.std).view(1, 3, 1, 1), False)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode; frozen stages stay in evaluation mode."""
        super().train(mode)
        self.stages.set_modes(self.model)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, 1, S, S), grey 0..255."""
        logits: Tensor = self.model(self.channels(images))  # (B, classes)
        return logits.float()

    def channels(self, images: Tensor) -> Tensor:
        """What the network takes, (B, 3, S, S), of images (B, 1, S, S), grey 0..255."""
        channels_last = self.settings.channels_last is True
        if channels_last and images.dtype is torch.uint8 and len(images) >= _MANY:
            return self._looked_up(images)
        grey = images.to(self.mean.dtype)  # (B, 1, S, S)
        channels = (grey - self.mean) / self.std  # (B, 3, S, S)
        if channels_last:
            channels = channels.contiguous(memory_format=torch.channels_last)
        return channels

    def _looked_up(self, images: Tensor) -> Tensor:
        """The same numbers, from a table of the 256 grey levels: written once, in their layout."""
        levels = torch.arange(256, dtype=self.mean.dtype, device=self.mean.device)
        table = (levels[:, None] - self.mean.flatten()) / self.std.flatten()  # (256, 3)
        return F.embedding(images[:, 0].int(), table).permute(0, 3, 1, 2)

    def as_recorded(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What the record has of a state of `model`: all of it."""
        return state

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of a mini-batch, and its logits (B, classes)."""
        logits = self(images)
        return F.cross_entropy(logits, labels), logits

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD with momentum; one parameter group per kind of layer (`mcalc.models.optim`)."""
        groups = parameter_groups(
            self.model,
            self.head_module[0],
            self.backbone,
            self.head,
            lr=self.settings.lr,
            l2=self.settings.l2,
            stages=self.stages,
        )
        return sgd(groups, momentum=self.settings.momentum)


def _compute_in_float32(head: nn.Module) -> None:
    """Let a layer compute in float32 inside of autocast too, whatever it is given.

    The head is small. In bf16 its logits would have 8 binary digits: many lesions would share one
    probability, which is a tie to every rank and AUC.
    """
    # a bound method, which goes along with the layer where that is copied
    head.forward = MethodType(_forward_in_float32, head)


def _forward_in_float32(head: nn.Module, *given: Any, **named: Any) -> Any:
    with torch.autocast(next(head.parameters()).device.type, enabled=False):
        # a package's network may give its head more than one tensor
        return type(head).forward(
            head,
            *(_in_float32(each) for each in given),
            **{name: _in_float32(each) for name, each in named.items()},
        )


def _in_float32(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    if type(value) in (list, tuple):
        return type(value)(_in_float32(each) for each in value)
    return value
