"""One run and the trials on it: MATLAB's schedule, exact sharing, what is reported."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from tiny_training import (
    SETTINGS,
    Keeper,
    PowerCut,
    PowerCutError,
    built,
    crop_data,
    images,
    patience_of,
    train,
    trial,
)
from torch import Tensor, nn

from mcalc.config import (
    Accelerator,
    AugmentConfig,
    AugmentPlace,
    BackboneConfig,
    HeadConfig,
    Network,
    Precision,
    Shuffle,
)
from mcalc.config.trial import PlannedTrial, plan_trial
from mcalc.errors import UserError
from mcalc.models.classifier import Classifier
from mcalc.results import CurvePoint, TrialResult
from mcalc.training.checkpoint import CheckpointFile
from mcalc.training.device import resolve_precision, uses_gpu
from mcalc.training.listener import Listener
from mcalc.training.trajectory import run_trajectory
from mcalc.training.validation import Checkpointing, DivergedError

PLACES = (AugmentPlace.cpu, AugmentPlace.device)


def test_validation_is_after_the_first_every_nth_and_the_last_iteration() -> None:
    (result,), _ = train([None], replace(SETTINGS, max_iterations=8))
    assert [point.iteration for point in result.curve] == [1, 3, 6, 8]
    assert result.stop_reason == "max_iterations"
    # 28 images in batches of 4 are 7 iterations an epoch
    (result,), _ = train([None], replace(SETTINGS, max_epochs=2))
    assert [point.iteration for point in result.curve] == [1, 3, 6, 9, 12, 14]
    assert result.stop_reason == "max_epochs"
    assert result.curve[-1].epoch == pytest.approx(2)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("network", list(Network))
def test_a_shared_trial_equals_the_same_trial_alone_to_the_last_bit(
    network: Network, place: AugmentPlace
) -> None:
    shared, shared_weights = train([1, 2, 4, None], network=network, place=place)
    assert len({result.iterations for result in shared}) >= 3, "they stop at different places"
    for result in shared:
        (alone,), alone_weights = train([patience_of(result)], network=network, place=place)
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


@pytest.mark.parametrize("place", PLACES)
def test_workers_that_augment_ahead_change_nothing(place: AugmentPlace) -> None:
    settings = replace(SETTINGS, max_iterations=9)
    (alone,), _ = train([None], settings, place=place)
    (helped,), _ = train([None], replace(settings, workers=2), place=place)
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
    path: Path,
    cut_at: int,
    patience: list[int | None],
    network: Network,
    place: AugmentPlace = AugmentPlace.cpu,
) -> tuple[list[TrialResult], dict[str, dict[str, Tensor]], list[int]]:
    """Stop without warning at an evaluation, then run the same again from the checkpoint."""
    checkpointing = Checkpointing(CheckpointFile(path), minutes=1e-9)
    cut = PowerCut(cut_at)
    with pytest.raises(PowerCutError):
        train(patience, SETTINGS, network, checkpointing, listener=cut, place=place)
    assert path.is_file()
    keeper = Keeper()
    results, weights = train(patience, SETTINGS, network, checkpointing, keeper, place)
    return results, weights, keeper.resumed_at


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("network", list(Network))
@pytest.mark.parametrize("cut_at", [6, 14, 33])
def test_a_run_cut_off_goes_on_to_the_same_numbers(
    tmp_path: Path, cut_at: int, network: Network, place: AugmentPlace
) -> None:
    (whole,), whole_weights = train([None], network=network, place=place)
    (result,), weights, resumed = cut_and_resume(tmp_path / "c.pth", cut_at, [None], network, place)
    # checkpoints stand after every iteration here; the one under way is lost
    assert resumed == [math.ceil(cut_at / SETTINGS.val_every) * SETTINGS.val_every - 1]
    assert result.curve == whole.curve
    assert result.reported_iteration == whole.reported_iteration
    np.testing.assert_array_equal(result.predictions.probabilities, whole.predictions.probabilities)
    for name, value in weights["None"].items():
        assert torch.equal(value, whole_weights["None"][name]), name


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
        assert result.validation is not None
        assert result.validation.ids == tuple(f"lesion {i}" for i in range(24, 32))
        # the network given back, applied by hand
        fresh = built()
        fresh.model.load_state_dict(keeper.weights["None"])
        by_hand = Classifier(fresh, BackboneConfig(), HeadConfig(), SETTINGS).eval()
        with torch.no_grad():
            logits = by_hand(torch.from_numpy(pixels[32:])[:, None]).double()
        np.testing.assert_allclose(
            result.predictions.probabilities, torch.softmax(logits, 1)[:, 1].numpy(), atol=1e-6
        )


def test_the_best_networks_scoring_leaves_the_next_trial_its_own_weights() -> None:
    pixels, labels = images()
    apart = (range(24), range(24, 32), range(32, 40))

    def run(patience: list[int | None]) -> dict[str, TrialResult]:
        data = crop_data(pixels, labels, SETTINGS, apart)
        module = Classifier(built(), BackboneConfig(), HeadConfig(weight_lr=5, bias_lr=5), SETTINGS)
        trials = [trial(each, network=Network.best) for each in patience]
        return {result.name: result for result in run_trajectory(module, data, trials)}

    shared, alone = run([1, 2, None]), run([None])
    assert shared["1"].reported_iteration < shared["1"].iterations < shared["None"].iterations
    assert shared["None"].curve == alone["None"].curve
    np.testing.assert_array_equal(
        shared["None"].predictions.probabilities, alone["None"].predictions.probabilities
    )


def test_validation_sees_the_images_as_they_are() -> None:
    pixels, labels = images()
    strong = AugmentConfig(rotation=90, noise=0.5, brightness=0.5, contrast=0.5)
    data = crop_data(pixels, labels, SETTINGS, augment=strong)
    module = Classifier(built(), BackboneConfig(), HeadConfig(), SETTINGS)
    keeper = Keeper()
    (result,) = run_trajectory(module, data, [trial(None)], [keeper])
    fresh = built()
    fresh.model.load_state_dict(keeper.weights["None"])
    by_hand = Classifier(fresh, BackboneConfig(), HeadConfig(), SETTINGS).eval()
    with torch.no_grad():
        logits = by_hand(torch.from_numpy(pixels[28:])[:, None]).double()
    loss = nn.functional.cross_entropy(logits, torch.tensor(labels[28:])).item()
    assert result.curve[-1].val_loss == pytest.approx(loss, rel=1e-6)


def test_of_three_classes_the_malignant_one_is_reported() -> None:
    pixels, labels = images()
    labels = [2 if i % 7 == 3 and not label else label for i, label in enumerate(labels)]
    assert set(labels[28:]) == {0, 1, 2}
    data = crop_data(pixels, labels, SETTINGS)
    module = Classifier(built(3), BackboneConfig(), HeadConfig(weight_lr=5, bias_lr=5), SETTINGS)
    keeper = Keeper()
    (result,) = run_trajectory(module, data, [trial(None)], [keeper])
    assert result.predictions.labels.tolist() == [int(label == 1) for label in labels[28:]]
    fresh = built(3)
    fresh.model.load_state_dict(keeper.weights["None"])
    by_hand = Classifier(fresh, BackboneConfig(), HeadConfig(), SETTINGS).eval()
    with torch.no_grad():
        logits = by_hand(torch.from_numpy(pixels[28:])[:, None]).double()
    np.testing.assert_allclose(
        result.predictions.probabilities, torch.softmax(logits, 1)[:, 1].numpy(), atol=1e-6
    )


def test_iterations_end_with_the_epochs_where_those_are_fewer() -> None:
    # 28 images in batches of 4 are 7 iterations an epoch
    (result,), _ = train([None], replace(SETTINGS, max_epochs=2, max_iterations=50))
    assert (result.iterations, result.stop_reason) == (14, "max_epochs")
    assert [point.iteration for point in result.curve] == [1, 3, 6, 9, 12, 14]


def test_the_seed_of_the_trial_is_that_of_dropout() -> None:
    def curve(seed: int) -> tuple[CurvePoint, ...]:
        pixels, labels = images()
        settings = replace(SETTINGS, max_iterations=6)
        data = crop_data(pixels, labels, settings)
        module = Classifier(built(), BackboneConfig(), HeadConfig(), settings)
        config = replace(trial(None, settings).config, seed=seed)
        (result,) = run_trajectory(module, data, [plan_trial("x", config, "fingerprint")])
        return result.curve

    # order, augmentation and weights are the same here: only dropout can differ
    assert curve(1) == curve(1)
    assert curve(1) != curve(2)


SHELLS = {
    "Trainer variables": {
        "PL_TRAINER_GRADIENT_CLIP_VAL": "1e-6",
        "PL_TRAINER_ACCUMULATE_GRAD_BATCHES": "3",
        "PL_TRAINER_LIMIT_TRAIN_BATCHES": "2",
        "PL_TRAINER_FAST_DEV_RUN": "1",
    },
    "third of four of a Slurm step": {
        "SLURM_NTASKS": "4", "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "sweep", "SLURM_PROCID": "2",
        "SLURM_LOCALID": "2", "SLURM_NODEID": "0", "SLURM_NNODES": "1", "SLURM_NODELIST": "here",
    },
    "second of two of torchrun": {
        "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1",
        "TORCHELASTIC_RUN_ID": "x",
    },
}  # fmt: skip


@pytest.mark.parametrize("shell", SHELLS)
def test_what_the_shell_says_to_lightning_changes_no_number(
    shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, workers=1)
    alone, weights = train([2, None], settings)
    for name, value in SHELLS[shell].items():
        monkeypatch.setenv(name, value)
    keeper = Keeper()
    told, told_weights = train([2, None], settings, listener=keeper)
    assert [result.curve for result in told] == [result.curve for result in alone]
    for name, tensors in weights.items():
        assert all(torch.equal(value, told_weights[name][key]) for key, value in tensors.items())
    ignored = [name for name in SHELLS[shell] if name.startswith("PL_TRAINER_")]
    assert len(keeper.notes) == bool(ignored)
    assert all(name in keeper.notes[0] for name in ignored)
    assert all(os.environ[name] == value for name, value in SHELLS[shell].items())


def test_what_the_shell_says_to_the_arithmetic_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "")
    keeper = Keeper()
    train([1], replace(SETTINGS, max_iterations=1), listener=keeper)
    assert keeper.notes == [
        "ATEN_CPU_CAPABILITY=default, ONEDNN_MAX_CPU_ISA=SSE41 of the environment: numbers are "
        "those of another processor"
    ]


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
    for place in PLACES:
        (result,), _ = train([None], replace(SETTINGS, accelerator=Accelerator.gpu), place=place)
        assert result.curve[-1].train_loss < result.curve[0].train_loss
