"""Images on the device that trains: what `auto` is, what fits, and what stays as it was."""

from __future__ import annotations

from dataclasses import make_dataclass, replace
from typing import Any

import pytest
import torch
from tiny_training import SETTINGS, Keeper, built, crop_data, images, train, trial

from mcalc.config import (
    AugmentConfig,
    AugmentPlace,
    BackboneConfig,
    Config,
    HeadConfig,
    TrainerConfig,
)
from mcalc.config.rules import setting
from mcalc.data.loading.device_crops import DeviceCrops
from mcalc.errors import UserError
from mcalc.models.classifier import Classifier
from mcalc.training import device, placing
from mcalc.training.device import resolved
from mcalc.training.frozen import draws_of
from mcalc.training.placing import MOST_OF_FREE, free_bytes, placed
from mcalc.training.trajectory import run_trajectory

CPU = torch.device("cpu")


def with_blur(blur: float, place: AugmentPlace = AugmentPlace.auto) -> Any:
    """Settings with an augmentation that no device knows."""
    fields = [("blur", float, setting(0.0, low=0, neutral=0.0))]
    return make_dataclass("Toy", fields, bases=(AugmentConfig,))(place=place, blur=blur)


def place_of(config: Config) -> str:
    return resolved(config).augment.place.value


def test_auto_is_the_device_on_a_gpu_and_the_cpu_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "sees_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    gpu, cpu = Config(), Config(trainer=SETTINGS)
    assert (place_of(gpu), place_of(cpu)) == ("device", "cpu")
    assert place_of(replace(gpu, augment=AugmentConfig(place=AugmentPlace.cpu))) == "cpu"
    assert place_of(replace(cpu, augment=AugmentConfig(place=AugmentPlace.device))) == "device"
    assert place_of(replace(gpu, backbone=BackboneConfig(freeze="all"))) == "cpu"
    assert place_of(replace(gpu, augment=with_blur(0.5))) == "cpu"
    assert place_of(replace(gpu, augment=with_blur(0.0))) == "device"
    monkeypatch.setattr(device, "sees_gpu", lambda: False)
    assert place_of(gpu) == "cpu"


def config_of(augment: AugmentConfig) -> Config:
    return Config(trainer=SETTINGS, augment=augment)


def test_what_only_the_cpu_computes_is_refused_there() -> None:
    data = crop_data(*images(), SETTINGS)
    with pytest.raises(UserError, match=r"augment\.blur=0\.5: computed on the CPU alone.*or auto"):
        placed(data, config_of(with_blur(0.5, AugmentPlace.device)), CPU, print)
    off = replace(with_blur(0.5, AugmentPlace.device), enabled=False)
    assert isinstance(placed(data, config_of(off), CPU, print).train, DeviceCrops)


@pytest.mark.parametrize("place", [AugmentPlace.cpu, AugmentPlace.auto])
def test_elsewhere_the_data_are_as_they_were(place: AugmentPlace) -> None:
    data = crop_data(*images(), SETTINGS)
    assert placed(data, config_of(AugmentConfig(place=place)), CPU, print) is data
    frozen = replace(
        config_of(AugmentConfig(place=AugmentPlace.device)), backbone=BackboneConfig(freeze="all")
    )
    assert placed(data, frozen, CPU, print) is data


def test_without_augmentation_both_train_to_the_same_bits() -> None:
    off = AugmentConfig(enabled=False)
    curves = []
    for place in (AugmentPlace.cpu, AugmentPlace.device):
        data = crop_data(*images(), SETTINGS, augment=off)
        module = Classifier(built(), BackboneConfig(), HeadConfig(), SETTINGS)
        planned = trial(None, place=place)
        config = replace(planned.config, augment=replace(off, place=place))
        keeper = Keeper()
        (result,) = run_trajectory(module, data, [replace(planned, config=config)], [keeper])
        curves.append((result.curve, result.predictions.probabilities.tolist()))
    assert curves[0] == curves[1]


def test_with_it_they_train_alike() -> None:
    """Sixteen pixels wide, where one level weighs most; the draws are the same."""
    runs = [train([None], place=place)[0][0].curve for place in (
        AugmentPlace.cpu, AugmentPlace.device,
    )]  # fmt: skip
    first, others = zip(*runs, strict=True).__next__(), list(zip(*runs, strict=True))
    assert first[0].val_loss == pytest.approx(first[1].val_loss, rel=1e-3)
    for one, other in others:
        assert one.val_loss == pytest.approx(other.val_loss, rel=0.05)


def test_too_little_memory_is_said_and_changes_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,), _ = train([None], place=AugmentPlace.device)
    monkeypatch.setattr(placing, "free_bytes", lambda _: int(40 * 256 / MOST_OF_FREE) - 4)
    keeper = Keeper()
    (result,), _ = train([None], listener=keeper, place=AugmentPlace.device)
    (note,) = keeper.notes
    assert note.startswith("augment.place=device: the images stay in memory")
    assert "gives the same numbers" in note
    assert result.curve == whole.curve
    monkeypatch.setattr(placing, "free_bytes", lambda _: int(40 * 256 / MOST_OF_FREE))
    keeper = Keeper()
    train([None], listener=keeper, place=AugmentPlace.device)
    assert keeper.notes == []


def test_a_gpus_free_memory_is_what_its_driver_says(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def mem_get_info(which: torch.device) -> tuple[int, int]:
        asked.append(which)
        return 7, 80

    monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)
    card = torch.device("cuda", 3)
    assert free_bytes(card) == 7
    assert asked == [card]
    assert free_bytes(CPU) > 2**20


def test_features_of_a_frozen_network_keep_their_files() -> None:
    """The names of files from before the setting."""
    expected = (
        "AugmentConfig(enabled=True, strength=1.0, rotation=180.0, flip_horizontal=True, "
        "flip_vertical=True, scale=0.1, translate=0.05, brightness=0.1, contrast=0.1, noise=0.02, "
        "frozen_copies=4)"
    )
    for place in AugmentPlace:
        assert draws_of(AugmentConfig(place=place)) == expected


def test_a_default_run_here_computes_on_the_cpu_as_before() -> None:
    assert place_of(Config(trainer=TrainerConfig(accelerator=SETTINGS.accelerator))) == "cpu"
