"""A data set on its way to training: indexed, prepared, sampled, split.

Importing this module loads no image library; `prepare_data` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mcalc.config import Config, DataConfig, ProtocolName, Region, Unit, UnitScore
from mcalc.data.completeness import check_completeness
from mcalc.data.images import LesionDigests, file_digests, fingerprint, with_duplicates
from mcalc.data.records import DefectKind, Index, Lesion, count, has_needed_files
from mcalc.data.sources import open_source
from mcalc.data.splits import (
    Sample,
    Split,
    expand,
    make_samples,
    read_split,
    split,
    write_split,
)
from mcalc.iteration import Progress
from mcalc.results import Predictions

if TYPE_CHECKING:
    from mcalc.data.images import Prepared

_STOPS_AS_PUBLISHED = (ProtocolName.paper, ProtocolName.paper_augment_first)
"""Protocols whose use of one subset for stopping and reporting the reports explain themselves."""


@dataclass(frozen=True)
class IndexedData:
    """An index and what its files contain."""

    index: Index
    digests: tuple[LesionDigests, ...]
    """SHA-256 of the files that each lesion's region is made of, in the index's order."""
    fingerprint: str
    """What the data is, whatever its place and the rows' order."""

    def described(self, settings: DataConfig) -> str:
        """The data in a line, as a run says it, before any image is opened."""
        return _describe(self.index.description, settings, self.index.lesions)


@dataclass(frozen=True)
class SplitSamples:
    """Samples and their split."""

    samples: tuple[Sample, ...]
    """With the offline copies that the protocol makes."""
    split: Split
    warnings: tuple[str, ...]
    """What a reader must know, in sentences without a full stop."""


# eq=False: the same object is the same data; images are not compared
@dataclass(frozen=True, eq=False)
class PreparedData:
    """Prepared images of the lesions that can be read, and how they are split."""

    prepared: Prepared
    samples: tuple[Sample, ...]
    """What is trained and reported on; offline copies included."""
    split: Split
    """Positions are those of `samples`."""
    description: str
    """The data in one line: which, how much, shown and scored how."""
    warnings: tuple[str, ...]
    """What a reader of any result on this data must know."""
    unit_score: UnitScore = UnitScore.mean
    """How a scoring unit's probability comes from those of its samples."""
    settings: DataConfig | None = None
    """What it was prepared by; None where no file is behind it."""

    def score(self, predictions: Predictions) -> Predictions:
        """Predictions by scoring unit, from predictions of the reported samples."""
        from mcalc.data.splits import score_units  # late: NumPy, which a plan does without

        return score_units(predictions, self.samples, self.unit_score)


def index_data(settings: DataConfig) -> IndexedData:
    """Index the source, hash its files and note those that are copies of each other.

    Nothing is decoded, except one of a group of equal masks. Raises UserError for a source that
    cannot be opened.
    """
    index = open_source(settings)
    digests = file_digests(index.lesions, settings.region, Path(settings.cache))
    content = fingerprint(index.lesions, digests, settings)
    index = with_duplicates(index, digests, settings)
    return IndexedData(index, tuple(digests), content)


class DataCache:
    """Indexes each data section once in a process, whichever trial asks for it."""

    def __init__(self) -> None:
        self._known: dict[str, IndexedData] = {}

    def __call__(self, settings: DataConfig) -> IndexedData:
        """The data that these settings name; raises as `index_data`."""
        name = repr(settings)
        if name not in self._known:
            self._known[name] = index_data(settings)
        return self._known[name]


class PreparedCache:
    """The data set that was prepared last: most trials of a sweep share it."""

    def __init__(self) -> None:
        self._last: tuple[IndexedData, str, PreparedData] | None = None

    def __call__(
        self, indexed: IndexedData, config: Config, size: int, progress: Progress | None = None
    ) -> PreparedData:
        """As `prepare_data`; the same object for the same data, split and size."""
        protocol = config.protocol
        seed = config.seed if protocol.seed is None else protocol.seed
        wanted = repr((config.data, protocol, seed, size))
        last = self._last
        # a split file may have been written anew
        if protocol.split_file or last is None or last[0] is not indexed or last[1] != wanted:
            self._last = last = indexed, wanted, prepare_data(indexed, config, size, progress)
        return last[2]


def prepare_data(
    indexed: IndexedData, config: Config, size: int, progress: Progress | None = None
) -> PreparedData:
    """Prepare every image at the network's width `size` (pixels) and split the readable ones.

    Raises UserError where fewer lesions are readable than `data.min_completeness` asks for, or a
    subset of the split lacks a class.
    """
    # late: OpenCV is of no use to a plan
    from mcalc.data.images import prepare_images

    index = indexed.index
    prepared = prepare_images(
        index.lesions, indexed.digests, size, config.data, Path(config.data.cache), progress
    )
    check_completeness(index, config.data.min_completeness, prepared.defects, config.data.region)
    made = make_samples(prepared.lesions, prepared.positions, config.data)
    done = split_samples(made.samples, config)
    notes = _warnings(config.data, index, prepared)
    used = [prepared.lesions[i] for sample in made.samples for i in sample.lesions]
    return PreparedData(
        prepared=prepared,
        samples=done.samples,
        split=done.split,
        description=_describe(index.description, config.data, used),
        warnings=(*notes, *made.warnings, *done.warnings),
        unit_score=config.data.unit_score,
        settings=config.data,
    )


