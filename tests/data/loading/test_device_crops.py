"""Images on the device: the same draws, pixels and order as image by image on the CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from augment_case import NOTHING
from torch import Tensor

from mcalc.config import AugmentConfig, ProtocolConfig, ProtocolName, TrainerConfig
from mcalc.data.loading.augment import Augment
from mcalc.data.loading.augment_batch import Changes
from mcalc.data.loading.augment_on_device import mirrored
from mcalc.data.loading.augment_place import only_on_cpu
from mcalc.data.loading.crops import Crops
from mcalc.data.loading.datamodule import CropData
from mcalc.data.loading.device_crops import DeviceCrops, on_device
from mcalc.data.splits.protocols import expand, split
from mcalc.data.splits.samples import Sample

CPU = torch.device("cpu")
N, SIZE = 24, 48
IMAGES = np.random.default_rng(0).integers(0, 256, (N, SIZE, SIZE), dtype=np.uint8)
SAMPLES = [Sample(f"{i}", i, i % 2, f"p{i // 2}", f"{i}") for i in range(N)]
TRAINER = TrainerConfig(batch_size=4, max_epochs=3)


def crops_of(settings: AugmentConfig, cycle: int | None = None) -> Crops:
    return Crops(IMAGES, SAMPLES, Augment(settings, 5), None, cycle)


def there(crops: Crops, most_bytes: int | None = None) -> DeviceCrops:
    (found,) = on_device([crops], CPU, most_bytes)
    return found


def data_of(
    protocol: ProtocolName = ProtocolName.patient,
    trainer: TrainerConfig = TRAINER,
    augment: AugmentConfig | None = None,
    most_bytes: int | None = None,
) -> tuple[CropData, CropData]:
    """The same data in memory and on the device."""
    settings = ProtocolConfig(
        protocol, validation=0.3 if protocol is ProtocolName.patient else None
    )
    samples = expand(SAMPLES, settings, 0)
    parts = split(samples, settings, 0)
    data = CropData(IMAGES, samples, parts, augment or AugmentConfig(), trainer, 5)
    subsets = [data.train, data.validation, data.reported]
    placed = on_device([each for each in subsets if isinstance(each, Crops)], CPU, most_bytes)
    return data, data.replaced(*placed)


def batches(data: CropData) -> list[tuple[Tensor, Tensor]]:
    """The whole run's mini-batches, as Lightning gets them."""
    return [data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()]


@pytest.mark.parametrize(
    "settings",
    [
        replace(NOTHING, flip_horizontal=True, flip_vertical=True),
        replace(NOTHING, brightness=0.4, contrast=0.3),
        replace(NOTHING, noise=0.1),
        replace(NOTHING, flip_vertical=True, brightness=0.4, noise=0.1),
        NOTHING,
        replace(AugmentConfig(), enabled=False),
    ],
)
def test_where_no_pixel_is_interpolated_all_are_equal(settings: AugmentConfig) -> None:
    crops = crops_of(settings)
    draws = [(epoch, position) for epoch in range(3) for position in range(N)]
    device = there(crops)
    images, labels = device.made(device.recipes.__getitems__(draws))
    for image, label, draw in zip(images, labels, draws, strict=True):
        expected, truth = crops[draw]
        assert torch.equal(image, expected)
        assert label == truth


def test_where_pixels_move_only_their_rounding_differs() -> None:
    crops = crops_of(AugmentConfig())
    device = there(crops)
    draws = [(epoch, position) for epoch in range(3) for position in range(N)]
    images, _ = device.made(device.recipes.__getitems__(draws))
    expected = torch.stack([crops[draw][0] for draw in draws])
    difference = (images.int() - expected.int()).abs()
    # of OpenCV 5; earlier versions interpolate at 32nds of a pixel, on noise as here by levels
    assert difference.float().mean() < 2
    assert (difference > 25).float().mean() < 1e-3


def test_an_image_of_an_epoch_is_the_same_in_any_batch() -> None:
    device = there(crops_of(AugmentConfig()))
    draws = [(epoch, position) for epoch in (0, 7) for position in range(N)]
    images, labels = device.made(device.recipes.__getitems__(draws))
    for count in (1, 5):
        shuffled = np.random.default_rng(count).permutation(len(draws))
        for start in range(0, len(draws), count):
            part = shuffled[start : start + count]
            some, truth = device.made(device.recipes.__getitems__([draws[i] for i in part]))
            assert torch.equal(some, images[part])
            assert torch.equal(truth, labels[part])
    one, label = device[draws[3]]
    assert torch.equal(one, images[3])
    assert label == labels[3]


