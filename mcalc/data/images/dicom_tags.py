"""Elements of a DICOM header: the one place that reads them, and so meets their damage.

pydicom converts an element when it is looked at, and a bad value then raises any of seven errors.
Here each becomes one that names the file and the element. Of a header only the elements asked for
are ever loaded, and their text is quoted nowhere (`in_words`), as are pydicom's warnings
(`unreadable.refuse_damage`): a person's name may stand in any element. So nothing which identifies
a person can reach a message, a log or a record.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from mcalc.data.images.deflated import refuse_bombs
from mcalc.data.images.unreadable import DOWNLOAD_AGAIN, UnreadableImage, refuse_damage

LONGEST_VALUE = 4096
"""Bytes of a number or text that is looked at; the standard allows 64 characters for most."""

_NUMBER_TEXT = ("DS", "IS")
_BINARY = ("US", "SS", "US or SS", "US or OW", "US or SS or OW", "UL", "SL", "FL", "FD", "OW", "OB")
_DECIMAL_COMMA = re.compile(r"([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
"""A number whose comma may group digits as well: 2,048 is two or two thousand."""


class Tags:
    """The elements asked for of one header, or of an item of a sequence in it."""

    def __init__(self, dataset: Dataset, path: Path) -> None:
        self.dataset = dataset
        self._path = path

    def __contains__(self, keyword: str | BaseTag) -> bool:
        """Whether the element is there and not empty."""
        item = self._raw(keyword)
        if item is None or item.value is None:
            return False
        if isinstance(item.value, bytes) and _vr(item) not in _BINARY:
            return bool(item.value.strip(b"\0 "))
        return not isinstance(item.value, Sequence) or len(item.value) > 0

    def text(self, keyword: str | BaseTag) -> str:
        """Its text; empty where there is none. Bytes that are no ASCII become question marks."""
        item = self._raw(keyword)
        if item is None or item.value is None:
            return ""
        value = item.value
        if isinstance(value, bytes):
            value = self._bounded(keyword, value).decode("ascii", "replace").replace("�", "?")
        return str(value).rstrip("\0").strip()

    def numbers(self, keyword: str | BaseTag) -> list[float]:
        """Its numbers, none where it is absent or empty; a decimal comma is read as a point.

        Empty ones at the end are left out. Raises UnreadableImage for what is no number, for nan
        and infinity, and for a comma that may be either point or separator.
        """
        if keyword not in self:
            return []
        with refuse_damage(self._path, f"has a {keyword} in its header that cannot be read"):
            given = [*self._values(keyword)]
            while given and isinstance(given[-1], str) and not given[-1].strip(" \0"):
                given.pop()
            found = [_number(each) for each in given]
        if not all(map(math.isfinite, found)):
            raise self._unusable(keyword, f"is {_shown(found)}")
        return found

    def number(self, keyword: str | BaseTag) -> float | None:
        """The first of its numbers (`numbers`); None where there is none."""
        return next(iter(self.numbers(keyword)), None)

    def integer(self, keyword: str | BaseTag, default: int | None = None) -> int:
        """Its one whole number; `default` where it is absent.

        Raises UnreadableImage where there is none, and for anything else.
        """
        found = self.numbers(keyword)
        if not found and default is not None:
            return default
        if len(found) != 1 or found[0] != int(found[0]):
            raise UnreadableImage(
                f"{self._path} has no usable {keyword} in its DICOM header, so it shows no image: "
                f"expected an image such as a mammogram; {DOWNLOAD_AGAIN}"
            )
        return int(found[0])

    def items(self, keyword: str | BaseTag) -> list[Tags]:
        """The items of a sequence, none where it is absent."""
        if keyword not in self.dataset:
            return []
        with refuse_damage(self._path, f"has a {keyword} in its header that cannot be read"):
            value = self.dataset[keyword].value
            if value is not None and not isinstance(value, DicomSequence):
                raise TypeError(f"{keyword} holds no items")
            return [Tags(each, self._path) for each in value or ()]

    def words(self, keyword: str | BaseTag) -> npt.NDArray[np.int64]:
        """Its 16-bit numbers, unsigned, whatever VR the file gives them. None where it is absent.

        For elements whose VR is "US or SS": what is meant depends on others (PS3.5 A.1).
        """
        item = self._raw(keyword)
        value = None if item is None else item.value
        if isinstance(value, bytes) and _vr(item) in _BINARY:
            little = not isinstance(item, RawDataElement) or item.is_little_endian
            whole = value[: len(value) // 2 * 2]
            return np.frombuffer(whole, "<u2" if little else ">u2").astype(np.int64)
        return np.array([int(each) for each in self.numbers(keyword)], dtype=np.int64) % 65536

    def octets(self, keyword: str | BaseTag) -> bytes:
        """Its bytes as the file has them; none where it is absent or a list of numbers."""
        item = self._raw(keyword)
        return item.value if item is not None and isinstance(item.value, bytes) else b""

    def _raw(self, keyword: str | BaseTag) -> Any:
        """The element unconverted, as far as pydicom has not converted it; None if absent."""
        with refuse_damage(self._path, f"has a {keyword} in its header that cannot be read"):
            tag = Tag(keyword)
            return self.dataset.get_item(tag) if tag in self.dataset else None

    def _values(self, keyword: str | BaseTag) -> Iterable[Any]:
        item = self._raw(keyword)
        if isinstance(item.value, bytes):
            self._bounded(keyword, item.value)
            if _vr(item) in _NUMBER_TEXT:
                return item.value.decode("ascii").split("\\")
        value = self.dataset[keyword].value
        if isinstance(value, str | bytes):
            text = value.decode("ascii") if isinstance(value, bytes) else value
            return text.split("\\")
        return value if isinstance(value, Sequence | np.ndarray) else [value]

    def _bounded(self, keyword: str | BaseTag, value: bytes) -> bytes:
        if len(value) > LONGEST_VALUE:
            raise self._unusable(keyword, f"has {len(value)} bytes")
        return value

    def _unusable(self, keyword: str | BaseTag, found: str) -> UnreadableImage:
        return UnreadableImage(
            f"{self._path} has a {keyword} that {found}: expected a finite number or a short text; "
            f"{DOWNLOAD_AGAIN}"
        )


def read_tags(path: Path, keywords: Sequence[str | BaseTag], pixels: bool = False) -> Tags:
    """The elements of a DICOM file's header that are named, with PixelData if it is one of them.

    Raises UnreadableImage for a file that cannot be parsed, and for a deflated one that unpacks to
    more than `deflated.MAX_BYTES`.
    """
    tags = [Tag(keyword) for keyword in keywords]
    with refuse_damage(path, "cannot be parsed as DICOM"), path.open("rb") as file:
        refuse_bombs(file, path)
        file.seek(0)
        dataset = pydicom.dcmread(file, specific_tags=tags, stop_before_pixels=not pixels)
    return Tags(dataset, path)


def in_words(value: str, known: Collection[str]) -> str:
    """A header's text as a message may quote it: the word where it is a known one.

    Anything else may be a person's name that was written into the wrong element.
    """
    return value if value in known else "with other text" if value else "None"


def transfer_syntax(tags: Tags, path: Path) -> UID:
    """The syntax that the pixels are stored in.

    Raises UnreadableImage where none is named, and for text that is no identifier of DICOM's.
    """
    with refuse_damage(path, "has a header that cannot be read"):
        syntax = UID(str(tags.dataset.file_meta.get("TransferSyntaxUID") or ""))
    if not syntax:
        raise UnreadableImage(f"{path} names no transfer syntax: {DOWNLOAD_AGAIN}")
    if syntax.name == syntax:
        # which is not repeated: what stands there may be anything
        raise UnreadableImage(
            f"{path} names a transfer syntax that DICOM does not define (TransferSyntaxUID): "
            "convert it to an uncompressed one, for example with DCMTK's dcmconv"
        )
    return syntax


def _number(value: Any) -> float:
    if isinstance(value, str):
        text = value.strip().strip("\0")
        if "_" in text or _THOUSANDS.fullmatch(text):
            raise ValueError(f"{text} is no plain number")
        comma = _DECIMAL_COMMA.fullmatch(text)
        return float(f"{comma[1]}.{comma[2]}" if comma else text)
    return float(value)


def _vr(item: Any) -> str:
    """The value representation: the file's, or the standard's in implicit VR."""
    return str(item.VR or dictionary_VR(item.tag))


def _shown(numbers: Sequence[float]) -> str:
    return ", ".join(f"{each:g}" for each in numbers[:3])
