"""Prepared crops: pixels against OpenCV and hand-made cases, and a cache that several may share."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from builders import make_lesion
from parameters import most_are_whole

from mcalc.config import ClaheConfig, DataConfig, Fit, Region, ScaleUnit, Unit
from mcalc.data.images.file_hashes import file_digests
from mcalc.data.images.prepare import Prepared, prepare_images
from mcalc.data.records import DefectKind, Lesion, Side
from mcalc.errors import UserError

OFF = ClaheConfig(enabled=False)
Write = Callable[..., Path]


@pytest.fixture
def lesions(tmp_path: Path) -> list[Lesion]:
    draw = np.random.default_rng(2)
    folder = tmp_path / "crops"
    folder.mkdir()
    found = []
    for number, (height, width) in enumerate([(50, 70), (90, 40), (300, 200)]):
        pixels = draw.integers(0, 256, (height, width), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
        found.append(make_lesion(number, crop=folder / f"{number}.png"))
    return found


def ready(
    lesions: Sequence[Lesion],
    cache: Path,
    clahe: ClaheConfig = OFF,
    size: int = 32,
    progress: Callable[[int, int], None] | None = None,
    **settings: object,
) -> Prepared:
    if settings.get("region") is Region.full:
        settings["unit"] = Unit.image
    data = DataConfig(clahe=clahe, **settings)  # type: ignore[arg-type]
    digests = file_digests(lesions, data.region, cache)
    return prepare_images(lesions, digests, size, data, cache, progress)


def entries(cache: Path) -> list[str]:
    """Finished folders of the cache and drafts; not the lock files beside them."""
    return [f.name for f in (cache / "prepared").iterdir() if not f.name.startswith(".lock")]


def test_pixels_are_those_of_the_file_resized(lesions: list[Lesion], tmp_path: Path) -> None:
    prepared = ready(lesions, tmp_path / "cache")
    assert prepared.images.shape == (3, 32, 32)
    assert prepared.images.dtype == np.uint8
    assert prepared.native_sizes.tolist() == [[70, 50], [40, 90], [200, 300]]
    assert prepared.lesions == tuple(lesions)
    for entry, image in zip(lesions, prepared.images, strict=True):
        pixels = cv2.imread(str(entry.crop), cv2.IMREAD_GRAYSCALE)
        assert pixels is not None
        expected = cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(image, expected)


def test_the_second_time_nothing_is_decoded(lesions: list[Lesion], tmp_path: Path) -> None:
    first = ready(lesions, tmp_path / "cache")
    digests = file_digests(lesions, Region.crop, tmp_path / "cache")
    shutil.rmtree(tmp_path / "crops")
    again = prepare_images(lesions, digests, 32, DataConfig(clahe=OFF), tmp_path / "cache")
    np.testing.assert_array_equal(first.images, again.images)


@pytest.mark.parametrize("name", ["images.npy", "about.json", "checksums"])
@pytest.mark.parametrize("damage", ["a bit", "zeros", "end", "gone"])
def test_what_a_disk_damaged_is_prepared_anew(
    lesions: list[Lesion], tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    cache = tmp_path / "cache"
    images = np.array(ready(lesions, cache).images)
    (entry,) = entries(cache)
    file = cache / "prepared" / entry / name
    content = bytearray(file.read_bytes())
    if damage == "a bit":
        content[-40 if name == "images.npy" else 0] ^= 1
    if damage == "zeros":
        content[-600:] = bytes(len(content[-600:]))
    if damage == "end":
        del content[-1:]
    file.unlink() if damage == "gone" else file.write_bytes(content)
    again = ready(lesions, cache)
    np.testing.assert_array_equal(again.images, images)
    assert again.lesions == tuple(lesions)
    assert f"the prepared images in {file.parent} are damaged" in caplog.text
    caplog.clear()
    ready(lesions, cache)
    assert not caplog.text


@pytest.mark.parametrize(
    ("name", "was", "now"),
    [
        ("about.json", b'"positions": [0,', b'"positions": [2,'),
        ("about.json", b'"positions": [0,', b'"positions": [93,'),
        ("about.json", b'"kept": [0,', b'"kept": [1,'),
        ("about.json", b'"kept"', b'"kdpt"'),
        ("about.json", b'"native_sizes": [[70,', b'"native_sizes": [[90,'),
        ("images.npy", b"{'descr'", b"{\xa7descr'"),
        ("images.npy", b"False, ", b"False( "),
        ("images.npy", b"(3, 32, 32)", b"(3, 32, 32 "),
        ("images.npy", b"NUMPY\x01", b"NUMPY\x02"),
    ],
)
def test_no_changed_byte_changes_a_number_or_ends_in_a_parsers_error(
    lesions: list[Lesion],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    was: bytes,
    now: bytes,
) -> None:
    cache = tmp_path / "cache"
    before = ready(lesions, cache)
    images = np.array(before.images)
    (entry,) = entries(cache)
    file = cache / "prepared" / entry / name
    assert file.read_bytes().count(was) == 1
    file.write_bytes(file.read_bytes().replace(was, now))
    again = ready(lesions, cache)
    np.testing.assert_array_equal(again.images, images)
    np.testing.assert_array_equal(again.native_sizes, before.native_sizes)
    assert (again.lesions, again.positions) == (before.lesions, before.positions)
    assert f"the prepared images in {file.parent} are damaged" in caplog.text


def test_an_entry_in_the_folder_of_another_is_prepared_anew(
    lesions: list[Lesion], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    plain = np.array(ready(lesions, cache, OFF).images)
    equalised = np.array(ready(lesions, cache, ClaheConfig()).images)
    assert (plain != equalised).any()
    one, other = (cache / "prepared" / name for name in entries(cache))
    aside = one.rename(cache / "aside")
    other.rename(one)
    aside.rename(other)
    np.testing.assert_array_equal(ready(lesions, cache, OFF).images, plain)
    np.testing.assert_array_equal(ready(lesions, cache, ClaheConfig()).images, equalised)
    assert caplog.text.count("are damaged, and are prepared anew") == 2


def test_other_settings_or_contents_are_other_entries(
    lesions: list[Lesion], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    ready(lesions, cache)
    ready(lesions, cache)
    # settings that crops stretched to a square do not depend on
    ready(lesions, cache, patch_size=100.0, native_scale=0.5, pixel_size=0.05)
    assert len(entries(cache)) == 1
    ready(lesions, cache, size=16)
    ready(lesions, cache, ClaheConfig())
    ready(lesions, cache, fit=Fit.letterbox)
    ready(lesions, cache, fit=Fit.native)
    ready(lesions, cache, fit=Fit.native, native_scale=0.5)
    assert len(entries(cache)) == 6
    assert lesions[0].crop is not None
    cv2.imwrite(str(lesions[0].crop), np.tile(np.arange(20, dtype=np.uint8), (20, 1)))
    changed = ready(lesions, cache)
    assert len(entries(cache)) == 7
    assert changed.images[0].max() == 19


@pytest.mark.parametrize("change", [{"side": Side.RIGHT}, {"mammogram": "another"}])
def test_what_tells_images_apart_is_in_the_entrys_key(
    lesions: list[Lesion], tmp_path: Path, change: dict[str, Any]
) -> None:
    cache = tmp_path / "cache"
    assert replace(lesions[0], **change) != lesions[0]
    ready(lesions, cache)
    ready([replace(lesions[0], **change), *lesions[1:]], cache)
    assert len(entries(cache)) == 2


def test_another_opencv_prepares_anew(
    lesions: list[Lesion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(lesions, tmp_path / "cache")
    monkeypatch.setattr(cv2, "__version__", "another")
    ready(lesions, tmp_path / "cache")
    assert len(entries(tmp_path / "cache")) == 2


def test_millimetres_are_in_the_key_where_they_are_used(tmp_path: Path, dicom: Write) -> None:
    shown = film(tmp_path, dicom, 1, Side.LEFT)
    cache = tmp_path / "cache"
    patch = {"region": Region.patch, "patch_size": 8.0, "patch_margin": 0.0}
    for millimetres in (0.05, 0.1):
        ready(shown, cache, scale_unit=ScaleUnit.mm, pixel_size=millimetres, **patch)
    assert len(entries(cache)) == 2


def test_an_unreadable_crop_is_excluded_and_reported(lesions: list[Lesion], tmp_path: Path) -> None:
    broken = tmp_path / "crops" / "broken.png"
    broken.write_bytes(b"not a picture")
    several = [lesions[0], make_lesion(8, crop=broken), lesions[1], make_lesion(9)]
    prepared = ready(several, tmp_path / "cache")
    assert prepared.lesions == (lesions[0], lesions[1])
    assert prepared.positions == (0, 1)
    assert len(prepared.images) == len(prepared.native_sizes) == 2
    np.testing.assert_array_equal(
        prepared.images, ready(lesions[:2], tmp_path / "other cache").images
    )
    (defect,) = prepared.defects
    assert defect.kind is DefectKind.CROP_UNREADABLE
    assert defect.lesion == several[1].id
    # the cache may outlive the place of the data
    assert defect.detail.startswith("crops/broken.png is not an image")


def test_no_readable_crop_at_all_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"not one crop could be read.*broken\.png"):
        ready([make_lesion(1, crop=broken)], tmp_path / "cache")


def _prepare_in_process(
    lesions: list[Lesion], cache: Path, out: multiprocessing.SimpleQueue[npt.NDArray[np.uint8]]
) -> None:
    out.put(np.array(ready(lesions, cache).images))


def test_two_processes_may_prepare_at_once(lesions: list[Lesion], tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    out: multiprocessing.SimpleQueue[npt.NDArray[np.uint8]] = context.SimpleQueue()
    processes = [
        context.Process(target=_prepare_in_process, args=(lesions, tmp_path / "cache", out))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    results = [out.get() for _ in processes]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    np.testing.assert_array_equal(results[0], results[1])
    assert len(entries(tmp_path / "cache")) == 1


# --- whole mammograms and windows ---------------------------------------------------------------


def half_disc(height: int, width: int, wall: Side) -> npt.NDArray[np.uint16]:
    """A breast with its chest wall at one side of the image, on a dark background."""
    y, x = np.mgrid[0:height, 0:width]
    within = ((y - height / 2) / (0.4 * height)) ** 2 + (x / (0.7 * width)) ** 2 < 1
    texture = np.random.default_rng(0).integers(20_000, 50_000, (height, width))
    image = np.where(within, texture, 500).astype(np.uint16)
    return image if wall is Side.LEFT else image[:, ::-1].copy()


def film(
    folder: Path, dicom: Write, patient: int, wall: Side, side: Side = Side.LEFT
) -> list[Lesion]:
    """Two lesions on one mammogram of 400 x 300 pixels, each with its mask and a crop file."""
    full = dicom(folder / f"{patient}.dcm", half_disc(400, 300, wall))
    lesions = []
    for number, (top, left) in enumerate([(120, 60), (220, 90)], start=1):
        mask = np.zeros((400, 300), np.uint8)
        mask[top : top + 30, left : left + 40] = 255
        path = dicom(folder / f"{patient}_{number}_mask.dcm", mask)
        crop = dicom(folder / f"{patient}_{number}_crop.dcm", np.ones((33, 44), np.uint16))
        made = make_lesion(patient, number=number, crop=crop)
        lesions.append(replace(made, full=full, mask=path, side=side))
    return lesions


def test_lesions_of_one_mammogram_share_an_image(tmp_path: Path, dicom: Write) -> None:
    first = film(tmp_path, dicom, 1, Side.LEFT)
    second = film(tmp_path, dicom, 2, Side.LEFT)
    calls: list[tuple[int, int]] = []
    prepared = ready(
        [first[0], second[0], first[1], second[1]], tmp_path / "cache", region=Region.full,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    assert prepared.images.shape == (2, 32, 32)
    assert prepared.positions == (0, 1, 0, 1)
    assert prepared.native_sizes.tolist() == [[44, 33]] * 4
    assert calls == [(1, 2), (2, 2)]
    assert prepared.defects == ()


def test_a_lost_mammogram_loses_all_its_lesions_and_no_others(tmp_path: Path, dicom: Write) -> None:
    lost, kept = film(tmp_path, dicom, 1, Side.LEFT), film(tmp_path, dicom, 2, Side.LEFT)
    assert lost[0].full is not None
    lost[0].full.write_bytes(b"nothing")
    prepared = ready([*lost, *kept], tmp_path / "cache", region=Region.full)
    assert prepared.lesions == tuple(kept)
    assert prepared.positions == (0, 0)
    assert prepared.images.shape == (1, 32, 32)
    assert [(d.lesion, d.kind) for d in prepared.defects] == [
        (lesion.id, DefectKind.FULL_UNREADABLE) for lesion in lost
    ]


def test_the_background_of_a_mammogram_is_black_even_after_clahe(
    tmp_path: Path, dicom: Write
) -> None:
    lesions = film(tmp_path, dicom, 1, Side.RIGHT)
    prepared = ready(lesions, tmp_path / "cache", ClaheConfig(), size=64, region=Region.full)
    image = prepared.images[0]
    # the chest wall is on the left, the nipple's side is where the corners are background
    assert image[:8, -8:].max() == 0
    assert image[-8:, -8:].max() == 0
    assert image[20:44, :8].min() > 40


def test_the_odd_one_out_in_how_breasts_hang_is_named(tmp_path: Path, dicom: Write) -> None:
    films = [
        *film(tmp_path, dicom, 1, Side.RIGHT, Side.LEFT),
        *film(tmp_path, dicom, 2, Side.LEFT, Side.RIGHT),
        *film(tmp_path, dicom, 3, Side.LEFT, Side.LEFT),
    ]
    prepared = ready(films, tmp_path / "cache", region=Region.full)
    (defect,) = prepared.defects
    assert (defect.lesion, defect.kind) == (films[4].image, DefectKind.LATERALITY)
    assert len(prepared.lesions) == 6
    # one against one says nothing
    assert ready(films[2:], tmp_path / "cache", region=Region.full).defects == ()


def test_windows_are_one_a_lesion_and_count_what_does_not_fit(tmp_path: Path, dicom: Write) -> None:
    lesions = film(tmp_path, dicom, 1, Side.LEFT)
    window = {"region": Region.patch, "patch_size": 64.0, "patch_margin": 12.0}
    prepared = ready(lesions, tmp_path / "cache", size=64, **window)
    assert prepared.positions == (0, 1)
    assert prepared.defects == ()
    pixels = half_disc(400, 300, Side.LEFT)
    # the mask's box is centred: rows 120..150, columns 60..100
    expected = np.rint(pixels[103:167, 48:112] / 257)
    np.testing.assert_array_equal(prepared.images[0], expected)
    cut = ready(lesions, tmp_path / "cache", size=64, **{**window, "patch_margin": 12.5})
    assert [d.kind for d in cut.defects] == [DefectKind.PATCH_CUT] * 2
    np.testing.assert_array_equal(cut.images, prepared.images)


def test_without_a_crop_the_mask_says_how_large_a_lesion_is(tmp_path: Path, dicom: Write) -> None:
    lesions = [replace(lesion, crop=None) for lesion in film(tmp_path, dicom, 1, Side.LEFT)]
    patch = ready(lesions, tmp_path / "cache", region=Region.patch)
    assert patch.native_sizes.tolist() == [[40, 30], [40, 30]]
    full = ready(lesions, tmp_path / "cache", region=Region.full)
    assert full.native_sizes.tolist() == [[-1, -1], [-1, -1]]


def test_lesions_without_the_files_of_their_region_are_left_to_the_index(
    tmp_path: Path, dicom: Write
) -> None:
    lesions = film(tmp_path, dicom, 1, Side.LEFT)
    without = [replace(lesions[0], mask=None), lesions[1]]
    assert ready(without, tmp_path / "cache", region=Region.patch).lesions == (lesions[1],)
    assert ready(without, tmp_path / "cache", region=Region.full).lesions == tuple(without)


def test_native_fit_keeps_sizes_in_millimetres(tmp_path: Path, dicom: Write) -> None:
    # a square of 20 mm in crops of two scanners
    lesions = []
    for number, spacing in enumerate([0.05, 0.1]):
        side = round(20 / spacing)
        pixels = np.zeros((side + 100, side + 200), np.uint16)
        pixels[50 : 50 + side, 100 : 100 + side] = 65535
        crop = dicom(tmp_path / f"{number}.dcm", pixels, PixelSpacing=[spacing, spacing])
        lesions.append(make_lesion(number, crop=crop))
    prepared = ready(
        lesions, tmp_path / "cache", size=64, fit=Fit.native, scale_unit=ScaleUnit.mm,
        native_scale=2.0,
    )  # fmt: skip
    for image in prepared.images:
        assert np.count_nonzero(image > 127) == 40 * 40
        assert np.count_nonzero(image[32] > 127) == 40


def test_millimetres_without_a_scale_are_an_error_with_a_remedy(
    lesions: list[Lesion], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"does not say how large its pixels.*data\.pixel_size=MM"):
        ready(lesions, tmp_path / "cache", fit=Fit.native, scale_unit=ScaleUnit.mm)
    assert entries(tmp_path / "cache") == []
    ready(lesions, tmp_path / "cache", fit=Fit.native, scale_unit=ScaleUnit.mm, pixel_size=0.05)


# --- a cache that many may share ----------------------------------------------------------------

PREPARE = """
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, {tests!r})
from builders import make_lesion
from mcalc.config import DataConfig, Region, Unit
from mcalc.data.images.file_hashes import file_digests
from mcalc.data.images.prepare import prepare_images

