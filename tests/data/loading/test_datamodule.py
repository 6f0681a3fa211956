"""Batches of a split: what is augmented, what is not, and that copies stay the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mcalc.config import AugmentConfig, ProtocolConfig, ProtocolName, TrainerConfig
from mcalc.data.loading.crops import Crops
from mcalc.data.loading.datamodule import CropData
from mcalc.data.splits.protocols import expand, split
from mcalc.data.splits.samples import Sample
from mcalc.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 16, 16), dtype=np.uint8)
SAMPLES = [
    Sample(f"lesion {i}", i, int(i % 3 == 0), f"patient {i // 2}", f"lesion {i}") for i in range(60)
]
TRAINER = TrainerConfig(batch_size=8)


def crop_data(
    protocol: ProtocolName, augment: AugmentConfig | None = None, seed: int = 3
) -> tuple[CropData, list[Sample]]:
    settings = ProtocolConfig(protocol)
    samples = expand(SAMPLES, settings, 0)
    parts = split(samples, settings, 0)
    return CropData(IMAGES, samples, parts, augment or AugmentConfig(), TRAINER, seed), samples


def test_training_draws_anew_each_epoch_and_evaluation_never() -> None:
    data, _ = crop_data(ProtocolName.patient)
    first, second = (data.train[(epoch, 0)][0] for epoch in (0, 1))
    assert not torch.equal(first, second)
    own = IMAGES[data.reported.members[0].image]
    for epoch in (0, 1):
        image, label = data.reported[(epoch, 0)]
        np.testing.assert_array_equal(image[0].numpy(), own)
        assert image.shape == (1, 16, 16)
        assert label == data.reported.members[0].label


def test_copies_are_augmented_once_and_are_then_always_the_same() -> None:
    data, samples = crop_data(ProtocolName.paper_augment_first)
    other, _ = crop_data(ProtocolName.paper_augment_first, seed=99)
    copied = [i for i, sample in enumerate(data.train.members) if sample.copy]
    assert copied
    for position, sample in enumerate(data.train.members):
        image = data.train[(0, position)][0]
        # no augmentation on top: the same in every epoch, whatever the trial's seed
        assert torch.equal(image, data.train[(7, position)][0])
        assert torch.equal(image, other.train[(3, position)][0])
        plain = np.array_equal(image[0].numpy(), IMAGES[sample.image])
        assert plain == (sample.copy == 0)
    versions = [
        data.train[(0, position)][0]
        for position in copied
        if data.train.members[position].image == data.train.members[copied[0]].image
    ]
    for one in range(len(versions)):
        for two in range(one):
            assert not torch.equal(versions[one], versions[two]), "two copies are two draws"
    reported = [sample for sample in data.reported.members if sample.copy]
    assert reported, "copies are reported too"
    assert len(samples) == 132


def test_a_copy_does_not_depend_on_its_place_in_its_subset() -> None:
    data, _ = crop_data(ProtocolName.paper_augment_first)
    members = [sample for sample in data.train.members if sample.copy]
    backwards = Crops(data.train.images, members[::-1], None, data.train.copies)
    forwards = Crops(data.train.images, members, None, data.train.copies)
    for position in range(len(members)):
        there = forwards[(0, position)][0]
        assert torch.equal(there, backwards[(0, len(members) - 1 - position)][0])


def test_copies_without_augmentation_would_be_repeats_and_are_refused() -> None:
    off = replace(AugmentConfig(), enabled=False)
    with pytest.raises(UserError, match=r"paper_augment_first.*augment.enabled=false"):
        crop_data(ProtocolName.paper_augment_first, off)
    crop_data(ProtocolName.paper, off)


def test_a_batch_larger_than_the_training_part_is_named() -> None:
    settings = ProtocolConfig(ProtocolName.patient)
    parts = split(SAMPLES, settings, 0)
    with pytest.raises(UserError, match=r"trainer.batch_size=43 is more than the 42"):
        CropData(IMAGES, SAMPLES, parts, AugmentConfig(), TrainerConfig(batch_size=43), 0)


def test_what_is_reported_is_apart_where_validation_is() -> None:
    assert not crop_data(ProtocolName.patient)[0].reported_apart
    settings = ProtocolConfig(ProtocolName.patient, validation=0.2)
    parts = split(SAMPLES, settings, 0)
    data = CropData(IMAGES, SAMPLES, parts, AugmentConfig(), TRAINER, 0)
    assert data.reported_apart
    seen = {sample.id for sample in data.reported.members}
    assert not seen & {sample.id for sample in data.validation.members}
    batches = list(data.evaluation_batches(data.reported))
    assert all(len(batch) == TRAINER.eval_batch_size for batch in batches[:-1])
    images = torch.cat(batches)
    assert images.shape == (len(parts.reported), 1, *IMAGES.shape[1:])
    assert np.array_equal(images[:, 0], IMAGES[[SAMPLES[i].image for i in parts.reported]])
