"""Hashes of files: against hashlib, kept between runs, and never older than the file."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import sqlite3
from dataclasses import fields, replace
from pathlib import Path

import pytest
from builders import make_lesion

from mcalc.config import DataConfig, Region, Unit, WithoutCallback
from mcalc.data.images.file_hashes import LesionDigests, file_digests, fingerprint
from mcalc.data.images.file_states import DATABASE
from mcalc.data.records import Lesion, Pathology, Side, Split, View

CROP = DataConfig()
AN_HOUR = 3600


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled: the time at which the disk noted a change cannot be set back."""
    monkeypatch.setattr("mcalc.file_digest.SETTLED_SECONDS", -1.0)


def settle(path: Path, content: bytes, age: float = AN_HOUR) -> Path:
    """Write a file that was last changed a while ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return path


@pytest.fixture
def lesions(tmp_path: Path) -> list[Lesion]:
    return [
        replace(
            make_lesion(number),
            **{
                what: settle(tmp_path / "files" / f"{number}.{what}", f"{what}{number}".encode())
                for what in ("crop", "mask", "full")
            },
        )
        for number in range(5)
    ]


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_each_region_hashes_what_it_is_made_of(lesions: list[Lesion], tmp_path: Path) -> None:
    crop, mask, full = sha("crop3"), sha("mask3"), sha("full3")
    expected = {
        Region.crop: LesionDigests(crop=crop),
        Region.patch: LesionDigests(crop=crop, mask=mask, full=full),
        Region.full: LesionDigests(crop=crop, full=full),
    }
    for region, digests in expected.items():
        assert file_digests(lesions, region, tmp_path / "cache")[3] == digests


def test_what_is_kept_is_not_read_again(lesions: list[Lesion], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = file_digests(lesions, Region.patch, cache)
    calls: list[tuple[int, int]] = []
    again = file_digests(lesions, Region.patch, cache, lambda *call: calls.append(call))
    assert again == first
    assert calls == []


@pytest.mark.parametrize("how", ["written over", "moved there"])
def test_other_content_of_the_same_size_and_time_is_read_again(
    lesions: list[Lesion], tmp_path: Path, how: str
) -> None:
    file_digests(lesions, Region.full, tmp_path / "cache")
    file = lesions[0].full
    assert file is not None
    before = file.stat()
    # as an archive does that is unpacked over another
    place = file if how == "written over" else tmp_path / "other"
    place.write_bytes(b"full9")
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    place.replace(file)
    digests = file_digests(lesions, Region.full, tmp_path / "cache")
    assert [each.full for each in digests[:2]] == [sha("full9"), sha("full1")]


@pytest.mark.parametrize("content", [b"crop9", b"longer than before"])
def test_a_changed_file_is_read_again(
    lesions: list[Lesion], tmp_path: Path, content: bytes
) -> None:
    file_digests(lesions, Region.crop, tmp_path / "cache")
    assert lesions[0].crop is not None
    settle(lesions[0].crop, content, age=AN_HOUR / 2)
    digests = file_digests(lesions, Region.crop, tmp_path / "cache")
    assert digests[0].crop == hashlib.sha256(content).hexdigest()
    assert digests[1].crop == sha("crop1")


def test_a_file_just_written_is_not_trusted_to_stay(
    lesions: list[Lesion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcalc.file_digest.SETTLED_SECONDS", 3600.0)
    file = lesions[0].crop
    assert file is not None
    file.write_bytes(b"crop0")
    file_digests(lesions, Region.crop, tmp_path / "cache")
    before = file.stat()
    file.write_bytes(b"crop9")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_digests(lesions, Region.crop, tmp_path / "cache")[0].crop == sha("crop9")


def test_progress_counts_every_file_that_is_hashed(lesions: list[Lesion], tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    file_digests(lesions, Region.full, tmp_path / "cache", lambda *call: calls.append(call))
    assert calls == [(done, 10) for done in range(1, 11)]


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 200])
def test_a_damaged_database_is_made_anew(
    lesions: list[Lesion], tmp_path: Path, damage: bytes
) -> None:
    cache = tmp_path / "cache"
    first = file_digests(lesions, Region.crop, cache)
    (cache / DATABASE).write_bytes(damage)
    assert file_digests(lesions, Region.crop, cache) == first
    assert file_digests(lesions, Region.crop, cache) == first
    with sqlite3.connect(cache / DATABASE) as database:
        assert database.execute("SELECT count(*) FROM states").fetchone() == (5,)
    database.close()


def test_a_database_damaged_within_is_made_anew(lesions: list[Lesion], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = file_digests(lesions, Region.crop, cache)
    content = bytearray((cache / DATABASE).read_bytes())
    content[150:] = b"\xaa" * (len(content) - 150)
    (cache / DATABASE).write_bytes(content)
    assert file_digests(lesions, Region.crop, cache) == first


def test_a_cache_that_cannot_be_written_costs_time_only(
    lesions: list[Lesion], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way of the cache's folder")
    assert file_digests(lesions, Region.crop, tmp_path / "file" / "cache")[2].crop == sha("crop2")


def test_files_that_are_not_there_have_no_digest(tmp_path: Path) -> None:
    gone = make_lesion(1, crop=tmp_path / "gone.dcm")
    none = make_lesion(2)
    assert file_digests([gone, none], Region.crop, tmp_path / "cache") == [LesionDigests()] * 2
    assert file_digests([], Region.crop, tmp_path / "cache") == []


def test_links_are_one_file(lesions: list[Lesion], tmp_path: Path) -> None:
    assert lesions[0].crop is not None
    link = tmp_path / "link"
    link.symlink_to(lesions[0].crop)
    linked = replace(lesions[1], crop=link)
    assert file_digests([linked], Region.crop, tmp_path / "cache")[0].crop == sha("crop0")


def _hash_in_process(lesions: list[Lesion], cache: Path) -> list[LesionDigests]:
    return file_digests(lesions, Region.patch, cache)


def test_several_processes_may_hash_at_once(lesions: list[Lesion], tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        arguments = [(lesions, tmp_path / "cache")] * 6
        results = pool.starmap(_hash_in_process, arguments, chunksize=1)
    assert results == [file_digests(lesions, Region.patch, tmp_path / "other")] * 6


# --- fingerprint --------------------------------------------------------------------------------


def test_the_fingerprint_of_crops_is_a_plain_hash_of_rows(lesions: list[Lesion]) -> None:
    # written out: recorded trials hang on it
    digests = [LesionDigests(crop=f"digest{i}") for i in range(2)]
    bare = [Lesion(id=f"lesion {i}", patient=f"P_{i}", pathology=Pathology.BENIGN) for i in (0, 1)]
    rows = (
        '{"crop": "digest0", "id": "lesion 0", "pathology": 0, "patient": "P_0"}\n'
        '{"crop": "digest1", "id": "lesion 1", "pathology": 0, "patient": "P_1"}'
    )
    assert fingerprint(bare, digests, CROP) == sha(rows)[:16]


OTHER = {
    "id": "another", "patient": "P_9", "side": Side.RIGHT, "view": View.MLO, "abnormality": 7,
    "density": 4, "calc_types": frozenset({"PLEOMORPHIC"}), "mammogram": "another image",
    "calc_distributions": frozenset({"CLUSTERED"}), "assessment": 5, "subtlety": 1,
    "pathology": Pathology.MALIGNANT, "split": Split.TEST, "finding_id": "b",
}  # fmt: skip
"""Another value for every field of a lesion but its files."""


@pytest.mark.parametrize(
    "name", [each.name for each in fields(Lesion) if each.name not in ("crop", "mask", "full")]
)
def test_every_field_that_anything_reads_is_part_of_the_fingerprint(
    lesions: list[Lesion], name: str
) -> None:
    digests = [LesionDigests("c", "m", "f")] * 5
    for region in Region:
        settings = DataConfig(region=region, unit=Unit.image)
        changed = [replace(lesions[0], **{name: OTHER[name]}), *lesions[1:]]
        assert changed[0] != lesions[0]
        before = fingerprint(lesions, digests, settings)
        assert fingerprint(changed, digests, settings) != before


def test_values_that_are_exchanged_between_lesions_are_noticed(lesions: list[Lesion]) -> None:
    digests = [LesionDigests("c")] * 2
    splits = (Split.TRAIN, Split.TEST)
    one = [replace(lesion, split=each) for lesion, each in zip(lesions, splits, strict=False)]
    two = [replace(a, split=b.split) for a, b in zip(one, one[::-1], strict=True)]
    assert fingerprint(one, digests, CROP) != fingerprint(two, digests, CROP)


def test_the_fingerprint_is_of_contents_not_places_or_order(
    lesions: list[Lesion], tmp_path: Path
) -> None:
    digests = file_digests(lesions, Region.crop, tmp_path / "cache")
    first = fingerprint(lesions, digests, CROP)
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "files", moved)
    copies = [replace(entry, crop=moved / f"{i}.crop") for i, entry in enumerate(lesions)]
    turned = copies[::-1]
    again = file_digests(turned, Region.crop, tmp_path / "cache")
    assert fingerprint(turned, again, CROP) == first
    malignant = replace(lesions[0], pathology=Pathology.MALIGNANT)
    assert fingerprint([malignant, *lesions[1:]], digests, CROP) != first
    another = replace(lesions[0], patient="P_99999")
    assert fingerprint([another, *lesions[1:]], digests, CROP) != first
    assert fingerprint(lesions, [digests[1], digests[0], *digests[2:]], CROP) != first
    assert fingerprint(lesions[:2], digests[:2], CROP) != first


@pytest.mark.parametrize(
    ("region", "matters"),
    [
        (Region.crop, {"crop"}),
        # a crop's size is a baseline whatever the region
        (Region.patch, {"crop", "full", "mask"}),
        (Region.full, {"crop", "full"}),
    ],
)
def test_the_fingerprint_covers_the_files_of_its_region_and_no_others(
    lesions: list[Lesion], region: Region, matters: set[str]
) -> None:
    settings = DataConfig(region=region, unit=Unit.image)
    digests = [LesionDigests("c", "m", "f")] * 5
    first = fingerprint(lesions, digests, settings)
    changed = {
        name
        for name in ("crop", "mask", "full")
        if fingerprint(lesions, [*digests[1:], replace(digests[0], **{name: "x"})], settings)
        != first
    }
    assert changed == matters


def test_kinds_of_benign_matter_only_where_a_setting_separates_them(lesions: list[Lesion]) -> None:
    digests = [LesionDigests()] * 5
    other = [replace(lesions[0], pathology=Pathology.BENIGN_WITHOUT_CALLBACK), *lesions[1:]]
    assert fingerprint(lesions, digests, CROP) == fingerprint(other, digests, CROP)
    apart = DataConfig(benign_without_callback=WithoutCallback.own_class)
    assert fingerprint(lesions, digests, apart) != fingerprint(other, digests, apart)
