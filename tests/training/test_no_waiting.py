"""Between evaluations the host reads nothing of a device: reading would stall a GPU.

The training loops run on PyTorch's `meta` device, whose tensors have no content: whatever reads one
raises. Passes on CUDA are computed without one by PyTorch's fake tensors, which refuse operations
between two devices.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from parameters import most_are_whole
from pytorch_lightning.loops import fit_loop
from tiny_training import SETTINGS, built, crop_data, images, train
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from mcalc.config import (
    Accelerator,
    AugmentConfig,
    AugmentPlace,
    BackboneConfig,
    HeadConfig,
    PlannedTrial,
    Precision,
    TrainerConfig,
)
from mcalc.data.loading import CropData, Crops, Features, on_device
from mcalc.data.loading.augment import Augment
from mcalc.data.loading.augment_batch import Changes
from mcalc.data.splits import Sample
from mcalc.models.backbones import BACKBONES, build_classifier
from mcalc.models.classifier import Classifier, UpperClassifier
from mcalc.results import CurvePoint
from mcalc.training.device import Placement, Setup
from mcalc.training.lightning import LightningLoop, make_trainer, one_process
from mcalc.training.listener import Listener
from mcalc.training.upper_loop import UpperLoop, linear_head
from mcalc.training.validation import Loop, ValidationSchedule

STEPS = 9


@pytest.fixture
def meta(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """The device, where what PyTorch and Lightning do not have for it is left out."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    # reads the loader's length from the device, once before the first step
    monkeypatch.setattr(fit_loop, "has_len_all_ranks", lambda *_: True)
    return torch.device("meta")


class OnMeta:
    """In the place of the schedule, whose evaluations read what they compute."""

    def __init__(self, at_step: Callable[[Loop], object] = lambda _: None) -> None:
        self.at_step = at_step
        self.steps = 0
        self.kept: list[torch.device] = []

    def begin(self, loop: Loop) -> None:
        """Nothing was kept."""

    def iterated(self, loop: Loop) -> None:
        self.steps += 1
        self.at_step(loop)

    def end(self, loop: Loop) -> None:
        tally, _ = loop.module.training_tally()
        self.kept = [tally.device] * len(tally)


def module_of(settings: TrainerConfig = SETTINGS) -> Classifier:
    return Classifier(built(), BackboneConfig(), HeadConfig(), settings)


def crops_on(device: torch.device, most_bytes: int | None = None) -> CropData:
    data = crop_data(*images(), SETTINGS)
    subsets = [data.train, data.validation, data.reported]
    crops = [each for each in subsets if isinstance(each, Crops)]
    return data.replaced(*on_device(crops, device, most_bytes))


def trained_by_lightning(schedule: OnMeta, device: torch.device, most: int | None = None) -> None:
    module, data = module_of(), crops_on(device, most)
    with one_process():
        callback = LightningLoop(cast("ValidationSchedule", schedule))
        trainer = make_trainer(Setup("cpu", "fp32", 1), Placement(), STEPS, callback)
        # Lightning has no such device: its loop is used as it is, on another one than it set up
        strategy: Any = trainer.strategy
        strategy._root_device = device
        strategy.accelerator.setup_device = lambda _: None
        strategy.teardown = lambda: None
        trainer.fit(module, datamodule=data)


@pytest.mark.parametrize("most_bytes", [None, 0])
def test_lightnings_loop_reads_nothing_of_the_device(
    meta: torch.device, most_bytes: int | None
) -> None:
    schedule = OnMeta()
    trained_by_lightning(schedule, meta, most_bytes)
    assert schedule.steps == STEPS
    assert schedule.kept == [meta] * STEPS, "the tally stays there until it is evaluated"


def test_a_step_that_reads_is_found(meta: torch.device) -> None:
    """The test of the test above: the loss read in each step, as a careless change would."""
    reads = OnMeta(lambda loop: loop.module.take_training_means())
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        trained_by_lightning(reads, meta)
    assert reads.steps == 1


