"""Settings of training: split, augmentation, gradient descent, stopping."""

from __future__ import annotations

from dataclasses import dataclass

from mcalc.config.automatic import AUTO
from mcalc.config.choices import (
    Accelerator,
    AugmentPlace,
    Network,
    Precision,
    ProtocolName,
    Shuffle,
)
from mcalc.config.rules import Section, setting


@dataclass
class ProtocolConfig(Section, prefix="protocol."):
    """How data is split and what is reported (docs/protocols.md)."""

    name: ProtocolName = ProtocolName.paper
    """The protocol. Each choice of `protocol=` sets it with the settings that fit."""
    held_out: float = setting(0.30, above=0, below=1)
    """Share of lesions that are reported. `official` and `cv` have their own."""
    validation: float | None = setting(None, above=0, below=1)
    """Share of the other patients' lesions that stops training. null: what is reported also stops
    training, as published."""
    folds: int = setting(5, low=2, high=1000)
    """Folds of `cv`, stratified by label and grouped by patient."""
    fold: int = setting(0, low=0)
    """The fold of `cv` that is reported, from 0 to folds - 1."""
    repeat: int = setting(0, low=0)
    """Which partition of the patients into folds `cv` takes."""
    copies: float = setting(2.2, low=1, high=100)
    """`paper_augment_first`: images after augmentation for each one before it."""
    split_file: str | None = setting(None, path=True)
    """CSV of a split to take as it is; `python -m mcalc.data ... split_to=PATH` writes one."""
    seed: int | None = setting(None, low=0)
    """Seed of the split; null takes the trial's seed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fold >= self.folds:
            raise self.out_of_range("fold", f"a number from 0 to {self.folds - 1}")


@dataclass
class AugmentConfig(Section, prefix="augment."):
    """Random changes of training images, drawn for each image and epoch; none in evaluation."""

    enabled: bool = True
    """Whether to augment."""
    strength: float = setting(1.0, low=0, high=10)
    """Factor of every amount below, up to its limit. Flips stay as they are; 0 leaves only them."""
    rotation: float = setting(180.0, low=0, high=180)
    """Largest rotation either way, in degrees; 0 for none."""
    flip_horizontal: bool = True
    """Mirror half of the images left to right."""
    flip_vertical: bool = True
    """Mirror half of the images top to bottom."""
    scale: float = setting(0.1, low=0, high=0.9)
    """Largest relative change of size (0.1: 0.9 to 1.1); 0 for none."""
    translate: float = setting(0.05, low=0, high=1)
    """Largest shift, as a share of the image's width; 0 for none."""
    brightness: float = setting(0.1, low=0, high=1)
    """Largest shift of intensity, as a share of the full range; 0 for none."""
    contrast: float = setting(0.1, low=0, high=1)
    """Largest relative change of contrast; 0 for none."""
    noise: float = setting(0.02, low=0, high=1)
    """Largest standard deviation of Gaussian noise, as a share of the full range; 0 for none."""
    place: AugmentPlace = setting(AugmentPlace.auto, neutral="cpu")
    """Where images lie and are augmented. `cpu`: in memory, one by one; `device`: on what trains, a
    mini-batch at once; `auto`: `device` on a GPU, decided when trials are planned (docs/speed.md).
    Both draw the same; pixels may differ in rounding. Not looked at with `backbone.freeze=all`."""
    frozen_copies: int = setting(4, low=1, high=1000, neutral=4)
    """Augmented copies of each training image with `backbone.freeze=all`, whose features are
    computed once: epoch e takes copy e modulo this number. Not looked at otherwise."""


@dataclass
class TrainerConfig(Section, prefix="trainer."):
    """Stochastic gradient descent as MATLAB's trainingOptions('sgdm'), and how it is computed."""

    lr: float = setting(1e-4, above=0)
    """Global learn rate, which layer factors multiply. MATLAB: InitialLearnRate."""
    momentum: float = setting(0.9, low=0, below=1)
    """Momentum of the gradient. MATLAB: Momentum."""
    l2: float = setting(1e-4, low=0)
    """Global weight decay, which layer factors multiply. MATLAB: L2Regularization."""
    batch_size: int = setting(10, low=1)
    """Images per iteration. A last partial batch is dropped. MATLAB: MiniBatchSize."""
    max_epochs: int = setting(30, low=1)
    """Passes over the training images at most."""
    max_iterations: int | None = setting(None, low=1)
    """Iterations at most; null for max_epochs alone."""
    val_every: int = setting(50, low=1)
    """Iterations between two validation evaluations. MATLAB: ValidationFrequency."""
    shuffle: Shuffle = Shuffle.every_epoch
    """When the order of training images is drawn. MATLAB: Shuffle."""
    precision: Precision = Precision.auto
    """Arithmetic of both passes. `auto`: bf16 where the hardware computes in it, else fp32, decided
    when trials are planned (docs/speed.md). With `backbone.freeze=all` fp32, whatever is named."""
    accelerator: Accelerator = Accelerator.auto
    """What computes. `auto` takes a GPU where there is one."""
    threads: int | None = setting(None, low=1, high=1024)
    """CPU threads of the arithmetic; null takes all cores. Another number changes last bits."""
    channels_last: bool | str = AUTO
    """Memory format of images and weights: true, false or `auto`, which is true. Changes last
    bits."""
    workers: int = setting(0, low=0, high=256, numeric=False)
    """Processes that augment ahead. Augmentation is drawn by image and epoch, whoever draws it."""
    eval_batch_size: int = setting(64, low=1)
    """Images per step in evaluation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        written: dict[str, bool | str] = {"true": True, "false": False, AUTO: AUTO}
        if isinstance(self.channels_last, str):
            if self.channels_last not in written:
                raise self.out_of_range("channels_last", "true, false or auto")
            self.channels_last = written[self.channels_last]


@dataclass
class StoppingConfig(Section, prefix="stopping."):
    """When training ends early, and which network it returns."""

    patience: int | None = setting(None, low=1)
    """Validation evaluations without a better loss before stopping. A tie is not better; null never
    stops early. MATLAB: ValidationPatience, with Inf for null."""
    network: Network = Network.last
    """Which network is returned. `last`: of the last iteration, as MATLAB by default; `best`: of
    the lowest validation loss. MATLAB: OutputNetwork, since R2021b."""
