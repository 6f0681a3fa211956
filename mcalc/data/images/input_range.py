"""What images look like to a network, in a few numbers: those trained on, and those that come."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Look:
    """One image in numbers; nan where one is not known."""

    width: float
    """Of the image file, or of the lesion on it: pixels."""
    height: float
    mm_per_pixel: float
    """What the file says."""
    bits: float
    """Bits of a value of the file: 8 or 16."""
    unused_bits: float
    """Highest bits that no value uses."""
    mean: float
    """Of the prepared image, 0..255."""
    sd: float
    darkest: float
    """Level that 1 % of the pixels do not exceed."""
    brightest: float
    """Level that 99 % of the pixels do not exceed."""

    @classmethod
    def of(
        cls,
        image: npt.NDArray[np.uint8],
        size: tuple[float, float],
        *,
        mm_per_pixel: float | None = None,
        bits: float = math.nan,
        unused_bits: float = math.nan,
    ) -> Look:
        """Of a prepared image (S, S), grey 0..255, and what is known of its file.

        `size`: width and height, pixels; below 1 where unknown.
        """
        counts = np.bincount(image.ravel(), minlength=256)
        levels, total = np.arange(256), image.size
        mean = float(counts @ levels) / total
        spread = math.sqrt(max(0.0, float(counts @ (levels - mean) ** 2) / total))
        below = np.cumsum(counts)
        width, height = (float(each) if each > 0 else math.nan for each in size)
        return cls(
            width=width,
            height=height,
            mm_per_pixel=math.nan if mm_per_pixel is None else mm_per_pixel,
            bits=bits,
            unused_bits=unused_bits,
            mean=mean,
            sd=spread,
            darkest=float(np.searchsorted(below, 0.01 * total)),
            brightest=float(np.searchsorted(below, 0.99 * total)),
        )


_TITLES = {
    "width": "width {:.0f} pixels",
    "height": "height {:.0f} pixels",
    "mm_per_pixel": "{:.4g} mm a pixel",
    "bits": "{:.0f} bits a value",
    "unused_bits": "{:.0f} highest bits unused",
    "mean": "mean grey {:.0f}",
    "sd": "contrast (SD of grey) {:.1f}",
    "darkest": "darkest grey {:.0f}",
    "brightest": "brightest grey {:.0f}",
}
"""How a flag begins, by field."""


@dataclass(frozen=True)
class InputRange:
    """The least and the largest value of each field of `Look` over images."""

    images: int
    low: Mapping[str, float]
    high: Mapping[str, float]

    @classmethod
    def of(cls, looks: Iterable[Look]) -> InputRange:
        """Over looks; a value that no image has is nan."""
        table = [asdict(look) for look in looks]
        low, high = {}, {}
        for field in fields(Look):
            known = [row[field.name] for row in table if not math.isnan(row[field.name])]
            low[field.name] = min(known, default=math.nan)
            high[field.name] = max(known, default=math.nan)
        return cls(len(table), low, high)

    def outside(self, look: Look) -> list[str]:
        """What of an image none of these images had, each as a short sentence without a stop."""
        found = []
        for name, value in asdict(look).items():
            low, high = self.low.get(name, math.nan), self.high.get(name, math.nan)
            if low <= value <= high or math.isnan(value) or math.isnan(low):
                continue
            title = _TITLES[name]
            ends = [_number(title, end) for end in (low, high)]
            shown = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
            found.append(f"{title.format(value)} (trained on {shown})")
        return found

    def as_json(self) -> str:
        """As text; what is not known is null."""
        sides = {
            name: {key: None if math.isnan(value) else value for key, value in side.items()}
            for name, side in (("low", self.low), ("high", self.high))
        }
        return json.dumps({"images": self.images, **sides}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> InputRange:
        """From the text of `as_json`. Raises ValueError for any other."""
        try:
            content = json.loads(text)
            sides = [
                {str(key): math.nan if value is None else float(value) for key, value in side}
                for side in (content["low"].items(), content["high"].items())
            ]
            return cls(int(content["images"]), *sides)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a range of inputs: {error}") from error


def _number(title: str, value: float) -> str:
    """The value as it stands in the title."""
    start, end = title.index("{"), title.index("}") + 1
    return title[start:end].format(value)
