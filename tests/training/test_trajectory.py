"""One run and the trials on it: MATLAB's schedule, exact sharing, what is reported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from mcalc.config import (
    Accelerator,
    AugmentConfig,
    BackboneConfig,
    Config,
    HeadConfig,
    Network,
    Precision,
    ProtocolName,
    Shuffle,
    StoppingConfig,
    TrainerConfig,
)
from mcalc.config.trial import PlannedTrial, plan_trial
from mcalc.data.loading.datamodule import CropData
from mcalc.data.splits.protocols import Split
from mcalc.data.splits.samples import Sample
from mcalc.errors import UserError
from mcalc.models.backbones import BACKBONES, Built
from mcalc.models.classifier import Classifier
from mcalc.results import CurvePoint, TrialResult
from mcalc.training.checkpoint import Checkpoint, CheckpointFile
from mcalc.training.device import resolve_precision, uses_gpu
from mcalc.training.listener import Listener
from mcalc.training.trajectory import run_trajectory
from mcalc.training.validation import Checkpointing, DivergedError

SIZE = 16
SETTINGS = TrainerConfig(
    lr=0.02, batch_size=4, max_epochs=5, val_every=3, threads=1, accelerator=Accelerator.cpu
)


def images(n: int = 40) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """Noise, brighter where malignant: learnable, not trivially."""
    draw = np.random.default_rng(0)
    labels = [int(i % 5 < 2) for i in range(n)]
    pixels = draw.normal(110, 40, (n, SIZE, SIZE)) + 12 * np.array(labels)[:, None, None]
    return pixels.clip(0, 255).astype(np.uint8), labels


class Small(nn.Module):
    """Convolution, normalisation and dropout: state, running statistics and randomness."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(2)
        )
        self.drop = nn.Dropout(0.3)
        self.fc = nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.drop(self.features(x).flatten(1)))
        return out


def built(seed: int = 0) -> Built:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Small()
    return Built(
        model=model,
        head=model.fc,
        contract=replace(BACKBONES["alexnet"].contract, size=SIZE),
        stages=(r"(features|drop)\.", r"fc\."),
        weights_origin="random",
        warnings=(),
    )


def crop_data(
    pixels: npt.NDArray[np.uint8],
    labels: list[int],
    settings: TrainerConfig,
    sides: tuple[range, range, range] = (range(28), range(28, 40), range(28, 40)),
    augment: AugmentConfig | None = None,
) -> CropData:
    samples = [
        Sample(f"lesion {i}", i, label, f"patient {i}", f"lesion {i}")
        for i, label in enumerate(labels)
    ]
    split = Split(ProtocolName.patient, 0, *map(tuple, sides), 0, "fingerprint")
    return CropData(pixels, samples, split, augment or AugmentConfig(), settings, seed=3)


def trial(
    patience: int | None,
    settings: TrainerConfig = SETTINGS,
    network: Network = Network.last,
) -> PlannedTrial:
    """A trial named by its patience."""
    config = Config(seed=3, trainer=settings, stopping=StoppingConfig(patience, network))
    return plan_trial(str(patience), config, "fingerprint")


def patience_of(result: TrialResult) -> int | None:
    return None if result.name == "None" else int(result.name)


class Keeper(Listener):
    """Keeps each trial's weights, and what is noted."""

    def __init__(self) -> None:
        self.weights: dict[str, dict[str, Tensor]] = {}
        self.notes: list[str] = []
        self.resumed_at: list[int] = []

    def finished(self, result: TrialResult, weights: Mapping[str, Tensor]) -> None:
        self.weights[result.name] = {name: value.clone() for name, value in weights.items()}

    def noted(self, text: str) -> None:
        self.notes.append(text)

    def resumed(self, checkpoint: Checkpoint) -> None:
        self.resumed_at.append(checkpoint.iteration)


class PowerCutError(Exception):
    pass


