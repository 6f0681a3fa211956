"""What one trial is: typed settings with their units, and the rules between them.

Plain dataclasses: this module imports neither hydra nor omegaconf, so that data, models and
metrics can take settings without either. `mcalc.config.compose` fills them from `conf/` and the
command line. Every field that changes a trial's numbers is part of its key
(`mcalc.config.identity`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any, get_type_hints

from mcalc.errors import UserError


class MissingWeights(StrEnum):
    """What to do when the named weights cannot be had."""

    error = "error"
    random = "random"


class Source(StrEnum):
    """Where lesions come from: one index module each."""

    cbis_ddsm = "cbis_ddsm"
    cmmd = "cmmd"
    folder = "folder"
    phantom = "phantom"


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
    """How a region comes to the network's size."""

    stretch = "stretch"
    letterbox = "letterbox"
    native = "native"


class ScaleUnit(StrEnum):
    """In what sizes on an image are given."""

    pixels = "pixels"
    mm = "mm"


class Unit(StrEnum):
    """What a prediction is scored on."""

    lesion = "lesion"
    image = "image"
    breast = "breast"
    patient = "patient"


class MixedLabels(StrEnum):
    """What a unit is whose lesions differ in label."""

    malignant = "malignant"
    exclude = "exclude"


class UnitScore(StrEnum):
    """How a unit's probability comes from those of its images."""

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


class Shuffle(StrEnum):
    """When training images are put in a new order, as MATLAB's Shuffle."""

    never = "never"
    once = "once"
    every_epoch = "every_epoch"


class Precision(StrEnum):
    """Arithmetic of the forward and backward pass. `auto` is resolved when a trial starts."""

    fp32 = "fp32"
    bf16 = "bf16"
    auto = "auto"


class Accelerator(StrEnum):
    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class CsvSplit(StrEnum):
    """Which of the official case CSVs to read."""

    all = "all"
    train = "train"
    test = "test"


def _require(holds: bool, key: str, value: object, allowed: str) -> None:
    if not holds:
        raise UserError(f"{key}={value!r} is out of range: expected {allowed}")


def _number(key: str, value: float, low: float, high: float = math.inf) -> None:
    bounds = f"a number from {low:g}" + ("" if high == math.inf else f" to {high:g}")
    _require(math.isfinite(value) and low <= value <= high, key, value, bounds)


def _positive(key: str, value: float) -> None:
    _require(math.isfinite(value) and value > 0, key, value, "a number above 0")


@dataclass
class BackboneConfig:
    """A pretrained network and the layer factors of what it brings along."""

    name: str = "alexnet"
    """An entry of `mcalc.models.backbones`."""
    weights: str = "imagenet"
    """`imagenet` (the entry's own download), `none` (random), or a path to a .pth or .npz."""
    on_missing_weights: MissingWeights = MissingWeights.error
    """`random` allows a loud fallback to random weights where `imagenet` cannot be had."""
    weight_lr: float = 1.0
    """Learn-rate factor of pretrained weights (WeightLearnRateFactor)."""
    bias_lr: float = 2.0
    """Learn-rate factor of pretrained biases: 2 in MATLAB's AlexNet and GoogLeNet, as in Caffe."""
    weight_l2: float = 1.0
    """L2 factor of pretrained weights (WeightL2Factor)."""
    bias_l2: float = 0.0
    """L2 factor of pretrained biases (BiasL2Factor)."""
    lr_decay: float = 1.0
    """Rate of a stage = rate x decay^depth, the head at depth 0; 1: all stages learn alike."""
    freeze: str = "0"
    """How many stages from the input stay as they are, or `all` below the head."""

    def __post_init__(self) -> None:
        for name in ("weight_lr", "bias_lr", "weight_l2", "bias_l2"):
            _number(f"backbone.{name}", getattr(self, name), 0)
        _require(bool(self.weights), "backbone.weights", self.weights, "imagenet, none or a path")


@dataclass
class HeadConfig:
    """Factors of the new last layer: rate trainer.lr x factor, L2 trainer.l2 x factor."""

    weight_lr: float = 10.0
    """WeightLearnRateFactor."""
    bias_lr: float = 20.0
    """BiasLearnRateFactor."""
    weight_l2: float = 1.0
    """WeightL2Factor."""
    bias_l2: float = 0.0
    """BiasL2Factor."""

    def __post_init__(self) -> None:
        for name in ("weight_lr", "bias_lr", "weight_l2", "bias_l2"):
            _number(f"head.{name}", getattr(self, name), 0)


