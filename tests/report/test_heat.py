"""Heat maps of a recorded trial: its numbers, and the sentence where there are none."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from html_tree import tree, words

from mcalc.attribution import centre_blob
from mcalc.config import BackboneConfig
from mcalc.errors import UserError
from mcalc.models import build_classifier
from mcalc.report import heat
from mcalc.report.heat import HeatMaps
from mcalc.report.pictures import InlinePictures
from mcalc.results import RecordedTrial

pytestmark = [pytest.mark.slow, pytest.mark.whole]

SIZE = 224


@pytest.fixture
def recorded(trial, tmp_path: Path) -> RecordedTrial:  # type: ignore[no-untyped-def]
    """SqueezeNet's record with eight crops, of which six have an outline."""
    made = trial("AL1", params={"backbone.name": "squeezenet"})
    built = build_classifier(BackboneConfig(name="squeezenet", weights="none"), seed=3)
    torch.save(built.model.state_dict(), tmp_path / "network.pth")
    draws = np.random.default_rng(1)
    crops, masks = {}, {}
    for place, name in enumerate(made.predictions.ids[:8]):
        crops[name] = str(tmp_path / f"{place}.png")
        cv2.imwrite(crops[name], draws.integers(0, 256, (SIZE, SIZE), dtype=np.uint8))
        if place < 6:
            mask = np.zeros((SIZE, SIZE), np.uint8)
            mask[:, : 28 * (place + 1)] = 255
            masks[name] = str(tmp_path / f"{place}-mask.png")
            cv2.imwrite(masks[name], mask)
    patients = tuple(f"p{i // 2}" for i in range(made.predictions.labels.size))
    kept = replace(
        made.artifacts,
        predictions=replace(made.predictions, patients=patients),
        crops=crops,
        masks=masks,
        network=here(tmp_path / "network.pth"),
    )
    return replace(made, artifacts=kept)


def here(file: Path) -> Callable[[], AbstractContextManager[Path]]:
    return partial(nullcontext, file)


def shown(trial: RecordedTrial, maps: HeatMaps | None = None) -> str:
    return str((maps or HeatMaps())(trial, "AL1 <b>", InlinePictures()))


def rows(page: str) -> dict[str, list[str]]:
    table = tree(page)
    return {
        row.findtext("th", ""): [words(cell) for cell in row.findall("td")]
        for row in table.iter("tr")
        if row.findall("td")
    }


def test_the_table_has_the_controls_and_the_outlines_share(recorded: RecordedTrial) -> None:
    page = shown(recorded)
    found = rows(page)
    assert [*found] == [
        "network", "weights redrawn", "centre blob", "random pixels",
        "the outline's share of the crop",
    ]  # fmt: skip
    shares = [28 * (place + 1) / SIZE for place in range(6)]
    lesions, mean, _, less, _ = found["the outline's share of the crop"]
    assert lesions == "6"
    assert float(mean) == pytest.approx(np.mean(shares), abs=6e-4)
    blob = centre_blob(1, (SIZE, SIZE))[0]
    expected = np.mean([blob[:, : 28 * (i + 1)].sum() / blob.sum() for i in range(6)])
    assert float(found["centre blob"][1]) == pytest.approx(expected, abs=6e-4)
    assert float(less.replace("−", "-")) == pytest.approx(np.mean(shares) - expected, abs=1.1e-3)
    assert float(found["random pixels"][1]) == pytest.approx(np.mean(shares), abs=5e-3)
    assert "Outlines are known of 6 of the 8 crops" in page
    assert page.count("<img") == 1
    assert "AL1 &lt;b&gt;" in page


def test_trials_of_one_network_are_computed_once(recorded: RecordedTrial, tmp_path: Path) -> None:
    maps = HeatMaps()
    first = shown(recorded, maps)
    shutil.copy(tmp_path / "network.pth", tmp_path / "again.pth")  # as from a server
    again = replace(recorded.artifacts, network=here(tmp_path / "again.pth"))  # type: ignore[type-var]
    assert shown(replace(recorded, artifacts=again), maps) == first
    assert len(maps._known) == 1


def test_an_older_record_without_outlines_has_maps_and_says_what_is_missing(
    recorded: RecordedTrial,
) -> None:
    kept = replace(recorded.artifacts, masks={})  # type: ignore[type-var]
    page = shown(replace(recorded, artifacts=kept))
    assert page.count("<img") == 1
    assert "the record has no outline of these crops" in page
    assert rows(page) == {}


def test_a_record_that_lacks_something_says_so_in_a_sentence(
    recorded: RecordedTrial, tmp_path: Path
) -> None:
    def lacking(**changes: object) -> str:
        kept = replace(recorded.artifacts, **changes)  # type: ignore[type-var, arg-type]
        return shown(replace(recorded, artifacts=kept))

    assert "tracking.keep_models=all keeps it" in lacking(network=None)
    assert "no crop was kept" in lacking(crops={})
    assert "no crop of this trial could be read" in lacking(crops={"P_00000": str(tmp_path)})
    frozen = replace(recorded, params={**recorded.params, "backbone.freeze": "all"})
    assert "the head alone" in shown(frozen)
    (tmp_path / "damaged.pth").write_bytes(b"nothing")
    assert "There are no heat maps" in lacking(network=here(tmp_path / "damaged.pth"))
    small = tmp_path / "small.png"
    cv2.imwrite(str(small), np.zeros((64, 64), np.uint8))
    assert re.search(
        "64 pixels where the network takes 224", lacking(crops={"P_00000": str(small)})
    )


def test_a_server_that_gives_no_network_ends_the_report(recorded: RecordedTrial) -> None:
    @contextmanager
    def away() -> Iterator[Path]:
        raise UserError("the server is away")
        yield Path()

    kept = replace(recorded.artifacts, network=away)  # type: ignore[type-var]
    with pytest.raises(UserError, match="the server is away"):
        shown(replace(recorded, artifacts=kept))


def test_maps_of_few_networks_are_kept_and_others_computed_anew(
    recorded: RecordedTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes some ten megabytes, and a sweep may have hundreds."""
    monkeypatch.setattr(heat, "_MOST_KNOWN", 1)
    few = {name: recorded.artifacts.crops[name] for name in recorded.predictions.ids[:2]}  # type: ignore[union-attr]
    one = replace(recorded, artifacts=replace(recorded.artifacts, crops=few))  # type: ignore[type-var]
    other = torch.load(tmp_path / "network.pth", weights_only=True)
    other[next(iter(other))] += 0.01
    torch.save(other, tmp_path / "other.pth")
    changed = replace(one.artifacts, network=here(tmp_path / "other.pth"))  # type: ignore[type-var]
    maps = HeatMaps()
    first = shown(one, maps)
    assert shown(replace(one, artifacts=changed), maps) != first
    assert len(maps._known) == 1
    assert shown(one, maps) == first
    assert shown(one, maps) == first


def test_of_units_with_several_images_no_difference_of_probabilities_is_said(
    recorded: RecordedTrial,
) -> None:
    """A crop's probability is not that of the breast that it is of."""
    few = {name: recorded.artifacts.crops[name] for name in recorded.predictions.ids[:2]}  # type: ignore[union-attr]
    one = replace(recorded, artifacts=replace(recorded.artifacts, crops=few))  # type: ignore[type-var]
    said = "Probabilities computed here differ from those recorded by at most"
    assert said in shown(one)
    breasts = shown(replace(one, params={**one.params, "data.unit": "breast"}))
    assert said not in breasts
    assert breasts.count("<img") == 1