class PowerCut(Listener):
    """Ends the run without warning at an evaluation."""

    def __init__(self, at: int) -> None:
        self.at = at

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        if point.iteration >= self.at:
            raise PowerCutError


def train(
    patience: list[int | None],
    settings: TrainerConfig = SETTINGS,
    network: Network = Network.last,
    checkpointing: Checkpointing | None = None,
    listener: Listener | None = None,
) -> tuple[list[TrialResult], dict[str, dict[str, Tensor]]]:
    pixels, labels = images()
    data = crop_data(pixels, labels, settings)
    module = Classifier(built(), BackboneConfig(), HeadConfig(weight_lr=5, bias_lr=5), settings)
    keeper = Keeper()
    results = run_trajectory(
        module,
        data,
        [trial(p, settings, network) for p in patience],
        [keeper, *([listener] if listener else [])],
        checkpointing,
    )
    return results, keeper.weights


def test_validation_is_after_the_first_every_nth_and_the_last_iteration() -> None:
    (result,), _ = train([None], replace(SETTINGS, max_iterations=8))
    assert [point.iteration for point in result.curve] == [1, 3, 6, 8]
    assert result.stop_reason == "max_iterations"
    # 28 images in batches of 4 are 7 iterations an epoch
    (result,), _ = train([None], replace(SETTINGS, max_epochs=2))
    assert [point.iteration for point in result.curve] == [1, 3, 6, 9, 12, 14]
    assert result.stop_reason == "max_epochs"
    assert result.curve[-1].epoch == pytest.approx(2)


@pytest.mark.parametrize("network", list(Network))
def test_a_shared_trial_equals_the_same_trial_alone_to_the_last_bit(network: Network) -> None:
    shared, shared_weights = train([1, 2, 4, None], network=network)
    assert len({result.iterations for result in shared}) >= 3, "they stop at different places"
    for result in shared:
        (alone,), alone_weights = train([patience_of(result)], network=network)
        assert alone.iterations == result.iterations
        assert alone.stop_reason == result.stop_reason
        assert alone.reported_iteration == result.reported_iteration
        assert alone.curve == result.curve
        np.testing.assert_array_equal(
            alone.predictions.probabilities, result.predictions.probabilities
        )
        for name, value in alone_weights[alone.name].items():
            assert torch.equal(value, shared_weights[result.name][name]), name


def test_patience_ends_a_trial_where_the_losses_say() -> None:
    results, _ = train([1, 2, 4, None])
    losses = [point.val_loss for point in max(results, key=lambda r: r.iterations).curve]
    for result in results:
        if result.stop_reason != "patience":
            continue
        best, count, stop = math.inf, 0, None
        for evaluation, loss in enumerate(losses):
            best, count = (loss, 0) if loss < best else (best, count + 1)
            if count == patience_of(result):
                stop = evaluation
                break
        assert stop is not None
        assert len(result.curve) == stop + 1


def test_best_reports_the_evaluation_of_lowest_loss_and_last_the_last() -> None:
    (last,), _ = train([None])
    (best,), _ = train([None], network=Network.best)
    assert best.curve == last.curve
    assert last.reported_iteration == last.iterations
    lowest = min(best.curve, key=lambda point: point.val_loss)
    assert best.reported_iteration == lowest.iteration != last.iterations
    truth = best.predictions.labels
    chosen = np.where(
        truth == 1, best.predictions.probabilities, 1 - best.predictions.probabilities
    )
    assert -np.log(chosen).mean() == pytest.approx(lowest.val_loss, rel=1e-6)


def test_workers_that_augment_ahead_change_nothing() -> None:
    settings = replace(SETTINGS, max_iterations=9)
    (alone,), _ = train([None], settings)
    (helped,), _ = train([None], replace(settings, workers=2))
    assert alone.curve == helped.curve


