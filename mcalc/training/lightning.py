"""Training by Lightning's Trainer, as mcalc's settings describe it and no variable of the shell."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.utilities import rank_zero_only

from mcalc.config import Precision
from mcalc.models import Classifier
from mcalc.training.device import Placement, Setup
from mcalc.training.validation import ValidationSchedule

_PREFIX = "PL_TRAINER_"
"""Of variables that Lightning takes for arguments of its Trainer that the code does not give."""


def ignored_variables() -> list[str]:
    """Variables of the shell that would change a Trainer's numbers behind the settings' back."""
    return sorted(name for name in os.environ if name.startswith(_PREFIX))


@contextmanager
def one_process() -> Iterator[None]:
    """Let Lightning know of one process only while inside: mcalc trains in one.

    Under Slurm and torchrun it would start or expect others (SLURM_NTASKS), and take this one for
    the n-th of them. `PL_TRAINER_*` are out of its sight.
    """
    hidden = {name: os.environ.pop(name) for name in ignored_variables()}
    # the n-th process of a Slurm step would be silent, and seed its loaders by its number
    state = vars(rank_zero_only)
    rank = state["rank"]
    state["rank"] = 0
    try:
        with warnings.catch_warnings():
            # `workers` is the user's choice, and on few cores none is the right one
            warnings.filterwarnings("ignore", message=".*does not have many workers")
            # frozen stages are, as their setting says
            warnings.filterwarnings("ignore", message=r".*module\(s\) in eval mode")
            # Lightning 2.6 asks torch's pytree in a way that torch 2.15 has renamed
            warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec")
            yield
    finally:
        state["rank"] = rank
        os.environ.update(hidden)


def make_trainer(
    setup: Setup, placement: Placement, iterations: int, callback: pl.Callback
) -> pl.Trainer:
    """A Trainer of so many iterations that logs, saves and evaluates nothing by itself.

    Made and used inside `one_process`.
    """
    return pl.Trainer(
        accelerator="gpu" if setup.device == "cuda" else "cpu",
        devices=[placement.gpu] if setup.device == "cuda" else 1,
        num_nodes=1,
        # not Slurm's, which would be found by its variables
        plugins=[LightningEnvironment()],
        precision="bf16-mixed" if setup.precision == Precision.bf16 else "32-true",
        # the loader gives the batches of every epoch, one after another
        max_epochs=1,
        max_steps=iterations,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[callback],
    )


class LightningLoop(pl.Callback):
    """Tells a schedule of Lightning's iterations (`mcalc.training.validation.Loop`)."""

    def __init__(self, schedule: ValidationSchedule) -> None:
        self._schedule = schedule
        self._trainer: pl.Trainer | None = None
        self._on_sigterm = signal.getsignal(signal.SIGTERM)

    @property
    def _lightning(self) -> pl.Trainer:
        assert self._trainer is not None  # the schedule is told of nothing before training
        return self._trainer

    @property
    def iterations(self) -> int:
        """Iterations that it has done in this process."""
        return self._lightning.global_step

    @property
    def module(self) -> Classifier:
        """What it trains."""
        module = self._lightning.lightning_module
        assert isinstance(module, Classifier)
        return module

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What moves the weights."""
        return self._lightning.optimizers[0]

    def arithmetic(self) -> AbstractContextManager[None]:
        """Around a forward pass: the precision of the run."""
        return self._lightning.precision_plugin.forward_context()

    def stop(self) -> None:
        """End after the iteration under way."""
        self._lightning.should_stop = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training begins."""
        # Lightning put its own handler before ours. Where a SIGTERM came after our last look in an
        # iteration, it would leave without a checkpoint, as if by Ctrl-C.
        main = threading.current_thread() is threading.main_thread()
        if main and self._on_sigterm is not None:
            signal.signal(signal.SIGTERM, self._on_sigterm)
        self._trainer = trainer
        self._schedule.begin(self)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """An iteration is done."""
        self._schedule.iterated(self)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training is at its end."""
        self._schedule.end(self)
