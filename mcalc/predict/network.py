"""A trained network with all that its record says about how it is used."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mcalc.config import BackboneConfig, Config, MissingWeights, Precision, contents_of
from mcalc.data.images import InputRange
from mcalc.data.splits import class_count
from mcalc.data.splits.units import log_odds
from mcalc.errors import UserError
from mcalc.models import (
    RANDOM,
    Built,
    Learner,
    WeightsUnavailableError,
    is_whole,
    load_trained,
)
from mcalc.results import Predictions, RecordedTrial
from mcalc.tracking import (
    NETWORK_FILE,
    NETWORK_GONE_FILE,
    SPLIT_FILE,
    VALIDATION_FILE,
    find_trial,
    read_settings,
    read_trained_on,
    read_validation,
    run_folder,
)
from mcalc.training import Setup, refuse_precision, setup_of
from mcalc.trials.inputs import INPUTS_FILE
from mcalc.trials.recorded_settings import recorded_config

_ORIGIN = "mcalc.weights"
"""Tag that says where the weights came from that the trial began with."""


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network ready to look at prepared images, and what its record says."""

    trial: RecordedTrial
    config: Config
    """Of the trial, as recorded."""
    built: Built
    """Its parts."""
    classifier: Learner
    """In evaluation mode, on its device."""
    setup: Setup
    """What it computes on, and how."""
    size: int
    """Width and height of its images, pixels."""
    inputs: InputRange | None
    """The range of what it was trained on; None where the record is older than that."""
    validation: Predictions | None
    """Of the lesions that stopped training, where nothing of them is reported."""
    trained_on: Mapping[str, str]
    """Sample -> patient of what it was trained on; empty where the record is older than that."""
    notes: tuple[str, ...]
    """What a user must know of how it is used here."""

    def odds(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Log odds of malignant, (n,), of prepared images (n, S, S), grey 0..255.

        Batches, precision and memory format are those of the trial's own evaluation.
        """
        return log_odds(self.logits(images))

    def logits(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Logits of every class, (n, classes), as `odds`."""
        device = torch.device(self.setup.device)
        step = self.config.trainer.eval_batch_size
        bf16 = self.setup.precision == Precision.bf16.value
        context = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()
        found = []
        with torch.inference_mode(), context:
            for start in range(0, len(images), step):
                batch = torch.from_numpy(np.array(images[start : start + step]))[:, None]
                found.append(self.classifier(batch.to(device)).double().cpu())
        return torch.cat(found).numpy()


def open_network(present: Config, given: Collection[str], word: str) -> TrainedNetwork:
    """The network of a finished trial, found as `mcalc.tracking.find_trial` does.

    Args:
        present: what the command line and `conf/` say: where the record is and what computes.
        given: keys of the command line.
        word: what a user calls the trial.

    Raises UserError where there is none, where it kept no network, and for one that cannot be used
    as it was trained.
    """
    trial = find_trial(present.tracking, word, "run")
    text = read_settings(present.tracking, trial)
    config = recorded_config(present, given, text, trial)
    classes = class_count(config.data)
    wanted = (NETWORK_FILE, NETWORK_GONE_FILE, VALIDATION_FILE, INPUTS_FILE, SPLIT_FILE)
    with run_folder(present.tracking, trial, wanted) as folder:
        file = folder / NETWORK_FILE
        if not file.is_file():
            raise UserError(
                f"run={word}: {trial.name}, run {trial.run_id}, kept no network ({NETWORK_FILE})"
                f"{_why_removed(folder)}: run its trial again with tracking.keep_models=all "
                "rerun=true"
            )
        frozen = config.backbone.freeze
        backbone = config.backbone
        if frozen == "all" or (frozen != "0" and not is_whole(file, backbone)):
            backbone = _weights_below(config, trial)
        try:
            built = load_trained(file, backbone, classes, config.seed)
        except WeightsUnavailableError as error:
            raise UserError(
                f"{trial.name} was trained above frozen weights, {trial.tags.get(_ORIGIN)}, which "
                f"cannot be had now ({error.__cause__ or error}): let them be downloaded, or put a "
                "copy of their file where PyTorch keeps downloads (TORCH_HOME)"
            ) from error
        validation = read_validation(folder)
        inputs = _read_inputs(folder / INPUTS_FILE)
        trained_on = read_trained_on(folder)
    setup, notes = setup_here(present, trial)
    if inputs is None:
        notes.append(
            f"{trial.name}: its record does not say what its images looked like (it is older than "
            "that), so that nothing is flagged"
        )
    network = assembled(trial, config, built, setup, inputs, validation, notes)
    return replace(network, trained_on=trained_on)


def _why_removed(folder: Path) -> str:
    try:
        return f"; {(folder / NETWORK_GONE_FILE).read_text(encoding='utf-8').strip()}"
    except OSError:
        return ""


def assembled(
    trial: RecordedTrial,
    config: Config,
    built: Built,
    setup: Setup,
    inputs: InputRange | None,
    validation: Predictions | None,
    notes: Sequence[str] = (),
) -> TrainedNetwork:
    """A network from its parts, on the device of its setup."""
    classifier = Learner(built, config.backbone, config.head, config.trainer)
    classifier.eval()
    if config.trainer.channels_last is True:
        classifier = classifier.to(memory_format=torch.channels_last)
    classifier = classifier.to(setup.device)
    size = built.contract.size
    return TrainedNetwork(
        trial, config, built, classifier, setup, size, inputs, validation, {}, tuple(notes)
    )


def _weights_below(config: Config, trial: RecordedTrial) -> BackboneConfig:
    """Settings that give what is frozen the weights that the trial had.

    Where a download failed, and random weights were allowed instead, those are drawn again, though
    the download may be here now. Where it did not fail, nothing else stands in for it.

    Raises UserError where a file is another one now.
    """
    origin, backbone = trial.tags.get(_ORIGIN), config.backbone
    if origin == RANDOM:
        backbone = replace(backbone, weights="none")
    elif origin is not None:
        backbone = replace(backbone, on_missing_weights=MissingWeights.error)
    _check_file(config, trial)
    return backbone


def _check_file(config: Config, trial: RecordedTrial) -> None:
    """Raise UserError where the file below a frozen head is another than the trial's."""
    recorded = json.loads(trial.tags.get("mcalc.identity", "{}")).get("files", {})
    was, now = (side.get("backbone.weights") for side in (recorded, contents_of(config)))
    if was != now:
        raise UserError(
            f"{trial.name} was trained above frozen weights ({config.backbone.weights}) whose file "
            f"is {'another one' if now else 'not there'} now: name that file with "
            "backbone.weights=PATH"
        )


def setup_here(present: Config, trial: RecordedTrial) -> tuple[Setup, list[str]]:
    """Device of this machine, precision of the record where this machine computes in it."""
    settings = present.trainer
    recorded = Precision(trial.tags.get("mcalc.precision", Precision.fp32.value))
    here = setup_of(settings)
    notes = []
    try:
        refuse_precision(replace(settings, precision=recorded))
    except UserError:
        notes.append(
            f"{trial.name} was trained in {recorded.value}, which this machine does not compute "
            "in: fp32 is used, and probabilities differ slightly from the record's"
        )
        recorded = Precision.fp32
    return Setup(here.device, recorded.value, here.threads), notes


def _read_inputs(path: Path) -> InputRange | None:
    if not path.is_file():
        return None
    try:
        return InputRange.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}): put the file back, or remove it") from error