def test_evaluating_more_often_does_not_change_the_training() -> None:
    settings = replace(SETTINGS, max_iterations=9)
    (often,), often_weights = train([None], replace(settings, val_every=1))
    (seldom,), seldom_weights = train([None], settings)
    assert len(often.curve) > len(seldom.curve)
    assert often.curve[-1].val_loss == seldom.curve[-1].val_loss
    for name, value in often_weights["None"].items():
        assert torch.equal(value, seldom_weights["None"][name]), name


def cut_and_resume(
    path: Path, cut_at: int, patience: list[int | None], network: Network
) -> tuple[list[TrialResult], dict[str, dict[str, Tensor]], list[int]]:
    """Stop without warning at an evaluation, then run the same again from the checkpoint."""
    checkpointing = Checkpointing(CheckpointFile(path), minutes=1e-9)
    with pytest.raises(PowerCutError):
        train(patience, network=network, checkpointing=checkpointing, listener=PowerCut(cut_at))
    assert path.is_file()
    keeper = Keeper()
    results, weights = train(
        patience, network=network, checkpointing=checkpointing, listener=keeper
    )
    return results, weights, keeper.resumed_at


@pytest.mark.parametrize("network", list(Network))
@pytest.mark.parametrize("cut_at", [6, 14, 33])
def test_a_run_cut_off_goes_on_to_the_same_numbers(
    tmp_path: Path, cut_at: int, network: Network
) -> None:
    (whole,), whole_weights = train([None], network=network)
    (result,), weights, resumed = cut_and_resume(tmp_path / "c.pth", cut_at, [None], network)
    # checkpoints stand after every iteration here; the one under way is lost
    assert resumed == [math.ceil(cut_at / SETTINGS.val_every) * SETTINGS.val_every - 1]
    assert result.curve == whole.curve
    assert result.reported_iteration == whole.reported_iteration
    np.testing.assert_array_equal(result.predictions.probabilities, whole.predictions.probabilities)
    for name, value in weights["None"].items():
        assert torch.equal(value, whole_weights["None"][name]), name
    assert not (tmp_path / "c.pth").exists(), "a run that ended needs no checkpoint"


def test_a_checkpoint_past_the_end_of_a_trial_is_not_used(tmp_path: Path) -> None:
    (alone,), _ = train([1])
    assert alone.stop_reason == "patience"
    path = tmp_path / "c.pth"
    checkpointing = Checkpointing(CheckpointFile(path), minutes=1e-9)
    with pytest.raises(PowerCutError):
        train([None], checkpointing=checkpointing, listener=PowerCut(alone.iterations + 1))
    keeper = Keeper()
    (again,), _ = train([1], checkpointing=checkpointing, listener=keeper)
    assert again.curve == alone.curve
    assert "ends before it" in keeper.notes[0]


def test_a_damaged_checkpoint_is_said_and_not_used(tmp_path: Path) -> None:
    path = tmp_path / "c.pth"
    path.write_bytes(b"PK\x03\x04 half of a file")
    keeper = Keeper()
    settings = replace(SETTINGS, max_iterations=4)
    (result,), _ = train(
        [None],
        settings,
        checkpointing=Checkpointing(CheckpointFile(path), minutes=5),
        listener=keeper,
    )
    assert result.iterations == 4
    assert "is not used" in keeper.notes[0]


def test_a_checkpoint_that_cannot_be_written_is_said_and_training_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where a folder is needed")
    keeper = Keeper()
    (result,), _ = train(
        [None],
        replace(SETTINGS, max_iterations=4),
        checkpointing=Checkpointing(CheckpointFile(tmp_path / "file" / "c.pth"), minutes=1e-9),
        listener=keeper,
    )
    assert result.iterations == 4
    assert "no checkpoint at iteration 1" in keeper.notes[0]


