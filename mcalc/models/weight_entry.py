"""Parameters as a file of weights declares them, before their numbers are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


def plain(text: str, longest: int = 80) -> str:
    """Text of a file as messages show it: on one line, without control characters, not long."""
    return "".join(each if each.isprintable() else "?" for each in text[:longest])


@dataclass(frozen=True)
class Entry:
    """One array of numbers in a file."""

    shape: tuple[int, ...]
    dtype: str
    """`float32`."""
    floating: bool
    read: Callable[[], Tensor]
    """Its numbers, read now. Raises DamagedFileError."""
    storage: str
    """What is read for it; several may share one. Its name in the file, where it has one."""
    size: int
    """Bytes of `storage`."""
    parts: tuple[str, ...] = ()
    """Names in the file, where it is made of several arrays."""


@dataclass(frozen=True)
class Opened:
    """What a file holds."""

    entries: Mapping[str, Entry]
    """By name: Caffe's, or for PyTorch's own files ours. What no layer of ours takes stands under a
    name of its own."""
    what: str
    """What the file is, in words."""
    changed: tuple[str, ...] = ()
    """What is done to its numbers beside naming them, for the record."""
    unchecked: tuple[str, ...] = ()
    """What the file does not say and is therefore not compared."""
