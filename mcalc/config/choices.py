"""Settings that are one word of several."""

from __future__ import annotations

from enum import StrEnum


class MissingWeights(StrEnum):
    """What to do when the named weights cannot be obtained."""

    error = "error"
    random = "random"


class ProtocolName(StrEnum):
    """How data is split and what is reported (`mcalc.data.splits.protocols`)."""

    paper = "paper"
    paper_augment_first = "paper_augment_first"
    patient = "patient"
    official = "official"
    cv = "cv"


class Region(StrEnum):
    """What an image shows: TCIA's crop, a window at fixed scale, the whole mammogram."""

    crop = "crop"
    patch = "patch"
    full = "full"


class Fit(StrEnum):
    """How a region is brought to the network's input size."""

    stretch = "stretch"
    letterbox = "letterbox"
    native = "native"


class ScaleUnit(StrEnum):
    """The unit of lengths on an image."""

    pixels = "pixels"
    mm = "mm"


class Unit(StrEnum):
    """What a prediction is scored on."""

    lesion = "lesion"
    finding = "finding"
    image = "image"
    breast = "breast"
    patient = "patient"


class MixedLabels(StrEnum):
    """What becomes of a scoring unit whose lesions differ in label."""

    malignant = "malignant"
    exclude = "exclude"


class UnitScore(StrEnum):
    """How the probabilities of a scoring unit's images become one."""

    mean = "mean"
    max = "max"


class WithoutCallback(StrEnum):
    """What BENIGN_WITHOUT_CALLBACK counts as."""

    benign = "benign"
    exclude = "exclude"
    own_class = "own_class"


class Network(StrEnum):
    """Which network a trial returns, as MATLAB's OutputNetwork."""

    last = "last"
    best = "best"


class KeepModels(StrEnum):
    """Whose networks stay in the record."""

    all = "all"
    best = "best"
    none = "none"


class Shuffle(StrEnum):
    """When the order of training images is drawn, as MATLAB's Shuffle."""

    never = "never"
    once = "once"
    every_epoch = "every_epoch"


class Precision(StrEnum):
    """Arithmetic of the forward and backward pass (`mcalc.config.automatic`)."""

    fp32 = "fp32"
    bf16 = "bf16"
    auto = "auto"


class AugmentPlace(StrEnum):
    """Where training images lie and are augmented (`mcalc.config.automatic`)."""

    cpu = "cpu"
    device = "device"
    auto = "auto"


class Accelerator(StrEnum):
    """What computes. `auto` takes a GPU where there is one."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class CsvSplit(StrEnum):
    """Which of the official case CSVs to read."""

    all = "all"
    train = "train"
    test = "test"
