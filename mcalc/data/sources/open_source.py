"""From `data.source` to an index: where a data set is added, beside its own module and YAML."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from mcalc.config.identity import hashed_settings
from mcalc.config.schema import DataConfig, PhantomConfig
from mcalc.data.phantom.download import FORMAT_VERSION, write_phantom
from mcalc.data.records import Index
from mcalc.data.sources.cbis_ddsm.index import Progress, read_index
from mcalc.data.sources.cbis_ddsm.published_counts import published_differences
from mcalc.data.sources.cmmd import read_cmmd
from mcalc.data.sources.folder import read_folder
from mcalc.errors import UserError


def open_source(data: DataConfig, progress: Progress | None = None) -> Index:
    """Index the data that the settings name; a phantom is written first where it is not there yet.

    `progress` is called with (done, total) of the writing, then of the reading. Raises UserError
    for a source that cannot be opened, with the remedy.
    """
    match data.source:
        case "cbis_ddsm":
            index = read_index(_root(data), _csv_dir(data), data.csv_split, progress, data.region)
            differences = published_differences(index.lesions, data.csv_split)
            return replace(index, ledger=(*index.ledger, *differences))
        case "phantom":
            root = phantom_root(data)
            write_phantom(root, data.phantom, progress)
            # its CSVs are its own: data.csv_dir is about downloads
            return read_index(root, None, data.csv_split, progress, data.region)
        case "folder":
            return read_folder(_root(data), data, progress)
        case "cmmd":
            return read_cmmd(_root(data), _csv_dir(data), data.region, progress)
        case _:
            raise UserError(f"data.source={data.source}: no such source")


def phantom_root(data: DataConfig) -> Path:
    """The phantom's folder: `data.root`, or one below `data.cache` that its settings name."""
    if data.root:
        return Path(data.root).expanduser()
    return Path(data.cache).expanduser() / f"phantom-{_settings_hash(data.phantom)}"


_WHAT = {
    "cbis_ddsm": "a CBIS-DDSM download",
    "cmmd": "a CMMD download",
    "folder": "the images",
}


def _root(data: DataConfig) -> Path:
    if not data.root:
        raise UserError(
            f"data={data.source} needs data.root=PATH: the folder of {_WHAT[data.source]}"
        )
    return Path(data.root)


def _csv_dir(data: DataConfig) -> Path | None:
    return Path(data.csv_dir).expanduser() if data.csv_dir else None


def _settings_hash(settings: PhantomConfig) -> str:
    # 1 and 1.0 are one difficulty and must name one folder
    content = {**hashed_settings(settings), "difficulty": float(settings.difficulty)}
    text = json.dumps([FORMAT_VERSION, content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
