"""Networks of the record look at images; what they say is written as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from mcalc.atomic_write import refused_as, write_text
from mcalc.config import Config, DataConfig, WithoutCallback
from mcalc.console import counting, stderr
from mcalc.data.sources import open_source
from mcalc.errors import UserError
from mcalc.evaluation import Choice, Decision, decide, odds_of
from mcalc.iteration import Progress
from mcalc.predict.command import input_paths
from mcalc.predict.ensemble import (
    Joining,
    joined,
    joined_predictions,
    joint_validation,
    weights_of,
)
from mcalc.predict.external import print_figures
from mcalc.predict.images import (
    InputImage,
    LabelledImages,
    input_files,
    prepare_files,
    prepare_source,
)
from mcalc.predict.network import TrainedNetwork, open_network
from mcalc.predict.selection import chosen_runs
from mcalc.predict.table import BENIGN, MALIGNANT, Row, as_csv, as_json_lines, known
from mcalc.report.formats import counted
from mcalc.results import Predictions

_Prepared = TypeVar("_Prepared")

NO_DEVICE = (
    "research software and no medical device: nothing that it says may decide about a patient"
)
_OF_THE_DATA = (
    "source", "root", "csv_dir", "csv_split", "labels", "min_completeness", "phantom", "cache",
)  # fmt: skip
"""Fields of `DataConfig` that say which images; all others say how they are prepared."""
_OF_THE_FILES = ("data.bits_stored", "data.pixel_size")
"""Settings about the files themselves, which may differ from those trained on."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """One network, or several whose log odds are joined."""

    networks: tuple[TrainedNetwork, ...]
    weights: tuple[float, ...]
    """Share of each in the joint log odds."""
    decision: Decision
    validation: Predictions | None
    """What they said together of the lesions that stopped training."""


def alone(network: TrainedNetwork, decision: Decision) -> Ensemble:
    """One network with the decision that was fixed for it."""
    return Ensemble((network,), (1.0,), decision, network.validation)


def predict_images(config: Config, given: Collection[str], words: Mapping[str, Any]) -> int:
    """Predict, write the table and print what a user must know; returns the exit status.

    Args:
        config: what the command line and `conf/` say.
        given: keys of the command line.
        words: the command's own.

    Raises UserError where a network cannot be had, no image is named that exists, or the table
    cannot be written.
    """
    named = words["input"] and not words["labels"]
    files = input_files(input_paths(words["input"])) if named else None
    ensemble = _open_ensemble(config, given, words)
    _print_networks(ensemble)
    labelled: LabelledImages | None = None
    seen: list[Sequence[InputImage]] = []
    if files is None:
        _require_one_rule(ensemble.networks)
        sets = _of_each(
            ensemble.networks,
            lambda network: _data_of(network, config, given, words),
            lambda size, data, shown: prepare_source(open_source(data), size, data, shown),
        )
        labelled = _same_units(sets)
        seen += [each.images for each in sets]
    else:
        _require_one_region(ensemble.networks)
        seen += _of_each(
            ensemble.networks,
            lambda network: _as_trained(network, config, given),
            partial(prepare_files, files),
        )
    rows = rows_of(ensemble, seen, labelled)
    if words["heat_maps"] or words["output"] == "dicom":
        _draw(ensemble, seen, rows, words)
    _write(rows, words, labelled=labelled is not None)
    refused = sum(row.refused is not None for row in rows)
    flagged = sum(bool(row.flags) for row in rows)
    if flagged:
        are, them = ("is", "it") if flagged == 1 else ("are", "them")
        stderr.print(
            f"{flagged} of {_images(len(rows))} {are} unlike all that was trained on (column "
            f"flags): do not rely on what is said of {them}"
        )
    if refused:
        stderr.print(f"{refused} of {_images(len(rows))} could not be used (column refused)")
    if labelled:
        print_figures(ensemble.networks, labelled, rows, ensemble.validation, words)
    stderr.print(NO_DEVICE)
    return 1 if refused else 0


def _open_ensemble(config: Config, given: Collection[str], words: Mapping[str, Any]) -> Ensemble:
    choice, how = Choice(words["operating_point"]), Joining(words["ensemble"])
    names = chosen_runs(config.tracking, words["run"], words["best"])
    networks = tuple(open_network(config, given, name) for name in names)
    if len({network.trial.run_id for network in networks}) < len(networks):
        raise UserError(f"run={words['run']} names one network twice: name each once")
    shared = joint_validation([network.validation for network in networks])
    weights = weights_of(how, shared, len(networks))
    together = joined_predictions(shared, weights) if shared else None
    return Ensemble(networks, tuple(weights), decide(together, choice), together)


def _print_networks(ensemble: Ensemble) -> None:
    """Print which networks are used, what they were trained on, and what to beware of."""
    for network, share in zip(ensemble.networks, ensemble.weights, strict=True):
        trial = network.trial
        part = f", {share:.0%} of the joint log odds" if len(ensemble.networks) > 1 else ""
        stderr.print(
            f"{trial.name}: {network.config.backbone.name}, run {trial.run_id}{part}; trained on "
            f"{trial.tags.get('mcalc.data', 'data that is not recorded')}"
        )
    for note in dict.fromkeys(
        note for n in ensemble.networks for note in (*n.notes, *n.trial.warnings)
    ):
        stderr.print(f"  warning: {note}")
    if ensemble.validation is None:
        stderr.print(
            "malignant above a probability of 0.5, and nothing is calibrated: the record has no "
            "lesions that stopped training and are reported by none of these networks"
        )
    else:
        threshold = float(expit(ensemble.decision.threshold))
        stderr.print(
            f"malignant above a probability of {threshold:.3f}, fixed on "
            f"{len(ensemble.validation.ids)} lesions that stopped training"
        )
        for note in _what_is_not_decided(ensemble.decision, ensemble.validation):
            stderr.print(f"  warning: {note}")


def _what_is_not_decided(decision: Decision, validation: Predictions) -> Iterator[str]:
    """Where lesions that stopped training fix no useful operating point, or no temperature."""
    called = decision.calls(odds_of(validation))
    if called.all() or not called.any():
        yield (
            f"at this operating point {'every one' if called.all() else 'none'} of them is called "
            "malignant: it separates nothing"
        )
    if math.isnan(decision.temperature):
        yield (
            "nothing is calibrated, as no temperature is the best for them: their scores separate "
            "them perfectly, or say nothing"
        )


def _of_each(
    networks: Sequence[TrainedNetwork],
    settings_of: Callable[[TrainedNetwork], DataConfig],
    prepare: Callable[[int, DataConfig, Progress], _Prepared],
) -> list[_Prepared]:
    """What each network looks at; networks whose images are prepared alike share it."""
    made: dict[str, _Prepared] = {}
    found = []
    for network in networks:
        settings = settings_of(network)
        wanted = repr((settings, network.size))
        if wanted not in made:
            with counting(stderr, "preparing images") as progress:
                made[wanted] = prepare(network.size, settings, progress)
        found.append(made[wanted])
    return found


def _as_trained(network: TrainedNetwork, config: Config, given: Collection[str]) -> DataConfig:
    """How the network's images are prepared; what the files are may be said anew."""
    anew = {key.partition(".")[2] for key in _OF_THE_FILES if key in given}
    return replace(network.config.data, **{name: getattr(config.data, name) for name in anew})


