"""The phantom as a data source: written on first use, then read like a real download."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from mcalc.config import DataConfig, PhantomConfig, hashed_settings
from mcalc.data.images import kept_headers
from mcalc.data.phantom.marker import FORMAT_VERSION, is_written
from mcalc.data.records import Index
from mcalc.data.sources import Source
from mcalc.data.sources.cbis_ddsm import read_index
from mcalc.iteration import Progress

_SYNTHETIC = "synthetic data (phantoms): nothing here says anything about real mammograms"


def phantom_root(data: DataConfig) -> Path:
    """The phantom's folder: `data.root`, or one below `data.cache` that its settings name."""
    if data.root:
        return Path(data.root).expanduser()
    return Path(data.cache).expanduser() / f"phantom-{_settings_hash(data.phantom)}"


def _settings_hash(settings: PhantomConfig) -> str:
    # 1 and 1.0 are one difficulty and must name one folder
    content = {**hashed_settings(settings), "difficulty": float(settings.difficulty)}
    text = json.dumps([FORMAT_VERSION, content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _read(data: DataConfig, progress: Progress | None) -> Index:
    """Write the phantom where it is not there yet, and index it."""
    root = phantom_root(data)
    if not is_written(root, data.phantom):
        # late: OpenCV, SciPy and pydicom's writer, which reading does without
        from mcalc.data.phantom.download import write_phantom

        write_phantom(root, data.phantom, progress)
    # its CSVs lie in it: data.csv_dir is about downloads
    with kept_headers(Path(data.cache)) as header_of:
        index = read_index(root, None, data.csv_split, progress, data.region, header_of)
    defects = ", with defects" if data.phantom.defects else ""
    made = f"difficulty {data.phantom.difficulty:g}, seed {data.phantom.seed}{defects}"
    description = f"phantom (synthetic; {made})"
    return replace(index, description=description, notes=(_SYNTHETIC, *index.notes))


SOURCE = Source("phantom", "the phantom's folder", _read, needs_root=False, reads_labels=False)
