"""The data command: index a data set and check it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import astuple, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from mcalc.config import DataConfig, Line, Region, WithoutCallback
from mcalc.console import PlainConsole, counting, stderr
from mcalc.data.completeness import check_completeness, completeness
from mcalc.data.ledger import count_by_kind, write_ledger
from mcalc.data.records import Counts, Defect, DefectKind, Index, Lesion, Split, count
from mcalc.data.sources import open_source
from mcalc.errors import UserError
from mcalc.line_breaks import wrapped
from mcalc.secret_text import argument_shown

if TYPE_CHECKING:
    from mcalc.data.images import LesionDigests

IMAGE_WIDTH = 227
"""Pixels across what pixels=true prepares: AlexNet's, whose trials then find it in the cache."""

_OF_CHECK_SPLIT = ("id", "label", "split", "patient", "parts")
"""Words that say what the columns of a split to check are."""
_MADE_OF = {
    Region.crop: "a crop",
    Region.patch: "a full image and a mask",
    Region.full: "a full image",
}


def run(line: Line) -> int:
    """Check the data set that the settings name, or somebody's split; print to stdout.

    Raises UserError where a setting is wrong, the data cannot be indexed, less of it is there than
    `data.min_completeness` asks for, or the split cannot be written.
    """
    console = PlainConsole()
    if line.words["check_split"] is not None:
        return _check_split(line, console)
    if given := [word for word in _OF_CHECK_SPLIT if line.words[word] is not None]:
        raise UserError(f"{given[0]}= is about a split: name its file with check_split=FILE")
    config = line.config()
    data = config.data
    met: tuple[Defect, ...] | None = None
    cache = Path(data.cache).expanduser()
    with counting(stderr, "indexing") as progress:
        index = open_source(data, progress)
    # late: NumPy, OpenCV and pydicom, without which most mistakes are answered
    from mcalc.data.images import digests_of_candidates, file_digests, with_duplicates

    with counting(stderr, "hashing files") as progress:
        hashing = file_digests if line.words["pixels"] else digests_of_candidates
        digests = hashing(index.lesions, data.region, cache, progress)
    index = with_duplicates(index, digests, data)
    if line.words["pixels"]:
        met = _decode(index, digests, data)
        index = replace(index, ledger=(*index.ledger, *met))
    ledger = write_ledger(index.ledger, cache / "ledger.csv")
    print_check(index, console, ledger, data, met)
    check_completeness(index, data.min_completeness, met or (), data.region)
    if line.words["split_to"] is not None:
        from mcalc.data.pipeline import export_split

        _print_whole(console, export_split(config, line.words["split_to"]))
    given = [each for each in line.overrides if each.startswith(("data=", "data."))]
    arguments = "".join(f" {shlex.quote(argument_shown(each))}" for each in given)
    _print_whole(console, f"next: `python -m mcalc.train -m sweep=alexnet dry_run=true{arguments}`")
    return 0


def _print_whole(console: PlainConsole, text: str) -> None:
    """Print text with paths: a terminal breaks it between words alone, so that they can be copied.

    Rich itself would break a path that is longer than a line.
    """
    shown = wrapped(text, console.width) if console.is_terminal else text
    console.print(escape(shown), soft_wrap=True)


def _check_split(line: Line, console: PlainConsole) -> int:
    """Check somebody's split, with the pixels of the data set where `data.root` is given."""
    if line.words["split_to"] is not None or line.words["pixels"]:
        other = "pixels=true" if line.words["pixels"] else "split_to=FILE"
        raise UserError(f"check_split=FILE and {other} are two tasks: give one of them")
    data = line.config().data
    lesions = None
    if data.root:
        if not any(each.startswith("data=") for each in line.overrides):
            raise UserError(
                f"data.root={data.root}: of which data set? name it, as in data=cbis_ddsm, to look "
                "for identical pixels"
            )

        def lesions() -> Sequence[Lesion]:
            with counting(stderr, "indexing") as progress:
                return open_source(data, progress).lesions

    from mcalc.data.splits.checking import Columns, check_split

    with counting(stderr, "decoding") as progress:
        columns = Columns(**{word: line.words[word] for word in _OF_CHECK_SPLIT})
        return check_split(line.words["check_split"], columns, console, lesions, progress)


