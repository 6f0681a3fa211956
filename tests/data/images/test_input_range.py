"""What is unlike all that a network was trained on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mcalc.data.images import InputRange, Look


def look(level: int, size: tuple[int, int] = (100, 80), **more: float) -> Look:
    image = np.full((10, 10), level, dtype=np.uint8)
    image[0, :5] = 0
    return Look.of(image, size, **more)


def test_an_image_in_numbers_by_hand() -> None:
    found = look(200, (120, 60), bits=16, unused_bits=2)
    assert (found.width, found.height, found.bits, found.unused_bits) == (120, 60, 16, 2)
    assert math.isnan(found.mm_per_pixel)
    assert found.mean == pytest.approx(190)
    assert found.sd == pytest.approx(math.sqrt((95 * 10**2 + 5 * 190**2) / 100))
    assert (found.darkest, found.brightest) == (0, 200)


def test_inside_nothing_is_said_and_outside_each_number_with_the_range() -> None:
    known = InputRange.of(
        [look(100, (40, 50), bits=16, unused_bits=0), look(150, (90, 50), bits=16, unused_bits=1)]
    )
    assert known.outside(look(120, (60, 50), bits=16, unused_bits=1)) == []
    said = known.outside(look(120, (300, 50), bits=8, unused_bits=0))
    assert said == [
        "width 300 pixels (trained on 40 to 90)",
        "8 bits a value (trained on 16)",
    ]
    dark = " ".join(known.outside(look(3, (60, 50), bits=16, unused_bits=0)))
    assert "mean grey 3 (trained on 95 to 142)" in dark
    assert "brightest grey 3" in dark


def test_what_is_not_known_is_not_judged() -> None:
    known = InputRange.of([look(100, (-1, -1)), look(100, (-1, -1))])
    assert known.outside(look(100, (5000, 5000), mm_per_pixel=0.05)) == []
    sized = InputRange.of([look(100, mm_per_pixel=0.05)])
    assert sized.outside(look(100)) == []
    assert sized.outside(look(100, mm_per_pixel=0.1)) == ["0.1 mm a pixel (trained on 0.05)"]


def test_it_goes_to_text_and_back() -> None:
    known = InputRange.of([look(100, (40, 50), bits=16), look(150, (90, -1), bits=8)])
    again = InputRange.from_json(known.as_json())
    for level in (10, 120, 250):
        assert again.outside(look(level, (60, 500))) == known.outside(look(level, (60, 500)))
    assert again.images == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": 1, "low": 3, "high": {}}', "null"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        InputRange.from_json(text)
