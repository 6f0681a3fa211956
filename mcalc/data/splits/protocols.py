"""How data is split: pure functions, the same split whatever the rows' order or platform.

Order comes from SHA-256 of seed and name, not from a random generator, so that it depends on
neither. docs/protocols.md says what each protocol is for and what leaks in it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import assert_never

from mcalc.config import ProtocolConfig, ProtocolName
from mcalc.data.records import Split as OfficialSplit
from mcalc.data.splits.samples import LABEL_NAMES, MALIGNANT, Sample, joint_label
from mcalc.errors import UserError
from mcalc.iteration import grouped


@dataclass(frozen=True)
class Split:
    """Which samples train, which stop training, and which are reported."""

    protocol: ProtocolName
    seed: int
    train: tuple[int, ...]
    """Positions in the sequence of samples that was split, ascending; so the other two."""
    validation: tuple[int, ...]
    """Stops training; the reported ones themselves where the protocol is as published."""
    reported: tuple[int, ...]
    shared_patients: int
    """Patients with samples both in what training looks at (validation kept apart included) and in
    what is reported: 0 unless the protocol lets them."""
    fingerprint: str
    """Hash of the ids of each subset."""
    shared_images: int = 0
    """Images of which one copy is looked at in training and another is reported."""

    @property
    def leak(self) -> str:
        """What a reader must know, in words; `none` where no patient or image is on both sides."""
        found = []
        if self.shared_patients:
            found.append(f"patients on both sides: {self.shared_patients}")
        if self.shared_images:
            found.append(f"copies of {self.shared_images} images on both sides")
        return "; ".join(found) or "none"

    @property
    def stops_on_reported(self) -> bool:
        """Whether what is reported has also stopped training."""
        return self.validation == self.reported


def expand(samples: Sequence[Sample], protocol: ProtocolConfig, seed: int) -> list[Sample]:
    """The samples that `split` takes: for `paper_augment_first` with their offline copies.

    There floor(copies x units) scoring units result: every unit has floor(copies) versions, itself
    and copies, and those first by hash have one more. Each version is a separate unit, as the paper
    counts images. For every other protocol the samples stay as they are.
    """
    if protocol.name is not ProtocolName.paper_augment_first:
        return list(samples)
    units = sorted({s.unit for s in samples}, key=lambda unit: _rank(f"{seed}:copies", unit))
    each, more = divmod(floor(round(protocol.copies * len(units), 9)), len(units))
    versions = {unit: each + (place < more) for place, unit in enumerate(units)}
    return [
        replace(sample, id=f"{sample.id}{suffix}", unit=f"{sample.unit}{suffix}", copy=version)
        for sample in samples
        for version in range(versions[sample.unit])
        for suffix in [f"_copy{version}" if version else ""]
    ]


def split(samples: Sequence[Sample], protocol: ProtocolConfig, seed: int) -> Split:
    """Split samples (`expand` makes them) as the protocol says.

    `paper`, `paper_augment_first`: stratified by label over units; of each label
    floor((1 - held_out) n) train (MATLAB's splitEachLabel rounds down). `patient`: whole patients,
    of each label as near to the share held out as whole patients allow. `official`: the data set's
    test part is reported. `cv`: one of `folds` parts of whole patients is reported, each with its
    share of every label.

    With `protocol.validation`, whole patients of what is not reported stop training; without, what
    is reported stops training too, as published (`official` refuses that).

    Raises UserError where a subset would lack a class, or the data does not allow the protocol.
    """
    everything = range(len(samples))
    match protocol.name:
        case ProtocolName.paper | ProtocolName.paper_augment_first:
            reported = _by_unit(samples, protocol.held_out, seed)
        case ProtocolName.patient:
            reported = _by_patient(samples, everything, protocol.held_out, f"{seed}")
        case ProtocolName.official:
            reported = _official(samples, protocol)
        case ProtocolName.cv:
            reported = _fold(samples, protocol, seed)
        case other:
            assert_never(other)
    rest = [i for i in everything if i not in reported]
    validation = reported
    if protocol.validation is not None:
        validation = _by_patient(samples, rest, protocol.validation, f"{seed}:validation")
    train = [i for i in rest if i not in validation]
    return make_split(samples, protocol.name, seed, train, validation, reported)


def make_split(
    samples: Sequence[Sample],
    protocol: ProtocolName,
    seed: int,
    train: Collection[int],
    validation: Collection[int],
    reported: Collection[int],
) -> Split:
    """A split of known subsets: what they share is counted.

    Raises UserError where training lacks a class that the samples have, or another subset has no
    malignant sample or no other.
    """
    subsets = {"training": sorted(train), "reported": sorted(reported)}
    if sorted(validation) != subsets["reported"]:
        subsets["validation"] = sorted(validation)
    for name, members in subsets.items():
        _require_classes(samples, members, name, protocol)
    looked_at = subsets["training"] + subsets.get("validation", [])
    parts = [subsets[name] for name in ("training", "validation", "reported") if name in subsets]
    return Split(
        protocol=protocol,
        seed=seed,
        train=tuple(subsets["training"]),
        validation=tuple(sorted(validation)),
        reported=tuple(subsets["reported"]),
        shared_patients=len(
            {samples[i].patient for i in looked_at}
            & {samples[i].patient for i in subsets["reported"]}
        ),
        fingerprint=_fingerprint(samples, parts),
        shared_images=len(
            {samples[i].image for i in looked_at} & {samples[i].image for i in subsets["reported"]}
        ),
    )


def _rank(salt: str | int, name: str) -> str:
    return hashlib.sha256(f"{salt}:{name}".encode()).hexdigest()


def _by_unit(samples: Sequence[Sample], held_out: float, seed: int) -> set[int]:
    """Scoring units held out whole."""
    of_unit = grouped(range(len(samples)), lambda i: samples[i].unit)
    out: set[int] = set()
    for label in range(len(LABEL_NAMES)):
        stratum = [
            unit
            for unit, members in of_unit.items()
            if joint_label(samples[i].label for i in members) == label
        ]
        stratum.sort(key=lambda unit: _rank(seed, unit))
        # 0.7 * 10 is 7.000000000000001 or 6.999999999999999 by turns; round off that error first
        for unit in stratum[floor(round((1 - held_out) * len(stratum), 9)) :]:
            out.update(of_unit[unit])
    return out


def _by_patient(
    samples: Sequence[Sample], among: Sequence[int], share: float, salt: str
) -> set[int]:
    """Whole patients held out of the positions `among`: of each label the share, or the nearest.

    Patients whose samples differ in label are chosen first, by their number of samples; those with
    one label make up for what that leaves too much or too little of it.
    """
    of_patient = grouped(among, lambda i: samples[i].patient)

    def labels_of(patient: str) -> tuple[int, ...]:
        return tuple(sorted({samples[i].label for i in of_patient[patient]}))

    strata = grouped(of_patient, labels_of)
    lacking = Counter(samples[i].label for i in among)
    wanted = {label: share * n for label, n in lacking.items()}
    out: set[int] = set()
    for labels in sorted(strata, key=lambda labels: (-len(labels), labels)):
        patients = sorted(strata[labels], key=lambda patient: _rank(salt, patient))
        sizes = [len(of_patient[patient]) for patient in patients]
        target = wanted[labels[0]] if len(labels) == 1 else share * sum(sizes)
        for place in nearest_subset(sizes, target):
            for i in of_patient[patients[place]]:
                out.add(i)
                wanted[samples[i].label] -= 1
    return out


def nearest_subset(sizes: Sequence[int], wanted: float) -> list[int]:
    """Places of the sizes (each from 1) whose sum is nearest to the one wanted; of two, the lower.

    Of all such choices the one that takes whatever comes first: in a random order, a random one.
    """
    # latest[total]: the last place from which on, with the sizes there and behind, the total can
    # still be reached
    latest = {0: len(sizes)}
    reachable = 1  # bit n: a sum of n
    for place in reversed(range(len(sizes))):
        gained = (reachable << sizes[place]) & ~reachable
        reachable |= gained
        latest.update(dict.fromkeys(_bits(gained), place))
    goal = round(wanted, 9)  # a sum of shares is off in its last bits
    left = min(latest, key=lambda total: (abs(total - goal), total))
    chosen = []
    for place, size in enumerate(sizes):
        if latest.get(left - size, -1) > place:
            chosen.append(place)
            left -= size
    return chosen


def _bits(number: int) -> Iterator[int]:
    """Places of the bits that are set."""
    lowest = max((number & -number).bit_length() - 1, 0)
    text = bin(number >> lowest)[:1:-1]  # lowest bit first, without 0b
    place = text.find("1")
    while place >= 0:
        yield lowest + place
        place = text.find("1", place + 1)


def _official(samples: Sequence[Sample], protocol: ProtocolConfig) -> set[int]:
    if protocol.validation is None:
        raise UserError(
            "protocol=official keeps the test set until the end, so training has to stop on other "
            "patients: set protocol.validation, the share of the training patients (0.15)"
        )
    unknown = [sample.id for sample in samples if sample.official is None]
    if unknown:
        raise UserError(
            f"protocol=official, but {len(unknown)} of {len(samples)} images are in no official "
            f"split (the first: {unknown[0]}): take protocol=patient or cv for this data"
        )
    found = Counter(sample.official for sample in samples)
    for part, name in ((OfficialSplit.TEST, "test"), (OfficialSplit.TRAIN, "training")):
        if not found[part]:
            raise UserError(
                f"protocol=official needs the images of the official {name} split, and none is "
                f"here ({len(samples)} images of the other split are): complete the download, see "
                "that both case CSVs are read (data.csv_split=all), or take protocol=patient or cv"
            )
    return {i for i, sample in enumerate(samples) if sample.official is OfficialSplit.TEST}


def _fold(samples: Sequence[Sample], protocol: ProtocolConfig, seed: int) -> set[int]:
    """One fold: each in turn takes its share of what those before it have left."""
    rest: Sequence[int] = range(len(samples))
    salt = f"{seed}:cv{protocol.repeat}"
    for fold in range(protocol.folds):
        part = _by_patient(samples, rest, 1 / (protocol.folds - fold), salt)
        if fold == protocol.fold:
            return part
        rest = [i for i in rest if i not in part]
    raise AssertionError("protocol.fold is below protocol.folds")  # ProtocolConfig sees to it


def _require_classes(
    samples: Sequence[Sample], members: Sequence[int], subset: str, protocol: ProtocolName
) -> None:
    counts = Counter(samples[i].label for i in members)
    if subset == "training":
        lacks = any(not counts[label] for label in {sample.label for sample in samples})
    else:
        lacks = not counts[MALIGNANT]
    if lacks or len(counts) < 2:
        found = [f"{counts[0]} benign", f"{counts[1]} malignant"]
        if any(sample.label > 1 for sample in samples):
            found.append(f"{counts[2]} benign-without-callback")
        raise UserError(
            f"protocol={protocol}: the {subset} part has {' and '.join(found)} images of "
            f"{len(samples)} in all: both classes are needed, in training every one; name a data "
            "set with more of each, or other shares (protocol.held_out, validation, folds) or "
            "another protocol.seed"
        )


def _fingerprint(samples: Sequence[Sample], subsets: Sequence[Sequence[int]]) -> str:
    named = ["|".join(sorted(samples[i].id for i in members)) for members in subsets]
    return hashlib.sha256("\n".join(named).encode()).hexdigest()[:16]
