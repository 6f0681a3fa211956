"""A trained network as a file of the record holds it, ready to be asked."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mcalc.models.backbone import InputContract
from mcalc.models.backbones import CLASSES, Built
from mcalc.models.trained import filled, read_tensors


class SavedNetwork(nn.Module):
    """Grey images in, logits out: `Classifier` without its training."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, model: nn.Module, head: str, contract: InputContract, stages: tuple[str, ...]
    ) -> None:
        """`head`: the name of the last layer in `model`; the others as in `Built`."""
        super().__init__()
        self.model = model
        self.head = head
        self.size = contract.size
        """Height and width in pixels of the images that it was trained on."""
        self.stages = stages
        self.register_buffer("mean", torch.tensor(contract.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(contract.std).view(1, 3, 1, 1))

    @classmethod
    def of(cls, built: Built) -> SavedNetwork:
        """A network that is trained already, in evaluation mode; its modules are shared."""
        named = built.model.named_modules()
        head = next(name for name, module in named if module is built.head)
        return cls(built.model, head, built.contract, built.stages).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, 1, S, S), grey 0..255."""
        logits: Tensor = self.model(self.channels(images))  # (B, classes)
        return logits

    def channels(self, images: Tensor) -> Tensor:
        """What the network takes, (B, 3, S, S), of images (B, 1, S, S), grey 0..255."""
        return (images.to(self.mean.dtype) - self.mean) / self.std


def load_network(backbone: str, file: Path, classes: int = CLASSES) -> SavedNetwork:
    """The network of a trial's `network.pth`, in evaluation mode, on the CPU.

    Args:
        backbone: its entry, `backbone.name` of the trial.
        file: a state dict, read without running code of it.
        classes: outputs of its head (`mcalc.data.splits.samples.class_count`).

    Raises UserError for an unknown backbone, and for a file that is missing, damaged or of another
    network.
    """
    return SavedNetwork.of(filled(read_tensors(file), backbone, classes, str(file)))
