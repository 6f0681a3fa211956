"""Equal files under several lesions: which are copies, and which differ in what matters."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mcalc.config import (
    Config,
    DataConfig,
    PhantomConfig,
    ProtocolConfig,
    ProtocolName,
    Region,
    Unit,
    WithoutCallback,
)
from mcalc.data.__main__ import main
from mcalc.data.images.duplicates import digests_of_candidates, with_duplicates
from mcalc.data.pipeline import index_data, prepare_data
from mcalc.data.records import DefectKind, Index, Lesion, Pathology

COPIES = (DefectKind.COPY, DefectKind.COPY_CONFLICT)


def _png(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(seed).integers(0, 256, (40, 50), dtype=np.uint8)
    Image.fromarray(grey).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three benign and three malignant patients, a file each; all files differ."""
    for i in range(3):
        _png(tmp_path / "root" / "benign" / f"ann{i}" / "1.png", i)
        _png(tmp_path / "root" / "malignant" / f"bea{i}" / "1.png", 100 + i)
    return tmp_path / "root"


def _data(root: Path, **settings: Any) -> DataConfig:
    return DataConfig(source="folder", root=str(root), cache=str(root.parent / "cache"), **settings)


def _copies(index: Index) -> list[tuple[str, DefectKind, str]]:
    return [(d.lesion, d.kind, d.detail) for d in index.ledger if d.kind in COPIES]


def test_files_that_differ_are_no_copies(root: Path) -> None:
    index = index_data(_data(root)).index
    assert (index.ledger, index.notes) == ((), ())


@pytest.mark.parametrize("how", [shutil.copy, lambda old, new: new.symlink_to(old), "hard link"])
@pytest.mark.parametrize(
    ("old", "new", "differ"),
    [
        ("benign/ann0/1.png", "benign/ann1/x.png", "patients differ"),
        ("benign/ann0/1.png", "malignant/ann0/x.png", "labels differ"),
        ("benign/ann0/1.png", "malignant/bea0/x.png", "patients and labels differ"),
        ("benign/ann0/1.png", "benign/ann0/deep/x.png", ""),
    ],
)
def test_a_file_under_two_names_is_a_copy_and_loud_where_it_matters(
    root: Path, old: str, new: str, differ: str, how: Any
) -> None:
    (root / new).parent.mkdir(parents=True, exist_ok=True)
    (root / new).hardlink_to(root / old) if how == "hard link" else how(root / old, root / new)
    index = index_data(_data(root)).index
    ((lesion, kind, detail),) = _copies(index)
    assert old in detail
    assert new in detail
    assert lesion in (old, new)
    assert kind is (DefectKind.COPY_CONFLICT if differ else DefectKind.COPY)
    assert detail.endswith(differ or "same patient and label")
    assert str(root) not in detail
    assert [note.split(":")[0] for note in index.notes] == (
        ["SAME FILE UNDER DIFFERENT PATIENTS OR LABELS"] if differ else []
    )


