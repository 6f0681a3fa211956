"""What a careful user of Lightning, albumentations and MLFlowLogger writes: the same work.

Nothing is held back: the grey image is augmented before it becomes three channels, evaluation is
done in large batches without gradients, and nothing is logged that mcalc does not log. Precision,
memory format and allocator are the libraries' defaults, as in their tutorials.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
import torchvision
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.loggers import MLFlowLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.training.stopwatch import Stopwatch
from benchmarks.training.workload import Workload

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def network(name: str) -> nn.Module:
    """The network with two outputs."""
    if name == "googlenet_bvlc":
        # torchvision has none: ours, with PyTorch's own normalisation
        from mcalc.models.googlenet_bvlc import BvlcGoogLeNet

        bvlc = BvlcGoogLeNet(classes=2)
        bvlc.lrn = nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)  # type: ignore[assignment]
        return bvlc
    models = torchvision.models
    made: nn.Module
    if name == "alexnet":
        made = models.alexnet()
        made.classifier[6] = nn.Linear(4096, 2)
    elif name == "googlenet":
        made = models.googlenet(aux_logits=False, init_weights=False)
        made.fc = nn.Linear(1024, 2)
    else:
        made = models.squeezenet1_1()
        made.classifier[1] = nn.Conv2d(512, 2, 1)
    return made


class Crops(Dataset[tuple[Tensor, int]]):
    """Normalised RGB of grey crops."""

    def __init__(
        self, pixels: npt.NDArray[np.uint8], labels: Sequence[int], *, augment: bool
    ) -> None:
        self.pixels, self.labels = pixels, labels
        self.transform = (
            A.Compose(
                [
                    A.HorizontalFlip(p=0.5),
                    A.VerticalFlip(p=0.5),
                    A.Affine(
                        rotate=(-180, 180),
                        scale=(0.9, 1.1),
                        translate_percent=(-0.05, 0.05),
                        border_mode=cv2.BORDER_REFLECT_101,
                        p=1,
                    ),
                    A.RandomBrightnessContrast(0.1, 0.1, p=1),
                    A.GaussNoise(std_range=(0, 0.02), p=1),
                ]
            )
            if augment
            else None
        )
        self.mean = torch.tensor(_MEAN).view(3, 1, 1)
        self.std = torch.tensor(_STD).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.pixels[index]
        if self.transform:
            image = self.transform(image=image)["image"]
        grey = torch.from_numpy(image).float().div(255)[None]
        return (grey - self.mean) / self.std, self.labels[index]


class Module(pl.LightningModule):
    """Fine-tuning with a faster head."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 2)."""
        logits: Tensor = self.model(images)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Cross-entropy of a mini-batch."""
        images, labels = batch
        logits = self(images)
        loss = F.cross_entropy(logits, labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("train_accuracy", (logits.argmax(1) == labels).float().mean(), on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Loss and accuracy of a batch."""
        images, labels = batch
        logits = self(images)
        self.log("val_loss", F.cross_entropy(logits, labels))
        self.log("val_accuracy", (logits.argmax(1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD with ten times the rate in the head."""
        parameters = list(self.model.parameters())
        groups = [{"params": parameters[:-2]}, {"params": parameters[-2:], "lr": 1e-3}]
        return torch.optim.SGD(groups, lr=1e-4, momentum=0.9, weight_decay=1e-4)


class _Times(pl.Callback):
    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch
        self.validation_began = 0.0

    def on_train_batch_end(self, *_: Any) -> None:
        """A step has ended."""
        self.watch.step()

    def on_validation_start(self, *_: Any) -> None:
        """An evaluation begins."""
        self.validation_began = time.perf_counter()

    def on_validation_end(self, *_: Any) -> None:
        """It has ended."""
        self.watch.validations.append(time.perf_counter() - self.validation_began)


def run(work: Workload, watch: Stopwatch) -> None:
    """Train."""
    pixels, labels = work.images()
    n = work.trained
    training = DataLoader(
        Crops(pixels[:n], labels[:n], augment=True), work.batch, shuffle=True, drop_last=True
    )
    held_out = DataLoader(Crops(pixels[n:], labels[n:], augment=False), 64)
    validates: dict[str, Any] = {"limit_val_batches": 0}
    callbacks: list[pl.Callback] = [_Times(watch)]
    if work.val_every:
        validates = {"val_check_interval": work.val_every, "check_val_every_n_epoch": None}
        callbacks.append(EarlyStopping("val_loss", patience=1000))
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="auto",
            devices=1,
            max_steps=work.iterations,
            max_epochs=-1,
            num_sanity_val_steps=0,
            logger=MLFlowLogger("peer", tracking_uri=f"sqlite:///{folder}/mlflow.db"),
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **validates,
        )
        module = Module(network(work.backbone))
        watch.start()
        if work.val_every:
            # before training, as mcalc and MATLAB look after the first iteration
            trainer.validate(module, held_out, verbose=False)
        trainer.fit(module, training, held_out)
        watch.stop()
