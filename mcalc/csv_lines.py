"""The lines of a CSV file, given out only while they look like text of a sane size."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from mcalc.plain_file import open_plain

LARGEST_FILE = 256 * 2**20
"""Bytes that a table may have. The largest that is met, Kaggle's `dicom_info.csv`, has 6 MB."""
LONGEST_RECORD = 2**20
"""Characters that one row may have, line ends inside quotes included."""

_BOMS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Longest first: UTF-32's mark begins as UTF-16's does."""
_ARCHIVES = {b"PK\x03\x04": "a spreadsheet or zip archive", b"\x1f\x8b": "compressed (gzip)"}


class NotText(ValueError):  # noqa: N818 - read as a sentence: `except NotText`
    """Not a text file that may be a table; the text says why, to follow the file's name."""


class Lines:
    """The lines of an open text file, each checked as it is read.

    `record_read` says that a row is complete: only lines after it count for the next row's length.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._characters = 0
        self.number = 0
        """Lines given out so far; the line that was given last, counted from 1."""
        self.first = ""
        """The first line, once it was given."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next line with its end. Raises NotText for what no line of a table holds."""
        # never more than the limit: one line may be as long as the file
        line = self._file.readline(LONGEST_RECORD + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._characters += len(line)
        if self._characters > LONGEST_RECORD:
            raise NotText(
                f"is not a CSV file (the row that ends in line {self.number} has more than "
                f"{LONGEST_RECORD:,} characters; a quote left open may be the cause)"
            )
        if "\0" in line:
            raise NotText(f"is not UTF-8 text (line {self.number} holds a NUL byte)")
        if (byte := _stray_byte(line)) is not None:
            raise NotText(f"is not UTF-8 text (line {self.number} holds the byte 0x{byte:02x})")
        self.first = self.first or line
        return line

    def record_read(self) -> None:
        """Begin to count the next row's characters."""
        self._characters = 0


def _stray_byte(line: str) -> int | None:
    """The first byte that is not UTF-8, which `surrogateescape` reads as U+DC80 to U+DCFF."""
    if line.isascii():
        return None
    return next((ord(each) & 0xFF for each in line if "\udc80" <= each <= "\udcff"), None)


@contextmanager
def open_lines(path: Path) -> Iterator[Lines]:
    """The lines of a UTF-8 file, with or without a byte order mark; line ends are kept.

    Raises NotText for a file above `LARGEST_FILE` and for UTF-16 or UTF-32 text, UserError for what
    is no file or cannot be read.
    """
    with os.fdopen(open_plain(path, str(path)), "rb") as raw:
        size = os.fstat(raw.fileno()).st_size
        if size > LARGEST_FILE:
            raise NotText(
                f"has {size / 2**20:,.0f} MB: a table may have {LARGEST_FILE // 2**20} MB"
            )
        _check_encoding(raw)
        raw.seek(0)
        # newline="" leaves line ends inside quotes to csv
        yield Lines(
            io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
        )


def _check_encoding(raw: BinaryIO) -> None:
    head = raw.read(4)
    for mark, words in _ARCHIVES.items():
        if head.startswith(mark):
            raise NotText(f"is {words}, not a CSV file")
    name = next((name for mark, name in _BOMS.items() if head.startswith(mark)), None)
    # without a mark: every other byte of plain letters is zero
    if name is None and len(head) >= 2 and (head[0] == 0) != (head[1] == 0):
        name = "UTF-16"
    if name:
        raise NotText(f"is not UTF-8 text but {name}")
