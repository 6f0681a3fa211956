"""A data set made ready for training: opened, split, prepared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcalc.config import Config, DataConfig
from mcalc.data.cbis_ddsm import check_completeness
from mcalc.data.prepare import Prepared, Progress, file_digests, fingerprint, prepare
from mcalc.data.protocols import Split, split
from mcalc.data.records import Defect, DefectKind, Index
from mcalc.data.samples import Sample, lesion_samples
from mcalc.data.sources import open_source


@dataclass(frozen=True)
class OpenData:
    """An index and what its crop files contain."""

    settings: DataConfig
    index: Index
    digests: tuple[str, ...]
    """SHA-256 of each lesion's crop, in the index's order."""
    fingerprint: str
    """What the data is, whatever its place and the rows' order."""


@dataclass(frozen=True)
class ReadyData:
    """Prepared crops of the lesions that can be read, and how they are split."""

    prepared: Prepared
    samples: tuple[Sample, ...]
    split: Split
    """Positions are those of `samples`."""
    fingerprint: str
    description: str
    warnings: tuple[str, ...]
    """What a reader of any result on this data must know."""


def open_data(settings: DataConfig) -> OpenData:
    """Index the source and read the contents' hashes; decodes nothing.

    Raises UserError for a source that cannot be opened.
    """
    index = open_source(settings)
    digests = file_digests(index.lesions)
    return OpenData(settings, index, tuple(digests), fingerprint(index.lesions, digests))


def make_ready(
    opened: OpenData, config: Config, size: int, progress: Progress | None = None
) -> ReadyData:
    """Prepare every crop at the network's `size` (pixels a side) and split the readable ones.

    Raises UserError where fewer lesions are readable than `data.min_completeness` asks for, or a
    side of the split lacks a class.
    """
    index = opened.index
    prepared = prepare(
        index.lesions, opened.digests, size, config.data.clahe, Path(config.data.cache), progress
    )
    defects = [*index.ledger, *prepared.defects]
    check_completeness(index, config.data.min_completeness, prepared.defects)
    seed = config.seed if config.protocol.seed is None else config.protocol.seed
    samples = lesion_samples(prepared.lesions)
    parts = split(samples, config.protocol.name, config.protocol.held_out, seed)
    return ReadyData(
        prepared=prepared,
        samples=tuple(samples),
        split=parts,
        fingerprint=opened.fingerprint,
        description=describe(config.data, index, prepared),
        warnings=tuple(_warnings(config.data, index, prepared, defects)),
    )


def describe(settings: DataConfig, index: Index, prepared: Prepared) -> str:
    """The data in one line, without its place."""
    malignant = sum(lesion.label for lesion in prepared.lesions)
    n = len(prepared.lesions)
    patients = len({lesion.patient for lesion in prepared.lesions})
    what = (
        f"phantom (synthetic; difficulty {settings.phantom.difficulty:g}, "
        f"seed {settings.phantom.seed})"
        if settings.source.value == "phantom"
        else f"CBIS-DDSM calcifications ({index.layout} layout)"
    )
    return (
        f"{what}: {n} lesions of {patients} patients, {n - malignant} benign, {malignant} malignant"
    )


def _warnings(
    settings: DataConfig, index: Index, prepared: Prepared, defects: list[Defect]
) -> list[str]:
    notes = []
    if settings.source.value == "phantom":
        notes.append("synthetic data (phantoms): nothing here says anything about real mammograms")
    lost = len(index.lesions) - len(prepared.lesions)
    if lost:
        notes.append(f"{lost} of {len(index.lesions)} lesions left out: crop missing or unreadable")
    left_out = sum(defect.kind is DefectKind.BAD_VALUE for defect in defects)
    if left_out:
        notes.append(f"{left_out} values of the case CSVs were not understood (see the ledger)")
    return notes
