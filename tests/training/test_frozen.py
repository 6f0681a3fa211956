"""Training above a frozen backbone: the numbers of the ordinary loop, from features in a cache."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parameters import most_are_whole
from torch import Tensor, nn

from mcalc.config import (
    AugmentConfig,
    AugmentPlace,
    BackboneConfig,
    Config,
    DataConfig,
    HeadConfig,
    Precision,
    ProtocolName,
    StoppingConfig,
    TrainerConfig,
    plan_trial,
)
from mcalc.data.loading import CropData
from mcalc.data.splits import Sample, Split
from mcalc.errors import PreemptedError, StoppedError
from mcalc.models import BACKBONES, Classifier, build_classifier, load_trained
from mcalc.models.backbone import Backbone, InputContract
from mcalc.results import TrialResult
from mcalc.training import (
    Checkpoint,
    CheckpointFile,
    Checkpointing,
    FrozenNetworks,
    Listener,
    Placement,
    as_begun,
    cycle_of,
    run_trajectory,
    setup_of,
)

TRAINED, HELD_OUT = 24, 12


RATE = {"alexnet_bvlc": 1e-6}
"""Base rates other than 1e-3: what enters BVLC's AlexNet is 57 times as large as elsewhere, and no
average over a map is between its features and the head."""


def config_of(backbone: str, freeze: str, cache: Path, iterations: int = 20) -> Config:
    return Config(
        backbone=BackboneConfig(backbone, "none", freeze=freeze),
        head=HeadConfig(weight_lr=30, bias_lr=7, weight_l2=5, bias_l2=0.5),
        trainer=TrainerConfig(
            lr=RATE.get(backbone, 1e-3), batch_size=4, max_epochs=1000, max_iterations=iterations,
            val_every=10, precision=Precision.fp32, channels_last=True, threads=1,
        ),
        augment=AugmentConfig(frozen_copies=3),
        stopping=StoppingConfig(None),
        data=DataConfig(cache=str(cache)),
        seed=5,
    )  # fmt: skip


def crops_of(config: Config) -> CropData:
    size = BACKBONES[config.backbone.name].contract.size
    count = TRAINED + HELD_OUT
    draw = np.random.default_rng(0)
    # smooth pictures, brighter where malignant, as noise alone says nothing to a network
    labels = [int(i % 3 == 0) for i in range(count)]
    coarse = draw.integers(0, 160, (count, 8, 8)) + 60 * np.array(labels)[:, None, None]
    repeated = np.repeat(np.repeat(coarse, size // 8 + 1, 1), size // 8 + 1, 2)
    images = repeated[:, :size, :size].astype(np.uint8)
    samples = [Sample(f"{i}", i, label, f"p{i}", f"{i}") for i, label in enumerate(labels)]
    held_out = tuple(range(TRAINED, count))
    split = Split(ProtocolName.patient, 5, tuple(range(TRAINED)), held_out, held_out, 0, "split")
    return CropData(
        images, samples, split, config.augment, config.trainer, config.seed, cycle_of(config)
    )


class Weights(Listener):
    def __init__(self) -> None:
        self.weights: dict[str, Tensor] = {}
        self.resumed_at: list[int] = []

    def resumed(self, checkpoint: Checkpoint) -> None:
        self.resumed_at.append(checkpoint.iteration)

    def finished(self, result: TrialResult, weights: Mapping[str, Tensor]) -> None:
        self.weights = {name: value.clone() for name, value in weights.items()}


def ordinary(config: Config) -> tuple[TrialResult, dict[str, Tensor]]:
    """The whole network in every step."""
    built = build_classifier(config.backbone, config.seed)
    module = Classifier(built, config.backbone, config.head, config.trainer)
    return trained(module, crops_of(config), config)


def on_features(
    config: Config, networks: FrozenNetworks | None = None, crops: CropData | None = None
) -> tuple[TrialResult, dict[str, Tensor]]:
    network = (networks or FrozenNetworks()).find(config, 2, refuse)
    assert network is not None
    data = network.features(config, crops or crops_of(config), Placement(), lambda *_: None, refuse)
    assert data is not None
    return trained(network.upper(config), data, config)


def trained(
    module: Classifier, data: CropData, config: Config
) -> tuple[TrialResult, dict[str, Tensor]]:
    kept = Weights()
    (result,) = run_trajectory(module, data, [plan_trial("trial", config, "data")], [kept])
    return result, kept.weights


def refuse(text: str) -> None:
    """Takes a note where none is expected."""
    raise AssertionError(text)


def logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(probabilities) - np.log1p(-probabilities)


@pytest.mark.parametrize(
    "backbone",
    most_are_whole(["squeezenet", "googlenet_bvlc", "googlenet", "alexnet", "alexnet_bvlc"], 1),
)
def test_a_head_on_features_learns_what_it_learns_on_images(backbone: str, tmp_path: Path) -> None:
    config = config_of(backbone, "all", tmp_path)
    reference, whole = ordinary(config)
    result, head = on_features(config)
    np.testing.assert_allclose(
        logits(result.predictions.probabilities),
        logits(reference.predictions.probabilities),
        atol=1e-5,
        rtol=1e-6,
    )
    assert [p.iteration for p in result.curve] == [p.iteration for p in reference.curve]
    for point, other in zip(result.curve, reference.curve, strict=True):
        assert point.train_loss == pytest.approx(other.train_loss, abs=1e-5)
        assert point.val_loss == pytest.approx(other.val_loss, abs=1e-5)
        assert (point.train_accuracy, point.val_accuracy, point.val_auc) == (
            other.train_accuracy, other.val_accuracy, other.val_auc,
        )  # fmt: skip
    # the head alone, under the names of the whole network
    assert set(head) < set(whole)
    for name, tensor in head.items():
        torch.testing.assert_close(tensor, whole[name], atol=1e-5, rtol=0)
    # it has learnt: a head that stays as it was would be equal too
    drawn = build_classifier(config.backbone, config.seed).model.state_dict()
    assert max(float((tensor - drawn[name]).abs().max()) for name, tensor in head.items()) > 1e-3


@pytest.mark.parametrize(
    ("backbone", "stages"),
    most_are_whole(
        [("squeezenet", 8), ("googlenet", 11), ("googlenet_bvlc", 11), ("alexnet_bvlc", 5)], 1
    ),
)
def test_stages_that_are_frozen_are_not_computed_again_where_nothing_is_drawn(
    backbone: str, stages: int, tmp_path: Path
) -> None:
    config = replace(
        config_of(backbone, str(stages), tmp_path, iterations=4),
        augment=AugmentConfig(enabled=False),
    )
    reference, _ = ordinary(config)
    result, _ = on_features(config)
    np.testing.assert_allclose(
        result.predictions.probabilities, reference.predictions.probabilities, atol=1e-4
    )
    for point, other in zip(result.curve, reference.curve, strict=True):
        assert point.val_loss == pytest.approx(other.val_loss, abs=1e-4)


def test_where_augmentation_draws_anew_images_are_needed(tmp_path: Path) -> None:
    assert FrozenNetworks().find(config_of("squeezenet", "5", tmp_path), 2, refuse) is None
    assert FrozenNetworks().find(config_of("squeezenet", "0", tmp_path), 2, refuse) is None


@pytest.mark.parametrize(
    "head",
    most_are_whole(
        [HeadConfig(), HeadConfig(weight_lr=0), HeadConfig(bias_lr=0, weight_l2=300)], 1
    ),
)
def test_the_written_down_step_is_autograds(
    head: HeadConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config_of("googlenet", "all", tmp_path), head=head)
    networks = FrozenNetworks()
    quick, quick_weights = on_features(config, networks)
    monkeypatch.setattr("mcalc.training.upper_loop.linear_head", lambda module: None)
    slow, slow_weights = on_features(config, networks)
    for name, tensor in quick_weights.items():
        torch.testing.assert_close(tensor, slow_weights[name], atol=2e-6, rtol=1e-5)
    for point, other in zip(quick.curve, slow.curve, strict=True):
        assert point.train_loss == pytest.approx(other.train_loss, abs=1e-6)
        assert point.train_accuracy == other.train_accuracy
        assert point.val_loss == pytest.approx(other.val_loss, abs=1e-6)


class _Cut(Listener):
    """Ends a run as a scheduler does."""

    def __init__(self, at: int) -> None:
        self.at, self.seen = at, 0

    def iterated(self, iteration: int) -> None:
        self.seen = iteration

    def stops(self) -> StoppedError | None:
        return PreemptedError(15) if self.seen >= self.at else None


@pytest.mark.parametrize("backbone", most_are_whole(["squeezenet", "googlenet"], 1))
def test_a_head_that_was_cut_off_resumes_with_the_same_numbers(
    backbone: str, tmp_path: Path
) -> None:
    config = config_of(backbone, "all", tmp_path)
    networks = FrozenNetworks()
    whole, whole_weights = on_features(config, networks)
    file = CheckpointFile(tmp_path / "checkpoint.pt")
    network = networks.find(config, 2, refuse)
    assert network is not None
    data = network.features(config, crops_of(config), Placement(), lambda *_: None, refuse)
    assert data is not None
    trial = plan_trial("trial", config, "data")
    checkpointing = Checkpointing(file, 0.0)
    with pytest.raises(PreemptedError):
        run_trajectory(network.upper(config), data, [trial], [_Cut(10)], checkpointing)
    assert file.path.is_file()
    kept = Weights()
    again = network.features(config, crops_of(config), Placement(), lambda *_: None, refuse)
    assert again is not None
    (result,) = run_trajectory(network.upper(config), again, [trial], [kept], checkpointing)
    np.testing.assert_array_equal(result.predictions.probabilities, whole.predictions.probabilities)
    assert result.curve == whole.curve
    for name, tensor in kept.weights.items():
        assert torch.equal(tensor, whole_weights[name])


def test_features_are_computed_as_the_run_was_that_is_continued(tmp_path: Path) -> None:
    """Last bits depend on CPU threads, of which a resumed run keeps what it began with."""
    config = config_of("squeezenet", "all", tmp_path)
    config = replace(config, trainer=replace(config.trainer, threads=None))
    network = FrozenNetworks().find(config, 2, refuse)
    assert network is not None

    def threads(placement: Placement) -> int:
        network.features(config, crops_of(config), placement, lambda *_: None, refuse)
        return torch.get_num_threads()

    one, two = Placement(cores=1), Placement(cores=2)
    assert [threads(one), threads(two)] == [1, 2]
    assert threads(replace(two, setup=setup_of(config.trainer, 1))) == 1, "as from_run keeps it"

    def begun(settings: TrainerConfig) -> Placement:
        return as_begun(two, settings, file, network.built.model)

    file = CheckpointFile(tmp_path / "checkpoint.pt")
    assert threads(begun(config.trainer)) == 2, "there is nothing to resume"
    data = network.features(config, crops_of(config), one, lambda *_: None, refuse)
    assert data is not None
    trial, cut = plan_trial("trial", config, "data"), [_Cut(10)]
    with pytest.raises(PreemptedError):
        run_trajectory(network.upper(config), data, [trial], cut, Checkpointing(file, 0.0), one)
    assert threads(begun(config.trainer)) == 1
    assert begun(replace(config.trainer, threads=2)).setup == setup_of(config.trainer, 2)
    file.path.write_bytes(b"damaged")
    assert threads(begun(config.trainer)) == 2


@pytest.mark.whole
@pytest.mark.parametrize(("backbone", "stages"), [("googlenet_bvlc", 7), ("alexnet_bvlc", 3)])
def test_above_frozen_stages_all_learns_and_a_resumed_run_has_the_same_bits(
    backbone: str, stages: int, tmp_path: Path
) -> None:
    config = config_of(backbone, str(stages), tmp_path, iterations=6)
    augment = replace(config.augment, place=AugmentPlace.cpu)
    config = replace(
        config, augment=augment, trainer=replace(config.trainer, batch_size=2, val_every=2)
    )
    drawn = build_classifier(config.backbone, config.seed).model.state_dict()
    reference, whole = ordinary(config)
    patterns = BACKBONES[backbone].stages[:stages]
    for name, tensor in whole.items():
        is_frozen = any(re.match(pattern, name) for pattern in patterns)
        assert torch.equal(tensor, drawn[name]) == is_frozen, name

    def run(*listeners: Listener) -> TrialResult:
        built = build_classifier(config.backbone, config.seed)
        module = Classifier(built, config.backbone, config.head, config.trainer)
        trial = plan_trial("trial", config, "data")
        checkpointing = Checkpointing(CheckpointFile(tmp_path / "checkpoint.pt"), 0.0)
        (result,) = run_trajectory(module, crops_of(config), [trial], listeners, checkpointing)
        return result

    with pytest.raises(PreemptedError):
        run(_Cut(3))
    kept = Weights()
    resumed = run(kept)
    assert kept.resumed_at == [4], "it stops at the next evaluation"
    assert resumed.curve == reference.curve
    assert all(torch.equal(tensor, whole[name]) for name, tensor in kept.weights.items())


def files(cache: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in (cache / "features").glob("*.npy")}


def test_features_are_computed_once_whatever_the_head(tmp_path: Path) -> None:
    config = config_of("squeezenet", "all", tmp_path, iterations=4)
    first, _ = on_features(config)
    made = files(tmp_path)
    assert len(made) == 1
    other = replace(config, head=HeadConfig(weight_lr=1), trainer=replace(config.trainer, l2=0.1))
    on_features(other)
    again, _ = on_features(config)
    assert files(tmp_path) == made
    np.testing.assert_array_equal(again.predictions.probabilities, first.predictions.probabilities)


@pytest.mark.parametrize(
    "change",
    most_are_whole(
        [
            lambda c: replace(c, augment=replace(c.augment, frozen_copies=2)),
            lambda c: replace(c, augment=replace(c.augment, rotation=10.0)),
            lambda c: replace(c, seed=6),
            lambda c: replace(c, trainer=replace(c.trainer, eval_batch_size=5)),
            lambda c: replace(c, trainer=replace(c.trainer, channels_last=False)),
        ],
        1,
    ),
)
def test_what_changes_features_computes_others(change: object, tmp_path: Path) -> None:
    config = config_of("squeezenet", "all", tmp_path, iterations=2)
    networks = FrozenNetworks()
    on_features(config, networks)
    changed: Config = change(config)  # type: ignore[operator]
    shared, _ = on_features(changed, networks)
    assert len(files(tmp_path)) == 2
    # and the same as in a process that knew nothing
    alone, _ = on_features(changed)
    np.testing.assert_array_equal(shared.predictions.probabilities, alone.predictions.probabilities)


def test_other_images_have_other_features(tmp_path: Path) -> None:
    config = config_of("squeezenet", "all", tmp_path, iterations=2)
    networks = FrozenNetworks()
    on_features(config, networks)
    crops = crops_of(config)
    crops.train.images[0, 0, 0] ^= 1  # type: ignore[attr-defined]
    on_features(config, networks, crops)
    assert len(files(tmp_path)) == 2


def flipped(content: bytes, place: int) -> bytes:
    """With one bit other than it was."""
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "damaged",
    most_are_whole(
        [
            # as a disk does it, or a power cut: the file's size and shape are as they were
            lambda content: flipped(content, len(content) // 2),
            lambda content: content[:-4000] + bytes(4000),
            lambda content: flipped(content, -1),
            lambda content: content[:-4],
            lambda _: b"\x93NUMPY",
            lambda _: b"",
            lambda _: b"nonsense" * 40,
            lambda _: b"PK\x05\x06" + bytes(18),  # an archive of no arrays
        ],
        2,
    ),
)
def test_a_damaged_file_is_computed_again(
    damaged: Callable[[bytes], bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of("squeezenet", "all", tmp_path, iterations=2)
    before, _ = on_features(config)
    (file,) = (tmp_path / "features").glob("*.npy")
    whole = file.read_bytes()
    assert not caplog.records
    file.write_bytes(damaged(whole))
    after, _ = on_features(config)
    assert f"the features in {file} are damaged, and are computed anew" in caplog.text
    assert file.read_bytes() == whole
    np.testing.assert_array_equal(after.predictions.probabilities, before.predictions.probabilities)


def test_every_seed_has_the_head_that_its_whole_network_has(tmp_path: Path) -> None:
    config = config_of("squeezenet", "all", tmp_path)
    network = FrozenNetworks().find(config, 2, refuse)
    assert network is not None
    for seed in (5, 6):
        changed = replace(config, seed=seed)
        whole = build_classifier(config.backbone, seed).model.state_dict()
        for name, tensor in network.upper(changed).model.state_dict().items():
            assert torch.equal(tensor, whole[name])


class Odd(nn.Module):
    """A network whose steps depend on its input, as one of a plug-in may."""

    def __init__(self) -> None:
        super().__init__()
        self.below = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 1000)

    def forward(self, images: Tensor) -> Tensor:
        found = self.below(images)
        if found.sum() > 0:
            found = -found
        logits: Tensor = self.head(found.mean((2, 3)))
        return logits


class Skipping(nn.Module):
    """A network whose frozen stage the image passes by."""

    def __init__(self) -> None:
        super().__init__()
        self.below = nn.Conv2d(3, 1, 3, padding=1)
        self.between = nn.Conv2d(1, 1, 3, padding=1)
        self.head = nn.Linear(4, 1000)

    def forward(self, images: Tensor) -> Tensor:
        found = torch.cat((self.between(self.below(images)), images), 1)
        logits: Tensor = self.head(found.mean((2, 3)))
        return logits


class Dropping(nn.Module):
    """A network that drops by a function, which belongs to no stage."""

    def __init__(self) -> None:
        super().__init__()
        self.below = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 1000)

    def forward(self, images: Tensor) -> Tensor:
        found = F.dropout(self.below(images), training=self.training)
        logits: Tensor = self.head(found.mean((2, 3)))
        return logits


class Plain(nn.Module):
    """One layer and a head, between them what others make of `between`."""

    def __init__(self) -> None:
        super().__init__()
        self.below = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 1000)

    def between(self, found: Tensor) -> Tensor:
        return found

    def forward(self, images: Tensor) -> Tensor:
        found = F.relu(self.below(images)).mean((2, 3))
        logits: Tensor = self.head(self.between(found))
        return logits


class Tossing(Plain):
    """Draws by Python while it trains: torch.fx would keep the first toss."""

    def between(self, found: Tensor) -> Tensor:
        return found * 0.5 if self.training and random.random() < 0.5 else found


class Counting(Plain):
    steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(()))

    def between(self, found: Tensor) -> Tensor:
        self.steps += 1
        return found * self.steps


class Centring(Plain):
    """Keeps a running mean, as some networks do in training alone."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones(4))

    def between(self, found: Tensor) -> Tensor:
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * found.detach().mean(0))
        return found - self.mean


