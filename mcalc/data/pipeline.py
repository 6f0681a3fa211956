"""A data set made ready for training: opened, split, prepared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mcalc.config.schema import Config, DataConfig, Region, Unit, UnitScore
from mcalc.data.images.file_hashes import LesionDigests, file_digests, fingerprint
from mcalc.data.images.prepare import Prepared, Progress, prepare
from mcalc.data.records import Defect, DefectKind, Index, Lesion
from mcalc.data.sources.cbis_ddsm.index import check_completeness
from mcalc.data.sources.open_source import open_source
from mcalc.data.splits.protocols import Split
from mcalc.data.splits.samples import Sample, make_samples
from mcalc.data.splits.split_file import split_samples
from mcalc.data.splits.units import score_units
from mcalc.results import Predictions


@dataclass(frozen=True)
class IndexedData:
    """An index and what its files contain."""

    settings: DataConfig
    index: Index
    digests: tuple[LesionDigests, ...]
    """SHA-256 of the files that each lesion's region is made of, in the index's order."""
    fingerprint: str
    """What the data is, whatever its place and the rows' order."""


@dataclass(frozen=True)
class PreparedData:
    """Prepared images of the lesions that can be read, and how they are split."""

    prepared: Prepared
    samples: tuple[Sample, ...]
    """What is trained and reported on; offline copies included."""
    split: Split
    """Positions are those of `samples`."""
    fingerprint: str
    description: str
    warnings: tuple[str, ...]
    """What a reader of any result on this data must know."""
    unit: Unit = Unit.lesion
    """What is scored."""
    unit_score: UnitScore = UnitScore.mean
    """How a unit's probability comes from those of its samples."""

    def score(self, predictions: Predictions) -> Predictions:
        """Predictions by unit, from predictions of the reported samples."""
        return score_units(predictions, self.samples, self.unit_score)

    @cached_property
    def baselines(self) -> Mapping[str, float]:
        """Scores of what needs no network (`split_baselines`), fitted once."""
        # scikit-learn takes a second to import, which a plan of trials has no use for
        from mcalc.evaluation.baselines import split_baselines

        return split_baselines(
            self.prepared.lesions,
            self.prepared.native_sizes,
            [self.samples[i] for i in self.split.train],
            [self.samples[i] for i in self.split.reported],
            self.unit_score,
        )


def index_data(settings: DataConfig) -> IndexedData:
    """Index the source and read the contents' hashes; decodes nothing.

    Raises UserError for a source that cannot be opened.
    """
    index = open_source(settings)
    digests = file_digests(index.lesions, settings.region, Path(settings.cache))
    content = fingerprint(index.lesions, digests, settings)
    return IndexedData(settings, index, tuple(digests), content)


def prepare_data(
    opened: IndexedData, config: Config, size: int, progress: Progress | None = None
) -> PreparedData:
    """Prepare every picture at the network's `size` (pixels a side) and split the readable ones.

    Raises UserError where fewer lesions are readable than `data.min_completeness` asks for, or a
    side of the split lacks a class.
    """
    index = opened.index
    prepared = prepare(
        index.lesions, opened.digests, size, config.data, Path(config.data.cache), progress
    )
    defects = [*index.ledger, *prepared.defects]
    check_completeness(index, config.data.min_completeness, prepared.defects, config.data.region)
    made = make_samples(prepared.lesions, prepared.positions, config.data)
    done = split_samples(made.samples, config)
    return PreparedData(
        prepared=prepared,
        samples=done.samples,
        split=done.split,
        fingerprint=opened.fingerprint,
        description=describe(
            config.data,
            index.layout,
            [prepared.lesions[i] for sample in made.samples for i in sample.lesions],
        ),
        warnings=(
            *_warnings(config.data, index, prepared, defects),
            *made.warnings,
            *done.warnings,
        ),
        unit=config.data.unit,
        unit_score=config.data.unit_score,
    )


def describe(settings: DataConfig, layout: str, lesions: Sequence[Lesion]) -> str:
    """The data in one line, without its place: which, how much, shown and scored how."""
    malignant = sum(lesion.label for lesion in lesions)
    n = len(lesions)
    patients = len({lesion.patient for lesion in lesions})
    match settings.source:
        case "phantom":
            phantom = settings.phantom
            what = (
                f"phantom (synthetic; difficulty {phantom.difficulty:g}, seed {phantom.seed}"
                f"{', with defects' if phantom.defects else ''})"
            )
        case "cbis_ddsm":
            what = f"CBIS-DDSM calcifications ({layout} layout)"
        case "cmmd":
            what = f"CMMD calcifications ({layout} layout)"
        case "folder":
            what = f"own images ({layout})"
    shown = "" if settings.region is Region.crop else f", region {settings.region.value}"
    scored = "" if settings.unit is Unit.lesion else f", scored by {settings.unit.value}"
    return (
        f"{what}: {n} lesions of {patients} patients, {n - malignant} benign, {malignant} malignant"
        f"{shown}{scored}"
    )


_DOUBTS = {
    DefectKind.PATCH_CUT: "the window of data.patch_size does not hold it with its margin",
    DefectKind.MASK_RESIZED: "stretched to its mammogram",
    DefectKind.LATERALITY: "flipped by its pixels",
}
"""What preparing met and put right, in a way that a reader of the results may question."""


def _warnings(
    settings: DataConfig, index: Index, prepared: Prepared, defects: Sequence[Defect]
) -> list[str]:
    notes = []
    if settings.source == "phantom":
        notes.append("synthetic data (phantoms): nothing here says anything about real mammograms")
    notes.extend(note for note in index.notes if note not in notes)
    lost = len(index.lesions) - len(prepared.lesions)
    if lost:
        notes.append(
            f"{lost} of {len(index.lesions)} lesions left out: {settings.region.value} image "
            "missing or unreadable"
        )
    left_out = sum(defect.kind is DefectKind.BAD_VALUE for defect in defects)
    if left_out:
        notes.append(f"{left_out} values of the case CSVs were not understood (see the ledger)")
    for kind, meaning in _DOUBTS.items():
        count = sum(defect.kind is kind for defect in prepared.defects)
        if count:
            notes.append(f"{count} x {kind.value}: {meaning}")
    return notes
