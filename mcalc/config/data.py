"""Settings of the data: which lesions, and how their images are prepared."""

from __future__ import annotations

from dataclasses import dataclass

from mcalc.config.choices import (
    CsvSplit,
    Fit,
    MixedLabels,
    Region,
    ScaleUnit,
    Unit,
    UnitScore,
    WithoutCallback,
)
from mcalc.config.rules import Section, section, setting
from mcalc.errors import UserError


@dataclass
class ClaheConfig(Section, prefix="data.clahe."):
    """Contrast-limited adaptive histogram equalisation, on the region at its native size."""

    enabled: bool = True
    """Whether to equalise."""
    clip_limit: float = setting(3.5, above=0)
    """OpenCV's clipLimit. About 3.5 is the default ClipLimit 0.01 of MATLAB's adapthisteq."""
    tiles: int = setting(8, low=1, high=64)
    """Tiles along each edge. MATLAB's adapthisteq has NumTiles [8 8]."""


@dataclass
class PhantomConfig(Section, prefix="data.phantom."):
    """The synthetic download that data=phantom writes and reads."""

    lesions: int = setting(240, low=8, high=100_000)
    """Lesions of the phantom: rows of its case CSVs together."""
    seed: int = setting(2020, low=0)
    """Seed of the phantom; the same seed gives the same bytes. Independent of the trial's seed."""
    difficulty: float = setting(0.5, low=0, high=1)
    """How far benign and malignant overlap: 0 hardly, 1 indistinguishable."""
    defects: bool = False
    """Write the defects that docs/phantoms.md lists, to try the reader. Needs 40 lesions."""
    full_height: int = setting(512, low=256, high=8192)
    """Rows of a full mammogram, in pixels. A real one has 3000 to 6000; the width is 3/4 of it."""


@dataclass
class DataConfig(Section, prefix="data."):
    """Which lesions, and how their images are prepared."""

    source: str = setting("phantom", numeric=False)
    """Where lesions come from: a built-in source or one of an installed plug-in package."""
    root: str | None = setting(None, numeric=False, path=True)
    """Folder of the data set. A phantom without one is written below `data.cache`."""
    csv_dir: str | None = setting(None, numeric=False, path=True)
    """Folder of the case CSVs. null: the root or its `csv` folder."""
    csv_split: CsvSplit = setting(CsvSplit.all, numeric=False)
    """Which case CSVs are read. They are CBIS-DDSM's official split."""
    labels: str | None = setting(None, numeric=False, path=True)
    """CSV of path,label,patient for data=folder. null takes folders by class."""
    min_completeness: float = setting(1.0, low=0, high=1, numeric=False)
    """Smallest share of the listed lesions that must be readable."""
    region: Region = Region.crop
    """What an image shows. `crop`: the data set's own crop; `patch`: a window around the lesion,
    cut from the mammogram by its mask; `full`: the mammogram."""
    fit: Fit = Fit.stretch
    """How a region gets the network's size. `stretch` (the paper) loses aspect ratio and scale,
    `letterbox` scale, `native` neither."""
    scale_unit: ScaleUnit = ScaleUnit.pixels
    """Unit of the three lengths below: pixels of the image, or mm."""
    patch_size: float = setting(512.0, above=0)
    """Width of the square window of region=patch, in `scale_unit`; the same for every lesion."""
    patch_margin: float = setting(32.0, low=0)
    """Margin that a window should leave around the lesion, in `scale_unit`. Lesions that are too
    large for it are counted."""
    native_scale: float = setting(0.25, above=0)
    """Network pixels per `scale_unit`, for fit=native."""
    pixel_size: float | None = setting(None, above=0)
    """Width of an image's pixel in mm, where files do not state it. CBIS-DDSM's do not; the
    scanners of DDSM had 0.042, 0.0435 and 0.05."""
    bits_stored: int | None = setting(None, low=1, high=16, neutral=None)
    """Bits of a pixel's value where files claim more, as for 12 bits in a PNG of 16, which is
    nearly black. null: as each file says."""
    unit: Unit = Unit.lesion
    """What is scored. `finding` is a lesion in all its views. Of several images all have a part
    in its score."""
    unit_score: UnitScore = UnitScore.mean
    """How the probabilities of a scoring unit's images become one."""
    mixed_labels: MixedLabels = MixedLabels.malignant
    """What becomes of a scoring unit with benign and malignant lesions."""
    benign_without_callback: WithoutCallback = WithoutCallback.benign
    """What BENIGN_WITHOUT_CALLBACK is."""
    cache: str = setting(".cache", numeric=False, path=True)
    """Folder of prepared images and phantoms; safe to delete."""
    clahe: ClaheConfig = section(ClaheConfig)
    """Contrast-limited adaptive histogram equalisation."""
    phantom: PhantomConfig = section(PhantomConfig, numeric=False)
    """The synthetic data set."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.region is Region.full and self.unit is Unit.lesion:
            raise UserError(
                "data.region=full shows whole mammograms, on which lesions cannot be told apart: "
                "take data.unit=image, breast or patient"
            )
