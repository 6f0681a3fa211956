"""The data command: index a data set and check it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from mcalc.config.schema import DataConfig
from mcalc.data.check import print_check
from mcalc.data.completeness import check_completeness
from mcalc.data.images.file_hashes import file_digests
from mcalc.data.images.prepare import prepare
from mcalc.data.ledger import write_ledger
from mcalc.data.pipeline import export_split
from mcalc.data.records import Defect, Index
from mcalc.data.sources.registry import open_source

if TYPE_CHECKING:
    from mcalc.config.arguments import Line

IMAGE_WIDTH = 227
"""Pixels across what pixels=true prepares: AlexNet's, whose trials then find it in the cache."""


def run(line: Line) -> int:
    """Check the data set that the settings name; print to stdout.

    Raises UserError where a setting is wrong, the data cannot be indexed, less of it is there than
    `data.min_completeness` asks for, or the split cannot be written.
    """
    console = Console()
    config = line.config()
    data = config.data
    met: tuple[Defect, ...] | None = None
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        index = open_source(data, _step(bar, "indexing"))
        if line.words["pixels"]:
            met = _decode(index, data, bar)
            index = replace(index, ledger=(*index.ledger, *met))
    ledger = write_ledger(index.ledger, Path(data.cache).expanduser() / "ledger.csv")
    print_check(index, console, ledger, data, met)
    check_completeness(index, data.min_completeness, met or (), data.region)
    if line.words["split_to"] is not None:
        console.print(escape(export_split(config, line.words["split_to"])), soft_wrap=True)
    return 0


def _step(bar: Progress, name: str) -> Callable[[int, int], None]:
    task = bar.add_task(name, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _decode(index: Index, data: DataConfig, bar: Progress) -> tuple[Defect, ...]:
    """Defects met when every image is prepared as for training, paths relative to the root."""
    cache = Path(data.cache).expanduser()
    digests = file_digests(index.lesions, data.region, cache, _step(bar, "hashing files"))
    decoding = _step(bar, "decoding")
    met = prepare(index.lesions, digests, IMAGE_WIDTH, data, cache, decoding).defects
    return tuple(replace(each, detail=each.detail.replace(f"{index.root}/", "")) for each in met)