def test_neither_threads_nor_the_networks_precision_change_a_bit() -> None:
    device = there(crops_of(AugmentConfig()))
    changes = device.recipes.__getitems__([(0, position) for position in range(N)])
    images, _ = device.made(changes)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(device.made(changes)[0], images)
    finally:
        torch.set_num_threads(before)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(device.made(changes)[0], images)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_has_the_same_batches_from_wherever_it_starts(workers: int) -> None:
    _, data = data_of(trainer=replace(TRAINER, workers=workers))
    whole = batches(data)
    assert len(whole) == data.length.iterations > 6
    data.start = 4
    rest = batches(data)
    assert len(rest) == len(whole) - 4
    for (images, labels), (expected, truth) in zip(rest, whole[4:], strict=True):
        assert torch.equal(images, expected)
        assert torch.equal(labels, truth)
    _, alone = data_of()
    assert all(torch.equal(a[0], b[0]) for a, b in zip(batches(alone), whole, strict=True))


@pytest.mark.parametrize("protocol", [ProtocolName.patient, ProtocolName.paper_augment_first])
def test_evaluation_and_offline_copies_are_the_pixels_of_the_cpu(protocol: ProtocolName) -> None:
    memory, device = data_of(protocol)
    for name in ("validation", "reported"):
        pair = [getattr(data, name) for data in (memory, device)]
        found = [list(data.evaluation_batches(getattr(data, name))) for data in (memory, device)]
        assert torch.equal(torch.cat(found[0]), torch.cat(found[1]))
        assert pair[0].members == pair[1].members
        assert len(pair[0]) == len(pair[1])
    if protocol is ProtocolName.paper_augment_first:
        assert any(sample.copy for sample in device.train.members)
        for one, other in zip(batches(memory), batches(device), strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])


def test_each_image_lies_there_once() -> None:
    _, data = data_of()
    assert isinstance(data.train, DeviceCrops)
    assert isinstance(data.reported, DeviceCrops)
    assert data.train.images is data.reported.images
    assert data.train.images is not None
    assert data.train.images.shape == IMAGES.shape
    _, copied = data_of(ProtocolName.paper_augment_first)
    assert isinstance(copied.train, DeviceCrops)
    assert copied.train.images is not None
    assert len(copied.train.images) == int(2.2 * N)


def test_what_does_not_fit_travels_to_the_same_numbers() -> None:
    _, fits = data_of(most_bytes=IMAGES.nbytes)
    _, travels = data_of(most_bytes=IMAGES.nbytes - 1)
    assert isinstance(travels.train, DeviceCrops)
    assert travels.train.images is None
    for one, other in zip(batches(fits), batches(travels), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    for data in (fits, travels):
        found = torch.cat(list(data.evaluation_batches(data.reported)))
        expected = np.stack([IMAGES[sample.image] for sample in data.reported.members])
        assert np.array_equal(found[:, 0].numpy(), expected)
    assert torch.equal(fits.train.unaugmented([3, 1]), travels.train.unaugmented([3, 1]))


def test_copies_of_a_cycle_come_again() -> None:
    device = there(crops_of(AugmentConfig(), cycle=3))
    assert torch.equal(device[(1, 4)][0], device[(4, 4)][0])
    assert not torch.equal(device[(1, 4)][0], device[(2, 4)][0])


def test_what_travels_is_small_and_holds_nothing_of_the_device() -> None:
    device = there(crops_of(AugmentConfig()))
    changes = device.recipes.__getitems__([(0, position) for position in range(10)])
    assert isinstance(changes, Changes)
    assert sum(each.numel() * each.element_size() for each in changes) < 10 * 400
    held = [value for value in vars(device.recipes).values() if isinstance(value, Tensor)]
    assert not held


@pytest.mark.parametrize("length", [1, 2, 3, 9])
def test_the_border_is_mirrored_as_numpy_pads(length: int) -> None:
    inside: npt.NDArray[np.int64] = np.arange(length)
    padded = np.pad(inside, 25, mode="reflect") if length > 1 else np.zeros(51, dtype=int)
    indices = torch.arange(-25, length + 25)
    assert mirrored(indices, torch.tensor(length - 1)).tolist() == padded.tolist()


def test_settings_that_a_device_does_not_know_are_named() -> None:
    from dataclasses import make_dataclass

    from mcalc.config.rules import setting

    assert only_on_cpu(AugmentConfig(strength=3)) == ()
    toy = make_dataclass(
        "Toy", [("blur", float, setting(0.0, neutral=0.0))], bases=(AugmentConfig,)
    )
    assert only_on_cpu(toy()) == ()
    assert only_on_cpu(toy(blur=0.5)) == ("augment.blur=0.5",)