def test_the_command_and_every_trial_say_so(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(root / "benign/ann0/1.png", root / "malignant/bea0/copy.png")
    main(["data=folder", f"data.root={root}", f"data.cache={root.parent / 'c'}"])
    out = " ".join(capsys.readouterr().out.split())
    assert "Note: SAME FILE UNDER DIFFERENT PATIENTS OR LABELS: 1 group of equal files" in out
    rows = (root.parent / "c" / "ledger.csv").read_text()
    assert "benign/ann0/1.png,one file under several patients or labels," in rows
    data = _data(root)
    protocol = ProtocolConfig(ProtocolName.paper, held_out=0.5)
    prepared = prepare_data(index_data(data), Config(data=data, protocol=protocol), 16)
    assert any(note.startswith("SAME FILE UNDER") for note in prepared.warnings)


def test_a_group_is_one_row_whatever_its_size(root: Path) -> None:
    for i in range(20):
        to = root / "benign" / f"cleo{i}" / "1.png"
        to.parent.mkdir()
        shutil.copy(root / "benign/ann0/1.png", to)
    ((_, kind, detail),) = _copies(index_data(_data(root)).index)
    assert kind is DefectKind.COPY_CONFLICT
    assert "and 13 more: patients differ" in detail


def test_files_of_no_bytes_are_not_copies(root: Path) -> None:
    for name in ("benign/ann0/0.png", "malignant/bea1/0.png"):
        (root / name).touch()
    assert _copies(index_data(_data(root)).index) == []


def test_lesions_of_one_mammogram_share_its_file(root: Path, tmp_path: Path) -> None:
    shared, twin = root / "benign/ann0/1.png", root / "benign/ann1/twin.png"
    lesion = Lesion(id="A_1", patient="A", pathology=Pathology.BENIGN, full=shared)
    other = replace(lesion, id="A_2", pathology=Pathology.MALIGNANT)
    data = _data(root, region=Region.full, unit=Unit.image)

    def copies(*lesions: Lesion) -> list[tuple[str, DefectKind, str]]:
        digests = digests_of_candidates(lesions, Region.full, tmp_path / "cache")
        return _copies(with_duplicates(Index(root, "x", lesions), digests, data))

    assert copies(lesion, other) == []
    # the same mammogram through a link to it
    twin.symlink_to(shared)
    assert copies(lesion, replace(other, full=twin)) == []
    # but under another image's name it is a copy, linked or not
    foreign = replace(lesion, id="B_1", patient="B")
    for path in (shared, twin):
        ((_, kind, detail),) = copies(lesion, replace(foreign, full=path))
        assert kind is DefectKind.COPY_CONFLICT
        assert "full image" in detail


def test_blank_masks_are_no_copies_and_equal_outlines_are(
    root: Path, tmp_path: Path, two_values: Callable[..., Any]
) -> None:
    pixels = two_values(40, 50)
    masks = [tmp_path / f"{i}.png" for i in range(4)]
    for path, shown in zip(masks, (0 * pixels, 0 * pixels, pixels, pixels), strict=True):
        Image.fromarray(shown).save(path)
    fulls = sorted(root.rglob("*.png"))
    lesions = tuple(
        Lesion(id=f"{i}_1", patient=f"{i}", pathology=Pathology.BENIGN, mask=mask, full=full)
        for i, (mask, full) in enumerate(zip(masks, fulls, strict=False))
    )
    digests = digests_of_candidates(lesions, Region.patch, tmp_path / "cache")
    index = with_duplicates(Index(root, "x", lesions), digests, DataConfig(region=Region.patch))
    ((lesion, kind, detail),) = _copies(index)
    assert (lesion, kind) == ("2_1", DefectKind.COPY_CONFLICT)
    assert "one mask file under 2_1" in detail


def test_benign_without_callback_is_a_label_where_it_is_a_class(root: Path, tmp_path: Path) -> None:
    crop = root / "benign/ann0/1.png"
    lesion = Lesion(id="A_1", patient="A", pathology=Pathology.BENIGN, crop=crop)
    other = replace(lesion, id="A_2", pathology=Pathology.BENIGN_WITHOUT_CALLBACK)
    index = Index(root, "x", (lesion, other))
    digests = digests_of_candidates(index.lesions, Region.crop, tmp_path / "cache")
    for rule, expected in (
        (WithoutCallback.benign, DefectKind.COPY),
        (WithoutCallback.own_class, DefectKind.COPY_CONFLICT),
    ):
        found = with_duplicates(index, digests, _data(root, benign_without_callback=rule))
        assert [kind for _, kind, _ in _copies(found)] == [expected]


def test_only_files_of_equal_size_are_read_for_the_check(root: Path, tmp_path: Path) -> None:
    lesions = index_data(_data(root)).index.lesions
    sizes = [lesion.crop.stat().st_size for lesion in lesions if lesion.crop]
    (root / "benign/ann0/1.png").write_bytes(b"x" * (max(sizes) + 1))
    (root / "benign/ann1/1.png").write_bytes(b"y" * (max(sizes) + 1))
    (root / "benign/ann2/1.png").write_bytes(b"y" * (max(sizes) + 2))
    digests = digests_of_candidates(lesions, Region.crop, tmp_path / "fresh")
    read = {lesion.id for lesion, each in zip(lesions, digests, strict=True) if each.crop}
    assert {"benign/ann0/1.png", "benign/ann1/1.png"} <= read
    assert "benign/ann2/1.png" not in read


def test_phantoms_have_no_copies_in_any_region(tmp_path: Path) -> None:
    for region, unit in (
        (Region.crop, Unit.lesion), (Region.patch, Unit.lesion), (Region.full, Unit.image),
    ):  # fmt: skip
        phantom = PhantomConfig(lesions=60, defects=True)
        data = DataConfig(phantom=phantom, region=region, unit=unit, cache=str(tmp_path))
        assert _copies(index_data(data).index) == []


@pytest.mark.shared
def test_real_crops_have_no_copies_nor_nearly_equal_patients(
    shared_data: Path, tmp_path: Path
) -> None:
    root = str(shared_data / "cbis-ddsm" / "kaggle")
    index = index_data(DataConfig(source="cbis_ddsm", root=root, cache=str(tmp_path))).index
    kinds = {defect.kind for defect in index.ledger}
    assert kinds.isdisjoint((*COPIES, DefectKind.PATIENTS_ALIKE))
