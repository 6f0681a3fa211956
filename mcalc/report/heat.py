"""Heat maps of a recorded trial's network, on the crops that its record keeps, with controls."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from scipy.special import softmax

from mcalc.attribution import (
    Inside,
    NoHeatMapsError,
    centre_blob,
    heat_maps,
    mean_of_lesions,
    random_pixels,
    randomised,
    share_of_heat,
)
from mcalc.errors import UserError
from mcalc.evaluation import CLASSES, heat_figure
from mcalc.file_digest import file_sha256
from mcalc.models import SavedNetwork, load_network
from mcalc.report.formats import counted, interval_cell, number_cell, signed_cell
from mcalc.report.pictures import Picture, PictureStore
from mcalc.report.template import render
from mcalc.report.trial_pictures import picture_name, read_picture, spread
from mcalc.results import RecordedTrial

SEED = 0
"""Of the weights drawn anew and of the random pixels."""
NETWORK, REDRAWN, BLOB, PIXELS = "network", "weights\nredrawn", "centre\nblob", "random\npixels"
_SHOWN = 6
"""Crops of the picture; the numbers are of all that are kept."""
_MOST_KNOWN = 4
"""Networks whose maps are kept for trials that report the same one: 10 MB each. Such trials follow
each other, as they are one training run."""
_TRIED = (UserError, NoHeatMapsError, OSError)


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    lesions: str
    inside: str
    interval: str
    above: str
    """Mean difference to the blob."""
    above_interval: str


@dataclass(frozen=True, eq=False)
class _Maps:
    """Of one network on one set of crops."""

    probabilities: npt.NDArray[np.float64]
    """Of malignant, as this machine computes them."""
    rows: dict[str, npt.NDArray[np.float32]]


class HeatMaps:
    """The part of a page with a trial's heat maps; trials with one network share its maps."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], _Maps] = {}

    def __call__(self, trial: RecordedTrial, label: str, store: PictureStore) -> Markup:
        """HTML of the maps, or of a sentence that says why there are none."""
        reason = _why_not(trial)
        if reason:
            return _sentence(reason)
        places, images = _crops(trial)
        if not places:
            return _sentence("There are no heat maps: no crop of this trial could be read.")
        assert trial.network is not None  # `_why_not`
        with trial.network() as file:  # a server that does not give it ends the report
            try:
                found = self._maps(file, trial, images)
            except _TRIED as error:
                return _sentence(f"There are no heat maps: {str(error).rstrip('.')}.")
        outlines = [_outline(trial, place, images.shape[1:]) for place in places]
        lines, area = _lines(trial, places, found, outlines)
        return Markup(
            render(
                "heat.html.j2",
                picture=_picture(trial, label, store, places, images, found, outlines),
                lines=lines,
                area=area,
                known=sum(outline is not None for outline in outlines),
                kept=len(places),
                likeness=_likeness(found),
                off=_off(trial, places, found),
            )
        )

    def _maps(self, file: Path, trial: RecordedTrial, images: npt.NDArray[np.uint8]) -> _Maps:
        content = hashlib.sha256(images.tobytes()).hexdigest()
        key = (file_sha256(file), trial.params.get("backbone.name"), content)
        if key not in self._known:
            while len(self._known) >= _MOST_KNOWN:
                del self._known[next(iter(self._known))]
            network = _network(trial, file)
            if images.shape[1:] != (network.size, network.size):
                raise UserError(
                    f"the kept crops have {images.shape[1]} pixels where the network takes "
                    f"{network.size}"
                )
            size = (network.size, network.size)
            self._known[key] = _Maps(
                _answers(network, images),
                {
                    NETWORK: heat_maps(network, images),
                    REDRAWN: heat_maps(randomised(network, SEED), images),
                    BLOB: centre_blob(len(images), size),
                    PIXELS: random_pixels(len(images), size, SEED),
                },
            )
        return self._known[key]


def _sentence(text: str) -> Markup:
    return Markup('<div class="heat"><p class="notes">{}</p></div>').format(text)


def _why_not(trial: RecordedTrial) -> str:
    if trial.network is None:
        return (
            "There are no heat maps: the record has no network of this trial "
            "(tracking.keep_models=all keeps it)."
        )
    if trial.params.get("backbone.freeze") == "all":
        return (
            "There are no heat maps: of a frozen network the record has the head alone "
            "(backbone.freeze=all)."
        )
    if not trial.crops:
        return "There are no heat maps: no crop was kept with this trial."
    return ""


def _network(trial: RecordedTrial, file: Path) -> SavedNetwork:
    three = trial.params.get("data.benign_without_callback") == "own_class"
    return load_network(trial.params["backbone.name"], file, 2 + three)


