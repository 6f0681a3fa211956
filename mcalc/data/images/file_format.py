"""Which kind of image a file is, by its first bytes and not by its name."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from mcalc.data.images.unreadable import UnreadableImage


class Raster(StrEnum):
    """A kind of file."""

    JPEG = "JPEG"
    PNG = "PNG"


def raster_format(path: Path) -> Raster | None:
    """Which raster format the file has, None for DICOM. Raises UnreadableImage for others."""
    # reading from a pipe may never end
    if not path.is_file() and path.exists() and not path.is_dir():
        raise UnreadableImage(f"{path} is a pipe or device: expected a DICOM, JPEG or PNG file")
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError as error:
        raise UnreadableImage(
            f"{path} cannot be opened ({error.strerror}): expected a DICOM, JPEG or PNG file that "
            "this user may read"
        ) from error
    if start[128:132] == b"DICM":
        return None
    if start.startswith(b"\xff\xd8\xff"):
        return Raster.JPEG
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return Raster.PNG
    raise UnreadableImage(
        f"{path} is {'empty' if not start else 'not an image'}: expected a DICOM (with its DICM "
        "mark), JPEG or PNG file; download or export it again"
    )
