"""How lesions are split: pure functions, the same split whatever the rows' order or platform.

Order comes from SHA-256 of seed and name, not from a random generator, so that it depends on
neither.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from mcalc.config import ProtocolName
from mcalc.data.samples import Sample
from mcalc.errors import UserError


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
    """Patients with samples both in training and in what is reported: 0 unless the protocol lets
    them."""
    fingerprint: str
    """Hash of the ids on each side."""

    @property
    def leak(self) -> str:
        """What a reader must know, in words."""
        return f"patients on both sides: {self.shared_patients}" if self.shared_patients else "none"


def split(samples: Sequence[Sample], protocol: ProtocolName, held_out: float, seed: int) -> Split:
    """Split samples as the protocol says.

    `paper`: stratified by label over samples; of each label floor((1 - held_out) n) train
    (MATLAB's splitEachLabel rounds down). `patient`: whole patients, stratified by whether any of
    their samples is malignant, until each stratum's share of samples is held out.

    Raises UserError where a side would lack one of the two classes.
    """
    if protocol is ProtocolName.paper:
        out = _by_sample(samples, held_out, seed)
    else:
        out = _by_patient(samples, held_out, seed)
    train = tuple(i for i in range(len(samples)) if i not in out)
    held = tuple(sorted(out))
    for side, members in (("training", train), ("held-out", held)):
        _require_both_classes(samples, members, side, protocol)
    patients = [{samples[i].patient for i in members} for members in (train, held)]
    return Split(
        protocol=protocol,
        seed=seed,
        train=train,
        validation=held,
        reported=held,
        shared_patients=len(patients[0] & patients[1]),
        fingerprint=_fingerprint(samples, train, held),
    )


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _by_sample(samples: Sequence[Sample], held_out: float, seed: int) -> set[int]:
    out: set[int] = set()
    for label in (0, 1):
        members = [i for i, sample in enumerate(samples) if sample.label == label]
        members.sort(key=lambda i: _rank(seed, samples[i].id))
        # 0.7 * 10 is 7.000000000000001 or 6.999999999999999 by turns; round off that error first
        out.update(members[floor(round((1 - held_out) * len(members), 9)) :])
    return out


def _by_patient(samples: Sequence[Sample], held_out: float, seed: int) -> set[int]:
    of_patient: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        of_patient.setdefault(sample.patient, []).append(i)
    out: set[int] = set()
    for malignant in (False, True):
        stratum = [
            patient
            for patient, members in of_patient.items()
            if any(samples[i].label for i in members) == malignant
        ]
        stratum.sort(key=lambda patient: _rank(seed, patient))
        wanted = held_out * sum(len(of_patient[patient]) for patient in stratum)
        taken = 0
        for patient in stratum:
            size = len(of_patient[patient])
            # take a patient when that brings the share nearer to the one wanted
            if abs(taken + size - wanted) < abs(taken - wanted):
                out.update(of_patient[patient])
                taken += size
    return out


def _require_both_classes(
    samples: Sequence[Sample], members: Sequence[int], side: str, protocol: ProtocolName
) -> None:
    counts = Counter(samples[i].label for i in members)
    if len(counts) < 2:
        raise UserError(
            f"protocol={protocol}: the {side} part has {counts[0]} benign and {counts[1]} "
            f"malignant images of {len(samples)} in all: both classes are needed; name a data "
            "set with more of both, or another protocol.held_out or protocol.seed"
        )


def _fingerprint(samples: Sequence[Sample], train: Sequence[int], held: Sequence[int]) -> str:
    sides = ["|".join(sorted(samples[i].id for i in members)) for members in (train, held)]
    return hashlib.sha256("\n".join(sides).encode()).hexdigest()[:16]
