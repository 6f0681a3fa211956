"""The LightningModule: one backbone with a new head, trained by SGD with layer factors."""

from __future__ import annotations

from collections.abc import Mapping

import pytorch_lightning as pl
import torch
from torch import Tensor

from mcalc.config import BackboneConfig, HeadConfig, TrainerConfig
from mcalc.models.backbones import Built
from mcalc.models.learner import Learner


class Classifier(Learner, pl.LightningModule):
    """A `Learner` that Lightning trains, and that keeps count of how training goes."""

    def __init__(
        self, built: Built, backbone: BackboneConfig, head: HeadConfig, trainer: TrainerConfig
    ) -> None:
        super().__init__(built, backbone, head, trainer)
        self._tally: list[Tensor] = []
        self._seen = 0

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Mean cross-entropy of one mini-batch."""
        images, labels = batch
        loss, logits = self.loss(images, labels)
        self.count(loss.detach(), logits, labels)
        return loss

    def count(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Take a mini-batch, with its mean loss, into the means of training."""
        correct = (logits.argmax(1) == labels).sum()
        # summed on the device and read at the next validation: reading each would stall a GPU
        self._tally.append(torch.stack([loss * len(labels), correct]))
        self._seen += len(labels)

    def take_training_means(self) -> tuple[float, float]:
        """Mean loss and accuracy of training since the last call (mini-batches as they came)."""
        total = torch.stack(self._tally).sum(0).tolist() if self._tally else [float("nan")] * 2
        seen = max(self._seen, 1)
        self._tally, self._seen = [], 0
        return total[0] / seen, total[1] / seen

    def training_tally(self) -> tuple[Tensor, int]:
        """What the next `take_training_means` will be made of: (k, 2) sums, and images seen."""
        return torch.stack(self._tally) if self._tally else torch.zeros(0, 2), self._seen

    def put_training_tally(self, tally: Tensor, seen: int) -> None:
        """Resume from where `training_tally` was taken."""
        self._tally, self._seen = list(tally.to(self.device)), seen


class UpperClassifier(Classifier):
    """The part of a network above what is frozen: features in, logits out.

    `Built.model` is `CutNetwork.learning` of `mcalc.models.frozen`.
    """

    def __init__(
        self,
        built: Built,
        backbone: BackboneConfig,
        head: HeadConfig,
        trainer: TrainerConfig,
        whole: Mapping[str, Tensor],
    ) -> None:
        """`whole`: the state of the network that was cut."""
        super().__init__(built, backbone, head, trainer)
        self._whole = whole

    def as_recorded(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The state of the whole network; with `backbone.freeze=all` of what lies above it alone.

        What is frozen is then that of a file or a seed, and would be in each trial's record.
        """
        above = self.backbone.freeze == "all"
        return {
            name: state.get(name, value)
            for name, value in self._whole.items()
            if not (above and self.stages.keeps_parameter(name))
        }

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of features (B, ...), in the place of images."""
        logits: Tensor = self.model(images)  # (B, classes)
        return logits.float()
