"""One training run, and every trial that stops on it.

Trials that differ in patience alone see the same network at the same iteration, so one run serves
them all. Each looks at the same validation losses and takes its result where its own patience ends.
Evaluation draws no random number and changes no weight, hence a trial taken from a shared run
equals the same trial run alone. A run that was killed resumes from its last checkpoint, with the
same numbers.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

import pytorch_lightning as pl
import torch
from torch import nn

from mcalc.allocator import keep_freed_memory
from mcalc.config import PlannedTrial, TrainerConfig
from mcalc.data.loading import CropData, Features
from mcalc.errors import PreemptedError
from mcalc.models import Classifier
from mcalc.models.tensors import put_tensors
from mcalc.preemption import PREEMPTING, handled
from mcalc.results import TrialResult
from mcalc.training.checkpoint import Checkpoint, CheckpointFile, fits, most_bytes
from mcalc.training.device import (
    Placement,
    Setup,
    arithmetic_variables,
    one_opencv_thread,
    repeatable,
    setup_of,
    torch_device,
    use_threads,
)
from mcalc.training.lightning import (
    LightningLoop,
    ignored_variables,
    make_trainer,
    one_process,
)
from mcalc.training.listener import Listener
from mcalc.training.placing import placed
from mcalc.training.upper_loop import UpperLoop
from mcalc.training.validation import Checkpointing, ValidationSchedule, resumable


def run_trajectory(
    module: Classifier,
    data: CropData,
    trials: Sequence[PlannedTrial],
    listeners: Sequence[Listener] = (),
    checkpointing: Checkpointing | None = None,
    placement: Placement | None = None,
) -> list[TrialResult]:
    """Train once and return the result of every trial, in the order in which they stopped.

    `trials` differ in patience alone. With `checkpointing` the run resumes from the checkpoint that
    is there. It stays until the caller removes it, once results are recorded.

    Signals stop it after the iteration under way, on a checkpoint: SIGINT with KeyboardInterrupt,
    those of a scheduler with PreemptedError. A second SIGINT or SIGTERM stops it at once.

    Raises StoppedError where a listener wants it to stop, and DivergedError when a loss is not a
    number; trials that had stopped before keep their results (the listeners have them).
    """
    config, placement = trials[0].config, placement or Placement()
    settings = config.trainer
    # it would list devices that are absent, and advertise
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    keep_freed_memory()
    setup = placement.setup or setup_of(settings, placement.cores)
    start = None
    if checkpointing:
        start, reason = _checkpoint_to_resume(
            checkpointing.file, setup, settings, trials, module, data.length.iterations
        )
        if reason:
            _tell(listeners, reason)
    if start:
        setup = start.setup
    use_threads(setup.threads)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    if settings.channels_last is True:
        module = module.to(memory_format=torch.channels_last)
    if start:
        put_tensors(module.model, start.weights)
    data = placed(data, config, torch_device(setup, placement), partial(_tell, listeners))
    data.start = start.iteration if start else 0
    module.train()  # Lightning keeps each part in the mode in which it comes
    schedule = ValidationSchedule(trials, data, listeners, setup, checkpointing, start)
    if ignored := ignored_variables():
        _tell(listeners, f"{', '.join(ignored)} of the environment: not used, settings count")
    if changing := arithmetic_variables():
        _tell(
            listeners,
            f"{', '.join(changing)} of the environment: numbers are those of another processor",
        )
    try:
        _fit(module, data, setup, placement, schedule)
    finally:
        for listener in listeners:
            listener.stopped()
    if schedule.stop:
        # in the last iteration: its results are recorded, and nothing else begins
        raise schedule.stop
    return schedule.results


def as_begun(
    placement: Placement, settings: TrainerConfig, file: CheckpointFile, model: nn.Module
) -> Placement:
    """The placement with the CPU threads of the run that will be resumed, if one will be.

    What is computed before training, as features, has its last bits by them.

    Args:
        placement: of this run.
        settings: of the trial.
        file: the run's checkpoint.
        model: its network.
    """
    setup = placement.setup or setup_of(settings, placement.cores)
    with suppress(ValueError):  # it will be said that it is not used
        begun = file.load(most_bytes(model))
        if begun and settings.threads is None:
            resumed = replace(setup, threads=begun.setup.threads)
            setup = resumed if resumed == begun.setup else setup
    return replace(placement, setup=setup)


def _tell(listeners: Sequence[Listener], text: str) -> None:
    for listener in listeners:
        listener.noted(text)


def _checkpoint_to_resume(
    file: CheckpointFile,
    setup: Setup,
    settings: TrainerConfig,
    trials: Sequence[PlannedTrial],
    module: Classifier,
    iterations: int,
) -> tuple[Checkpoint | None, str]:
    """The run's checkpoint, if it leads to the same numbers as an undisturbed run.

    Otherwise None, with the reason where there is a checkpoint that is not used.
    """
    try:
        checkpoint = file.load(most_bytes(module.model))
    except ValueError as error:
        return None, f"the checkpoint {file.path} is not used: {error}"
    if checkpoint is None:
        return None, ""
    unused = f"a checkpoint at iteration {checkpoint.iteration} is not used: "
    was = checkpoint.setup
    if (was.device, was.precision) != (setup.device, setup.precision):
        return None, (
            f"{unused}it was computed on {was.device} in {was.precision}; on {setup.device} in "
            f"{setup.precision} the run would reach other numbers"
        )
    if settings.threads is not None and settings.threads != was.threads:
        return None, (
            f"{unused}it was computed with {was.threads} threads, and trainer.threads="
            f"{settings.threads} gives other numbers"
        )
    if not resumable(checkpoint, trials):
        return None, f"{unused}a trial of this run ends before it"
    optimizer = module.configure_optimizers()
    if checkpoint.iteration >= iterations or not fits(checkpoint, module.model, optimizer):
        return None, f"{unused}it is not of this network and these settings"
    return checkpoint, ""


def _fit(
    module: Classifier,
    data: CropData,
    setup: Setup,
    placement: Placement,
    schedule: ValidationSchedule,
) -> None:
    """Train, stopped by a signal at the end of an iteration; a head alone without Lightning.

    Lightning would turn KeyboardInterrupt into an exit with status 1 and ignore further signals, so
    that no record could be closed and no sweep could say how to resume.
    """
    with (
        one_process(),
        one_opencv_thread(),
        repeatable(setup.device),
        _stop_on_signal(schedule) as restore,
    ):
        if isinstance(data.train, Features) and schedule.freezes_all:
            use_threads(1)  # several would wait for each other longer than they compute
            UpperLoop(module, data, torch_device(setup, placement)).run(schedule)
        else:
            left = data.length.iterations - data.start
            trainer = make_trainer(setup, placement, left, LightningLoop(schedule))
            try:
                trainer.fit(module, datamodule=data)
            except SystemExit:
                if not trainer.interrupted:
                    raise
                restore()
                raise KeyboardInterrupt from None


@contextmanager
def _stop_on_signal(schedule: ValidationSchedule) -> Iterator[Callable[[], None]]:
    """While inside, the first signal asks the schedule to stop; a second one may insist.

    Gives a function that puts the earlier handlers back, as the end of the block does.
    """
    seen: list[int] = []
    insisting = {signal.SIGINT, signal.SIGTERM}

    def stop(number: int) -> None:
        # schedulers send several: SIGUSR1 before the time limit, and SIGTERM at it
        insists = number == signal.SIGINT or bool(insisting.intersection(seen))
        if seen and number in insisting and insists:
            raise KeyboardInterrupt
        if not seen:
            ends = KeyboardInterrupt() if number == signal.SIGINT else PreemptedError(number)
            schedule.stop = ends
            schedule.note("stopping after this iteration; once more stops at once")
        seen.append(number)

    # in a thread beside the main one a job is killed, and resumes from its last checkpoint
    with handled(stop, (signal.SIGINT, *PREEMPTING)) as restore:
        yield restore