def _decode(index: Index, digests: Sequence[LesionDigests], data: DataConfig) -> tuple[Defect, ...]:
    """Defects met when every image is prepared as for training, paths relative to the root."""
    from mcalc.data.images import prepare_images

    cache = Path(data.cache).expanduser()
    with counting(stderr, "decoding") as progress:
        met = prepare_images(index.lesions, digests, IMAGE_WIDTH, data, cache, progress).defects
    return tuple(replace(each, detail=each.detail.replace(f"{index.root}/", "")) for each in met)


def print_check(
    index: Index,
    console: PlainConsole,
    ledger: Path,
    data: DataConfig,
    met: Collection[Defect] | None,
) -> None:
    """Print counts, files on disk, what the settings make of them, and the ledger's summary.

    Published counts are shown beside those found where the index has any. `met`: those defects of
    the ledger that were found when pixels were decoded; None where none were decoded.
    """
    _print_whole(console, f"{index.root}: {index.description}")
    console.print(_counts_table(index))
    _print_files(index, console, data.region, met or ())
    _print_labels(index, console, data.benign_without_callback)
    for note in index.notes:
        console.print(f"[bold red]Note:[/] {escape(note)}")
    for text in index.unchecked:
        console.print(f"Not checked: {escape(text)}")
    place = str(ledger)
    where = f"No defects; an empty ledger is in {place}"
    if kinds := count_by_kind(index.ledger):
        console.print(_ledger_table(index, kinds))
        where = f"Every defect: {place}"
    _print_whole(console, where)
    if met is None:
        console.print(
            "Pixels were not checked: no image was decoded, so a damaged one shows when it is "
            "first prepared for training; pixels=true checks every image that data.region needs."
        )


def _counts_table(index: Index) -> Table:
    differs = " (published count where it differs)" if index.published else ""
    title = f"Lesions listed{differs}"
    table = Table(title=title, title_justify="left")
    table.add_column("split")
    for entry in fields(Counts):
        table.add_column(entry.name.replace("_", " "), justify="right")
    splits: list[Split | None] = [*Split]
    if any(lesion.split is None for lesion in index.lesions):
        splits = [None]
    for split in splits:
        found = count([lesion for lesion in index.lesions if lesion.split is split])
        published = index.published.get(split, found) if split else found
        pairs = zip(astuple(found), astuple(published), strict=True)
        cells = [str(here) if here == there else f"{here} ({there})" for here, there in pairs]
        if not found.rows:
            cells = ["not read", *[""] * 5]
        table.add_row(split.value if split else "none", *cells)
    return table


def _print_files(
    index: Index, console: PlainConsole, region: Region, met: Collection[Defect]
) -> None:
    total = len(index.lesions)
    for name, attribute in (("crops", "crop"), ("masks", "mask"), ("full images", "full")):
        there = sum(getattr(lesion, attribute) is not None for lesion in index.lesions)
        console.print(f"{name} on disk: for {there} of {total} lesions")
    console.print(
        f"complete: {completeness(index, met, region):.1%} (lesions with {_MADE_OF[region]}, as "
        f"data.region={region} needs; data.min_completeness is about this)"
    )


def _print_labels(index: Index, console: PlainConsole, rule: WithoutCallback) -> None:
    """What data.benign_without_callback does to the numbers, where there are such lesions."""
    found = count(index.lesions)
    without, benign, malignant = found.benign_without_callback, found.benign, found.malignant
    if not without:
        return
    meant = {
        WithoutCallback.benign: f"{benign + without} benign, {malignant} malignant",
        WithoutCallback.exclude: f"{without} excluded; {benign} benign, {malignant} malignant",
        WithoutCallback.own_class: (
            f"{benign} benign, {malignant} malignant, {without} benign without callback"
        ),
    }
    console.print(f"labels with data.benign_without_callback={rule}: {meant[rule]}")


def _ledger_table(index: Index, kinds: dict[DefectKind, int]) -> Table:
    table = Table(title="Ledger", title_justify="left")
    table.add_column("defect")
    table.add_column("rows", justify="right")
    table.add_column("the first")
    for kind, number in kinds.items():
        first = next(defect for defect in index.ledger if defect.kind is kind)
        text = f"{first.lesion}: {first.detail} -> {first.action}"
        table.add_row(kind.value, str(number), escape(text))
    return table
