"""A training step's time on this machine, and a network's size, for the estimate of a plan."""

from __future__ import annotations

import os
import time
from datetime import datetime
from functools import lru_cache

import torch
from torch import nn

from mcalc.allocator import keep_freed_memory
from mcalc.config import Config
from mcalc.models import Learner, find_backbone
from mcalc.models.backbones import CLASSES, Built
from mcalc.models.undrawn import blank, put_head
from mcalc.sweep.display.step_times import MeasuredStep
from mcalc.training import all_cores, resolve_precision, use_threads, uses_gpu

_MEASURED_STEPS = 3


@lru_cache(maxsize=1)
def _built(backbone: str) -> Built:
    # zeros are as fast as weights, at hand for every network, and drawn in no time
    entry = find_backbone(backbone)
    model = blank(entry)
    head = put_head(model, entry, CLASSES)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return Built(model.train(), head, entry.contract, entry.stages, "zeros")


def measured(config: Config) -> MeasuredStep:
    """A training step, measured now, and what else is known of its network then."""
    name = config.backbone.name
    built = _built(name)
    kept = built.head if config.backbone.freeze == "all" else built.model
    size = sum(value.numel() * value.element_size() for value in kept.state_dict().values())
    offered = find_backbone(name).imagenet is not None
    return MeasuredStep(_step_seconds(config, built), size, offered, datetime.now().astimezone())


def _step_seconds(config: Config, built: Built) -> float:
    """Seconds of a training step on a quiet machine: the fastest of a few.

    On a CPU the processor's time is taken, divided by the threads. Wall-clock time would count the
    turns of other processes too.
    """
    # as training does: freed memory that is cleared again in each step would double its time
    keep_freed_memory()
    threads = config.trainer.threads or all_cores()
    use_threads(threads)
    shared_among = min(threads, os.cpu_count() or 1)
    device = torch.device("cuda" if uses_gpu(config.trainer) else "cpu")
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
    times = []
    for _ in range(1 + _MEASURED_STEPS):
        began = _now(device, shared_among)
        with torch.autocast(device.type, torch.bfloat16, enabled=low):
            loss, _ = module.loss(images, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        times.append(_now(device, shared_among) - began)
    return min(times[1:])  # the first one allocates


def _now(device: torch.device, shared_among: int) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time() / shared_among
