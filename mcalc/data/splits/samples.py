"""What a network sees: one entry for each image, with its label and scoring unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from mcalc.config import DataConfig, MixedLabels, Unit, WithoutCallback
from mcalc.data.records import Lesion, Pathology
from mcalc.data.records import Split as OfficialSplit
from mcalc.errors import UserError
from mcalc.iteration import grouped

BENIGN = 0
MALIGNANT = 1
"""The positive class, whatever other classes there are."""
WITHOUT_CALLBACK = 2
"""Benign without callback, where `data.benign_without_callback=own_class`."""

LABEL_NAMES = ("benign", "malignant", "benign_without_callback")
"""Names of the classes to learn, by label."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An image, or an offline copy of one, and what it is trained on."""

    id: str
    """The lesion's or the image's id; unique, copies included."""
    image: int
    """Position in `Prepared.images`."""
    label: int
    """Class to learn: 0 benign, 1 malignant, 2 benign without callback where that is a class."""
    patient: str
    unit: str
    """Id of its scoring unit: itself, its image, breast or patient."""
    copy: int = 0
    """0: the image itself; n: its n-th offline copy, augmented once and then always the same."""
    official: OfficialSplit | None = None
    """The official split; None where there is none, or where the image's lesions differ in it."""
    lesions: tuple[int, ...] = ()
    """Positions in `Prepared.lesions` of what it shows: one, or all lesions of a whole image."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of a data set, and what was excluded."""

    samples: tuple[Sample, ...]
    warnings: tuple[str, ...]
    """What a setting excluded, counted, in sentences without a full stop."""


def class_count(data: DataConfig) -> int:
    """How many classes a network learns: 3 with benign_without_callback=own_class, else 2."""
    return 3 if data.benign_without_callback is WithoutCallback.own_class else 2


def make_samples(lesions: Sequence[Lesion], images: Sequence[int], data: DataConfig) -> Samples:
    """The samples of lesions, by region, scoring unit and rule for labels.

    With region `crop` or `patch` each lesion gives a sample. With `full` each mammogram does, which
    is malignant where any of its lesions is. A scoring unit (`data.unit`) is malignant where any of
    its lesions is. With `data.mixed_labels=exclude`, a unit with malignant and other lesions is
    excluded with all its samples, from training too.

    Args:
        lesions: those that can be read.
        images: of each lesion, the position of its image; lesions of one mammogram may share one.
        data: `region`, `unit`, `mixed_labels` and `benign_without_callback` are looked at.

    Raises UserError where nothing is left, where `own_class` is asked for without such lesions, and
    where the unit is the breast or finding and a lesion's is unknown, or an image shows several.
    """
    if data.unit is Unit.breast:
        _require_sides(lesions)
    if data.unit is Unit.finding:
        _require_findings(lesions, data)
    kept: Sequence[int] = range(len(lesions))
    warnings = []
    without_callback = {i for i in kept if _without_callback(lesions[i])}
    rule = data.benign_without_callback
    if rule is WithoutCallback.exclude and without_callback:
        kept = [i for i in kept if i not in without_callback]
        warnings.append(
            f"{len(without_callback)} of {len(lesions)} lesions excluded: benign without callback "
            "(data.benign_without_callback=exclude)"
        )
    if rule is WithoutCallback.own_class and not without_callback:
        raise UserError(
            "data.benign_without_callback=own_class, but no lesion of this data is benign without "
            "callback: take data.benign_without_callback=benign"
        )
    samples = _samples(lesions, images, kept, data)
    if data.mixed_labels is MixedLabels.exclude:
        mixed = _mixed_units(lesions, samples)
        if mixed:
            lost = sum(len(sample.lesions) for sample in samples if sample.unit in mixed)
            units = len({sample.unit for sample in samples})
            warnings.append(
                f"{len(mixed)} of {units} {data.unit.value}s excluded, with {lost} lesions: their "
                "lesions differ in label (data.mixed_labels=exclude)"
            )
            samples = [sample for sample in samples if sample.unit not in mixed]
    if not samples:
        raise UserError(
            f"no lesion is left after data.benign_without_callback={rule} and data.mixed_labels="
            f"{data.mixed_labels}: name more data or another rule"
        )
    return Samples(tuple(samples), tuple(warnings))


def joint_label(labels: Iterable[int]) -> int:
    """The label of several lesions together: malignant if any is, else benign if any is, else 2."""
    present = set(labels)
    return MALIGNANT if MALIGNANT in present else min(present)


def _samples(
    lesions: Sequence[Lesion], images: Sequence[int], kept: Sequence[int], data: DataConfig
) -> list[Sample]:
    samples = []
    for name, members in grouped(kept, lambda i: lesions[i].shown_on(data.region)).items():
        first = lesions[members[0]]
        official = {lesions[i].split for i in members}
        samples.append(
            Sample(
                id=name,
                image=images[members[0]],
                label=joint_label(_label(lesions[i], data) for i in members),
                patient=first.patient,
                unit=_unit(first, data.unit),
                official=official.pop() if len(official) == 1 else None,
                lesions=tuple(members),
            )
        )
    return samples


def _label(lesion: Lesion, data: DataConfig) -> int:
    own_class = data.benign_without_callback is WithoutCallback.own_class
    return WITHOUT_CALLBACK if own_class and _without_callback(lesion) else lesion.label


def _without_callback(lesion: Lesion) -> bool:
    return lesion.pathology is Pathology.BENIGN_WITHOUT_CALLBACK


def _unit(lesion: Lesion, unit: Unit) -> str:
    match unit:
        case Unit.lesion:
            return lesion.id
        case Unit.finding:
            assert lesion.finding is not None  # `_require_findings`
            return lesion.finding
        case Unit.image:
            return lesion.image
        case Unit.breast:
            return lesion.breast
        case Unit.patient:
            return lesion.patient
        case other:
            assert_never(other)


def _mixed_units(lesions: Sequence[Lesion], samples: Sequence[Sample]) -> set[str]:
    seen: dict[str, set[int]] = {}
    for sample in samples:
        seen.setdefault(sample.unit, set()).update(lesions[i].label for i in sample.lesions)
    return {unit for unit, labels in seen.items() if len(labels) > 1}


def _require_sides(lesions: Sequence[Lesion]) -> None:
    unknown = [lesion.id for lesion in lesions if lesion.side is None]
    if unknown:
        raise UserError(
            f"data.unit=breast, but the breast of {len(unknown)} lesions is unknown (the first: "
            f"{unknown[0]}): take data.unit=image or patient, or data that names the side"
        )


def _require_findings(lesions: Sequence[Lesion], data: DataConfig) -> None:
    unknown = [lesion.id for lesion in lesions if lesion.finding is None]
    if unknown:
        raise UserError(
            f"data.unit=finding, but the finding of {len(unknown)} lesions is unknown (the first: "
            f"{unknown[0]}): add a column `finding` to the table of the data, the same in every "
            "view of one finding, or take another data.unit"
        )
    shown: dict[str, set[str | None]] = {}
    for lesion in lesions:
        shown.setdefault(lesion.shown_on(data.region), set()).add(lesion.finding)
    several = [name for name, findings in shown.items() if len(findings) > 1]
    if several:
        raise UserError(
            f"data.unit=finding, but {len(several)} images show several findings (the first: "
            f"{several[0]}), which a network that sees the whole image cannot tell apart: take "
            "data.region=crop or patch, or data.unit=image, breast or patient"
        )
