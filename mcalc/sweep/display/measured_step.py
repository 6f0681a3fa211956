"""A training step's time on this machine, and a network's size, for the estimate of a plan."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

import torch
from torch import Tensor, nn

from mcalc.allocator import keep_freed_memory
from mcalc.config import Config
from mcalc.errors import UserError
from mcalc.iteration import usable_cores
from mcalc.models import Learner, find_backbone
from mcalc.models.backbones import CLASSES, Built
from mcalc.models.stages import Stages
from mcalc.models.undrawn import blank, put_head
from mcalc.sweep.display.step_times import MeasuredStep, StepFailedError, has_features
from mcalc.training import all_cores, resolve_precision, use_threads, uses_gpu

_MEASURED_STEPS = 3
_ROWS = 64
"""Images whose features an iteration chooses from, more than a processor keeps beside it."""
_GAIN = 0.78
"""n threads were n ** 0.78 times as fast as one: AlexNet and GoogLeNet in bf16, two Zen 5 cores."""


@lru_cache(maxsize=1)
def _built(backbone: str) -> Built:
    # zeros are as fast as weights, at hand for every network, and drawn in no time
    entry = find_backbone(backbone)
    model = blank(entry)
    head = put_head(model, entry, CLASSES)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return Built(model.train(), head, entry.contract, entry.stages, "zeros")


def measured(config: Config, *, beside_others: bool = False) -> MeasuredStep:
    """A training step, measured now, and what else is known of its network then.

    `beside_others`: other processes are known to use the cores of this one.

    Raises UserError, and StepFailedError in the place of a network's own errors.
    """
    try:
        return _measured(config, beside_others)
    except UserError:
        raise
    except Exception as error:  # a package's code may fail in any way
        first = next(iter(str(error).strip().splitlines()), "")[:200]
        raise StepFailedError(f"{type(error).__name__}: {first}".removesuffix(": ")) from error


def _measured(config: Config, beside_others: bool) -> MeasuredStep:
    name = config.backbone.name
    built = _built(name)
    kept = built.head if config.backbone.freeze == "all" else built.model
    size = sum(value.numel() * value.element_size() for value in kept.state_dict().values())
    offered = find_backbone(name).imagenet is not None
    seconds, alone = _step_seconds(config, built, beside_others)
    head = _head_seconds(config, built) if config.backbone.freeze == "all" else 0.0
    features = _feature_bytes(config, built) if has_features(config) else 0
    return MeasuredStep(seconds, size, offered, datetime.now().astimezone(), head, alone, features)


def _step_seconds(config: Config, built: Built, beside_others: bool) -> tuple[float, bool]:
    """Seconds of a training step on a quiet machine, and whether it was quiet.

    The fastest of a few, by the clock. Beside others that would count their turns too, and the
    processor's time what threads spin while they wait for one that has no turn, in PyTorch's own
    arithmetic too. Then the processor's time of one thread counts, which does not wait.
    """
    # as training does: freed memory that is cleared again in each step would double its time
    keep_freed_memory()
    threads = config.trainer.threads or all_cores()
    shared_among = min(threads, usable_cores())
    device = torch.device("cuda" if uses_gpu(config.trainer) else "cpu")
    step = _step(config, built, device)
    by_one = device.type == "cpu" and (beside_others or shared_among == 1)
    use_threads(1 if by_one else threads)
    step()  # it allocates
    clock, own = _fastest(step, _MEASURED_STEPS)
    use_threads(threads)
    if by_one:
        return own / shared_among**_GAIN, shared_among == 1
    return clock, True


def _head_seconds(config: Config, built: Built) -> float:
    """Seconds of an iteration of the head alone, as `UpperLoop` does it with one thread.

    By the processor's time, which does not count the turns of others. 0 where a package's network
    asks its head not once, or with other than a tensor.
    """
    taken: list[Tensor] = []

    def take(_: nn.Module, given: tuple[object, ...]) -> None:
        taken.extend(each for each in given if isinstance(each, Tensor))

    handle = built.head.register_forward_pre_hook(take)
    size, device = built.contract.size, next(built.model.parameters()).device
    with torch.no_grad():
        built.model(
            torch.zeros(2, 3, size, size, device=device)
        )  # batch normalisation asks for two
    handle.remove()
    if len(taken) != 1:
        return 0.0
    batch = config.trainer.batch_size
    rows = taken[0][:1].expand(max(_ROWS, batch), *taken[0].shape[1:]).clone()
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:batch].to(
        device
    )
    optimizer = torch.optim.SGD(built.head.parameters(), lr=0.0, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        built.head(rows[chosen]).sum().backward()
        optimizer.step()

    threads = torch.get_num_threads()
    use_threads(1)
    step()
    _, own = _fastest(step, _MEASURED_STEPS)
    use_threads(threads)
    return own


def _feature_bytes(config: Config, built: Built) -> int:
    """Bytes of one image's features; 0 for a network that cannot be cut, which keeps none."""
    # late: PyTorch's tracer, which most plans do without
    from mcalc.models import UncuttableError, cut_network

    stages = Stages(built.stages, config.backbone)
    stages.set_modes(built.model.train())
    try:
        cut = cut_network(built.model, stages, built.head)
    except UncuttableError:
        return 0
    size, device = built.contract.size, next(built.model.parameters()).device
    with torch.inference_mode():
        features: Tensor = cut.frozen(torch.zeros(1, 3, size, size, device=device))
    # as float32, whatever a package's network computes in
    return 4 * features.numel()


def _step(config: Config, built: Built, device: torch.device) -> Callable[[], None]:
    """A training step on images of nothing."""
    # another plan's network may have been frozen
    built.model.requires_grad_(True)
    module = Learner(built, config.backbone, config.head, config.trainer).to(device)
    if config.trainer.channels_last is True:
        module = module.to(memory_format=torch.channels_last)
    optimizer = module.configure_optimizers()
    width, batch = built.contract.size, config.trainer.batch_size
    images = torch.zeros(batch, 1, width, width, dtype=torch.uint8, device=device)
    labels = torch.zeros(batch, dtype=torch.int64, device=device)
    low = resolve_precision(config.trainer).value == "bf16"

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=low):
            loss, _ = module.loss(images, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def _fastest(step: Callable[[], None], times: int) -> tuple[float, float]:
    """Seconds of the fastest of some steps: by the clock, and of this process's threads."""
    clock, own = [], []
    for _ in range(times):
        began = time.perf_counter(), time.process_time()
        step()
        clock.append(time.perf_counter() - began[0])
        own.append(time.process_time() - began[1])
    return min(clock), min(own)
