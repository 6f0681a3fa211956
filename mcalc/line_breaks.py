"""Lines that a terminal does not break within a word."""

from __future__ import annotations

import shutil
import textwrap
from typing import TextIO


def wrapped(text: str, width: int) -> str:
    """Text with no more characters in a line than `width` where its words allow that.

    What is left of a line is indented by two more than the line. A word that is longer than a
    line, as a path, stays whole, so that it can be copied.
    """
    lines = []
    for line in text.splitlines() or [""]:
        if len(line) <= width:
            lines.append(line)
            continue
        indent = line[: len(line) - len(line.lstrip())]
        lines += textwrap.wrap(
            line,
            width,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def for_stream(text: str, stream: TextIO) -> str:
    """Text for a stream: on a terminal within its width, in a file or a pipe as it is."""
    return wrapped(text, shutil.get_terminal_size().columns) if stream.isatty() else text
