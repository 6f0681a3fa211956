"""The data sources by name: `data.source` to an index.

A source is one module with a `Source` object. A built-in one has a line in `BUILT_IN`; one of
another installed package has an entry point of the group `mcalc.sources` that names its object. No
source's module is imported before it is asked for. docs/recipes.md has the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcalc.config import DataConfig
from mcalc.data.records import Index
from mcalc.data.sources.alike_patients import with_alike_patients
from mcalc.errors import UserError
from mcalc.iteration import Progress
from mcalc.plugins import find

BUILT_IN = {
    "cbis_ddsm": "mcalc.data.sources.cbis_ddsm.index:SOURCE",
    "cmmd": "mcalc.data.sources.cmmd:SOURCE",
    "folder": "mcalc.data.sources.folder:SOURCE",
    "phantom": "mcalc.data.phantom.source:SOURCE",
}
"""Module and object of each source that comes with mcalc."""


@dataclass(frozen=True)
class Source:
    """A data source: how its files become an index, and its own words for messages."""

    name: str
    """As in `data.source` and `BUILT_IN`."""
    what: str
    """What lies at data.root: `the folder of a CMMD download`."""
    read: Callable[[DataConfig, Progress | None], Index]
    """Indexes the data that the settings name, without decoding images. Raises UserError."""
    needs_root: bool = True
    """Whether data.root must be set; a source that makes its data itself does not need it."""
    reads_labels: bool = True
    """Whether it reads data.labels; one that does not refuses a CSV that nobody would look at."""


def open_source(data: DataConfig, progress: Progress | None = None) -> Index:
    """Index the data that the settings name.

    Patients whose ids are nearly equal are added to the source's ledger and notes. `progress` is
    called with (done, total). Raises UserError for a source that is not known, for
    one that needs data.root without it or does not read the data.labels that are set, and as the
    source's `read` does.
    """
    source = find_source(data.source)
    if source.needs_root and not data.root:
        raise UserError(
            f"data={source.name} needs data.root=PATH: {source.what}. Without one, use data=phantom"
        )
    if data.labels and not source.reads_labels:
        raise UserError(
            f"data.labels={data.labels} is not read with data={source.name}, which has labels of "
            "its own: take data=folder data.root=PATH for images that the CSV labels, or omit it"
        )
    return with_alike_patients(source.read(data, progress))


def find_source(name: str) -> Source:
    """The source of this name, built in or of a package. Raises UserError as `plugins.find`."""
    return find("sources", name, BUILT_IN, Source, "data.source")
