"""Where a download keeps its images, in each layout of CBIS-DDSM that is met.

legacy  `<case>/<StudyUID>/<SeriesUID>/00000N.dcm`, as the case CSVs say; an older downloader wrote
        `<case>/<date>-DDSM-<n>/1-<description>-<n>/00000N.dcm`
nbia    `manifest-*/CBIS-DDSM/<case>/<date>-DDSM-NA-<n>/1.000000-<description>-<n>/1-N.dcm`
kaggle  `jpeg/<SeriesUID>/*.jpg` with `csv/dicom_info.csv`
series  `<SeriesUID>/1-N.dcm` or `<SeriesUID>/00000N.dcm`, as tcia_utils writes, in the root, in its
        folder `CBIS-DDSM` or another one, or in those of a manifest

A series folder whose name has a description ends in the last five digits of the series' UID. The
description is not to be trusted and is never looked at, nor is NBIA's `metadata.csv` needed: it
repeats what the folders' names say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mcalc.csv_table import read_table
from mcalc.data.sources.paths import (
    child,
    data_folders,
    first_file,
    image_files,
    name_key,
    safe_parts,
    subfolders,
)
from mcalc.errors import UserError
from mcalc.iteration import grouped

DICOM_INFO = "dicom_info.csv"
_DICOM_SUFFIXES = (".dcm", ".dicom")


class Layout(StrEnum):
    """A layout's name, as in `Index.description`."""

    KAGGLE = "kaggle"
    NBIA = "nbia"
    LEGACY = "legacy"
    SERIES = "series"


@dataclass(frozen=True, slots=True)
class CsvPath:
    """What a path of a case CSV says: `<case>/<StudyUID>/<SeriesUID>/00000N.dcm`."""

    case: str | None
    series: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """Files that may show what was looked for; none and no layout where there are none."""

    layout: Layout | None
    files: tuple[Path, ...]


def parse_csv_path(text: str) -> CsvPath:
    """Take a path of a case CSV apart, `/` or `\\` between its parts; missing parts are None.

    Raises UnsafePath for a path that could leave the folder it is meant to be relative to.
    """
    case, _study, series, name = [*[None] * 4, *safe_parts(text)][-4:]
    return CsvPath(case, series, name)


class Download:
    """The folders of one download, listed once when it is opened.

    Folders are found by name below the root, never by joining a CSV's text to a path. The root and
    the folders in it may be symbolic links: only what a CSV says is distrusted.
    """

    def __init__(self, root: Path) -> None:
        self.case_bases = data_folders(root, "CBIS-DDSM")
        self.respelled: dict[str, str] = {}
        """Case folders that were found under another name than the CSV's, by the CSV's."""
        # several of one name where a download was resumed elsewhere
        folders = subfolders(self.case_bases)
        self._cases = grouped(folders, lambda folder: folder.name)
        self._names = grouped(self._cases, name_key)
        self._jpegs = grouped(subfolders(_jpeg_bases(root)), lambda folder: folder.name)
        for base in _other_bases(root):
            # a disk's own folders, as lost+found, are not for everyone to list
            with suppress(UserError):
                folders += subfolders([base])
        self._series = grouped(folders, lambda folder: folder.name)

    def find(self, case: str, paths: Sequence[CsvPath]) -> Found:
        """Image files of a case (`Calc-Test_P_00038_LEFT_CC_1`) for the series that `paths` name.

        One root may hold several layouts, each with a part of the lesions. DICOM layouts come
        before JPEG copies. In a case folder the series named decide. Where none of them is there
        by name, folders named by the series alone are looked for. Last, every image of the case
        folder is a candidate, which is all that a lesion's own folder holds. Raises UserError when
        a folder cannot be listed.
        """
        series = [path.series for path in paths if path.series]
        # the CSV's name of the case folder comes first; in the published files both are the same
        names = dict.fromkeys([*(path.case for path in paths if path.case), case])
        folders = [subfolders(subfolders(self._case_folders(name))) for name in names]
        for leaves in folders:
            files = _images(
                leaf for leaf in leaves if any(shows_series(leaf, uid) for uid in series)
            )
            if files:
                return Found(_case_layout(files[0].parent), files)
        found = self.find_series(paths)
        for leaves in folders:
            if found.layout is None and (files := _images(leaves)):
                return Found(_case_layout(files[0].parent), files)
        return found if found.layout else self.find_jpegs(paths)

    def find_series(self, paths: Sequence[CsvPath]) -> Found:
        """Image files of folders that are named by a series that `paths` name, and nothing else."""
        files = _images(folder for uid in _uids(paths) for folder in self._series.get(uid, ()))
        dicom = tuple(file for file in files if file.suffix.lower() in _DICOM_SUFFIXES)
        return Found(Layout.SERIES if files else None, dicom or files)

    def find_jpegs(self, paths: Sequence[CsvPath]) -> Found:
        """Image files of Kaggle's folders for the series that `paths` name."""
        jpegs = _images(folder for uid in _uids(paths) for folder in self._jpegs.get(uid, ()))
        return Found(Layout.KAGGLE if jpegs else None, jpegs)

    def _case_folders(self, name: str) -> Sequence[Path]:
        """Folders of this name, or else of the only name that is equal but for case and form."""
        if name in self._cases:
            return self._cases[name]
        alike = self._names.get(name_key(name), ())
        if len(alike) != 1:
            return ()
        self.respelled[name] = alike[0]
        return self._cases[alike[0]]