@dataclass
class ClaheConfig:
    """Contrast-limited adaptive histogram equalisation, on the crop at its native size."""

    enabled: bool = True
    clip_limit: float = 3.5
    """OpenCV's clipLimit; about 3.5 is adapthisteq's default ClipLimit 0.01."""
    tiles: int = 8
    """Tiles a side (adapthisteq's NumTiles is [8 8])."""

    def __post_init__(self) -> None:
        _positive("data.clahe.clip_limit", self.clip_limit)
        _number("data.clahe.tiles", self.tiles, 1, 64)


@dataclass
class PhantomConfig:
    """The synthetic download that stands in where no data set is named."""

    lesions: int = 240
    """How many rows the case CSVs have together."""
    seed: int = 2020
    """Same seed, same bytes. Apart from the trial's seed: the data stays while trials vary."""
    difficulty: float = 0.5
    """How far benign and malignant overlap: 0 none to speak of, 1 indistinguishable."""
    defects: bool = False
    """Write every defect that the ledger knows, so that the reader can be tried on them; needs 40
    lesions."""
    full_height: int = 512
    """Rows of a full mammogram, pixels (a real one: 3000 to 6000); the width is three quarters."""

    def __post_init__(self) -> None:
        _number("data.phantom.full_height", self.full_height, 256, 8192)
        _number("data.phantom.lesions", self.lesions, 8, 100_000)
        _number("data.phantom.difficulty", self.difficulty, 0, 1)
        _number("data.phantom.seed", self.seed, 0)


@dataclass
class DataConfig:
    """Which lesions, and how their images are made ready."""

    source: Source = Source.phantom
    root: str | None = None
    """The download's folder. A phantom without a root is written below `data.cache`."""
    csv_dir: str | None = None
    """Folder of the case CSVs where it is not the root or its `csv` folder."""
    csv_split: CsvSplit = CsvSplit.all
    labels: str | None = None
    """CSV of path,label,patient for data=folder; null takes class sub-folders."""
    min_completeness: float = 1.0
    """Smallest share (0..1) of the lesions listed whose images must be there and readable."""
    region: Region = Region.crop
    """`patch` and `full` need the full mammograms, `patch` their masks too."""
    fit: Fit = Fit.stretch
    """`stretch` (the paper) loses aspect and scale, `letterbox` scale, `native` neither."""
    scale_unit: ScaleUnit = ScaleUnit.pixels
    """Unit of the three sizes below: pixels of the image, or mm."""
    patch_size: float = 512.0
    """Side of the square window of region=patch; the same for every lesion, whatever its size."""
    patch_margin: float = 32.0
    """Context that a window should leave around the lesion; where it cannot, that is counted."""
    native_scale: float = 0.25
    """fit=native: network pixels a unit of the image."""
    pixel_size: float | None = None
    """Side of an image's pixel in mm where files do not say so (CBIS-DDSM's do not; the scanners of
    DDSM had 0.042, 0.0435 and 0.05)."""
    unit: Unit = Unit.lesion
    """What is scored; a unit of several images takes its probability from all of them."""
    unit_score: UnitScore = UnitScore.mean
    mixed_labels: MixedLabels = MixedLabels.malignant
    """A unit with benign and malignant lesions: malignant, or left out."""
    benign_without_callback: WithoutCallback = WithoutCallback.benign
    cache: str = ".cache"
    """Folder for prepared images and phantoms; safe to delete."""
    clahe: ClaheConfig = field(default_factory=ClaheConfig)
    phantom: PhantomConfig = field(default_factory=PhantomConfig)

    def __post_init__(self) -> None:
        _number("data.min_completeness", self.min_completeness, 0, 1)
        for name in ("patch_size", "native_scale"):
            _positive(f"data.{name}", getattr(self, name))
        _number("data.patch_margin", self.patch_margin, 0)
        if self.pixel_size is not None:
            _positive("data.pixel_size", self.pixel_size)
        if self.region is Region.full and self.unit is Unit.lesion:
            raise UserError(
                "data.region=full shows whole mammograms, on which lesions cannot be told apart: "
                "take data.unit=image, breast or patient"
            )
        if self.source is Source.cbis_ddsm and not self.root:
            raise UserError(
                "data=cbis_ddsm needs data.root=PATH: the folder of a CBIS-DDSM download (Kaggle, "
                "NBIA or legacy layout). Without a download, use data=phantom"
            )