def _data_of(
    network: TrainedNetwork, config: Config, given: Collection[str], words: Mapping[str, Any]
) -> DataConfig:
    """The data set that is named, as the network takes it."""
    which = {name: getattr(config.data, name) for name in _OF_THE_DATA}
    if words["labels"]:
        which |= {"source": "folder", "root": words["input"], "labels": str(words["labels"])}
    # malignant or not is what is scored, and other data may know of nobody who was not called back
    as_trained = replace(
        _as_trained(network, config, given),
        benign_without_callback=_scored_as(network.config.data.benign_without_callback),
    )
    return replace(as_trained, **which)


def _scored_as(rule: WithoutCallback) -> WithoutCallback:
    return WithoutCallback.benign if rule is WithoutCallback.own_class else rule


def _require_one_rule(networks: Sequence[TrainedNetwork]) -> None:
    """Refuse networks that make one score of several images in different ways."""
    if len({network.config.data.unit_score for network in networks}) > 1:
        raise UserError(
            "these networks score a unit of several images in different ways (data.unit_score), so "
            "that they are no ensemble: name networks that agree"
        )


def _same_units(sets: Sequence[LabelledImages]) -> LabelledImages:
    """The first of several views of a data set, which have to show the same samples."""
    if len({tuple(sample.id for sample in each.samples) for each in sets}) > 1:
        raise UserError(
            "these networks look at different parts of a mammogram (data.region), or score other "
            "units (data.unit), so that they are no ensemble: name networks that agree"
        )
    return sets[0]