class Shifting(Centring):
    def between(self, found: Tensor) -> Tensor:
        self.mean.add_(0.1 * found.detach().mean(0))
        return found - self.mean


class Late(Plain):
    """Has a buffer from its first step on."""

    mean: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", None)

    def between(self, found: Tensor) -> Tensor:
        if self.training:
            self.mean = found.detach().mean(0)
        return found


class Doubled(Plain):
    """Saves other numbers than it has."""

    def __init__(self) -> None:
        super().__init__()
        self._register_state_dict_hook(
            lambda _, state, *__: {name: value * 2 for name, value in state.items()}
        )


class ByFunction(Plain):
    def forward(self, images: Tensor) -> Tensor:
        found = F.relu(self.below(images)).mean((2, 3))
        return F.linear(found, self.head.weight, self.head.bias)


class Leaky(Plain):
    """Two networks of this have one text, and differ by a number of a layer."""

    slope = 0.01

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.LeakyReLU(self.slope)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.act(self.below(images)).mean((2, 3)))
        return logits


class Leakier(Leaky):
    slope = 0.5


class Randomised(Leaky):
    """Has a layer of no stage that draws in training."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.RReLU()


class OwnHead(nn.Module):
    """A head of a package's own, called by keyword."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.last = nn.Linear(4, classes, bias=False)

    def forward(self, *, found: Tensor) -> Tensor:
        logits: Tensor = self.last(self.norm(found))
        return logits