@dataclass
class ProtocolConfig:
    name: ProtocolName = ProtocolName.paper
    held_out: float = 0.30
    """Share (0..1) of lesions that are reported; `official` and `cv` have their own."""
    validation: float | None = None
    """Share (0..1) of the other patients' lesions that stops training; null: what is reported
    also stops training, as published."""
    folds: int = 5
    """Parts of `cv`, stratified by label and grouped by patient."""
    fold: int = 0
    """Which part of `cv` is reported, from 0."""
    repeat: int = 0
    """Which partition of `cv`, from 0: repeats differ in how patients fall into folds."""
    copies: float = 2.2
    """`paper_augment_first`: images after augmentation, of each one before it."""
    split_file: str | None = None
    """CSV of a split (written by `python -m mcalc.data ... split_to=PATH`) to take as it is."""
    seed: int | None = None
    """Seed of the split; null takes the trial's seed."""

    def __post_init__(self) -> None:
        _require(0 < self.held_out < 1, "protocol.held_out", self.held_out, "above 0 and below 1")
        if self.validation is not None:
            inside = 0 < self.validation < 1
            _require(inside, "protocol.validation", self.validation, "above 0 and below 1, or null")
        _number("protocol.folds", self.folds, 2, 1000)
        _number("protocol.fold", self.fold, 0, self.folds - 1)
        _number("protocol.repeat", self.repeat, 0)
        _number("protocol.copies", self.copies, 1, 100)


@dataclass
class AugmentConfig:
    """Random changes of training images, one fresh draw an image and epoch; none in evaluation."""

    enabled: bool = True
    strength: float = 1.0
    """Multiplies every amount below, up to its limit (flips stay as they are); 0 leaves flips."""
    rotation: float = 180.0
    """Largest rotation, degrees either way; 0 switches it off."""
    flip_horizontal: bool = True
    flip_vertical: bool = True
    scale: float = 0.1
    """Largest relative change of size (0.1: 0.9 to 1.1); 0 switches it off."""
    translate: float = 0.05
    """Largest shift, share of the image's side; 0 switches it off."""
    brightness: float = 0.1
    """Largest shift of intensity, share of the full range; 0 switches it off."""
    contrast: float = 0.1
    """Largest relative change of contrast; 0 switches it off."""
    noise: float = 0.02
    """Largest standard deviation of Gaussian noise, share of the full range; 0 switches it off."""

    def __post_init__(self) -> None:
        _number("augment.strength", self.strength, 0, 10)
        _number("augment.rotation", self.rotation, 0, 180)
        _number("augment.scale", self.scale, 0, 0.9)
        for name in ("translate", "brightness", "contrast", "noise"):
            _number(f"augment.{name}", getattr(self, name), 0, 1)


@dataclass
class TrainerConfig:
    """Stochastic gradient descent as MATLAB's trainingOptions('sgdm'), and how it is computed."""

    lr: float = 1e-4
    """InitialLearnRate: the global rate that layer factors multiply."""
    momentum: float = 0.9
    l2: float = 1e-4
    """L2Regularization: the global decay that layer factors multiply."""
    batch_size: int = 10
    """Images an iteration (MiniBatchSize); a last partial batch is dropped."""
    max_epochs: int = 30
    max_iterations: int | None = None
    """A further limit in iterations; null for none."""
    val_every: int = 50
    """Iterations between two validation evaluations (ValidationFrequency)."""
    shuffle: Shuffle = Shuffle.every_epoch
    precision: Precision = Precision.fp32
    accelerator: Accelerator = Accelerator.auto
    threads: int | None = None
    """CPU threads of the arithmetic; null takes all cores. Another number changes last bits."""
    channels_last: bool = False
    """Memory format of images and weights; faster on most devices, changes last bits."""
    workers: int = 0
    """Processes that augment ahead; numbers do not depend on it."""
    eval_batch_size: int = 64
    """Images a step in evaluation."""

    def __post_init__(self) -> None:
        _positive("trainer.lr", self.lr)
        _require(0 <= self.momentum < 1, "trainer.momentum", self.momentum, "0 up to below 1")
        _number("trainer.l2", self.l2, 0)
        for name in ("batch_size", "max_epochs", "val_every", "eval_batch_size"):
            _number(f"trainer.{name}", getattr(self, name), 1)
        if self.max_iterations is not None:
            _number("trainer.max_iterations", self.max_iterations, 1)
        if self.threads is not None:
            _number("trainer.threads", self.threads, 1, 1024)
        _number("trainer.workers", self.workers, 0, 256)


