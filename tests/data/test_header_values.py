"""A person's name in any element of any file: no message, log, file or record repeats it."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from mcalc.data.images.image_file import pixel_spacing, read_header, read_image
from mcalc.data.images.unreadable import UnreadableImage
from mcalc.data.sources.cmmd import _side_and_view

Write = Callable[..., Path]
NAME = "Qvist"
"""Of a person, in every text below."""
TEXTS = {
    "ascii": b"Qvist^Jane",
    "utf-8": "Qvist^Jäne=山田".encode(),
    "latin-1": "Qvist^Jäne".encode("latin-1"),
    "japanese": b"\x1b$B;3ED\x1b(BQvist",
    "nuls": b"\0Qvist\0\0",
    "several": b"Qvist\\Jane\\17",
    "long": b"Qvist" * 1200,
    "half a number": b"12 Qvist",
}
READ = (
    "SpecificCharacterSet", "SeriesDescription", "Rows", "Columns", "NumberOfFrames",
    "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PresentationLUTShape", "RescaleSlope", "RescaleIntercept",
    "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "ModalityLUTSequence",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "PixelSpacing", "ImagerPixelSpacing",
    "EstimatedRadiographicMagnificationFactor", "NominalScannedPixelSpacing", "ImageLaterality",
    "Laterality", "ViewPosition", "ViewCodeSequence", "PatientName",
)  # fmt: skip
"""All that any source or reader looks at, and one that none does."""
KINDS = (b"LO", b"CS", b"DS", b"IS", b"US", b"UN", b"SQ", b"UI")
"""What the file may say that the element is."""


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    """In explicit VR little endian."""
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def plant(path: Path, tag: int, vr: bytes, value: bytes) -> None:
    """Put an element into a file in explicit VR, in place of its own."""
    dataset = pydicom.dcmread(path)
    if tag in dataset:
        del dataset[tag]
    dataset.save_as(path)
    at = next((e for e in sorted(dataset.keys()) if e > tag), None)
    assert at is not None
    content = path.read_bytes()
    place = content.index(struct.pack("<HH", at.group, at.element), 300)
    path.write_bytes(content[:place] + element(tag, vr, value) + content[place:])


def readings(path: Path) -> Iterator[str]:
    """What every reader of a file says that it cannot do."""
    readers: tuple[Callable[[Path], Any], ...] = (
        read_header, read_image, pixel_spacing, _side_and_view,
    )  # fmt: skip
    for reader in readers:
        try:
            reader(path)
        except UnreadableImage as error:
            yield str(error)


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("keyword", READ)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_reader_repeats_a_text_of_the_header(
    tmp_path: Path,
    dicom: Write,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    keyword: str,
    text: bytes,
) -> None:
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8)
    # two of the eight with each of the eight texts, another pair for another element
    turn = (READ.index(keyword) + list(TEXTS.values()).index(text)) % 4
    for vr in KINDS[turn::4]:
        path = dicom(tmp_path / "x.dcm", pixels, syntax=ExplicitVRLittleEndian)
        plant(path, int(pydicom.tag.Tag(keyword)), vr, text)
        with warnings.catch_warnings(record=True) as shown:
            warnings.simplefilter("always")
            said = [*readings(path), *(str(each.message) for each in shown)]
        assert not [each for each in said if NAME in each or "Jane" in each]
    out = capfd.readouterr()
    assert NAME not in out.out + out.err + caplog.text


@pytest.mark.parametrize("syntax", [b"Qvist^Jane", b"1.2.Qvist", b"1.2.19530117.4711"])
def test_a_transfer_syntax_is_named_only_where_dicom_defines_it(
    tmp_path: Path, dicom: Write, syntax: bytes
) -> None:
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8)
    path = dicom(tmp_path / "x.dcm", pixels, syntax=JPEG2000Lossless)
    content = path.read_bytes()
    before = JPEG2000Lossless.encode()
    before += b"\0" * (len(before) % 2)
    path.write_bytes(content.replace(before, syntax.ljust(len(before), b"\0"), 1))
    with pytest.raises(UnreadableImage) as raised:
        read_image(path)
    assert not [word for word in ("Qvist", "19530117", "4711") if word in str(raised.value)]


def test_a_word_of_the_standard_is_repeated(tmp_path: Path, dicom: Write) -> None:
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8)
    path = dicom(tmp_path / "x.dcm", pixels, PhotometricInterpretation="RGB")
    with pytest.raises(UnreadableImage, match="PhotometricInterpretation RGB with 1 sample"):
        read_image(path)


@pytest.mark.whole
def test_commands_neither_print_nor_record_a_name(tmp_path: Path) -> None:
    """A whole download with the name in an element of each file: checked, prepared, trained on."""
    cache = f"data.cache={tmp_path / 'cache'}"
    made = processes.run(
        "mcalc.data", "data=phantom", "data.phantom.lesions=16", cache, folder=tmp_path
    )
    assert made.returncode == 0, made.stderr
    files = sorted((tmp_path / "cache").rglob("*.dcm"))
    assert len(files) > 30
    root = next(path for path in files[0].parents if path.parent.name == "cache")
    for number, path in enumerate(files):
        dataset = pydicom.dcmread(path)
        dataset.PatientName = dataset.StudyDescription = "Qvist^Jane"
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=True)
        keyword = READ[number % 24] if number % 3 == 0 else "SpecificCharacterSet"
        with suppress(AssertionError):
            plant(path, int(pydicom.tag.Tag(keyword)), b"LO", b"Qvist^Jane")
    given = ("data=cbis_ddsm", f"data.root={root}", f"tracking.dir={tmp_path / 'runs'}")
    fresh = f"data.cache={tmp_path / 'fresh'}"
    done = [
        processes.run("mcalc.data", *given, fresh, folder=tmp_path),
        processes.run(
            "mcalc.train", *given, fresh, "backbone=squeezenet", "backbone.weights=none",
            "trainer.max_iterations=1", "trainer.batch_size=2", "trainer.threads=1",
            folder=tmp_path,
        ),
    ]  # fmt: skip
    for each in done:
        assert NAME not in each.stdout + each.stderr
    assert "ledger" in done[0].stdout
    written = [*(tmp_path / "runs").rglob("*"), *(tmp_path / "fresh").rglob("*")]
    written = [path for path in written if path.is_file()]
    assert (tmp_path / "fresh").exists()
    assert [path for path in written if NAME.encode() in path.read_bytes()] == []
