"""Pictures of a page are what matplotlib draws; pages drawn side by side are those drawn alone."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mcalc.errors import UserError
from mcalc.report import single_page
from mcalc.report.pictures import FolderPictures


def test_a_photo_has_the_pixels_of_a_saved_figure(tmp_path: Path) -> None:
    # 4.12 inches at 150 dots are 618 pixels, but for the rounding of 4.12
    figure = Figure(figsize=(4.0, 4.12))
    figure.add_subplot().plot([1, 3, 2], label="größe")
    saved = io.BytesIO()
    figure.savefig(saved, format="png", dpi=150)
    picture = FolderPictures(tmp_path, "pictures").photo(figure, "one", "a line")
    drawn = np.asarray(Image.open(tmp_path / picture.source), dtype=int)
    expected = np.asarray(Image.open(saved).convert("RGB"), dtype=int)
    assert picture.size == (expected.shape[1], expected.shape[0])
    assert drawn.shape == expected.shape
    assert np.abs(drawn - expected).mean() < 0.5  # JPEG


@pytest.mark.whole
@pytest.mark.slow
def test_pages_are_the_same_on_one_core_and_on_several(
    trial: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = [trial(f"row {number}", run_id=f"{number:08d}") for number in range(10)]
    said: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        said.append((done, total))

    for cores in (1, 2):
        monkeypatch.setattr(single_page, "usable_cores", iter([cores]).__next__)
        single_page.write_pages(trials, tmp_path / str(cores), "mine", progress)
    assert said == [(done, 10) for done in range(1, 11)] * 2
    alone, together = (
        {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.*")}
        for folder in (tmp_path / "1", tmp_path / "2")
    )
    assert len(alone) > 30
    assert alone == together


@dataclass(frozen=True)
class Fatal:
    """Kills the process that receives it, as the system does where memory runs out."""

    def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
        return signal.raise_signal, (int(signal.SIGKILL),)


def test_a_process_that_is_killed_as_it_draws_pages_is_one_sentence(
    trial: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = [trial(f"row {number}", run_id=f"{number:08d}") for number in range(10)]
    trials[0].tags["mcalc.git"] = Fatal()
    monkeypatch.setattr(single_page, "usable_cores", lambda: 2)
    with pytest.raises(UserError, match=r"was killed, .*memory .*give the command again"):
        single_page.write_pages(trials, tmp_path, "mine", lambda done, total: None)