@dataclass
class StoppingConfig:
    patience: int | None = None
    """Validation EVALUATIONS whose loss may be no better than the best so far (ValidationPatience);
    null never stops early (MATLAB's Inf)."""
    network: Network = Network.last
    """`last`: the last iteration's (MATLAB before R2021b); `best`: lowest validation loss."""

    def __post_init__(self) -> None:
        if self.patience is not None:
            _number("stopping.patience", self.patience, 1)


@dataclass
class TrackingConfig:
    dir: str = "mlruns"
    """Folder of mlflow.db, optuna.db and the artifacts."""
    experiment: str = "mcalc"
    uri: str | None = None
    """MLflow's store: null for mlflow.db in `dir`, else a server (http://...) or a database."""
    save_network: bool = True
    """Keep each trial's weights as an artifact (AlexNet: 228 MB each)."""
    checkpoint_minutes: float = 5.0
    """Minutes between two checkpoints of a training run, from which a killed one goes on; 0: none.
    One takes three times the network's size at most and goes when the run ends."""

    def __post_init__(self) -> None:
        _number("tracking.checkpoint_minutes", self.checkpoint_minutes, 0)


@dataclass
class TrialSpec:
    """A trial of a shared trajectory: only patience may differ between them."""

    name: str
    patience: int | None = None
    values: str = "{}"
    """What sets it apart in its sweep, as JSON."""


@dataclass
class BudgetConfig:
    """Where a search ends; what is null here is as the sweep file says."""

    trials: int | None = None
    """Configurations to try."""
    hours: float | None = None
    """Hours of training, over all workers; a running trial is not cut off."""

    def __post_init__(self) -> None:
        if self.trials is not None:
            _number("budget.trials", self.trials, 1)
        if self.hours is not None:
            _positive("budget.hours", self.hours)


@dataclass
class JobConfig:
    """What the sweep engine tells the job it starts; not for users."""

    trials: list[TrialSpec] = field(default_factory=list)
    """The trials that share this trajectory; empty for a single trial or a search's next one."""
    sweep: str | None = None
    """The sweep's identity."""
    parent: str | None = None
    """The MLflow run of the sweep."""
    fixed: str = "[]"
    """Of a search: the overrides that all its trials share, as JSON."""
    beside: int = 1
    """Jobs that run at once on this machine."""


@dataclass
class Config:
    """One trial, whole. Sections as in `conf/`."""

    name: str | None = None
    """The trial's name in records; null makes one from what it is."""
    seed: int = 0
    """Seeds the split, the head, the order, the augmentation and dropout."""
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    data: DataConfig = field(default_factory=DataConfig)
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    stopping: StoppingConfig = field(default_factory=StoppingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    sweep: str | None = None
    """Name of a file of `sweeps/` (with -m; comma-separated for several)."""
    dry_run: bool = False
    """Print the plan and run nothing."""
    rerun: bool = False
    """Run trials anew even where they are finished."""
    retries: int = 1
    """How often a failed trial of a sweep is tried again before it is left as failed."""
    trials_per_gpu: int = 1
    """Training runs that share a GPU, where a launcher runs several at once."""
    storage: str | None = None
    """Optuna's store: null for optuna.db in tracking.dir, else as postgresql+psycopg://user@host/db.
    Several machines that name one share its sweeps."""
    storage_wait: float = 120.0
    """Seconds to wait for a store that cannot be reached before giving up."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    job: JobConfig = field(default_factory=JobConfig)

    def __post_init__(self) -> None:
        _number("seed", self.seed, 0, 2**32 - 1)
        _number("retries", self.retries, 0, 100)
        _number("trials_per_gpu", self.trials_per_gpu, 1, 64)
        _number("storage_wait", self.storage_wait, 0)


def key_paths(schema: type = Config, prefix: str = "") -> tuple[str, ...]:
    """Every dotted key of the schema, sections included, in the order of declaration."""
    hints = get_type_hints(schema)
    paths: list[str] = []
    for entry in fields(schema):
        path = f"{prefix}{entry.name}"
        paths.append(path)
        if is_dataclass(hints[entry.name]):
            paths.extend(key_paths(hints[entry.name], f"{path}."))
    return tuple(paths)


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """`{"head.weight_lr": 10.0, ...}` of a config or a section, enums as their values."""
    flat: dict[str, Any] = {}
    for entry in fields(config):
        value = getattr(config, entry.name)
        path = f"{prefix}{entry.name}"
        if is_dataclass(value):
            flat.update(flatten(value, f"{path}."))
        else:
            flat[path] = value.value if isinstance(value, StrEnum) else value
    return flat
