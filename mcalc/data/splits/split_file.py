"""A split as a CSV file, so that others can use the same one.

Columns `sample,patient,label,side`, one row a sample: its id (a lesion's, or an image's with
data.region=full), its patient, its label (`benign`, `malignant`, `benign_without_callback`) and
where it stands (`train`, `validation`, `reported`). A file without validation rows is of a split
whose reported part also stops training.
"""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcalc.config.schema import Config, ProtocolName
from mcalc.data.records import has_needed_files
from mcalc.data.sources.open_source import open_source
from mcalc.data.splits.protocols import Split, expand, make_split, split
from mcalc.data.splits.samples import LABEL_NAMES, Sample, make_samples
from mcalc.errors import UserError

COLUMNS = ("sample", "patient", "label", "side")
"""The CSV's header."""

SIDES = ("train", "validation", "reported")
"""Where a sample can stand."""

_PUBLISHED = (ProtocolName.paper, ProtocolName.paper_augment_first)
"""Protocols that the reports explain wherever they are used."""


@dataclass(frozen=True, slots=True)
class SplitSamples:
    """Samples and their split."""

    samples: tuple[Sample, ...]
    """With the offline copies that the protocol makes."""
    split: Split
    warnings: tuple[str, ...]
    """What a reader must know, in sentences without a full stop."""


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
        parts, missing = read_split(
            path, expanded, protocol.name, seed, config.data.min_completeness
        )
        if missing:
            warnings.append(
                f"{missing} samples of the split file are not in this data (data.min_completeness="
                f"{config.data.min_completeness:g} allows it)"
            )
    else:
        parts = split(expanded, protocol, seed)
    if parts.stops_on_reported and protocol.name not in _PUBLISHED:
        warnings.append(
            "what is reported has also stopped training (protocol.validation=null, as published), "
            "so its scores are optimistic"
        )
    return SplitSamples(expanded, parts, tuple(warnings))


def export_split(config: Config, path: Path) -> str:
    """Write the split of the settings' data as CSV; return it in one line.

    No image is opened: every lesion whose files are on disk takes part. Training leaves out files
    that turn out to be unreadable before it splits, so where the ledger has such ones, repair or
    remove them first.

    Raises UserError where the data cannot be opened or split, or the file cannot be written.
    """
    index = open_source(config.data)
    lesions = [lesion for lesion in index.lesions if has_needed_files(lesion, config.data.region)]
    # which picture is which does not matter here; only lesions of one image share one
    made = make_samples(lesions, range(len(lesions)), config.data)
    done = split_samples(made.samples, config)
    write_split(path, done.samples, done.split)
    parts = done.split
    counts = [f"{len(parts.train)} train"]
    if not parts.stops_on_reported:
        counts.append(f"{len(parts.validation)} stop training")
    counts.append(f"{len(parts.reported)} reported")
    notes = "".join(f"; {note}" for note in (*made.warnings, *done.warnings))
    return (
        f"wrote {path}: protocol {config.protocol.name.value}, {', '.join(counts)}; leak: "
        f"{parts.leak}; fingerprint {parts.fingerprint}{notes}"
    )


def write_split(path: Path, samples: Sequence[Sample], parts: Split) -> None:
    """Write a split as CSV (UTF-8), sorted by sample, whole or not at all.

    Folders are made as needed. Raises UserError when it cannot be written.
    """
    side_of = dict.fromkeys(parts.train, "train")
    side_of |= dict.fromkeys(parts.validation, "validation")
    side_of |= dict.fromkeys(parts.reported, "reported")  # where they stop training too: reported
    rows = sorted(
        (samples[i].id, samples[i].patient, LABEL_NAMES[samples[i].label], side)
        for i, side in side_of.items()
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        draft = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text.getvalue())
                file.flush()
                os.fsync(file.fileno())
            draft.chmod(0o644)  # mkstemp gives 0600, which keeps colleagues out
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"the split {path} cannot be written ({error.strerror}): name a file in a writable "
            "folder"
        ) from error


def read_split(
    path: Path,
    samples: Sequence[Sample],
    protocol: ProtocolName,
    seed: int,
    min_completeness: float = 1.0,
) -> tuple[Split, int]:
    """The split that a CSV file says, taken as it is, and how many of its rows have no sample here.

    A patient on both sides is counted as with any split (`Split.leak`), not refused. `protocol` and
    `seed` are for the record, and the seed draws offline copies.

    Raises UserError for a file that cannot be read or is not of these samples: a sample of the data
    without a row, one with another patient or label, a second row of one, a side or column that is
    not known, or less than `min_completeness` (0..1) of its rows in the data.
    """
    rows = _read_rows(path)
    place = {sample.id: i for i, sample in enumerate(samples)}
    without = sorted(set(place) - set(rows))
    if without:
        raise UserError(
            f"the split {path} has no row for {len(without)} of {len(samples)} samples of this "
            f"data (the first: {without[0]}): it is of other data, or of other settings of "
            "data.region, benign_without_callback, mixed_labels, protocol.copies or seed"
        )
    missing = sorted(set(rows) - set(place))
    if len(rows) - len(missing) < min_completeness * len(rows):
        raise UserError(
            f"the split {path} names {len(missing)} samples of {len(rows)} that are not in this "
            f"data (the first: {missing[0]}): complete the download, or allow it with a lower "
            "data.min_completeness"
        )
    members: dict[str, list[int]] = {side: [] for side in SIDES}
    for name, i in place.items():
        number, row = rows[name]
        sample = samples[i]
        for column, here in (("patient", sample.patient), ("label", LABEL_NAMES[sample.label])):
            if row[column] != here:
                raise UserError(
                    f"the split {path}, row {number}: {column} of {name} is {row[column]!r}, but "
                    f"{here!r} in this data: it is of other data or other settings of labels"
                )
        members[row["side"]].append(i)
    validation = members["validation"] or members["reported"]
    parts = make_split(samples, protocol, seed, members["train"], validation, members["reported"])
    return parts, len(missing)


def _read_rows(path: Path) -> Mapping[str, tuple[int, dict[str, str]]]:
    """Sample id -> number of its line and its fields."""
    try:
        # a spreadsheet that has been at it puts a byte order mark before
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the split {path} cannot be read ({getattr(error, 'strerror', None) or error}): "
            "protocol.split_file wants a CSV that `python -m mcalc.data ... split_to=PATH` wrote"
        ) from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    lacking = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if lacking:
        raise UserError(
            f"the split {path} lacks the columns {', '.join(lacking)}: expected "
            f"{', '.join(COLUMNS)} in its first line"
        )
    rows: dict[str, tuple[int, dict[str, str]]] = {}
    for row in reader:
        number = reader.line_num
        values = {column: (row[column] or "").strip() for column in COLUMNS}
        if values["side"] not in SIDES:
            raise UserError(
                f"the split {path}, row {number}: side is {values['side']!r}: expected one of "
                f"{', '.join(SIDES)}"
            )
        if values["sample"] in rows:
            raise UserError(
                f"the split {path}, row {number}: {values['sample']} stands in row "
                f"{rows[values['sample']][0]} already: each sample has one row"
            )
        rows[values["sample"]] = (number, values)
    if not rows:
        raise UserError(f"the split {path} has no rows: expected one a sample")
    return rows