def _answers(network: SavedNetwork, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    import torch  # late: a report without heat maps needs none of it

    with torch.no_grad():
        logits = network(torch.from_numpy(images)[:, None]).double().numpy()
    found: npt.NDArray[np.float64] = softmax(logits, axis=1)[:, 1]
    return found


def _crops(trial: RecordedTrial) -> tuple[list[int], npt.NDArray[np.uint8]]:
    """Places in the predictions whose crops can be read, and the crops, (n, H, W)."""
    read = {
        place: read_picture(trial.crops[name])
        for place, name in enumerate(trial.predictions.ids)
        if name in trial.crops
    }
    kept = {place: image for place, image in read.items() if image is not None}
    shapes = {image.shape for image in kept.values()}
    if len(shapes) != 1:
        return [], np.zeros((0, 1, 1), np.uint8)
    return list(kept), np.stack([*kept.values()])


def _outline(
    trial: RecordedTrial, place: int, shape: tuple[int, ...]
) -> npt.NDArray[np.bool_] | None:
    path = trial.masks.get(trial.predictions.ids[place])
    image = None if path is None else read_picture(path)
    if image is None or image.shape != shape or not (image > 127).any():
        return None
    return np.asarray(image > 127)


def _lines(
    trial: RecordedTrial,
    places: list[int],
    found: _Maps,
    outlines: list[npt.NDArray[np.bool_] | None],
) -> tuple[list[_Line], _Line | None]:
    """Shares of heat inside the outlines, and the outlines' share of the image."""
    known = [place for place, outline in enumerate(outlines) if outline is not None]
    if not known:
        return [], None
    masks = np.stack([outline for outline in outlines if outline is not None])
    whose = trial.predictions.patients
    patients = [whose[places[place]] for place in known] if whose else None
    shares = {name: share_of_heat(maps[known], masks) for name, maps in found.rows.items()}

    def line(
        name: str, values: npt.NDArray[np.float64], above: npt.NDArray[np.float64] | None
    ) -> _Line:
        share = mean_of_lesions(values.tolist(), patients)
        more = None if above is None else mean_of_lesions(above.tolist(), patients)
        return _Line(
            name.replace("\n", " "),
            str(share.lesions),
            number_cell(share.mean, 3),
            interval_cell(max(0.0, share.low), min(1.0, share.high)),
            signed_cell(more.mean) if more else "",
            _signed_interval(more) if more else "",
        )

    blob = shares[BLOB]
    lines = [
        line(name, values, None if name == BLOB else values - blob)
        for name, values in shares.items()
    ]
    area = masks.mean(axis=(1, 2))
    return lines, line("the outline's share of the crop", area, area - blob)


def _signed_interval(share: Inside) -> str:
    return interval_cell(share.low, share.high, signed=True)


def _likeness(found: _Maps) -> str:
    """Mean correlation of the network's maps and those with weights redrawn, over pixels."""
    values = [
        float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
        for one, other in zip(found.rows[NETWORK], found.rows[REDRAWN], strict=True)
        if one.std() > 0 and other.std() > 0
    ]
    return signed_cell(float(np.mean(values))) if values else ""


def _off(trial: RecordedTrial, places: list[int], found: _Maps) -> str:
    """By how much probabilities computed here differ from those recorded, at most.

    Empty where a unit's probability is of several images.
    """
    if trial.params.get("data.unit", "lesion") != "lesion":
        return ""
    return f"{np.abs(found.probabilities - trial.predictions.probabilities[places]).max():.3f}"


def _picture(
    trial: RecordedTrial,
    label: str,
    store: PictureStore,
    places: list[int],
    images: npt.NDArray[np.uint8],
    found: _Maps,
    outlines: list[npt.NDArray[np.bool_] | None],
) -> Picture:
    chosen = spread(range(len(places)), _SHOWN)
    said = trial.predictions
    titles = [
        _title(int(said.labels[places[i]]), float(said.probabilities[places[i]])) for i in chosen
    ]
    figure = heat_figure(
        [images[i] for i in chosen],
        titles,
        {name: maps[chosen] for name, maps in found.rows.items()},
        [outlines[i] for i in chosen],
        without_line=(PIXELS,),
    )
    shows = (
        f"Heat maps of {label} on {counted(len(chosen), 'crop')}: the network's, with its "
        "last weights drawn anew, a blob in the middle, random pixels."
    )
    return store.photo(figure, picture_name(trial, "heat"), shows)


def _title(label: int, probability: float) -> str:
    called = int(probability > 0.5)
    mark = "✓" if called == label else "✗"
    return f"{mark} called {CLASSES[called]}\nis {CLASSES[label]}, p {probability:.2f}"
