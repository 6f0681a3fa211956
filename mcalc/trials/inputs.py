"""What the images that a trial was trained on look like, for those who use its network."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from mcalc.data import Lesion, PreparedData
from mcalc.data.images import InputRange, Look, UnreadableImage, pixel_spacing

INPUTS_FILE = "inputs.json"
"""File of a run: the range of what was trained on."""


@lru_cache(maxsize=1)
def inputs_json(prepared: PreparedData) -> str:
    """The range over the images trained on, as text; once for all trials on one prepared set."""
    return InputRange.of(_looks(prepared)).as_json()


def _looks(prepared: PreparedData) -> list[Look]:
    done = prepared.prepared
    spaced = True
    looks = []
    for place in prepared.split.train:
        sample = prepared.samples[place]
        if sample.copy:
            continue
        spacing = None
        if spaced:
            spacing = _spacing(done.lesions[sample.lesions[0]])
            # one scanner or many: where the first file does not say it, the others are not opened
            spaced = spacing is not None
        bits: dict[str, float] = {}
        if done.bits:
            depth, unused = done.bits[sample.image]
            bits = {"bits": depth, "unused_bits": unused}
        for position in sample.lesions:
            width, height = done.native_sizes[position].tolist()
            looks.append(
                Look.of(done.images[sample.image], (width, height), mm_per_pixel=spacing, **bits)
            )
    return looks


def _spacing(lesion: Lesion) -> float | None:
    path: Path | None = lesion.crop or lesion.full
    try:
        return pixel_spacing(path) if path else None
    except UnreadableImage:
        return None
