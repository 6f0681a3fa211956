"""A data set on its way to training: prepared, sampled, split, and what must be known of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

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
from mcalc.data.pipeline import PreparedData, index_data, prepare_data

PATIENT = ProtocolConfig(ProtocolName.patient)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def ready(cache: Path, protocol: ProtocolConfig = PATIENT, **values: object) -> PreparedData:
    data = replace(
        DataConfig(cache=str(cache), phantom=PhantomConfig(lesions=60)),
        **values,  # type: ignore[arg-type]
    )
    config = Config(data=data, protocol=protocol)
    return prepare_data(index_data(data), config, 32)


def test_samples_show_the_lesions_that_they_name(cache: Path) -> None:
    found = ready(cache)
    assert len(found.samples) == 60
    for sample in found.samples:
        (lesion,) = (found.prepared.lesions[i] for i in sample.lesions)
        assert (sample.id, sample.label, sample.patient) == (
            lesion.id,
            lesion.label,
            lesion.patient,
        )
        assert sample.image == found.prepared.positions[sample.lesions[0]]
    assert "60 lesions of" in found.description


def test_a_whole_mammogram_is_prepared_and_sampled_once(cache: Path) -> None:
    found = ready(cache, region=Region.full, unit=Unit.breast)
    images = {lesion.image for lesion in found.prepared.lesions}
    assert {sample.id for sample in found.samples} == images
    assert sorted(sample.image for sample in found.samples) == list(range(len(images)))
    assert found.prepared.images.shape[0] == len(images) < 60
    for sample in found.samples:
        shown = [found.prepared.lesions[i] for i in sample.lesions]
        assert {lesion.image for lesion in shown} == {sample.id}
        assert sample.label == max(lesion.label for lesion in shown)
        assert {lesion.breast for lesion in shown} == {sample.unit}
    assert found.description.endswith("region full, scored by breast")


def test_what_a_setting_excludes_is_in_the_warnings(cache: Path) -> None:
    whole, part = (
        ready(cache, benign_without_callback=rule)
        for rule in (WithoutCallback.benign, WithoutCallback.exclude)
    )
    lost = len(whole.samples) - len(part.samples)
    assert lost > 0
    assert any(
        f"{lost} of 60 lesions excluded: benign without callback" in w for w in part.warnings
    )
    assert f"{60 - lost} lesions of" in part.description


def test_stopping_on_what_is_reported_is_a_warning_unless_the_paper_does_it(cache: Path) -> None:
    note = "has also stopped training"
    assert any(note in warning for warning in ready(cache).warnings)
    apart = replace(PATIENT, validation=0.2)
    assert not any(note in warning for warning in ready(cache, apart).warnings)
    paper = ProtocolConfig(ProtocolName.paper)
    assert not any(note in warning for warning in ready(cache, paper).warnings)


def test_the_seed_of_the_split_is_the_protocols_or_else_the_trials(cache: Path) -> None:
    data = DataConfig(cache=str(cache), phantom=PhantomConfig(lesions=60))
    opened = index_data(data)

    def fingerprint(seed: int, own: int | None) -> str:
        protocol = replace(PATIENT, seed=own)
        config = Config(seed=seed, data=data, protocol=protocol)
        return prepare_data(opened, config, 32).split.fingerprint

    assert fingerprint(0, None) != fingerprint(1, None)
    assert fingerprint(0, 5) == fingerprint(1, 5) == fingerprint(5, None)


def test_the_phantoms_official_split_is_kept(cache: Path) -> None:
    found = ready(cache, ProtocolConfig(ProtocolName.official, validation=0.2))
    for i in found.split.reported:
        assert found.samples[i].id.startswith("Calc-Test")
    for i in found.split.train + found.split.validation:
        assert found.samples[i].id.startswith("Calc-Training")
