"""Where a download keeps its images, in each layout of CBIS-DDSM that is met.

legacy  `<case>/<StudyUID>/<SeriesUID>/00000N.dcm`, as the case CSVs say; an older downloader wrote
        `<case>/<date>-DDSM-<n>/1-<description>-<n>/00000N.dcm`
nbia    `manifest-*/CBIS-DDSM/<case>/<date>-DDSM-NA-<n>/1.000000-<description>-<n>/1-N.dcm`
kaggle  `jpeg/<SeriesUID>/*.jpg` with `csv/dicom_info.csv`

Series folders of the second and third form end in the last five digits of their series' UID. Their
description is not to be trusted and is never looked at, nor is NBIA's `metadata.csv` needed: it
repeats what the folders' names say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mcalc.csv_table import read_table
from mcalc.data.sources.paths import data_folders, first_file, image_files, safe_parts, subfolders
from mcalc.iteration import grouped

DICOM_INFO = "dicom_info.csv"


class Layout(StrEnum):
    """A layout's name, as in `Index.description`."""

    KAGGLE = "kaggle"
    NBIA = "nbia"
    LEGACY = "legacy"


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
        # several of one name where a download was resumed elsewhere
        self._cases = grouped(subfolders(self.case_bases), lambda folder: folder.name)
        self._series = grouped(subfolders(_series_bases(root)), lambda folder: folder.name)

    def find(self, case: str, paths: Sequence[CsvPath]) -> Found:
        """Image files of a case (`Calc-Test_P_00038_LEFT_CC_1`) for the series that `paths` name.

        One root may hold several layouts, each with a part of the lesions. DICOM layouts come
        before JPEG copies. In a case folder the series named decide; where none of them is there
        by name, every image of the case folder is a candidate, which is all that a lesion's own
        folder holds. Raises UserError when a folder cannot be listed.
        """
        series = [path.series for path in paths if path.series]
        # the CSV's name of the case folder comes first; in the published files both are the same
        for name in dict.fromkeys([*(path.case for path in paths if path.case), case]):
            leaves = subfolders(subfolders(self._cases.get(name, ())))
            named = [leaf for leaf in leaves if any(shows_series(leaf, uid) for uid in series)]
            files = _images(named) or _images(leaves)
            if files:
                return Found(_case_layout(files[0].parent), files)
        return self.find_jpegs(paths)

    def find_jpegs(self, paths: Sequence[CsvPath]) -> Found:
        """Image files of Kaggle's folders for the series that `paths` name."""
        series = dict.fromkeys(path.series for path in paths if path.series)
        jpegs = _images(folder for uid in series for folder in self._series.get(uid, ()))
        return Found(Layout.KAGGLE if jpegs else None, jpegs)


def shows_series(folder: Path, uid: str) -> bool:
    """Whether a folder's name is a series' UID or ends in the UID's last five digits."""
    return folder.name == uid or folder.name.endswith(f"-{uid[-5:]}")


def read_descriptions(root: Path, csv_dir: Path | None) -> Mapping[tuple[str, str], str]:
    """SeriesDescription of each JPEG by (series UID, file name), from Kaggle's `dicom_info.csv`.

    The file is optional, as are its values (Kaggle's lacks several hundred): where it says
    nothing, the images' content decides. Raises UserError when it is there and cannot be read.
    """
    folders = [*([csv_dir] if csv_dir else []), root, root / "csv"]
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


def _series_bases(root: Path) -> list[Path]:
    candidates = (root / "jpeg", root / "CBIS-DDSM" / "jpeg")
    named = [folder for folder in candidates if folder.is_dir()]
    return [root, *named] if root.name == "jpeg" else named


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
