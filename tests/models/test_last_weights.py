"""Networks built one after another: what begins alike is copied, with the same numbers."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mcalc.config import BackboneConfig
from mcalc.models import Built, LastWeights, build_classifier
from mcalc.models import last_weights as module

RANDOM = BackboneConfig(name="squeezenet", weights="none")


def same(one: Built, other: Built) -> bool:
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Which networks were drawn or read, by their weights and seed."""
    found: list[tuple[str, int]] = []

    def build(backbone: BackboneConfig, seed: int, classes: int) -> Built:
        found.append((backbone.weights, seed))
        return build_classifier(backbone, seed, classes)

    monkeypatch.setattr(module, "build_classifier", build)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    built = build_classifier(RANDOM, 77, classes=1000)
    path = tmp_path / "network.pth"
    torch.save(built.model.state_dict(), path)
    return path


def test_a_third_network_that_begins_alike_is_a_copy_of_its_own(
    drawn: list[tuple[str, int]],
) -> None:
    last, expected = LastWeights(), build_classifier(RANDOM, 3, 2)
    for _ in range(4):
        built = last.build(RANDOM, 3, 2)
        assert same(built, expected)
        assert built.model.training
        assert built.head is built.model.get_submodule("classifier.1")
        assert (built.weights_origin, built.warnings, built.stages, built.contract) == (
            expected.weights_origin, expected.warnings, expected.stages, expected.contract,
        )  # fmt: skip
        with torch.no_grad():  # as training would
            for parameter in built.model.parameters():
                parameter.fill_(7)
    assert drawn == [("none", 3)] * 2


def test_random_weights_are_those_of_their_seed(drawn: list[tuple[str, int]]) -> None:
    last = LastWeights()
    for seed in (1, 1, 1, 2, 2, 2, 1):
        assert same(last.build(RANDOM, seed, 2), build_classifier(RANDOM, seed, 2))
    assert drawn == [("none", seed) for seed in (1, 1, 2, 2, 1)]


def test_a_seed_draws_the_head_alone_over_weights_of_a_file(
    file: Path, drawn: list[tuple[str, int]]
) -> None:
    last, config = LastWeights(), replace(RANDOM, weights=str(file))
    for seed in (1, 2, 3, 2):
        built = last.build(config, seed, 2)
        assert same(built, build_classifier(config, seed, 2))
        assert "sha256:" in built.weights_origin
    assert [seed for _, seed in drawn] == [1, 2]


def test_a_file_that_was_replaced_is_read_again(file: Path) -> None:
    last, config = LastWeights(), replace(RANDOM, weights=str(file))
    for _ in range(3):
        before = last.build(config, 1, 2)
    other = build_classifier(RANDOM, 78, classes=1000)
    torch.save(other.model.state_dict(), file)
    os.utime(file, ns=(1, 1))
    after = last.build(config, 1, 2)
    assert same(after, build_classifier(config, 1, 2))
    assert after.weights_origin != before.weights_origin


def test_other_settings_and_numbers_of_classes_are_other_networks() -> None:
    last = LastWeights()
    for backbone, classes in (
        (RANDOM, 2), (RANDOM, 2), (RANDOM, 3), (replace(RANDOM, name="googlenet"), 3), (RANDOM, 3),
    ):  # fmt: skip
        assert same(last.build(backbone, 0, classes), build_classifier(backbone, 0, classes))


def test_no_random_number_is_drawn_from_the_global_generator() -> None:
    last = LastWeights()
    before = torch.get_rng_state()
    for _ in range(3):
        last.build(RANDOM, 0, 2)
    assert torch.equal(torch.get_rng_state(), before)
