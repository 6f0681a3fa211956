"""Heat maps of images that a network has looked at, laid over them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.atomic_write import refused_as, write_binary
from mcalc.attribution import NoHeatMapsError, heat_maps
from mcalc.errors import UserError
from mcalc.models import SavedNetwork
from mcalc.predict.images import InputImage
from mcalc.predict.network import TrainedNetwork

_STRENGTH = 0.45
"""Share of the colour at the hottest place; less where it is cooler, none where nothing speaks."""
_LONGEST = 80
"""Characters of a file's name that come from the image's own."""


def heat_of(
    network: TrainedNetwork, images: Sequence[InputImage]
) -> dict[int, npt.NDArray[np.float32]]:
    """Place of each usable image -> its heat map (S, S), 0..1.

    Raises UserError for a network that has no maps.
    """
    usable = [place for place, image in enumerate(images) if image.pixels is not None]
    if not usable:
        return {}
    try:
        pixels = np.array([images[place].pixels for place in usable])
        found = heat_maps(SavedNetwork.of(network.built), pixels)
    except NoHeatMapsError as error:
        raise UserError(f"no heat maps of {network.trial.name}: {error}") from error
    return dict(zip(usable, found, strict=True))


def joint_heat(
    networks: Sequence[TrainedNetwork],
    weights: Sequence[float],
    seen: Sequence[Sequence[InputImage]],
) -> dict[int, npt.NDArray[np.float32]]:
    """Place of each usable image -> the mean of the networks' heat maps.

    An image is usable that every network can use.

    Args:
        networks: one or more.
        weights: share of each in the joint answer; a network without a share is left out.
        seen: the same images, prepared for each network.

    Returns:
        Maps (S, S), 0..1, of the first network's size.

    Raises UserError for a network that has no maps, and for networks that see other parts of an
    image, whose maps do not lie over each other.
    """
    parts = {(network.config.data.region, network.config.data.fit) for network in networks}
    if len(parts) > 1:
        raise UserError(
            "heat maps of several networks lie over each other only where all have one data.region "
            "and one data.fit: name networks that agree, or one alone"
        )
    first = seen[0]
    joint = {
        place: np.zeros(pixels.shape, np.float32)
        for place, image in enumerate(first)
        if (pixels := image.pixels) is not None
        and all(images[place].pixels is not None for images in seen)
    }
    for network, weight, images in zip(networks, weights, seen, strict=True):
        if weight:
            heat = heat_of(network, images)
            for place, mean in joint.items():
                mean += weight * cv2.resize(heat[place], mean.shape[::-1])
    return joint


def overlay(image: npt.NDArray[np.uint8], heat: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """The image (H, W), grey 0..255, with its heat (H, W), 0..1, in colour: (H, W, 3) RGB."""
    grey = np.repeat(image[..., None], 3, axis=2).astype(np.float32)
    levels = np.clip(255 * heat, 0, 255).astype(np.uint8)
    colour = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.float32)
    share = _STRENGTH * heat[..., None]
    return np.asarray(np.rint((1 - share) * grey + share * colour), dtype=np.uint8)


def write_overlays(
    folder: Path, images: Sequence[InputImage], maps: dict[int, npt.NDArray[np.float32]]
) -> int:
    """Write a PNG for each map, named after its image; returns how many.

    Raises UserError where the folder cannot be written.
    """
    with refused_as(str(folder), "name a folder"):
        for place, heat in maps.items():
            pixels = images[place].pixels
            assert pixels is not None  # it has a map
            drawn = overlay(pixels, heat)[..., ::-1]
            _, data = cv2.imencode(".png", np.ascontiguousarray(drawn))
            with write_binary(folder / f"{file_name(images[place].id)}.png") as file:
                file.write(data.tobytes())
    return len(maps)


def file_name(name: str) -> str:
    """A file's name that every system takes, for an image's; different for different images."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[-_LONGEST:] or "image"
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
