"""A training run of a second, sixteen pixels wide, with all that makes runs hard to share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mcalc.config import (
    Accelerator,
    AugmentConfig,
    AugmentPlace,
    BackboneConfig,
    Config,
    HeadConfig,
    Network,
    Precision,
    ProtocolName,
    StoppingConfig,
    TrainerConfig,
)
from mcalc.config.trial import PlannedTrial, plan_trial
from mcalc.data.loading.datamodule import CropData
from mcalc.data.splits.protocols import Split
from mcalc.data.splits.samples import Sample
from mcalc.models.backbones import BACKBONES, Built
from mcalc.models.classifier import Classifier
from mcalc.results import CurvePoint, TrialResult
from mcalc.training.checkpoint import Checkpoint
from mcalc.training.listener import Listener
from mcalc.training.trajectory import run_trajectory
from mcalc.training.validation import Checkpointing

SIZE = 16
SETTINGS = TrainerConfig(
    lr=0.02,
    batch_size=4,
    max_epochs=5,
    val_every=3,
    threads=1,
    accelerator=Accelerator.cpu,
    precision=Precision.fp32,
    channels_last=False,
)


def images(n: int = 40) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """Noise, brighter where malignant: learnable, not trivially."""
    draw = np.random.default_rng(0)
    labels = [int(i % 5 < 2) for i in range(n)]
    pixels = draw.normal(110, 40, (n, SIZE, SIZE)) + 12 * np.array(labels)[:, None, None]
    return pixels.clip(0, 255).astype(np.uint8), labels


class Small(nn.Module):
    """Convolution, normalisation and dropout: state, running statistics and randomness."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(2)
        )
        self.drop = nn.Dropout(0.3)
        self.fc = nn.Linear(24, classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.drop(self.features(x).flatten(1)))
        return out


def built(classes: int = 2, network: type[Small] = Small) -> Built:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = network(classes)
    return Built(
        model=model,
        head=model.fc,
        contract=replace(BACKBONES["alexnet"].contract, size=SIZE),
        stages=(r"(features|drop)\.", r"fc\."),
        weights_origin="random",
        warnings=(),
    )


def crop_data(
    pixels: npt.NDArray[np.uint8],
    labels: list[int],
    settings: TrainerConfig,
    subsets: tuple[range, range, range] = (range(28), range(28, 40), range(28, 40)),
    augment: AugmentConfig | None = None,
) -> CropData:
    samples = [
        Sample(f"lesion {i}", i, label, f"patient {i}", f"lesion {i}")
        for i, label in enumerate(labels)
    ]
    split = Split(ProtocolName.patient, 0, *map(tuple, subsets), 0, "fingerprint")
    return CropData(pixels, samples, split, augment or AugmentConfig(), settings, seed=3)


def trial(
    patience: int | None,
    settings: TrainerConfig = SETTINGS,
    network: Network = Network.last,
    place: AugmentPlace = AugmentPlace.cpu,
) -> PlannedTrial:
    """A trial named by its patience."""
    augment = AugmentConfig(place=place)
    stopping = StoppingConfig(patience, network)
    config = Config(seed=3, augment=augment, trainer=settings, stopping=stopping)
    return plan_trial(str(patience), config, "fingerprint")


def patience_of(result: TrialResult) -> int | None:
    return None if result.name == "None" else int(result.name)


class Keeper(Listener):
    """Keeps each trial's weights, and what is noted."""

    def __init__(self) -> None:
        self.weights: dict[str, dict[str, Tensor]] = {}
        self.notes: list[str] = []
        self.resumed_at: list[int] = []

    def finished(self, result: TrialResult, weights: Mapping[str, Tensor]) -> None:
        self.weights[result.name] = {name: value.clone() for name, value in weights.items()}

    def noted(self, text: str) -> None:
        self.notes.append(text)

    def resumed(self, checkpoint: Checkpoint) -> None:
        self.resumed_at.append(checkpoint.iteration)


class PowerCutError(Exception):
    pass


class PowerCut(Listener):
    """Ends the run without warning at an evaluation."""

    def __init__(self, at: int) -> None:
        self.at = at

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        if point.iteration >= self.at:
            raise PowerCutError


def train(
    patience: list[int | None],
    settings: TrainerConfig = SETTINGS,
    network: Network = Network.last,
    checkpointing: Checkpointing | None = None,
    listener: Listener | None = None,
    place: AugmentPlace = AugmentPlace.cpu,
    kind: type[Small] = Small,
    apart: bool = False,
) -> tuple[list[TrialResult], dict[str, dict[str, Tensor]]]:
    pixels, labels = images()
    # `apart`: what is reported is not what stops training
    reported = range(34, 40) if apart else range(28, 40)
    validation = range(28, 34) if apart else reported
    data = crop_data(pixels, labels, settings, (range(28), validation, reported))
    head = HeadConfig(weight_lr=5, bias_lr=5)
    module = Classifier(built(network=kind), BackboneConfig(), head, settings)
    keeper = Keeper()
    results = run_trajectory(
        module,
        data,
        [trial(p, settings, network, place) for p in patience],
        [keeper, *([listener] if listener else [])],
        checkpointing,
    )
    return results, keeper.weights
