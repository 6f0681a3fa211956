"""Networks on data that is unlike their own: other classes, other parts, gaps."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import processes
import pydicom
import pytest
from small_network import SMALL_NETWORK
from trained_record import train

from mcalc.data.images import InputRange, Look
from mcalc.evaluation.decision import PUBLISHED
from mcalc.predict.images import InputImage
from mcalc.predict.predicting import Ensemble, rows_of

from .test_predicting import ONE, crops_of, predict, rows

pytestmark = [pytest.mark.slow, pytest.mark.whole, pytest.mark.xdist_group("predict")]


@pytest.fixture(scope="module")
def others(record: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record with a network of three classes (`own`) and one of whole mammograms (`whole`)."""
    folder = tmp_path_factory.mktemp("others") / "record"
    shutil.copytree(record, folder)
    network = (*SMALL_NETWORK, "head.weight_lr=1,20")
    train(folder, *network, "data.benign_without_callback=own_class", "name=own")
    train(folder, *network, "data.region=full", "data.unit=image", "name=whole")
    return folder


def own_images(record: Path, folder: Path) -> tuple[str, str]:
    """Crops with a table of labels that knows no class of benign lesions, as arguments."""
    lines = ["path,label,patient"]
    for place, path in enumerate(list(crops_of(record).values())[:8]):
        shutil.copy(path, folder / f"{place}.dcm")
        lines.append(f"{place}.dcm,{'malignant' if place % 2 else 'benign'},p{place // 2}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return f"input={folder}", f"labels={folder / 'labels.csv'}"


def test_three_classes_are_scored_where_labels_know_two(
    record: Path, others: Path, tmp_path: Path
) -> None:
    images = own_images(record, tmp_path)
    said = predict(others, "run=own/head.weight_lr=20", *images)
    assert [row["label"] for row in rows(said.stdout)] == ["benign", "malignant"] * 4
    assert "8 scored units, 4 of them malignant" in said.stderr


def test_a_file_is_a_crop_or_a_mammogram(others: Path, record: Path) -> None:
    path = next(iter(crops_of(record).values()))
    both = "run=sq/head.weight_lr=20,whole/head.weight_lr=20"
    said = predict(others, both, f"input={path}", status=2).stderr
    assert "data.region" in said


def test_lesions_that_are_missing_have_to_be_allowed(record: Path, tmp_path: Path) -> None:
    images = own_images(record, tmp_path)
    (tmp_path / "3.dcm").write_bytes(b"")
    assert "data.min_completeness=0.875" in predict(record, ONE, *images, status=2).stderr
    said = predict(record, ONE, *images, "data.min_completeness=0.8")
    assert len(rows(said.stdout)) == 7


def test_the_figures_of_several_networks_are_called_theirs(record: Path, tmp_path: Path) -> None:
    images = own_images(record, tmp_path)
    said = predict(record, "run=sq", "best=2", *images).stderr
    _, figures = said.split("Scores on these lesions")
    assert "2 networks" in figures
    assert "head.weight_lr" not in figures
    assert "CSV file" not in figures, "none is written"
    assert "Case mix" not in figures, "no part has ten lesions"


def test_a_file_without_the_size_of_its_pixels_is_refused_alone(
    record: Path, tmp_path: Path
) -> None:
    from mcalc.config import DataConfig, Fit, ScaleUnit
    from mcalc.predict.images import prepare_files

    crop = pydicom.dcmread(next(iter(crops_of(record).values())))
    paths = [tmp_path / name for name in ("sized.dcm", "unsized.dcm")]
    crop.pop("PixelSpacing", None)
    crop.save_as(paths[1])
    crop.ImagerPixelSpacing = [0.07, 0.07]
    crop.save_as(paths[0])
    settings = DataConfig(fit=Fit.native, scale_unit=ScaleUnit.mm, native_scale=12)
    sized, unsized = prepare_files([(path.name, path) for path in paths], 224, settings)
    assert sized.pixels is not None
    assert unsized.pixels is None
    assert "data.pixel_size=MM" in unsized.refusal


def test_a_network_that_needs_masks_is_not_served(others: Path) -> None:
    network = (*SMALL_NETWORK, "head.weight_lr=1,20")
    train(others, *network, "data.region=patch", "name=window")
    asked = ("run=window/head.weight_lr=20", "registry=windows")
    done = processes.run("mcalc.export", *asked, folder=others)
    assert done.returncode == 2
    assert "data.region=patch" in done.stderr


def of(name: str, images: list[InputImage], odds: float, brightest: float) -> Any:
    """A network that says the same of any image, and was trained on images of one brightness."""
    look = Look(*[1.0] * 8, brightest=brightest)
    return SimpleNamespace(
        trial=SimpleNamespace(name=name),
        inputs=InputRange.of([look]),
        odds=lambda pixels: np.full(len(pixels), odds),
    )


def test_each_network_judges_the_image_as_it_sees_it() -> None:
    """Refusals and flags are of each network's own preparation."""
    grey = np.zeros((2, 2), dtype=np.uint8)

    def seen(brightest: float) -> InputImage:
        return InputImage("a", grey, Look(*[1.0] * 8, brightest=brightest))

    first = [seen(10), seen(10), seen(10)]
    second = [seen(20), seen(99), InputImage("c", None, None, "no breast")]
    networks = (of("one", first, 1.0, 10), of("two", second, 3.0, 20))
    together = Ensemble(networks, (0.5, 0.5), PUBLISHED, None)
    like, unlike, refused = rows_of(together, [first, second])
    assert like.log_odds == unlike.log_odds == 2.0
    assert like.flags == ()
    assert unlike.flags == ("brightest grey 99 (trained on 20)",)
    assert refused.refused == "no breast"
    assert refused.called is refused.probability is refused.log_odds is None
