"""Cost of training, preparation and the sweep engine on this machine: `make bench`.

Training runs on random weights and images, as the arithmetic is the same. Medians; run it on a
quiet machine.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import prepare as preparation
from benchmarks import sweep as engine
from mcalc.allocator import keep_freed_memory
from mcalc.config import BackboneConfig, HeadConfig, TrainerConfig
from mcalc.models import BACKBONES, Classifier, build_classifier

BATCH = 10
STEPS = 9
WARM_UP = 2


def median_ms(action: Callable[[], None]) -> float:
    times = []
    for _ in range(WARM_UP + STEPS):
        began = time.perf_counter()
        action()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[WARM_UP:])


def measure(name: str, channels_last: bool, bf16: bool) -> tuple[float, float]:
    """Milliseconds a training step and an evaluation of BATCH images."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    built = build_classifier(BackboneConfig(name=name, weights="none"), seed=0)
    settings = TrainerConfig(channels_last=channels_last, batch_size=BATCH)
    module = Classifier(built, BackboneConfig(name=name), HeadConfig(), settings).to(device)
    if channels_last:
        module = module.to(memory_format=torch.channels_last)
    optimiser = module.configure_optimizers()
    size = built.contract.size
    images = torch.randint(0, 256, (BATCH, 1, size, size), dtype=torch.uint8, device=device)
    labels = torch.randint(0, 2, (BATCH,), device=device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = module.training_step((images, labels), 0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def evaluate() -> None:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            module(images)

    module.train()
    training = median_ms(step)
    module.eval()
    return training, median_ms(evaluate)


def main() -> None:
    """Print one row a backbone, memory format and precision."""
    keep_freed_memory()
    console = Console()
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    table = Table(
        "backbone",
        "memory format",
        "precision",
        "training step, ms",
        "evaluation, ms",
        title=f"batch {BATCH}, median of {STEPS}, {where}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}",
    )
    cases = list(itertools.product(BACKBONES, (False, True), (False, True)))
    for name, channels_last, bf16 in track(cases, "measuring", console=console, transient=True):
        training, evaluation = measure(name, channels_last, bf16)
        table.add_row(
            name,
            "channels_last" if channels_last else "contiguous",
            "bf16" if bf16 else "fp32",
            f"{training:.0f}",
            f"{evaluation:.0f}",
        )
    console.print(table)
    preparation.report(console)
    engine.report(console)


if __name__ == "__main__":
    main()