def _uids(paths: Iterable[CsvPath]) -> dict[str, None]:
    return dict.fromkeys(path.series for path in paths if path.series)


def shows_series(folder: Path, uid: str) -> bool:
    """Whether a folder's name is a series' UID or ends in the UID's last five digits."""
    return folder.name == uid or folder.name.endswith(f"-{uid[-5:]}")


def read_descriptions(root: Path, csv_dir: Path | None) -> Mapping[tuple[str, str], str]:
    """SeriesDescription of each JPEG by (series UID, file name), from Kaggle's `dicom_info.csv`.

    The file is optional, as are its values (Kaggle's lacks several hundred): where it says
    nothing, the images' content decides. Raises UserError when it is there and cannot be read.
    """
    folders = [*([csv_dir] if csv_dir else []), root, child(root, "csv") or root / "csv"]
    path = first_file(folders, DICOM_INFO)
    if path is None:
        return {}
    descriptions = {}
    remedy = "download it again, or remove it, for it is optional"
    columns = ("image_path", "SeriesDescription")
    for row in read_table(path, (), columns, keep_misfits=True, remedy=remedy):
        parts = row.values["image_path"].replace("\\", "/").split("/")
        text = row.values["SeriesDescription"]
        if text and len(parts) >= 2:
            descriptions[parts[-2], parts[-1]] = text
    return descriptions


def _jpeg_bases(root: Path) -> list[Path]:
    """Kaggle's folders `jpeg`, of which the root may be one."""
    bases = [root] if root.name.casefold() == "jpeg" else []
    named = (child(base, "jpeg") for base in data_folders(root, "CBIS-DDSM"))
    return bases + [folder for folder in named if folder is not None and folder.is_dir()]


def _other_bases(root: Path) -> list[Path]:
    """Folders of any other name in the root, which may hold folders of series: `tciaDownload`.

    Not those of cases, of which there are thousands, nor of series.
    """
    known = re.compile(r"(calc|mass)-.*|manifest.*|cbis-ddsm|jpeg|csv|[0-9.]+", re.IGNORECASE)
    return [folder for folder in subfolders([root]) if not known.fullmatch(folder.name)]


def _case_layout(series_folder: Path) -> Layout:
    # `1.000000-cropped images-26184` against a UID or `1-cropped images-26184`
    return Layout.NBIA if re.match(r"\d+\.\d+-", series_folder.name) else Layout.LEGACY


def _images(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Image files of the folders, sorted by name within each.

    A file that two folders of one name hold is taken once: a download that was resumed into a
    second manifest folder repeats files.
    """
    found: dict[tuple[str, str], Path] = {}
    for folder in folders:
        for path in image_files(folder):
            if path.is_file():
                found.setdefault((folder.name, path.name), path)
    return tuple(found.values())