def _require_one_region(networks: Sequence[TrainedNetwork]) -> None:
    """Refuse networks to which one file is a crop and a whole mammogram."""
    if len({network.config.data.region for network in networks}) > 1:
        raise UserError(
            "these networks look at different parts of a mammogram (data.region), and a file is "
            "one of them: name networks that agree, or a data set that has all, as data=cbis_ddsm "
            "data.root=PATH"
        )


def _odds(network: TrainedNetwork, images: Sequence[InputImage]) -> npt.NDArray[np.float64]:
    """Log odds (n,); nan where an image cannot be used."""
    odds = np.full(len(images), np.nan)
    usable = [place for place, image in enumerate(images) if image.pixels is not None]
    if usable:
        odds[usable] = network.odds(np.array([images[place].pixels for place in usable]))
    return odds


def rows_of(
    ensemble: Ensemble,
    seen: Sequence[Sequence[InputImage]],
    labelled: LabelledImages | None = None,
) -> list[Row]:
    """A row for each image, of which each network has its own preparation (`seen`).

    An image that one of the networks cannot use is refused.
    """
    images = seen[0]
    each = [_odds(n, own) for n, own in zip(ensemble.networks, seen, strict=True)]
    odds = joined(np.array(each), ensemble.weights)
    calibrated = ensemble.decision.calibrated(odds)
    calls = ensemble.decision.calls(odds)
    threshold = float(expit(ensemble.decision.threshold))
    rows = []
    for place, image in enumerate(images):
        row = Row(image.id)
        refusals = [own[place].refusal for own in seen if own[place].pixels is None]
        if refusals:
            row = replace(row, refused=refusals[0])
        else:
            row = replace(
                row,
                probability=float(expit(odds[place])),
                calibrated_probability=known(float(calibrated[place])),
                log_odds=float(odds[place]),
                called=MALIGNANT if calls[place] else BENIGN,
                threshold=threshold,
                flags=_flags(ensemble.networks, [own[place] for own in seen]),
            )
        if labelled:
            sample = labelled.samples[place]
            truth = MALIGNANT if sample.label == 1 else BENIGN
            row = replace(row, label=truth, patient=sample.patient, unit=sample.unit)
        rows.append(row)
    return rows


def _flags(networks: Sequence[TrainedNetwork], images: Sequence[InputImage]) -> tuple[str, ...]:
    """In what an image, as each network sees it, is unlike all that this network was trained on."""
    found: dict[str, None] = {}
    for network, image in zip(networks, images, strict=True):
        assert image.look is not None  # it is not refused
        if network.inputs is not None:
            found |= dict.fromkeys(network.inputs.outside(image.look))
    return tuple(found)


def _images(number: int) -> str:
    return counted(number, "image")


def _draw(
    ensemble: Ensemble,
    seen: Sequence[Sequence[InputImage]],
    rows: Sequence[Row],
    words: Mapping[str, Any],
) -> None:
    """Heat maps of the images, as pictures, as DICOM with a report, or both."""
    # late: captum, and highdicom below
    from mcalc.predict.overlay import file_name, joint_heat, overlay, write_overlays

    images = seen[0]
    maps = joint_heat(ensemble.networks, ensemble.weights, seen)
    if folder := words["heat_maps"]:
        count = write_overlays(folder, images, maps)
        stderr.print(f"wrote {folder}: heat maps of {_images(count)}")
    if words["output"] != "dicom":
        return
    try:
        from mcalc.predict.dicom_output import write_dicom
    except ImportError as error:
        raise UserError(
            "output=dicom needs the package highdicom: pip install 'mcalc[dicom]'"
        ) from error
    target = words["to"]
    named = [f"{each.trial.name} {each.trial.run_id[:8]}" for each in ensemble.networks]
    for place, heat in maps.items():
        pixels = images[place].pixels
        assert pixels is not None  # it has a map
        name = file_name(images[place].id)
        drawn = overlay(pixels, heat)
        write_dicom(target, name, images[place].file, drawn, rows[place], named)
    stderr.print(
        f"wrote {target}: a picture and a report of each of {_images(len(maps))}, as DICOM"
    )


def _write(rows: Sequence[Row], words: Mapping[str, Any], *, labelled: bool) -> None:
    target: Path | None = words["to"] if words["output"] != "dicom" else None
    lines = words["output"] == "jsonl" or (
        words["output"] == "auto" and target is not None and target.suffix.lower() == ".jsonl"
    )
    text = (as_json_lines if lines else as_csv)(rows, labelled=labelled)
    if target is None:
        print(text, end="")
        return
    with refused_as(f"to={target}"), write_text(target) as file:
        file.write(text)
    stderr.print(f"wrote {target}: {_images(len(rows))}")
