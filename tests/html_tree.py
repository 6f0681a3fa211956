"""A page read as a tree (found by pytest's `pythonpath`), by Python's own reader of HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree.ElementTree import Element, TreeBuilder

_EMPTY = {"br", "img", "link", "meta", "input", "hr", "col"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.builder = TreeBuilder()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in _EMPTY:
            self.builder.end(tag)
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> where {self.open[-1]} is open"
        self.builder.end(self.open.pop())

    def handle_data(self, data: str) -> None:
        if self.open:
            self.builder.data(data)


def tree(html: str) -> Element:
    """Its one outermost element. Fails where an element is closed in another one, or not at all."""
    reader = _Reader()
    reader.feed(html.strip())
    reader.close()
    assert reader.open == [], f"never closed: {reader.open}"
    return reader.builder.close()


def words(element: Element) -> str:
    """All its text, one space between words."""
    return " ".join(" ".join(element.itertext()).split())
