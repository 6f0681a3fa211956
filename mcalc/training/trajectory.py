"""One training run, and every trial that stops on it.

Trials that differ in patience alone see the same network at the same iteration, so one run serves
them all: each watches the same validation losses and takes its result where its own patience ends.
Evaluation draws no random number and changes no weight, hence a trial taken from a shared run
equals the same trial run alone. A run that was killed goes on from its last checkpoint, with the
same numbers.
"""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import pytorch_lightning as pl
import torch

from mcalc.allocator import keep_freed_memory
from mcalc.config.schema import Accelerator, Precision, StoppingConfig, TrainerConfig
from mcalc.data.loading.datamodule import CropData
from mcalc.errors import UserError
from mcalc.models.classifier import Classifier
from mcalc.results import TrialResult
from mcalc.training.checkpoint import Checkpoint, Setup
from mcalc.training.validation import (
    Checkpointing,
    Observer,
    Trial,
    ValidationSchedule,
    resumable,
)

ALL_CORES = torch.get_num_threads()
"""Before any run sets a number of its own."""


def run_trajectory(
    module: Classifier,
    data: CropData,
    trials: Sequence[Trial],
    settings: TrainerConfig,
    stopping: StoppingConfig,
    seed: int,
    observer: Observer | None = None,
    checkpointing: Checkpointing | None = None,
    gpu: int = 0,
    cores: int | None = None,
) -> list[TrialResult]:
    """Train once and give the result of every trial, in the order in which they stopped.

    With `checkpointing` the run goes on from the checkpoint that is there, and removes it at its
    end. `gpu` is the CUDA device's number, `cores` how many CPU threads to take where
    `trainer.threads` does not say.

    SIGINT and SIGTERM stop it after the iteration under way, on a checkpoint, with
    KeyboardInterrupt; a second one stops it at once.

    Raises DivergedError when a loss is no number; trials that had stopped before keep their results
    (the observer has them).
    """
    observer = observer or Observer()
    # it would say which devices there are not, and advertise
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    keep_freed_memory()
    setup = setup_of(settings, cores)
    start = _checkpoint_to_resume(checkpointing, setup, settings, trials, observer)
    if start:
        setup = start.setup
    torch.set_num_threads(setup.threads)
    pl.seed_everything(seed, workers=True, verbose=False)
    if settings.channels_last:
        module = module.to(memory_format=torch.channels_last)
    if start:
        module.model.load_state_dict(start.weights)
    data.start = start.iteration if start else 0
    module.train()  # Lightning keeps each part in the mode in which it comes
    schedule = ValidationSchedule(
        trials, data, settings, stopping.network, observer, setup, checkpointing, start
    )
    with warnings.catch_warnings():
        # `workers` is the user's choice, and on few cores none is the right one
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        # Lightning 2.6 asks torch's pytree in a way that torch 2.15 has renamed
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec")
        trainer = pl.Trainer(
            accelerator="gpu" if uses_gpu(settings) else "cpu",
            devices=[gpu] if uses_gpu(settings) else 1,
            precision="bf16-mixed" if resolve_precision(settings) is Precision.bf16 else "32-true",
            # the loader gives the batches of every epoch, one after another
            max_epochs=1,
            max_steps=schedule.iterations - data.start,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            callbacks=[schedule, *observer.callbacks],
        )
        _fit(trainer, module, data, schedule)
    if checkpointing:
        checkpointing.file.remove()
    return schedule.results


def _checkpoint_to_resume(
    checkpointing: Checkpointing | None,
    setup: Setup,
    settings: TrainerConfig,
    trials: Sequence[Trial],
    observer: Observer,
) -> Checkpoint | None:
    """The run's checkpoint, where it leads to the same numbers as an undisturbed run."""
    if checkpointing is None:
        return None
    try:
        checkpoint = checkpointing.file.load()
    except ValueError as error:
        observer.note(f"the checkpoint {checkpointing.file.path} is not used: {error}")
        return None
    if checkpoint is None:
        return None
    was = checkpoint.setup
    if (was.device, was.precision) != (setup.device, setup.precision):
        observer.note(
            f"a checkpoint at iteration {checkpoint.iteration} is not used: it was computed on "
            f"{was.device} in {was.precision}, here it would go on on {setup.device} in "
            f"{setup.precision} to other numbers"
        )
        return None
    if settings.threads is not None and settings.threads != was.threads:
        observer.note(
            f"a checkpoint at iteration {checkpoint.iteration} is not used: it was computed with "
            f"{was.threads} threads, and trainer.threads={settings.threads} gives other numbers"
        )
        return None
    if not resumable(checkpoint, trials):
        observer.note(
            f"a checkpoint at iteration {checkpoint.iteration} is not used: a trial of this run "
            "ends before it"
        )
        return None
    return checkpoint


def setup_of(settings: TrainerConfig, cores: int | None = None) -> Setup:
    """What this machine and these settings make of device, precision and threads.

    `cores`: how many a run may take that does not say itself; None for all.
    """
    return Setup(
        device="cuda" if uses_gpu(settings) else "cpu",
        precision=resolve_precision(settings).value,
        threads=settings.threads or cores or ALL_CORES,
    )


def _fit(
    trainer: pl.Trainer, module: Classifier, data: CropData, schedule: ValidationSchedule
) -> None:
    """Lightning's fit, stopped by a signal at the end of an iteration, with KeyboardInterrupt.

    Lightning makes an exit with status 1 of it and has further ones ignored, so that no record
    could be closed and no sweep could say how to go on.
    """
    with _stop_on_signal(schedule) as restore:
        try:
            trainer.fit(module, datamodule=data)
        except SystemExit:
            if not trainer.interrupted:
                raise
            restore()
            raise KeyboardInterrupt from None


@contextmanager
def _stop_on_signal(schedule: ValidationSchedule) -> Iterator[_Restore]:
    """While inside, the first SIGINT or SIGTERM asks the schedule to stop; the second insists."""
    handlers = {}

    def stop(number: int, _frame: FrameType | None) -> None:
        if schedule.interrupted:
            raise KeyboardInterrupt
        schedule.interrupted = True
        schedule.observer.note("stopping after this iteration; once more stops at once")

    # only the main thread may; elsewhere a job is killed and goes on from its last checkpoint
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if handler is not signal.SIG_IGN:
                handlers[number] = handler
                signal.signal(number, stop)
    restore = _Restore(handlers)
    try:
        yield restore
    finally:
        restore()


class _Restore:
    """Puts signal handlers back."""

    def __init__(self, handlers: dict[signal.Signals, signal._HANDLER]) -> None:
        self.handlers = handlers

    def __call__(self) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


def uses_gpu(settings: TrainerConfig) -> bool:
    """Whether training runs on a GPU here. Raises UserError where one is asked for in vain."""
    there = torch.cuda.is_available()
    if settings.accelerator is Accelerator.gpu and not there:
        raise UserError(
            "trainer.accelerator=gpu, but PyTorch sees no CUDA device here: use auto or cpu, or "
            "check the driver with nvidia-smi"
        )
    return there and settings.accelerator is not Accelerator.cpu


def resolve_precision(settings: TrainerConfig) -> Precision:
    """The precision that `auto` means on this machine: bf16 where the hardware computes in it."""
    if settings.precision is not Precision.auto:
        return settings.precision
    if uses_gpu(settings):
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = torch.cpu._is_avx512_bf16_supported()
    return Precision.bf16 if fast else Precision.fp32