class Keyed(Plain):
    def forward(self, images: Tensor) -> Tensor:
        found = F.relu(self.below(images)).mean((2, 3))
        logits: Tensor = self.head(found=found) if isinstance(self.head, OwnHead) else found
        return logits


def own_head(model: nn.Module, classes: int) -> nn.Module:
    model.head = OwnHead(classes)
    return model.head


def unbiased(model: nn.Module, classes: int) -> nn.Module:
    model.head = nn.Linear(4, classes, bias=False)
    return model.head


class Scaling(nn.Module):
    """A network with numbers of its own: `shift` is frozen with `below`, `scale` learns."""

    def __init__(self) -> None:
        super().__init__()
        self.below = nn.Conv2d(3, 4, 3)
        self.shift = nn.Parameter(torch.rand(4, 1, 1))
        self.scale = nn.Parameter(1 + torch.rand(4, 1, 1))
        self.head = nn.Linear(4, 1000)

    def forward(self, images: Tensor) -> Tensor:
        found = F.relu(self.below(images) + self.shift) * self.scale
        logits: Tensor = self.head(found.mean((2, 3)))
        return logits


def new_head(model: nn.Module, classes: int) -> nn.Module:
    model.head = nn.Linear(4, classes)
    return model.head


def enter(
    monkeypatch: pytest.MonkeyPatch,
    network: Callable[[], nn.Module],
    *stages: str,
    head: Callable[[nn.Module, int], nn.Module] = new_head,
) -> None:
    """Make a network the backbone `theirs`, as a package does."""
    contract = InputContract(32, 8, (127.0,) * 3, (60.0,) * 3)
    entry = Backbone("theirs", network, head, contract, (*stages, r"head\."))
    monkeypatch.setitem(BACKBONES, "theirs", entry)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("network", "stages", "freeze", "why"),
    [
        (Odd, (r"below\.",), "all", "torch.fx cannot read it"),
        (Skipping, (r"below\.", r"between\."), "1", "what is frozen does not end in one map"),
        (Dropping, (r"below\.",), "all", "its steps ask whether it is training"),
        (Tossing, (r"below\.",), "all", "its steps draw numbers"),
        (Counting, (r"below\.",), "all", "its steps change its buffers"),
        (Centring, (r"below\.",), "1", "its steps change its buffers"),
        (Shifting, (r"below\.",), "1", "its steps change its mean"),
        (Late, (r"below\.",), "1", "its steps change its buffers"),
        (Doubled, (r"below\.",), "all", "its Doubled changes what its state_dict holds"),
        (ByFunction, (r"below\.",), "all", "its head is not called as a layer"),
    ],
)
def test_a_network_that_cannot_be_cut_is_trained_whole_and_that_is_said(
    network: type[nn.Module],
    stages: tuple[str, ...],
    freeze: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter(monkeypatch, network, *stages)
    networks, notes = FrozenNetworks(), list[str]()
    config = config_of("theirs", freeze, tmp_path, iterations=3)
    config = replace(config, augment=AugmentConfig(enabled=False))
    for _ in range(2):  # of each trial
        assert networks.find(config, 2, notes.append) is None
    assert len(notes) == 2
    assert f"backbone.freeze={freeze}" in notes[0]
    assert f"theirs: {why}" in notes[0]
    assert [point.iteration for point in ordinary(config)[0].curve] == [1, 3]


def test_numbers_of_the_network_itself_are_frozen_or_learn_by_their_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    start = Scaling().state_dict()
    torch.save(start, tmp_path / "w.pth")
    enter(monkeypatch, Scaling, r"(below\.|shift)", r"scale")
    config = config_of("theirs", "1", tmp_path)
    config = replace(
        config,
        augment=AugmentConfig(enabled=False),
        backbone=replace(config.backbone, weights=str(tmp_path / "w.pth")),
    )
    _, whole = ordinary(config)
    assert torch.equal(whole["shift"], start["shift"])
    assert not torch.allclose(whole["scale"], start["scale"], rtol=1e-3)
    _, upper = on_features(config)
    assert list(upper) == list(whole), "as it is recorded, so that it can be used"
    for name, tensor in upper.items():
        torch.testing.assert_close(tensor, whole[name], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("network", "head"),
    [(Leaky, new_head), (Randomised, new_head), (Keyed, own_head), (Plain, unbiased)],
)
@pytest.mark.parametrize("freeze", most_are_whole(["all", "1"], 1))
def test_networks_of_packages_learn_what_they_learn_whole(
    network: type[nn.Module],
    head: Callable[[nn.Module, int], nn.Module],
    freeze: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter(monkeypatch, network, r"below\.", head=head)
    config = config_of("theirs", freeze, tmp_path)
    config = replace(config, augment=AugmentConfig(enabled=False))
    reference, whole = ordinary(config)
    result, found = on_features(config)
    for point, other in zip(result.curve, reference.curve, strict=True):
        assert point.val_loss == pytest.approx(other.val_loss, abs=1e-5)
    assert set(found) == {name for name in whole if freeze == "1" or name.startswith("head.")}
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, whole[name], atol=1e-5, rtol=0)
    # as predictions, heat maps and exports read it
    torch.save(dict(found), tmp_path / "network.pth")
    built = load_trained(tmp_path / "network.pth", config.backbone, 2, config.seed)
    for name, tensor in built.model.state_dict().items():
        torch.testing.assert_close(tensor, whole[name], atol=1e-5, rtol=0)


def test_what_learnt_above_frozen_stages_alone_is_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As earlier versions recorded it."""
    enter(monkeypatch, Scaling, r"(below\.|shift)", r"scale")
    config = config_of("theirs", "1", tmp_path)
    torch.save(Scaling().state_dict(), tmp_path / "w.pth")
    config = replace(
        config,
        augment=AugmentConfig(enabled=False),
        backbone=replace(config.backbone, weights=str(tmp_path / "w.pth")),
    )
    _, found = on_features(config)
    above = {name: found[name] for name in ("scale", "head.weight", "head.bias")}
    torch.save(above, tmp_path / "network.pth")
    built = load_trained(tmp_path / "network.pth", config.backbone, 2, config.seed)
    for name, tensor in built.model.state_dict().items():
        assert torch.equal(tensor, found[name]), name


def test_features_are_those_of_the_layers_as_they_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = []
    for network in (Leaky, Leakier):
        enter(monkeypatch, network, r"below\.")
        config = config_of("theirs", "all", tmp_path, iterations=3)
        config = replace(config, augment=AugmentConfig(enabled=False))
        losses.append(on_features(config)[0].curve[0].val_loss)
        assert losses[-1] == pytest.approx(ordinary(config)[0].curve[0].val_loss, abs=1e-5)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("damage", most_are_whole(["header", "exchanged"], 1))
def test_features_that_are_not_those_asked_for_are_computed_anew(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = config_of("squeezenet", "all", tmp_path, iterations=3)
    two = replace(one, augment=AugmentConfig(frozen_copies=3, noise=0))
    before = [on_features(config)[0].curve for config in (one, two)]
    first, second = sorted((tmp_path / "features").glob("*.npy"))
    if damage == "header":
        content = bytearray(first.read_bytes())
        content[60] ^= 16
        first.write_bytes(content)
    else:
        kept = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(kept)
    assert [on_features(config)[0].curve for config in (one, two)] == before
    assert "are damaged, and are computed anew" in caplog.text


def test_features_that_would_be_too_many_are_not_kept_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcalc.training.frozen.MOST_BYTES", 1000)
    config, notes = config_of("squeezenet", "all", tmp_path), list[str]()
    network = FrozenNetworks().find(config, 2, refuse)
    assert network is not None
    crops = crops_of(config)
    assert network.features(config, crops, Placement(), lambda *_: None, notes.append) is None
    assert "the features would take" in notes[0]
    assert not files(tmp_path)