@pytest.mark.parametrize("name", most_are_whole(list(BACKBONES), 2))
def test_no_backbone_reads_in_a_step(name: str, meta: torch.device) -> None:
    settings = TrainerConfig(channels_last=True, precision=Precision.fp32)
    backbone = BackboneConfig(name=name, weights="none")
    network = build_classifier(backbone, 0)
    size = network.contract.size
    module = Classifier(network, backbone, HeadConfig(), settings).to(meta)
    optimizer = module.configure_optimizers()
    for _ in range(2):
        loss = module.training_step(
            (
                torch.zeros(4, 1, size, size, dtype=torch.uint8, device=meta),
                torch.zeros(4, dtype=torch.int64, device=meta),
            ),
            0,
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


@pytest.mark.parametrize("one_layer", [True, False])
def test_the_loop_of_a_head_reads_nothing_of_the_device(
    meta: torch.device, one_layer: bool
) -> None:
    data = crop_data(*images(), SETTINGS)
    train_members, others = data.train.members, data.validation.members
    draw = np.random.default_rng(0)
    features = [
        Features(draw.random((len(each), 24), dtype=np.float32), each)
        for each in (train_members, others, others)
    ]
    whole = built()
    layers = [whole.head] if one_layer else [nn.Dropout(0.1), whole.head]
    traced = fx.symbolic_trace(nn.Sequential(*layers))
    upper = replace(whole, model=traced, stages=(r"\d\.",))
    state = traced.state_dict()
    module = UpperClassifier(upper, BackboneConfig(), HeadConfig(), SETTINGS, state)
    schedule = OnMeta()
    assert (linear_head(module) is not None) == one_layer
    loop = UpperLoop(module, data.replaced(features[0], features[1], features[2]), meta)
    loop.run(cast("ValidationSchedule", schedule))
    assert schedule.steps == data.length.iterations
    assert schedule.kept == [meta] * schedule.steps


_READS = ("_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select")
"""Operations whose result the host needs."""


class Reads(TorchDispatchMode):
    """Counts operations that the host waits for, evaluations aside."""

    def __init__(self) -> None:
        super().__init__()
        self.evaluating = True
        """Also before the first step, where a loader draws its seed and tells its length."""
        self.found: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in _READS:
            self.found[self.evaluating][name] += 1
        return func(*args, **(kwargs or {}))


class _Phases(Listener):
    """An evaluation follows the end of an iteration in which it is due."""

    def __init__(self, reads: Reads, due: set[int]) -> None:
        self.reads, self.due = reads, due

    def iterated(self, iteration: int) -> None:
        self.reads.evaluating = iteration in self.due

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        self.reads.evaluating = False


@pytest.mark.parametrize("place", [AugmentPlace.cpu, AugmentPlace.device])
def test_a_whole_run_reads_in_evaluations_alone(place: AugmentPlace) -> None:
    settings = replace(SETTINGS, max_iterations=STEPS, val_every=4)
    with Reads() as reads:
        train([None], settings, listener=_Phases(reads, {1, 4, 8, STEPS}), place=place)
    assert reads.found[True]["_local_scalar_dense"] >= 4, "a loss is read in each"
    assert reads.found[False] == Counter()


@pytest.fixture
def fake() -> Iterator[FakeTensorMode]:
    """Tensors without content that say they are on CUDA, which need not be there."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="CUDA is not available or torch_xla")
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            yield mode


@pytest.mark.skipif(torch.version.cuda is None, reason="PyTorch without CUDA")
@pytest.mark.parametrize("most_bytes", [None, 0])
def test_a_batch_is_made_and_passed_forward_on_cuda_alone(
    most_bytes: int | None, fake: FakeTensorMode
) -> None:
    cuda = torch.device("cuda")
    pixels, labels = images()
    members = [Sample(f"{i}", i, label, f"p{i}", f"{i}") for i, label in enumerate(labels)]
    crops = Crops(pixels, members, Augment(AugmentConfig(), 0))
    (there,) = on_device([crops], cuda, most_bytes)
    changes = there.recipes.__getitems__([(0, position) for position in range(4)])
    batch = there.made(Changes(*(each.to(cuda, non_blocking=True) for each in changes)))
    assert [each.device.type for each in batch] == ["cuda", "cuda"]
    assert batch[0].shape == (4, 1, *pixels.shape[1:])
    assert batch[0].dtype == torch.uint8
    evaluated = there.unaugmented(range(3))
    assert evaluated.device.type == ("cpu" if most_bytes == 0 else "cuda")
    with torch.device(cuda):
        module = module_of()
    loss = module.training_step(batch, 0)
    assert loss.device.type == "cuda"
    with pytest.raises(Exception, match=r"data-dependent|aten\._local_scalar_dense"):
        loss.item()


class _SyncsAreErrors(Listener):
    """Lets PyTorch raise where the host waits for CUDA, between evaluations."""

    def __init__(self, due: set[int]) -> None:
        self.due = due

    def iterated(self, iteration: int) -> None:
        torch.cuda.set_sync_debug_mode("default" if iteration in self.due else "error")

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        last = point.iteration == max(self.due)
        torch.cuda.set_sync_debug_mode("default" if last else "error")

    def stopped(self) -> None:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("place", [AugmentPlace.cpu, AugmentPlace.device])
def test_on_cuda_nothing_waits_between_evaluations(place: AugmentPlace) -> None:
    settings = replace(SETTINGS, accelerator=Accelerator.gpu, max_iterations=STEPS, val_every=4)
    try:
        train([None], settings, listener=_SyncsAreErrors({1, 4, 8, STEPS}), place=place)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_the_same_run_has_the_same_bits() -> None:
    settings = replace(SETTINGS, accelerator=Accelerator.gpu)
    runs = [train([None], settings, place=AugmentPlace.device)[0][0] for _ in range(2)]
    assert runs[0].curve == runs[1].curve


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("most_bytes", [None, 0])
def test_on_cuda_images_are_changed_to_the_bits_of_a_cpu(most_bytes: int | None) -> None:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (20, 227, 227), dtype=np.uint8)
    members = [Sample(f"{i}", i, i % 2, f"p{i}", f"{i}") for i in range(len(pixels))]
    crops = Crops(pixels, members, Augment(AugmentConfig(), 0))
    (here,) = on_device([crops], torch.device("cpu"))
    (there,) = on_device([crops], torch.device("cuda"), most_bytes)
    changes = here.recipes.__getitems__([(epoch, i) for epoch in range(3) for i in range(20)])
    expected, labels = here.made(changes)
    travelling = there.recipes.__getitems__([(e, i) for e in range(3) for i in range(20)])
    images, truth = there.made(Changes(*(each.cuda() for each in travelling)))
    assert torch.equal(images.cpu(), expected)
    assert torch.equal(truth.cpu(), labels)
    evaluated = there.unaugmented(range(5)).cpu()
    assert torch.equal(evaluated, here.unaugmented(range(5)))
