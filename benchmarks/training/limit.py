"""What the hardware can do: forward, backward and SGD in a bare loop, on images that lie ready.

The network is mcalc's own, with the same local response normalisation; bf16 where the hardware
computes in it, channels last, PyTorch's fused SGD, and an allocator that keeps freed memory.
"""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F

from benchmarks.training.stopwatch import Stopwatch
from benchmarks.training.workload import Workload
from mcalc.allocator import keep_freed_memory
from mcalc.config import BackboneConfig, Precision, TrainerConfig
from mcalc.models import build_classifier
from mcalc.training import resolve_precision

_EVALUATED = 64
"""Images of an evaluation step."""


def run(work: Workload, watch: Stopwatch, *, compiles: bool = False) -> None:
    """Train; `compiles`: with the network compiled."""
    keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    low = resolve_precision(TrainerConfig()) is Precision.bf16
    model = build_classifier(BackboneConfig(name=work.backbone, weights="none"), 0).model
    model = model.to(device, memory_format=torch.channels_last)
    if compiles:
        model.compile(mode="reduce-overhead")
    optimizer = torch.optim.SGD(model.parameters(), 1e-4, 0.9, weight_decay=1e-4, fused=True)
    pixels, labels = work.images()
    crops = torch.from_numpy(pixels[: work.batch]).float().sub_(128).div_(60)[:, None]
    images = crops.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last).to(device)
    truth = torch.tensor(labels[: work.batch], device=device)
    held_out = images[torch.arange(_EVALUATED) % work.batch]
    held_out = held_out.contiguous(memory_format=torch.channels_last)
    evaluations = {1, work.iterations}
    evaluations |= set(range(work.val_every, work.iterations, work.val_every or 1))

    def validate() -> None:
        model.eval()
        began = time.perf_counter()
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=low):
            for start in range(0, work.val_images, _EVALUATED):
                model(held_out[: min(_EVALUATED, work.val_images - start)])
        _wait(device)
        watch.validations.append(time.perf_counter() - began)
        model.train()

    model.train()
    watch.start()
    for iteration in range(1, work.iterations + 1):
        with torch.autocast(device.type, torch.bfloat16, enabled=low):
            loss = F.cross_entropy(model(images).float(), truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        _wait(device)
        watch.step()
        if work.val_every and iteration in evaluations:
            validate()
    watch.stop()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
