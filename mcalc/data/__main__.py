"""`python -m mcalc.data data=cbis_ddsm data.root=PATH`: index a data set and check it.

The one module of this package that imports the command line's composition, which is why nothing
imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from mcalc.config.compose import compose_config
from mcalc.config.schema import DataConfig
from mcalc.data.check import print_check
from mcalc.data.images.file_hashes import file_digests
from mcalc.data.images.prepare import prepare
from mcalc.data.ledger import write_ledger
from mcalc.data.records import Defect, Index
from mcalc.data.sources.cbis_ddsm.index import check_completeness
from mcalc.data.sources.open_source import open_source
from mcalc.data.splits.split_file import export_split
from mcalc.errors import UserError, exit_on_user_error

USAGE = """usage: python -m mcalc.data [KEY=VALUE ...] [pixels=true] [split_to=FILE]

Index a data set and check it: counts against the published ones, and a ledger of every defect.
  python -m mcalc.data data=cbis_ddsm data.root=PATH    a download of CBIS-DDSM
  python -m mcalc.data data=cmmd data.root=PATH         a download of CMMD
  python -m mcalc.data data=folder data.root=PATH       images of one's own
  python -m mcalc.data data=phantom                     the synthetic data set
Settings: data.csv_dir, data.csv_split, data.labels, data.region, data.min_completeness, data.cache
(mcalc/config/schema.py); the ledger is written to data.cache.
pixels=true decodes every image that data.region needs, as training does, and keeps what it makes
of them in data.cache.
split_to=FILE also writes the split that protocol=... and seed=... make of it, as CSV.
Exit status: 0 complete enough, 2 not, or a mistake."""

_SPLIT_TO, _PIXELS = "split_to=", "pixels="

PICTURE_SIZE = 227
"""Pixels a side of what pixels=true prepares: AlexNet's, whose trials then find it ready."""


def main(arguments: Sequence[str]) -> None:
    """Check the data set that the overrides name; print to stdout.

    Exits with status 2, and one `error:` line on stderr, where a setting is wrong, the data cannot
    be indexed, less of it is there than `data.min_completeness` asks for, or the split cannot be
    written.
    """
    if any(argument in ("-h", "--help") for argument in arguments):
        print(USAGE)
        return
    console = Console()
    with exit_on_user_error():
        own = (_SPLIT_TO, _PIXELS)
        config = compose_config([each for each in arguments if not each.startswith(own)])
        split_to, pixels = _split_to(arguments), _pixels(arguments)
        data = config.data
        met: tuple[Defect, ...] | None = None
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            index = open_source(data, _step(bar, "indexing"))
            if pixels:
                met = _decode(index, data, bar)
                index = replace(index, ledger=(*index.ledger, *met))
        ledger = write_ledger(index.ledger, Path(data.cache).expanduser() / "ledger.csv")
        print_check(index, console, ledger, data, met)
        check_completeness(index, data.min_completeness, met or (), data.region)
        if split_to is not None:
            console.print(escape(export_split(config, split_to)), soft_wrap=True)


def _step(bar: Progress, name: str) -> Callable[[int, int], None]:
    task = bar.add_task(name, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _decode(index: Index, data: DataConfig, bar: Progress) -> tuple[Defect, ...]:
    """What is met when every image is made ready as for training, files relative to the root."""
    cache = Path(data.cache).expanduser()
    digests = file_digests(index.lesions, data.region, cache, _step(bar, "hashing files"))
    decoding = _step(bar, "decoding")
    met = prepare(index.lesions, digests, PICTURE_SIZE, data, cache, decoding).defects
    return tuple(replace(each, detail=each.detail.replace(f"{index.root}/", "")) for each in met)


def _pixels(arguments: Sequence[str]) -> bool:
    given = {each.removeprefix(_PIXELS) for each in arguments if each.startswith(_PIXELS)}
    if given - {"true", "false"}:
        raise UserError(f"pixels={min(given - {'true', 'false'})}: expected true or false")
    return "true" in given


def _split_to(arguments: Sequence[str]) -> Path | None:
    given = [each.removeprefix(_SPLIT_TO) for each in arguments if each.startswith(_SPLIT_TO)]
    if not given:
        return None
    if len(given) > 1 or not given[0]:
        raise UserError("split_to=FILE takes one file name: name where to write the split")
    return Path(given[0]).expanduser()


if __name__ == "__main__":
    main(sys.argv[1:])