def split_samples(samples: Sequence[Sample], config: Config) -> SplitSamples:
    """The split that `config.protocol`, or the file it names, makes of samples.

    Raises UserError as `mcalc.data.splits.protocols.split` and `read_split` do.
    """
    protocol = config.protocol
    seed = config.seed if protocol.seed is None else protocol.seed
    expanded = tuple(expand(samples, protocol, seed))
    warnings = []
    if protocol.split_file:
        path = Path(protocol.split_file).expanduser()
        minimum = config.data.min_completeness
        parts, missing = read_split(path, expanded, protocol.name, seed, minimum)
        if missing:
            warnings.append(
                f"{missing} samples of the split file are not in this data (data.min_completeness="
                f"{minimum:g} allows it)"
            )
    else:
        parts = split(expanded, protocol, seed)
    if parts.stops_on_reported and protocol.name not in _STOPS_AS_PUBLISHED:
        warnings.append(
            "what is reported has also stopped training (protocol.validation=null, as published), "
            "so its scores are optimistic"
        )
    return SplitSamples(expanded, parts, tuple(warnings))


def split_of(index: Index, config: Config) -> SplitSamples:
    """The split that training will make, if every file on disk turns out to be readable.

    Decodes nothing. Raises UserError as `split_samples` and `make_samples`.
    """
    lesions = [lesion for lesion in index.lesions if has_needed_files(lesion, config.data.region)]
    # which image is which does not matter here; only lesions of one image share one
    made = make_samples(lesions, range(len(lesions)), config.data)
    done = split_samples(made.samples, config)
    return replace(done, warnings=(*made.warnings, *done.warnings))


def export_split(config: Config, path: Path) -> str:
    """Write the split of the settings' data as CSV; return it in one line.

    No image is opened: every lesion whose files are on disk takes part. Training excludes files
    that turn out to be unreadable before it splits, so where the ledger has such ones, repair or
    remove them first.

    Raises UserError where the data cannot be opened or split, or the file cannot be written.
    """
    done = split_of(open_source(config.data), config)
    write_split(path, done.samples, done.split)
    parts = done.split
    counts = [f"{len(parts.train)} train"]
    if not parts.stops_on_reported:
        counts.append(f"{len(parts.validation)} stop training")
    counts.append(f"{len(parts.reported)} reported")
    notes = "".join(f"; {note}" for note in done.warnings)
    return (
        f"wrote {path}: protocol {config.protocol.name.value}, {', '.join(counts)}; leak: "
        f"{parts.leak}; fingerprint {parts.fingerprint}{notes}"
    )


def _describe(source: str, settings: DataConfig, lesions: Sequence[Lesion]) -> str:
    found = count(lesions)
    shown = "" if settings.region is Region.crop else f", region {settings.region.value}"
    scored = "" if settings.unit is Unit.lesion else f", scored by {settings.unit.value}"
    return (
        f"{source}: {found.rows} lesions of {found.patients} patients, "
        f"{found.rows - found.malignant} benign, {found.malignant} malignant{shown}{scored}"
    )


_DOUBTS = {
    DefectKind.PATCH_CUT: "the window of data.patch_size does not hold it with its margin",
    DefectKind.MASK_RESIZED: "stretched to its mammogram",
    DefectKind.LATERALITY: "flipped by its pixels",
    DefectKind.NEARLY_BLACK: "its values leave the highest bits unused (data.bits_stored)",
}
"""What preparing met and corrected, in a way that a reader of the results may question."""


def _warnings(settings: DataConfig, index: Index, prepared: Prepared) -> list[str]:
    notes = list(dict.fromkeys(index.notes))
    lost = len(index.lesions) - len(prepared.lesions)
    if lost:
        notes.append(
            f"{lost} of {len(index.lesions)} lesions excluded: {settings.region.value} image "
            "missing, unreadable or blank"
        )
    defects = (*index.ledger, *prepared.defects)
    not_understood = sum(defect.kind is DefectKind.BAD_VALUE for defect in defects)
    if not_understood:
        notes.append(
            f"{not_understood} values of the case CSVs were not understood (see the ledger)"
        )
    for kind, meaning in _DOUBTS.items():
        count = sum(defect.kind is kind for defect in prepared.defects)
        if count:
            notes.append(f"{count} x {kind.value}: {meaning}")
    return notes