def test_a_pruned_trial_ends_and_the_others_are_as_without_it() -> None:
    class Pruner(Listener):
        ended: ClassVar[list[tuple[str, int]]] = []

        def prunes(self, trial: PlannedTrial, evaluation: int, point: CurvePoint) -> bool:
            assert evaluation == {1: 1, 3: 2, 6: 3}.get(point.iteration, evaluation)
            return trial.name == "4" and point.iteration == 6

        def pruned(self, trial: PlannedTrial, curve: Sequence[CurvePoint], seconds: float) -> None:
            self.ended.append((trial.name, curve[-1].iteration))

    results, _ = train([4, None], listener=Pruner())
    assert Pruner.ended == [("4", 6)]
    (alone,), _ = train([None])
    assert [result.curve for result in results] == [alone.curve]


def test_what_is_reported_apart_is_scored_by_the_reported_network_alone() -> None:
    pixels, labels = images()
    apart = (range(24), range(24, 32), range(32, 40))
    for network in Network:
        data = crop_data(pixels, labels, SETTINGS, apart)
        module = Classifier(built(), BackboneConfig(), HeadConfig(weight_lr=5, bias_lr=5), SETTINGS)
        keeper = Keeper()
        (result,) = run_trajectory(module, data, [trial(None, network=network)], [keeper])
        assert result.predictions.ids == tuple(f"lesion {i}" for i in range(32, 40))
        # the network given back, applied by hand
        fresh = built()
        fresh.model.load_state_dict(keeper.weights["None"])
        by_hand = Classifier(fresh, BackboneConfig(), HeadConfig(), SETTINGS).eval()
        with torch.no_grad():
            logits = by_hand(torch.from_numpy(pixels[32:])[:, None]).double()
        np.testing.assert_allclose(
            result.predictions.probabilities, torch.softmax(logits, 1)[:, 1].numpy(), atol=1e-6
        )


def test_a_loss_that_is_no_number_is_a_sentence_with_the_remedy() -> None:
    with pytest.raises(
        DivergedError, match=r"at iteration \d+ the loss is no longer a number.*trainer.lr"
    ):
        train([None], replace(SETTINGS, lr=1e30))


def test_training_statistics_are_those_of_the_mini_batches_seen() -> None:
    # rate 0 and no dropout: each mini-batch is scored by the same network
    settings = replace(SETTINGS, lr=1e-12, max_iterations=7, val_every=7, shuffle=Shuffle.never)
    pixels, labels = images()
    plain = replace(AugmentConfig(), enabled=False)
    data = crop_data(pixels, labels, settings, augment=plain)
    one = built()
    module = Classifier(one, BackboneConfig(), HeadConfig(), settings)
    module.model.drop.p = 0.0  # type: ignore[union-attr, assignment]
    module.model.features[1].momentum = 0.0  # type: ignore[union-attr, index]
    (result,) = run_trajectory(module, data, [trial(None, settings)])
    grey = torch.from_numpy(pixels[4:28]).float()[:, None]
    contract = one.contract
    channels = (grey - torch.tensor(contract.mean).view(1, 3, 1, 1)) / torch.tensor(
        contract.std
    ).view(1, 3, 1, 1)
    one.model.train()
    losses = [
        nn.functional.cross_entropy(one.model(x), torch.tensor(y)).item()
        for x, y in zip(
            channels.split(4), [labels[i : i + 4] for i in range(4, 28, 4)], strict=True
        )
    ]
    # the first iteration has a point of its own; the last covers iterations 2 to 7
    assert result.curve[-1].train_loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_asking_for_a_gpu_that_is_not_there_is_said() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="accelerator=gpu"):
        uses_gpu(replace(SETTINGS, accelerator=Accelerator.gpu))


def test_auto_precision_is_resolved_and_a_named_one_kept() -> None:
    assert resolve_precision(replace(SETTINGS, precision=Precision.fp32)) is Precision.fp32
    assert resolve_precision(replace(SETTINGS, precision=Precision.auto)) is not Precision.auto


@pytest.mark.gpu
def test_trains_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    (result,), _ = train([None], replace(SETTINGS, accelerator=Accelerator.gpu))
    assert result.curve[-1].train_loss < result.curve[0].train_loss