folder, cache, region = Path(sys.argv[1]), Path(sys.argv[2]), Region(sys.argv[3])
lesions = [
    replace(
        make_lesion(int(file.stem.removesuffix("_full"))),
        crop=file if region is Region.crop else None,
        full=file,
        mask=file.with_name(file.name.replace("_full", "_mask")),
    )
    for file in sorted(folder.glob("*_full.*"))
]
unit = Unit.image if region is Region.full else Unit.lesion
settings = DataConfig(region=region, unit=unit)
digests = file_digests(lesions, region, cache)
progress = lambda done, all: print(done, flush=True)
prepared = prepare_images(lesions, digests, 64, settings, cache, progress)
print(len(prepared.lesions), len(prepared.defects))
"""


def started(folder: Path, cache: Path, region: Region, before: str = "") -> subprocess.Popen[str]:
    script = before + PREPARE.format(tests=str(Path(__file__).parents[2]))
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder), str(cache), region],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of 40 crops that take a second or so to prepare."""
    folder = tmp_path / "many"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 65536, (900, 900), dtype=np.uint16)
    for number in range(40):
        cv2.imwrite(str(folder / f"{number}_full.png"), np.roll(pixels, number, axis=0))
    return folder


def test_a_killed_process_leaves_no_entry_and_the_next_cleans_up(
    many: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with started(many, cache, Region.crop) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        os.kill(process.pid, signal.SIGKILL)
    (draft,) = entries(cache)
    assert draft.startswith(".draft-")
    with started(many, cache, Region.crop) as process:
        output, _ = process.communicate(timeout=60)
    assert output.splitlines()[-1] == "40 0"
    (place,) = entries(cache)
    assert not place.startswith(".")


def test_a_second_process_waits_and_decodes_nothing(many: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with started(many, cache, Region.crop) as first:
        assert first.stdout is not None
        first.stdout.readline()
        with started(many, cache, Region.crop) as second:
            theirs, _ = second.communicate(timeout=60)
        ours, _ = first.communicate(timeout=60)
    assert ours.splitlines()[-1] == theirs.splitlines()[-1] == "40 0"
    assert len(theirs.splitlines()) == 1, "the second process prepared images too"


def test_ctrl_c_leaves_nothing_behind(many: Path, tmp_path: Path) -> None:
    # a shell's background job is started with the signal ignored
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    with started(many, tmp_path / "cache", Region.crop, before=heed) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert entries(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_written_is_named(lesions: list[Lesion], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of the cache's folder")
    with pytest.raises(UserError, match=r"file/cache/prepared cannot be written.*data\.cache=PATH"):
        ready(lesions, tmp_path / "file" / "cache")


@pytest.mark.whole
@pytest.mark.slow
@pytest.mark.parametrize("region", most_are_whole([Region.full, Region.patch], 1))
def test_memory_stays_flat_over_full_size_mammograms(
    tmp_path: Path, dicom: Write, region: Region
) -> None:
    pixels = half_disc(5000, 3000, Side.LEFT)
    mask = np.zeros((5000, 3000), np.uint8)
    mask[2000:2300, 400:700] = 255
    folder = tmp_path / "films"
    dicom(folder / "0_full.dcm", pixels)
    dicom(folder / "0_mask.dcm", mask)
    count = 16
    for number in range(1, count):
        # the same content under other names: what is decoded is as much
        os.link(folder / "0_full.dcm", folder / f"{number}_full.dcm")
        os.link(folder / "0_mask.dcm", folder / f"{number}_mask.dcm")
    # as on a machine of 16 cores, where as many threads are at work
    peak = textwrap.dedent(
        """
        import atexit, os, re
        os.cpu_count = lambda: 16
        # not ru_maxrss, which a process inherits from the one that started it
        status = lambda: open("/proc/self/status").read()
        atexit.register(lambda: print(re.search(r"VmHWM:\\s+(\\d+)", status())[1]))
        """
    )
    with started(folder, tmp_path / "cache", region, before=peak) as process:
        output, _ = process.communicate(timeout=120)
    *_, counts, kilobytes = output.splitlines()
    assert counts == f"{count} 0"
    # at work they take 100 to 170 MB each: well above a gigabyte if all were in memory at once
    assert int(kilobytes) < 1_000_000


# --- images that show nothing, or next to nothing ---------------------------------------------


def scenes(folder: Path, count: int, bits: int) -> list[Lesion]:
    """Crops of `bits` bits in PNG files of 16."""
    made = []
    for number in range(1, count + 1):
        shown = np.random.default_rng(number).integers(0, 2**bits, (24, 30), dtype=np.uint16)
        shown[0, 0] = 2**bits - 1
        cv2.imwrite(str(folder / f"{number}.png"), shown)
        made.append(make_lesion(number, crop=folder / f"{number}.png"))
    return made


@pytest.mark.parametrize("value", [0, 77, 65535])
def test_an_image_of_one_value_is_excluded_and_named(
    lesions: list[Lesion], tmp_path: Path, value: int
) -> None:
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((20, 30), value, np.uint16))
    blank = make_lesion(9, crop=tmp_path / "blank.png")
    prepared = ready([*lesions, blank], tmp_path / "cache")
    assert prepared.lesions == tuple(lesions)
    (defect,) = prepared.defects
    assert (defect.lesion, defect.kind) == (blank.id, DefectKind.BLANK)
    assert defect.detail == f"every pixel has the value {value}"


@pytest.mark.parametrize(("low", "high"), [(32_758, 32_780), (65_300, 65_535)])
def test_an_image_within_one_grey_is_excluded_and_named(
    lesions: list[Lesion], tmp_path: Path, low: int, high: int
) -> None:
    cv2.imwrite(str(tmp_path / "blank.png"), np.array([[low, high]] * 9, np.uint16))
    blank = make_lesion(9, crop=tmp_path / "blank.png")
    prepared = ready([*lesions, blank], tmp_path / "cache")
    assert prepared.lesions == tuple(lesions)
    (defect,) = prepared.defects
    assert (defect.lesion, defect.kind) == (blank.id, DefectKind.BLANK)
    assert f"from {low} to {high}" in defect.detail


def test_a_window_beside_the_film_shows_nothing(tmp_path: Path, dicom: Write) -> None:
    shown = film(tmp_path, dicom, 1, Side.LEFT)
    assert shown[0].full is not None
    pixels = half_disc(400, 300, Side.LEFT)
    pixels[90:180, 30:130] = 500
    dicom(shown[0].full, pixels)
    window = {"region": Region.patch, "patch_size": 20.0, "patch_margin": 0.0}
    prepared = ready(shown, tmp_path / "cache", size=16, **window)
    assert [(d.lesion, d.kind) for d in prepared.defects if d.kind is DefectKind.BLANK] == [
        (lesion.id, DefectKind.BLANK) for lesion in shown if lesion not in prepared.lesions
    ]
    assert len(prepared.lesions) < 2


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_set_that_uses_few_of_its_bits_is_named_and_mended(tmp_path: Path, bits: int) -> None:
    shown = scenes(tmp_path, 5, bits)
    dark = ready(shown, tmp_path / "cache")
    (defect,) = dark.defects
    assert (defect.lesion, defect.kind) == ("*", DefectKind.NEARLY_BLACK)
    assert f"more than the lower {bits}" in defect.detail
    assert f"data.bits_stored={bits}" in defect.action
    mended = ready(shown, tmp_path / "cache", bits_stored=bits)
    assert mended.defects == ()
    assert len(entries(tmp_path / "cache")) == 2
    for crop, image in zip(shown, mended.images, strict=True):
        stored = cv2.imread(str(crop.crop), cv2.IMREAD_UNCHANGED)
        assert stored is not None
        bright = np.rint(stored / (2**bits - 1) * 255).astype(np.uint8)
        small = cv2.resize(bright, (32, 32), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(image, small, atol=1)
    assert dark.images.max() < mended.images.max() / 3


def test_one_dark_image_among_others_is_named_alone(tmp_path: Path) -> None:
    shown = scenes(tmp_path, 4, 16)
    dark = np.tile(np.arange(30, dtype=np.uint16), (24, 1))
    cv2.imwrite(str(shown[2].crop), dark)
    (defect,) = ready(shown, tmp_path / "cache").defects
    assert (defect.lesion, defect.kind) == (shown[2].id, DefectKind.NEARLY_BLACK)
    # an image that keeps to more bits than asked for is not cut down to them
    prepared = ready(shown, tmp_path / "cache", bits_stored=12)
    assert [lesion.id for lesion in prepared.lesions] == [shown[2].id]
    assert "more than data.bits_stored=12" in prepared.defects[0].detail


def test_eight_bits_are_no_dark_sixteen(lesions: list[Lesion], tmp_path: Path) -> None:
    assert ready(lesions, tmp_path / "cache").defects == ()
    assert ready(lesions, tmp_path / "cache", bits_stored=12).defects == ()
