"""Text that a figure has room for, however long the names in it are."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

_INK = "#222222"
_SIZE, _SMALLER = 10, 9
"""Points of a title of one line, and of one of several."""
_LINE = 0.155
"""Inches of a further line of a title."""
_MOST_LINES = 3
_MARGIN = 0.06
"""Inches that a title leaves free at both sides."""
_ROUNDING = 1.1
"""Small letters are drawn wider than the font has them, as they begin on whole pixels."""


def set_title(figure: Figure, title: str, top: float = 0.98) -> None:
    """Set the title of a whole figure, broken into as many lines as its width asks for.

    To be called last: each further line makes the figure higher, and what it shows keeps its size.
    What three lines do not hold is left out in the middle, so that a name keeps both ends.

    Args:
        figure: complete but for its title; its panels have fixed places.
        title: any text, never read as a formula.
        top: upper edge of the title, as a share of the figure's height.
    """
    width, height = (float(side) for side in figure.get_size_inches())
    room = 72 * (width - 2 * _MARGIN)
    text = " ".join(title.split())
    size = _SIZE if text_width(text, _SIZE) <= room else _SMALLER
    lines = _fitted(text, room, size)
    taller = height + _LINE * (len(lines) - 1)
    if taller > height:
        share = height / taller
        for axes in figure.axes:
            box = axes.get_position(original=True)
            axes.set_position((box.x0, box.y0 * share, box.width, box.height * share))
        figure.set_size_inches(width, taller)
    y = 1 - (1 - top) * height / taller
    # parse_math off: a `$` in a trial's name is not a formula
    figure.suptitle("\n".join(lines), fontsize=size, color=_INK, parse_math=False, y=y)


def shortened(text: str, room: float, size: float) -> str:
    """Text as it is, or without its middle: `head.wei…nce=3`.

    Args:
        text: any; runs of spaces and line breaks are a space each.
        room: points that it may be wide.
        size: of the font, points.
    """
    text = " ".join(text.split())
    if text_width(text, size) <= room:
        return text
    kept = bisect_left(range(len(text)), True, key=lambda n: text_width(_cut(text, n), size) > room)
    return _cut(text, max(0, kept - 1))


def text_width(text: str, size: float) -> float:
    """Points that a line of text takes at most, in the font of figures at `size` points."""
    return size * sum(map(_advance, text))


def _fitted(text: str, room: float, size: float) -> list[str]:
    lines = _broken(text, room, size)
    if len(lines) <= _MOST_LINES:
        return lines

    def too_long(kept: int) -> bool:
        return len(_broken(_cut(text, kept), room, size)) > _MOST_LINES

    kept = bisect_left(range(len(text)), True, key=too_long)
    return _broken(_cut(text, max(0, kept - 1)), room, size)


def _broken(text: str, room: float, size: float) -> list[str]:
    """Lines of words; a word that is longer than a line is broken anywhere."""
    lines, space = [""], size * _advance(" ")
    used = 0.0
    for word in text.split(" "):
        width = text_width(word, size)
        if lines[-1] and used + space + width <= room:
            lines[-1] += f" {word}"
            used += space + width
            continue
        if lines[-1]:
            lines.append("")
        used = 0.0
        for character in word:
            wide = size * _advance(character)
            if lines[-1] and used + wide > room:
                lines.append("")
                used = 0.0
            lines[-1] += character
            used += wide
    return lines


def _cut(text: str, kept: int) -> str:
    """The first and last of its characters, as many as are kept in all."""
    tail = kept // 2
    return f"{text[: kept - tail]}…{text[len(text) - tail :]}"


@cache
def _advance(character: str) -> float:
    """Width of a character as it is drawn at most, as a share of the font's size."""
    font = get_font(findfont(FontProperties()))
    font.set_size(100, 72)
    # by its index: a character that the font lacks is drawn as a box, and warned of then
    glyph = font.load_glyph(font.get_char_index(ord(character)))
    return _ROUNDING * float(glyph.linearHoriAdvance) / 65536 / 100
